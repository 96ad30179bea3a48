"""What every entry of a book costs under one seed: arithmetic, disk, memory and jobs."""

from dataclasses import dataclass
from typing import Any, TypedDict

from oarpipe.config.datasets import ClassifierConfig
from oarpipe.config.models import ModelConfig
from oarpipe.config.order_heads import OrderHeadConfig
from oarpipe.config.orders import OrdersConfig, PredictedConfig, drawn_anew
from oarpipe.config.outputs import ClassificationConfig, EvaluationConfig, InformationConfig
from oarpipe.config.samples import SamplesConfig, SearchConfig
from oarpipe.config.tokenizers import TokensConfig, VQGANConfig
from oarpipe.config.training import Batch, Precision
from oarpipe.decoding.flops import extraction_cost, most_asked, walk_cost
from oarpipe.metrics.flops import INCEPTION_PARAMETERS, classifier_flops, classifier_layers
from oarpipe.models.flops import forward_flops, outlook_flops, training_flops
from oarpipe.models.memory import kept_bytes, training_bytes, walk_bytes
from oarpipe.tokenizers import flops
from oarpipe.tools.sizing import Sizing, TokensSize

_FLOAT = 4
_INDEX_ROW = 120  # bytes of a row of index.parquet: above all the hash and the name
_MEASURING = 2_000_000_000  # bytes of Inception with the 256 images it looks at together
_ORDER_ROW = 24  # bytes of a row of orders.parquet, beside the order and its scores


class Work(TypedDict):
    """FLOP by the precision in which they are done."""

    float32: int
    bfloat16: int


@dataclass(frozen=True)
class Cost:
    """Of one entry: FLOP by precision, and bytes. `memory` is a job's on its GPU, None where it needs none.

    `jobs` may run side by side; where their results are merged, that is one job more, `merge`.
    """

    verb: str
    float32: int = 0
    bfloat16: int = 0
    disk: int = 0
    memory: int | None = None
    jobs: int = 1
    merge: str | None = None

    @property
    def flop(self) -> int:
        """All of it."""
        return self.float32 + self.bfloat16


