import torch

from oarpipe.base.augment import MAX_SHIFT, affine, mirrored


def blob(batch: int = 8, side: int = 32) -> torch.Tensor:
    """A soft spot at the centre of each image, float64."""
    at = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    spot = torch.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / 8)
    return spot.expand(batch, 3, side, side).clone()


def centres(images: torch.Tensor) -> torch.Tensor:
    """Where the spots' centres of mass are, in pixels from the middle: [B 2]."""
    side = images.shape[-1]
    at = torch.arange(side, dtype=images.dtype) - (side - 1) / 2
    mass = images[:, 0] / images[:, 0].sum(dim=(1, 2), keepdim=True)
    return torch.stack([(mass.sum(2) * at).sum(1), (mass.sum(1) * at).sum(1)], dim=1)


def test_the_same_seed_and_step_move_images_alike_and_others_do_not() -> None:
    images = blob()
    assert torch.equal(affine(images, 0, 5), affine(images, 0, 5))
    assert not torch.equal(affine(images, 0, 5), affine(images, 0, 6))
    assert not torch.equal(affine(images, 0, 5), affine(images, 1, 5))


def test_a_row_moves_the_same_way_whatever_the_batch() -> None:
    assert torch.equal(affine(blob(8), 0, 5)[:3], affine(blob(3), 0, 5))


def test_shifts_stay_within_their_limit_and_reach_far_into_it() -> None:
    moved = centres(affine(blob(256), 0, 0)).abs()
    limit = MAX_SHIFT * 32
    assert moved.max() < limit * 1.15  # the shift is scaled and turned with the image
    assert moved.max() > limit * 0.8


def test_a_flat_image_stays_flat_up_to_its_border() -> None:
    flat = torch.full((4, 3, 9, 13), 0.25, dtype=torch.float64)
    torch.testing.assert_close(affine(flat, 0, 0), flat)


def test_mirroring_exchanges_left_and_right_of_about_half_the_images_exactly() -> None:
    images = torch.rand(400, 3, 4, 5)
    out = mirrored(images, 0, 3)
    is_mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(out, images, strict=True)])
    is_same = torch.tensor([torch.equal(a, b) for a, b in zip(out, images, strict=True)])
    assert torch.equal(is_mirrored, ~is_same)
    assert 150 < int(is_mirrored.sum()) < 250
