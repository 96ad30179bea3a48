"""Greedy that asks about few places a step: old scores are kept until they may have been overtaken.

A commit moves the scores near it, and hardly those far away. So each open place has, besides the score it
was last asked with, its *wear*: the sum of distance^-3 over what was committed since. How far scores move
for how much wear is learnt from the places of this very walk that are asked again.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.base.schedules import places_asked, places_by_filled
from oarpipe.config.orders import LazyConfig
from oarpipe.decoding.protocol import Emission, View
from oarpipe.decoding.scores import Score, all_scores, best

FALL = 3.0  # wear falls with this power of the distance in cells
# What is taken for known before a place is asked a second time: half the first scores' spread, for this wear.
FIRST_WEAR = 4.0


class Lazy:
    """Fills the best of the places it asks about: those with the highest kept score plus possible rise.

    The possible rise is `caution` x wear x (how far scores moved so far / how worn they were), each sample
    by itself. It serves one walk.
    """

    def __init__(self, score: Score, config: LazyConfig, grid: Grid) -> None:
        self.score, self.config = score, config
        self.counts = places_by_filled(config.per_step, grid.positions)
        self.grid = grid

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """At first every open place, then those whose score may be the highest by now."""
        positions, open_places = view.grid.positions, view.open.shape[1]
        asked = places_asked(self.config, self.counts[view.filled], open_places, positions)
        if asked == open_places:
            return view.open
        rise = self.config.caution * (self.moved / self.worn) * self.wear
        possible = (self.kept + rise).gather(1, view.open)
        columns = possible.sort(dim=1, descending=True, stable=True).indices[:, :asked]
        return view.open.gather(1, columns.sort(dim=1).values)

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """The best by score of those asked, best first; what was seen is kept."""
        score = all_scores(self.score, emission, candidates)
        if view.filled == 0:
            self.kept, self.wear = score, torch.zeros_like(score)
            self.moved = score.std(dim=1, correction=0, keepdim=True) / 2 * FIRST_WEAR
            self.worn = torch.full_like(self.moved, FIRST_WEAR)
            self.wearing = _wearing(self.grid, score.device).to(score.dtype)
        else:
            self.moved += (score - self.kept.gather(1, candidates)).abs().sum(dim=1, keepdim=True)
            self.worn += self.wear.gather(1, candidates).sum(dim=1, keepdim=True)
            self.kept = self.kept.scatter(1, candidates, score)
            self.wear = self.wear.scatter(1, candidates, 0.0)
        columns, chosen = best(score, self.counts[view.filled])
        self.wear = self.wear + self.wearing[candidates.gather(1, columns)].sum(dim=1)
        return columns, chosen


def _wearing(grid: Grid, device: torch.device) -> Float[Tensor, "N N"]:
    """How much a commit at one position wears the score at another."""
    every = torch.arange(grid.positions, device=device)
    across = grid.distance(every[:, None].expand(-1, grid.positions), every.expand(grid.positions, -1))
    return across.clamp(min=1.0) ** -FALL
