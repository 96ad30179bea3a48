"""Extraction of a token set: which rows are walked together, and the table their orders make."""

import torch

from oarpipe.base.noise import Stream
from oarpipe.config.orders import FollowConfig, OrdersConfig
from oarpipe.data.order_table import NO_CAPTION, OrderTable
from oarpipe.data.token_store import TokenSet
from oarpipe.decoding.predicted import ExactSteps
from oarpipe.decoding.protocol import Walk
from oarpipe.decoding.walks import extract_orders
from oarpipe.metrics.paths import mean_step_distance
from oarpipe.models.order_head import OrderHead
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.sources import Visits, build_source


class OrderExtractor:
    """Walks (sample, view) rows in fixed blocks, so that sharding and resuming change no bit."""

    def __init__(
        self,
        model: TokenModel,
        tokens: TokenSet,
        config: OrdersConfig,
        seed: int,
        provenance: dict[str, str],
        *,
        batch: int,
        head: OrderHead | None = None,
    ) -> None:
        self.model, self.tokens, self.config, self.provenance = model, tokens, config, provenance
        self.batch, self.head = batch, head
        self.exact_steps = ExactSteps()
        self.source = None
        if isinstance(config.policy, FollowConfig):
            self.source = build_source(config.policy.order, tokens.grid, seed, stream=Stream.VISIT)

    def table(self, part: range) -> OrderTable:
        """The orders of rows `sample_row * views + view` in `part`."""
        size = self.batch
        walks = [
            self._walk(range(begin, min(begin + size, part.stop)))
            for begin in range(part.start, part.stop, size)
        ]
        self.exact_steps.add(walks)
        order = torch.cat([walk.order for walk in walks]).cpu()
        score = torch.cat([walk.score for walk in walks]).cpu()
        samples, views = self._rows(part)
        rows = samples.numpy()  # numpy takes a tensor of one row for a number
        return OrderTable(
            sample_id=self.tokens.sample_ids[rows],
            view=views.to(torch.uint8).numpy(),
            caption=torch.full_like(views, NO_CAPTION, dtype=torch.int16).numpy(),
            label=self.tokens.labels[rows],
            order=order.to(torch.uint16).numpy(),
            score=score.float().numpy(),
            mean_step_distance=mean_step_distance(order, self.tokens.grid).float().numpy(),
            provenance=self.provenance,
        )

    def _walk(self, block: range) -> Walk:
        device = next(self.model.parameters()).device
        samples, views = self._rows(block)
        codes = torch.from_numpy(self.tokens.tokens)[samples, views].long().to(device)
        labels = torch.from_numpy(self.tokens.labels)[samples].long().to(device)
        order = None
        if self.source is not None:
            ids = torch.from_numpy(self.tokens.sample_ids)[samples]
            order = self.source(Visits(ids, views, labels, ids)).to(device)
        return extract_orders(self.model, codes, labels, self.config.policy, order=order, head=self.head)

    def _rows(self, block: range) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.arange(block.start, block.stop)
        return rows // len(self.tokens.views), rows % len(self.tokens.views)
