"""The walk itself (paper §4.3 with a `Teacher`, §4.5 with a `Sampler`)."""

import torch
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.decoding.protocol import Decoder, Policy, Reveal, View, Walk


@torch.inference_mode()
def rollout(
    decoder: Decoder, policy: Policy, reveal: Reveal, grid: Grid, batch: int, device: torch.device
) -> Walk:
    """Fills the grid of every sample: ask about open positions, choose some, see what appears there.

    The last open position is asked about too, for its code, though there is no choice left.
    """
    open_positions = torch.arange(grid.positions, device=device).repeat(batch, 1)
    tokens = torch.zeros_like(open_positions)
    order, scores, log_probs = [], [], []
    filled, last = 0, None
    while filled < grid.positions:
        view = View(grid, open_positions, last, filled, decoder.outlook)
        candidates = policy.candidates(view)
        emission = decoder.propose(candidates)
        columns, score = policy.choose(view, candidates, emission)
        positions = candidates.gather(1, columns)
        logits = emission.at(columns)
        revealed = reveal(positions, logits)
        decoder.commit(positions, revealed)

        tokens.scatter_(1, positions, revealed)
        order.append(positions)
        scores.append(score)
        log_probs.append(logits.log_softmax(-1).gather(2, revealed[..., None])[..., 0])
        open_positions = _without(open_positions, positions)
        filled, last = filled + positions.shape[1], positions[:, -1]
    return Walk(tokens, torch.cat(order, 1), torch.cat(scores, 1), torch.cat(log_probs, 1))


def _without(open_positions: Tensor, filled: Tensor) -> Tensor:
    """The open positions less the filled ones, still ascending; found without asking the device."""
    gone = (open_positions[:, :, None] == filled[:, None, :]).any(dim=2)
    kept = open_positions.masked_fill(gone, torch.iinfo(torch.int64).max).sort(dim=1).values
    return kept[:, : kept.shape[1] - filled.shape[1]]
