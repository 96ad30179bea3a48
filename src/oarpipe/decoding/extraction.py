"""Extraction of a token set: which rows are walked together, and the table their orders make."""

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.base.noise import Stream
from oarpipe.config.orders import IN_GIVEN_ORDER, FollowConfig, OrdersConfig
from oarpipe.data.order_table import NO_CAPTION, OrderTable
from oarpipe.data.token_store import TokenSet
from oarpipe.data.transforms import MIRRORED
from oarpipe.decoding.predicted import ExactSteps
from oarpipe.decoding.protocol import Walk
from oarpipe.decoding.replay import replayed
from oarpipe.decoding.walks import extract_orders
from oarpipe.errors import BadInput
from oarpipe.metrics.paths import mean_step_distance
from oarpipe.models.order_head import OrderHead
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.algebra import mirror
from oarpipe.orders.sources import Visits, WrittenOrders, build_source


class OrderExtractor:
    """Walks (sample, view) rows in fixed blocks, so that sharding and resuming change no bit.

    `tokens` are those of one shard; `first` is the number of its first sample among all.
    """

    def __init__(
        self,
        model: TokenModel,
        tokens: TokenSet,
        config: OrdersConfig,
        seed: int,
        provenance: dict[str, str],
        *,
        batch: int,
        first: int = 0,
        tables: Mapping[str, WrittenOrders] | None = None,
        head: OrderHead | None = None,
    ) -> None:
        self.model, self.tokens, self.config, self.provenance = model, tokens, config, provenance
        self.batch, self.first, self.head = batch, first, head
        self.exact_steps = ExactSteps()
        self.walking = replayed(self._extract, config.policy, next(model.parameters()).device)
        self.source = None
        if isinstance(config.policy, FollowConfig):
            self.source = build_source(config.policy.order, tokens.grid, seed, tables, stream=Stream.VISIT)
        self.walked_view = torch.arange(len(tokens.views))  # whose walk each view's order comes from
        if config.mirror:
            self.walked_view = torch.tensor(_mirrored_views(tokens.views))

    def table(self, part: range) -> OrderTable:
        """The orders of rows `sample_row * views + view` in `part`.

        A mirrored order is walked in too: its scores are those of the view's own codes.
        """
        rows = torch.arange(part.start, part.stop)
        samples, views = self._views(rows)
        walked, its_walk = (rows - views + self.walked_view[views]).unique(return_inverse=True)
        walks = [self._walk(block) for block in walked.split(self.batch)]
        self.exact_steps.add(walks)
        order = torch.cat([walk.order for walk in walks]).cpu()
        score = torch.cat([walk.score for walk in walks]).cpu()
        order, score = order[its_walk], score[its_walk]
        mirrored = (self.walked_view[views] != views).nonzero()[:, 0]
        for block in mirrored.split(self.batch) if len(mirrored) else ():
            walk = self._walk(rows[block], mirror(order[block], self.tokens.grid))
            order[block], score[block] = walk.order.cpu(), walk.score.cpu()
        kept = samples.numpy()  # numpy takes a tensor of one row for a number
        return OrderTable(
            sample_id=self.tokens.sample_ids[kept],
            view=views.to(torch.uint8).numpy(),
            caption=torch.full_like(views, NO_CAPTION, dtype=torch.int16).numpy(),
            label=self.tokens.labels[kept],
            order=order.to(torch.uint16).numpy(),
            score=score.float().numpy(),
            mean_step_distance=mean_step_distance(order, self.tokens.grid).float().numpy(),
            provenance=self.provenance,
        )

    def _walk(self, rows: Int[Tensor, " B"], order: Int[Tensor, "B N"] | None = None) -> Walk:
        """By the recipe's policy, or in a given order."""
        device = next(self.model.parameters()).device
        samples, views = self._views(rows)
        codes = torch.from_numpy(self.tokens.tokens)[samples, views].long().to(device)
        labels = torch.from_numpy(self.tokens.labels)[samples].long().to(device)
        if order is None and self.source is not None:
            ids = torch.from_numpy(self.tokens.sample_ids)[samples]
            order = self.source(Visits(ids, views, labels, ids))
        return self.walking(codes, labels, *([] if order is None else [order.to(device)]))

    def _extract(self, codes: torch.Tensor, labels: torch.Tensor, order: torch.Tensor | None = None) -> Walk:
        follows = order is not None and self.source is None
        policy = IN_GIVEN_ORDER if follows else self.config.policy
        return extract_orders(
            self.model,
            codes,
            labels,
            policy,
            order=order,
            head=self.head,
            temperature=self.config.temperature,
            guidance=self.config.guidance,
        )

    def _views(self, rows: Int[Tensor, " B"]) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
        """The row of the sample in `tokens`, and the view."""
        return rows // len(self.tokens.views) - self.first, rows % len(self.tokens.views)


def _mirrored_views(views: list[str]) -> list[int]:
    """For each view, the one it is the mirror image of, or itself."""
    if not any(MIRRORED.get(view) in views for view in views):
        raise BadInput(
            f"mirror: the tokens have no view that is another's mirror image, only {', '.join(views)}; "
            "leave `mirror` out, or take tokens with `views: adm`"
        )
    return [views.index(MIRRORED[v]) if MIRRORED.get(v) in views else i for i, v in enumerate(views)]
