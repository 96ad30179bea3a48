"""LlamaGen's sequence: against its definition written out in NumPy, and what must hold for any weights."""

import numpy as np
import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.errors import BadInput
from oarpipe.models.next_token import NextToken
from tests.conftest import published_weights

GRID = Grid(3, 4)
HEADS, WIDTH = 3, 24
Arrays = dict[str, np.ndarray]


@pytest.fixture
def model() -> NextToken:
    made = NextToken(grid=GRID, codebook=11, classes=5, layers=2, heads=HEADS, width=WIDTH)
    made.load_state_dict(published_weights(made))
    made = made.double().eval()
    made.rotary = rotary_by_hand()  # the model's own has float32's digits
    return made


@pytest.fixture
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    tokens = torch.randint(0, 11, (2, 12), generator=torch.Generator().manual_seed(1))
    return tokens, torch.arange(12).expand(2, -1), torch.tensor([3, 5])


def rotary_by_hand() -> torch.Tensor:
    """(cos, sin) row by row: nothing for the class; two frequencies for the row, two for the column."""
    rows = [[[0.0, 0.0]] * 4]
    for r in range(GRID.height):
        for c in range(GRID.width):
            angles = [r * 1.0, r * 0.01, c * 1.0, c * 0.01]
            rows.append([[np.cos(a), np.sin(a)] for a in angles])
    return torch.tensor(rows, dtype=torch.float64)


def logits_by_hand(w: Arrays, tokens: np.ndarray, label: int) -> np.ndarray:
    """One sample's logits [N, V], position by position."""

    def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x**2).mean() + 1e-5) * weight

    def turned(x: np.ndarray, place: int) -> np.ndarray:
        pairs = rotary_by_hand().numpy()[place]
        return np.array(
            [[a * cos - b * sin, b * cos + a * sin] for (a, b), (cos, sin) in zip(x.reshape(4, 2), pairs)]  # noqa: B905
        ).reshape(-1)

    sequence = [w["cls_embedding.embedding_table.weight"][label]]
    sequence += [w["tok_embeddings.weight"][token] for token in tokens[:-1]]
    for layer in ("layers.0", "layers.1"):
        keys, values, after = [], [], []
        for place, x in enumerate(sequence):
            qkv = w[f"{layer}.attention.wqkv.weight"] @ norm(x, w[f"{layer}.attention_norm.weight"])
            q, k, v = (part.reshape(HEADS, -1) for part in np.split(qkv, 3))
            keys.append([turned(head, place) for head in k])
            values.append(v)
            heads = []
            for h in range(HEADS):
                scores = np.array([turned(q[h], place) @ key[h] for key in keys]) / np.sqrt(WIDTH / HEADS)
                weights = np.exp(scores) / np.exp(scores).sum()
                heads.append(sum(a * value[h] for a, value in zip(weights, values, strict=True)))
            x = x + w[f"{layer}.attention.wo.weight"] @ np.concatenate(heads)
            y = norm(x, w[f"{layer}.ffn_norm.weight"])
            gate = w[f"{layer}.feed_forward.w1.weight"] @ y
            up = w[f"{layer}.feed_forward.w3.weight"] @ y
            after.append(x + w[f"{layer}.feed_forward.w2.weight"] @ (gate / (1 + np.exp(-gate)) * up))
        sequence = after
    return np.stack([w["output.weight"] @ norm(x, w["norm.weight"]) for x in sequence])


def test_the_logits_are_those_of_the_definition_written_out(
    model: NextToken, inputs: tuple[torch.Tensor, ...]
) -> None:
    tokens, order, labels = inputs
    weights = {key: tensor.numpy() for key, tensor in model.state_dict().items()}
    expected = [logits_by_hand(weights, tokens[b].numpy(), int(labels[b])) for b in range(2)]
    np.testing.assert_allclose(model(tokens, order, labels).detach(), np.stack(expected), atol=1e-10)


def test_no_position_sees_its_own_token_or_a_later_one(
    model: NextToken, inputs: tuple[torch.Tensor, ...]
) -> None:
    tokens, order, labels = inputs
    before = model(tokens, order, labels)
    for position in range(12):
        changed = tokens.clone()
        changed[:, position] = (changed[:, position] + 1) % 11
        after = model(changed, order, labels)
        assert torch.equal(after[:, : position + 1], before[:, : position + 1])
        assert position == 11 or not torch.equal(after[:, position + 1], before[:, position + 1])


def test_a_prefix_gets_the_answers_of_the_whole(model: NextToken, inputs: tuple[torch.Tensor, ...]) -> None:
    tokens, order, labels = inputs
    part = model(tokens, order[:, :5], labels)
    assert torch.allclose(part, model(tokens, order, labels)[:, :5], atol=1e-12)


def test_any_other_order_is_refused(model: NextToken, inputs: tuple[torch.Tensor, ...]) -> None:
    tokens, order, labels = inputs
    with pytest.raises(BadInput, match="only goes in raster order"):
        model(tokens, order.flip(1), labels)


def test_it_has_the_published_names_less_the_position_tokens() -> None:
    with torch.device("meta"):
        model = NextToken(grid=Grid(16, 16), codebook=16384, classes=1000, layers=24, heads=16, width=1024)
    names = set(model.state_dict())
    assert "pos_instruct_embeddings" not in names
    assert len(names) == 7 * 24 + 4
    assert sum(p.numel() for p in model.parameters()) == 342_912_000 - 1024
