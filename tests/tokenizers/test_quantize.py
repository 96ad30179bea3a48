import pytest
import torch
from torch.nn import functional as F

from oarpipe.tokenizers.quantize import CodeCare, VectorQuantizer


def quantizer(codebook: int = 6, *, normalise: bool = True) -> VectorQuantizer:
    torch.manual_seed(0)
    out = VectorQuantizer(codebook, 4, normalise=normalise)
    with torch.no_grad():
        out.embedding.weight.normal_()
    return out


def encodings(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 4, 3, 2, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("normalise", [True, False])
def test_each_position_takes_the_nearest_code_by_brute_force(normalise: bool) -> None:
    model = quantizer(normalise=normalise)
    rows = model.embedding.weight
    found = model(encodings())
    for b in range(2):
        for position in range(6):
            vector = encodings()[b, :, position // 2, position % 2]
            if normalise:
                vector, places = vector / vector.norm(), rows / rows.norm(dim=1, keepdim=True)
            else:
                places = rows
            nearest = (places - vector).norm(dim=1).argmin()
            assert found.tokens[b, position] == nearest
            torch.testing.assert_close(found.codes[b, :, position // 2, position % 2], places[nearest])


def test_normalised_codes_lie_on_the_sphere_whatever_their_length() -> None:
    model = quantizer()
    before = model(encodings())
    with torch.no_grad():
        model.embedding.weight.mul_(torch.arange(1.0, 7.0)[:, None])
    after = model(encodings())
    assert torch.equal(before.tokens, after.tokens)
    torch.testing.assert_close(before.codes, after.codes)
    torch.testing.assert_close(after.codes.norm(dim=1), torch.ones(2, 3, 2))


def test_the_gradient_passes_straight_through_the_look_up() -> None:
    model = quantizer(normalise=False)
    x = encodings().requires_grad_()
    weights = torch.randn(2, 4, 3, 2)
    (model(x).codes * weights).sum().backward()
    torch.testing.assert_close(x.grad, weights)
    assert model.embedding.weight.grad is None


def test_the_two_losses_are_equal_but_pull_on_one_side_each() -> None:
    model = quantizer(normalise=False)
    x = encodings().requires_grad_()
    found = model(x)
    assert found.codebook_loss == found.commitment_loss
    found.codebook_loss.backward(retain_graph=True)
    assert x.grad is None
    assert model.embedding.weight.grad is not None
    model.embedding.weight.grad = None
    found.commitment_loss.backward()
    assert x.grad is not None
    assert model.embedding.weight.grad is None


def test_codes_start_at_distinct_encodings_of_the_batch() -> None:
    model, care = quantizer(), CodeCare(6, revive_after=None)
    care.start(model, encodings(), seed=0)
    points = model.points(encodings())
    matches = (model.embedding.weight[:, None] - points[None]).abs().sum(2) < 1e-6
    assert matches.sum(1).tolist() == [1] * 6
    assert matches.sum(0).max() == 1


def test_a_code_that_goes_unused_too_long_restarts_at_an_encoding_and_others_stay() -> None:
    model, care = quantizer(), CodeCare(6, revive_after=3)
    before = model.embedding.weight.detach().clone()
    tokens = torch.tensor([[0, 1, 2, 3, 4, 0]] * 2)
    for step in range(2):
        care.watch(model, encodings(), tokens, seed=0, step=step)
    assert torch.equal(model.embedding.weight, before)
    assert care.usage(1) == pytest.approx(5 / 6)
    care.watch(model, encodings(), tokens, seed=0, step=2)
    assert torch.equal(model.embedding.weight[:5], before[:5])
    restarted = model.embedding.weight[5]
    assert ((model.points(encodings()) - restarted).abs().sum(1) < 1e-6).any()
    assert care.revived == 1
    assert care.usage(1) == 1.0


def test_without_a_limit_codes_are_left_alone_but_counted() -> None:
    model, care = quantizer(), CodeCare(6, revive_after=None)
    before = model.embedding.weight.detach().clone()
    for step in range(5):
        care.watch(model, encodings(), torch.zeros(2, 6, dtype=torch.int64), seed=0, step=step)
    assert torch.equal(model.embedding.weight, before)
    assert care.usage(3) == pytest.approx(1 / 6)


def test_more_codes_than_encodings_share_them() -> None:
    model, care = quantizer(codebook=20), CodeCare(20, revive_after=None)
    care.start(model, encodings(1), seed=0)
    torch.testing.assert_close(model.embedding.weight[:6], model.embedding.weight[6:12])
    assert len(model.embedding.weight.detach().unique(dim=0)) == 6


def test_a_restart_depends_on_seed_and_step_only() -> None:
    starts = []
    for seed in (0, 0, 1):
        model, care = quantizer(), CodeCare(6, revive_after=1)
        care.watch(model, encodings(), torch.zeros(2, 6, dtype=torch.int64), seed=seed, step=7)
        starts.append(model.embedding.weight.detach().clone())
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_unit_vectors_have_the_same_neighbours_by_angle_as_by_distance() -> None:
    model = quantizer(codebook=50)
    points = F.normalize(torch.randn(200, 4), dim=1)
    assert torch.equal(model.nearest(points), (points @ model.rows().T).argmax(1))