class Costing:
    """`of(table, name)` for the entries of one book; extraction and generation are cut into `shards` jobs."""

    def __init__(self, sizing: Sizing, shards: int) -> None:
        self.sizing, self.shards = sizing, shards

    def of(self, table: str, name: str) -> Cost:
        """What an entry costs."""
        entry: Any = self.sizing.book.entry(table, name)
        costed = {
            "datasets": self._datasets,
            "features": self._features,
            "tokenizers": self._tokenizers,
            "tokens": self._tokens,
            "models": self._models,
            "orders": self._orders,
            "order_heads": self._order_heads,
            "samples": self._samples,
            "searches": self._searches,
            "evaluations": self._evaluations,
            "information": self._information,
            "benchmarks": self._benchmarks,
            "reports": self._reports,
        }
        return costed[table](name, entry)

    def _datasets(self, name: str, entry: Any) -> Cost:
        return Cost("index", disk=_INDEX_ROW * self.sizing.count(name, "all"))

    def _features(self, name: str, entry: Any) -> Cost:
        if not isinstance(entry, ClassifierConfig):
            return Cost("train_features", disk=_FLOAT * INCEPTION_PARAMETERS)
        sizes = self.sizing.classifier(entry)
        weights = sum(weights for weights, _ in classifier_layers(*sizes))
        images = 3 * entry.train.steps * entry.train.batch + self.sizing.count(entry.dataset, "test")
        return Cost(
            "train_features",
            **_in(entry.train.precision, images * classifier_flops(*sizes)),
            disk=_FLOAT * weights,
            memory=4 * _FLOAT * weights,
        )

    def _tokenizers(self, name: str, entry: Any) -> Cost:
        size = self.sizing.tokenizer(name)
        disk = _FLOAT * flops.weights([*size.encode(256), *size.decode(256)])
        if not isinstance(entry, VQGANConfig):
            return Cost("import_tokenizer", disk=disk)
        resolution, train = self.sizing.resolution(entry.dataset), entry.train
        start = entry.adversarial.start if entry.adversarial else train.steps
        alone = min(start, train.steps)
        images = train.batch * (
            alone * flops.training_flops(entry, resolution, with_critic=False)
            + (train.steps - alone) * flops.training_flops(entry, resolution, with_critic=True)
        )
        judged = flops.flops([*size.encode(resolution), *size.decode(resolution)])
        return Cost(
            "train_tokenizer",
            **_in(train.precision, images, judged * self.sizing.count(entry.dataset, "test")),
            disk=disk,
            memory=flops.training_bytes(entry, resolution, images=train.microbatch or train.batch),
        )

    def _tokens(self, name: str, entry: Any) -> Cost:
        tokens = self.sizing.tokens(name)
        code = 2 if tokens.codebook <= 65535 else 4
        views = tokens.views * sum(tokens.images.values())
        disk = views * tokens.positions * code
        if not isinstance(entry, TokensConfig):
            return Cost("import_tokens", disk=disk)
        encoder = self.sizing.tokenizer(entry.tokenizer).encode(tokens.resolution)
        memory = flops.inference_bytes(encoder, images=entry.batch)
        return Cost("tokenize", float32=views * flops.flops(encoder), disk=disk, memory=memory)

    def _models(self, name: str, entry: Any) -> Cost:
        size, classes = self.sizing.model(name)
        disk = _FLOAT * size.parameters(classes)
        if not isinstance(entry, ModelConfig):
            return Cost("import_model", disk=disk)
        train = entry.train
        looks = train.steps // train.validate_every if train.validate_every else 0
        validation = looks * self.sizing.tokens(entry.tokens).images["test"] * forward_flops(size)
        memory = training_bytes(
            size,
            classes,
            samples=train.microbatch or train.batch,
            precision=train.precision,
            average=train.ema is not None,
        )
        flop = _in(train.precision, train.steps * train.batch * training_flops(size), validation)
        return Cost(entry.verb, **flop, disk=disk, memory=memory)

    def _orders(self, name: str, entry: OrdersConfig) -> Cost:
        (size, classes), tokens = self.sizing.model(entry.model), self.sizing.tokens(entry.tokens)
        images = _of_split(tokens, entry)
        rows = tokens.views * images
        one = extraction_cost(size, entry, tokens.views, head=self._head_width(entry))
        return Cost(
            "extract",
            **_in(entry.precision, images * one),
            disk=rows * (tokens.positions * (2 + _FLOAT) + _ORDER_ROW),
            memory=walk_bytes(
                size,
                classes,
                samples=_together(entry.batch),
                queries=most_asked(size, entry.policy),
                precision=entry.precision,
                branches=1 if entry.guidance == 1.0 else 2,
            ),
            jobs=self.shards,
            merge="merge_orders",
        )

    def _order_heads(self, name: str, entry: OrderHeadConfig) -> Cost:
        """A forward of the body, which does not learn, and three of the head an image."""
        (size, classes), train = self.sizing.model(entry.model), entry.train
        learning = 3 * size.positions * outlook_flops(size, entry.width, [1])
        looks = train.steps // train.validate_every if train.validate_every else 0
        held_out = round(entry.held_out * self.sizing.tokens(entry.tokens).images["train"])
        images = train.steps * train.batch + (looks + 1) * held_out
        block = kept_bytes(size, "float32") // size.layers  # nothing is kept of the body but one
        return Cost(
            "train_order_head",
            **_in(train.precision, images * (forward_flops(size) + learning)),
            disk=_FLOAT * entry.width * (2 * size.width + 3 * size.positions + 7 * entry.width + classes),
            memory=_FLOAT * size.parameters(classes) + train.batch * block,
        )

    def _head_width(self, entry: OrdersConfig | SamplesConfig) -> int:
        """Of the head that predicts an entry's places; 0 if none does."""
        if not isinstance(entry.policy, PredictedConfig):
            return 0
        head: Any = self.sizing.book.entry("order_heads", entry.policy.head)
        return int(head.width)

    def _samples(self, name: str, entry: SamplesConfig) -> Cost:
        size, _ = self.sizing.model(entry.model)
        return Cost(
            "generate",
            **_in(
                entry.precision,
                entry.count * walk_cost(size, entry.policy, entry.guidance, head=self._head_width(entry)),
                entry.count * self._image(name),
            ),
            disk=entry.count * self._sample_bytes(name),
            memory=self._walk_memory(entry, is_guided=entry.guidance.scale != 1.0),
            jobs=self.shards,
            merge="merge_samples",
        )

    def _searches(self, name: str, entry: SearchConfig) -> Cost:
        """Every cell of the grid for every arm, and the arm in full at the dearest setting."""
        work: Work = {"float32": 0, "bfloat16": 0}
        disk = memory = 0
        measure, _ = self.sizing.measuring(entry.features)
        for arm in entry.samples:
            config: Any = self.sizing.book.entry("samples", arm)
            size, _ = self.sizing.model(config.model)
            walks = [
                walk_cost(
                    size,
                    config.policy,
                    config.guidance.model_copy(update={"scale": scale}),
                    head=self._head_width(config),
                )
                for scale in entry.guidances
            ]
            cell = entry.count * len(entry.temperatures)  # images of every guidance
            looked_at = cell * len(entry.guidances)
            precision: Precision = config.precision
            work[precision] += cell * sum(walks) + config.count * max(walks)
            work["float32"] += (looked_at + config.count) * self._image(arm)
            work["float32"] += (looked_at + self.sizing.count(entry.dataset, entry.split)) * measure
            disk += config.count * self._sample_bytes(arm)
            is_guided = any(scale != 1.0 for scale in entry.guidances)
            memory = max(memory, self._walk_memory(config, is_guided=is_guided))
        return Cost("search", **work, disk=disk, memory=memory, jobs=len(entry.samples))

    def _evaluations(self, name: str, entry: EvaluationConfig) -> Cost:
        """Features of all sets, of the reference and of the other split."""
        measure, outputs = self.sizing.measuring(entry.features)
        book = self.sizing.book
        arms: list[str] = [arm for _, arm in book.ingredients("evaluations", name).get("samples", [])]
        for _, search in book.ingredients("evaluations", name).get("searches", []):
            found: Any = book.entry("searches", search)
            arms += found.samples
        sets: list[Any] = [book.entry("samples", arm) for arm in arms]
        images = sum(each.count for each in sets)
        if entry.dataset is not None:
            images += self.sizing.count(entry.dataset, "all")
        return Cost(
            "features",
            float32=images * measure,
            disk=images * outputs * _FLOAT,
            memory=_MEASURING,
            merge="evaluate",
        )

    def _information(self, name: str, entry: InformationConfig) -> Cost:
        tokens = self.sizing.tokens(entry.tokens)
        rows = _of_split(tokens, entry)
        walks = sum(entry.draws if drawn_anew(order) else 1 for order in entry.orders.values())
        flop = memory = 0
        for _, model in self.sizing.book.ingredients("information", name)["models"]:
            size, classes = self.sizing.model(model)
            forwards = rows * (walks + len(entry.holes)) + _classified(entry.classification, rows, classes)
            flop += forwards * forward_flops(size)
            block = kept_bytes(size, "float32") // size.layers  # nothing is kept but one, and the logits
            memory = max(memory, _FLOAT * size.parameters(classes) + entry.batch * block)
        return Cost("information", float32=flop, memory=memory)

    def _benchmarks(self, name: str, entry: Any) -> Cost:
        return Cost("benchmark")

    def _reports(self, name: str, entry: Any) -> Cost:
        return Cost("report")

    def _image(self, samples: str) -> int:
        """Decoding the codes of one sample."""
        tokenizer, tokens = self.sizing.origin(samples)
        return flops.flops(self.sizing.tokenizer(tokenizer).decode(self.sizing.tokens(tokens).resolution))

    def _sample_bytes(self, samples: str) -> int:
        """A row of samples.zarr before compression: the image; codes, order and score of every position."""
        tokens = self.sizing.tokens(self.sizing.origin(samples)[1])
        return 3 * tokens.resolution**2 + tokens.positions * (4 + 2 + _FLOAT)

    def _walk_memory(self, entry: SamplesConfig, *, is_guided: bool) -> int:
        size, classes = self.sizing.model(entry.model)
        queries = most_asked(size, entry.policy)
        branches = 2 if is_guided else 1
        return walk_bytes(
            size,
            classes,
            samples=_together(entry.batch),
            queries=queries,
            precision=entry.precision,
            branches=branches,
        )


def _together(batch: Batch) -> int:
    """How many images are walked together at least; `auto` takes no more than there is."""
    return 1 if batch == "auto" else batch


def _of_split(tokens: TokensSize, entry: OrdersConfig | InformationConfig) -> int:
    """How many images an entry takes of its split."""
    images = sum(tokens.images.values()) if entry.split == "all" else tokens.images[entry.split]
    return min(images, entry.count or images)


def _classified(config: ClassificationConfig | None, rows: int, classes: int) -> int:
    """Forward passes of single images that classification takes: a class each, an order each."""
    if config is None:
        return 0
    later = (max(config.orders) - 1) * min(config.shortlist or classes, classes)
    return min(rows, config.count or rows) * (classes + later)


def _in(precision: Precision, work: int, beside: int = 0) -> Work:
    """Work of a precision, and work beside it that is always float32."""
    if precision == "bfloat16":
        return {"float32": beside, "bfloat16": work}
    return {"float32": work + beside, "bfloat16": 0}
