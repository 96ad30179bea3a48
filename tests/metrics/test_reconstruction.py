import math

import numpy as np
import pytest
import torch

from oarpipe.metrics.reconstruction import code_perplexity, code_usage, psnr, ssim


def pair(side: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(0, 256, (2, 3, side, side), generator=generator)
    b = (a + torch.randint(-40, 41, a.shape, generator=generator)).clamp(0, 255)
    return a.to(torch.uint8), b.to(torch.uint8)


def test_psnr_of_an_error_of_one_level_is_48_decibels() -> None:
    a = torch.full((1, 3, 4, 4), 100, dtype=torch.uint8)
    assert psnr(a, a + 1).item() == pytest.approx(20 * math.log10(255))


def test_psnr_is_one_number_an_image_and_finite_for_equal_ones() -> None:
    a, b = pair()
    values = psnr(a, torch.stack([a[0], b[1]]))
    assert values[0] == 100.0
    expected = 10 * math.log10(255**2 / np.mean((a[1].double() - b[1].double()).numpy() ** 2))
    assert values[1].item() == pytest.approx(expected)


def ssim_by_windows(a: np.ndarray, b: np.ndarray, side: int = 11) -> float:
    """SSIM of one channel, one window after the other (Wang et al. 2004, Eq. 13)."""
    at = np.arange(side) - side // 2
    window = np.exp(-(at[:, None] ** 2 + at[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for row in range(a.shape[0] - side + 1):
        for column in range(a.shape[1] - side + 1):
            x = a[row : row + side, column : column + side]
            y = b[row : row + side, column : column + side]
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize(("pixels", "window"), [(20, 11), (11, 11), (8, 7)])
def test_ssim_is_that_of_every_window_written_out(pixels: int, window: int) -> None:
    a, b = pair(pixels)
    channels = [(a[1, c].double().numpy(), b[1, c].double().numpy()) for c in range(3)]
    expected = np.mean([ssim_by_windows(x, y, window) for x, y in channels])
    assert ssim(a, b)[1].item() == pytest.approx(expected, abs=1e-10)


def test_ssim_of_equal_images_is_one() -> None:
    a, _ = pair()
    torch.testing.assert_close(ssim(a, a), torch.ones(2, dtype=torch.float64))


def test_usage_and_perplexity_of_a_hand_made_set_of_codes() -> None:
    tokens = torch.tensor([[0, 0, 1, 1], [2, 2, 3, 3]])
    assert code_usage(tokens, 8) == 0.5
    assert code_perplexity(tokens, 8) == pytest.approx(4.0)
    assert code_perplexity(torch.zeros(5, dtype=torch.int64), 8) == pytest.approx(1.0)
    assert code_perplexity(torch.tensor([0, 0, 0, 1]), 2) == pytest.approx(
        math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    )
