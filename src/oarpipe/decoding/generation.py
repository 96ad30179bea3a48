"""Generation of a sample set: which samples are drawn together, and the images their codes make."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oarpipe.base.noise import Stream
from oarpipe.config.orders import FollowConfig
from oarpipe.config.samples import SamplesConfig
from oarpipe.decoding.predicted import ExactSteps
from oarpipe.decoding.protocol import Walk
from oarpipe.decoding.replay import replayed
from oarpipe.decoding.walks import new_orders, sample_tokens
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.models.order_head import OrderHead
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.sources import WrittenOrders, build_source
from oarpipe.tokenizers.protocol import ImageTokenizer


@dataclass(frozen=True)
class Drawn:
    """A block of samples, ready for a store: uint8 NHWC images and what they came from."""

    images: np.ndarray
    walk: Walk
    labels: Tensor
    samples: Tensor

    def arrays(self) -> dict[str, np.ndarray]:
        """The columns of a sample store."""
        return {
            "images": self.images,
            "tokens": self.walk.tokens.cpu().numpy(),
            "orders": self.walk.order.cpu().numpy(),
            "scores": self.walk.score.float().cpu().numpy(),
            "labels": self.labels.cpu().numpy(),
            "seeds": self.samples.cpu().numpy(),
        }


class Generator:
    """Draws samples in fixed blocks of ids, so that sharding and resuming change no bit.

    The label of sample i is the i-th of the recipe's classes in turn, which balances them.
    """

    def __init__(
        self,
        model: TokenModel,
        tokenizer: ImageTokenizer,
        config: SamplesConfig,
        seed: int,
        tables: Mapping[str, WrittenOrders] | None = None,
        *,
        batch: int,
        head: OrderHead | None = None,
    ) -> None:
        self.model, self.tokenizer, self.config, self.seed = model, tokenizer, config, seed
        check_codes(model, tokenizer)
        self.tables, self.batch, self.head = tables, batch, head
        self.exact_steps = ExactSteps()
        self.walking = replayed(self._sample, config.policy, _device(model))
        self.classes = torch.tensor(_classes(config.classes, model.classes))
        self.source = None
        if isinstance(config.policy, FollowConfig):
            order = config.policy.order
            self.source = build_source(order, model.grid, seed, tables, stream=Stream.VISIT)

    def at(self, temperature: float, guidance: float) -> "Generator":
        """The same generator at another setting; the networks are shared."""
        scaled = self.config.guidance.model_copy(update={"scale": guidance})
        config = self.config.model_copy(update={"temperature": temperature, "guidance": scaled})
        return Generator(
            self.model, self.tokenizer, config, self.seed, self.tables, batch=self.batch, head=self.head
        )

    @property
    def resolution(self) -> int:
        """Side of the images, in pixels."""
        blank = torch.zeros(1, self.model.grid.positions, dtype=torch.int64, device=_device(self.model))
        return int(self.tokenizer.decode(blank, self.model.grid).shape[-1])

    def draw(self, samples: range) -> Drawn:
        """Samples of these ids, walked together."""
        device = _device(self.model)
        ids = torch.arange(samples.start, samples.stop)
        labels = self.classes[ids % len(self.classes)]
        order = new_orders(self.source, labels, ids, device)
        walk = self.walking(labels.to(device), ids.to(device), *([] if order is None else [order]))
        self.exact_steps.add([walk])
        images = self.tokenizer.decode(walk.tokens, self.model.grid)
        return Drawn(images.permute(0, 2, 3, 1).cpu().numpy(), walk, labels, ids)

    def _sample(self, labels: Tensor, samples: Tensor, order: Tensor | None = None) -> Walk:
        return sample_tokens(
            self.model,
            labels,
            self.config,
            samples=samples,
            seed=self.seed,
            order=order,
            head=self.head,
        )

    def blocks(self, samples: range) -> Iterator[Drawn]:
        """`samples`, a batch at a time."""
        for begin in range(samples.start, samples.stop, self.batch):
            yield self.draw(range(begin, min(begin + self.batch, samples.stop)))


def _device(model: TokenModel) -> torch.device:
    return next(model.parameters()).device


def check_codes(model: TokenModel, tokenizer: ImageTokenizer) -> None:
    """`FingerprintMismatch` if the model's codes cannot be the tokenizer's."""
    if tokenizer.codebook != model.codebook:
        raise FingerprintMismatch(
            f"the model writes {model.codebook} codes, the tokenizer reads {tokenizer.codebook}; "
            "name the tokenizer that made the model's tokens"
        )


def joined(blocks: Sequence[Drawn]) -> dict[str, np.ndarray]:
    """The columns of several blocks, one after another."""
    arrays = [block.arrays() for block in blocks]
    return {name: np.concatenate([a[name] for a in arrays]) for name in arrays[0]}


def _classes(wanted: list[int] | None, classes: int) -> list[int]:
    if wanted is None:
        return list(range(classes))
    wrong = [c for c in wanted if not 0 <= c < classes]
    if wrong or not wanted:
        raise BadInput(
            f"samples.classes: {wrong[0] if wrong else 'an empty list'} is no class of the model; "
            f"its classes are 0..{classes - 1}"
        )
    return wanted
