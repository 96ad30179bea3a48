"""Entries of a book that are right by themselves but do not belong together."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from oarpipe.config.orders import (
    FollowConfig,
    PerStepConfig,
    PolicyConfig,
    PredictedConfig,
    RuleConfig,
    read_image_by_image,
)
from oarpipe.config.outputs import PublishedConfig

if TYPE_CHECKING:
    from oarpipe.config.book import Book


def misfits(book: "Book") -> Iterable[str]:
    """What is wrong, a line each; every entry is valid, and what it names is there."""
    yield from _model_misfits(book)
    yield from _raster_misfits(book)
    yield from _head_misfits(book)
    yield from _data_misfits(book)
    yield from _published_misfits(book)


def _model_misfits(book: "Book") -> Iterable[str]:
    models: dict[str, Any] = book.tables["models"]
    for name, model in models.items():
        if model.verb == "distill" and model.init is None:
            yield f"models.{name}: tunes on extracted orders but has no `init:` model to start from"
        if model.init is not None:
            parent = models[model.init]
            if parent.kind == "llamagen":
                yield (
                    f"models.{name}: an any-order model cannot start from models.{model.init}, which is "
                    "LlamaGen's and has no position tokens"
                )
            if parent.anatomy() not in (None, model.anatomy()):
                yield (
                    f"models.{name}: {model.anatomy()} cannot start from models.{model.init}, "
                    f"which is {parent.anatomy()}"
                )
            if parent.tokens != model.tokens:
                yield f"models.{name}: trains on tokens.{model.tokens}, its init on tokens.{parent.tokens}"
        for table in [t for field, _, t in model.references() if field == "orders"]:
            orders: Any = book.entry("orders", table)
            if orders.tokens != model.tokens:
                yield (
                    f"models.{name}: trains on tokens.{model.tokens}, but orders.{table} "
                    f"was extracted from tokens.{orders.tokens}"
                )
            if orders.split == "test":
                yield f"models.{name}: trains on the train split, but orders.{table} has the test split's"
            needed = {read.orders for read in read_image_by_image(model.order) if read.otherwise is None}
            if orders.count is not None and table in needed:
                yield (
                    f"models.{name}: trains on all images, but orders.{table} has {orders.count} orders; "
                    "say which orders the others get, `otherwise: {kind: random}`"
                )


def _raster_misfits(book: "Book") -> Iterable[str]:
    """LlamaGen's model goes in raster order alone, one place a step."""
    models: dict[str, Any] = book.tables["models"]
    bound = {name for name, model in models.items() if model.kind == "llamagen"}
    entries: Any
    for table in ("orders", "samples"):
        for name, entries in book.tables[table].items():
            if entries.model in bound and not _is_raster(entries.policy):
                yield f"{table}.{name}.policy: models.{entries.model} {_RASTER_ONLY}"
    for name, entries in book.tables["information"].items():
        asked = bound & {model for _, model in book.ingredients("information", name)["models"]}
        others = [f"orders.{key}" for key, order in entries.orders.items() if not _is_raster_rule(order)]
        others += [f"holes.{key}" for key in entries.holes]
        others += ["classification"] if entries.classification else []
        if asked and others:
            yield (
                f"information.{name}.{others[0]}: models.{min(asked)} {_RASTER_ONLY}; "
                "name the other `models`, and give it an entry of its own"
            )


_RASTER_ONLY = (
    "is LlamaGen's and only goes in raster order, one place a step: "
    "{select: follow, order: {kind: rule, name: raster}}"
)


def _is_raster(policy: PolicyConfig) -> bool:
    return (
        isinstance(policy, FollowConfig)
        and policy.per_step == PerStepConfig()
        and _is_raster_rule(policy.order)
    )


def _is_raster_rule(order: Any) -> bool:
    return isinstance(order, RuleConfig) and order.name == "raster"


def _head_misfits(book: "Book") -> Iterable[str]:
    """A head learns orders of its model's tokens, and predicts for that model alone."""
    entry: Any
    for name, entry in book.tables["order_heads"].items():
        model: Any = book.entry("models", entry.model)
        orders: Any = book.entry("orders", entry.orders)
        if model.kind == "llamagen":
            yield f"order_heads.{name}: models.{entry.model} is LlamaGen's, which goes in raster order alone"
        for what, tokens in (
            (f"models.{entry.model} reads", model.tokens),
            (f"orders.{entry.orders} has", orders.tokens),
        ):
            if tokens != entry.tokens:
                yield f"order_heads.{name}: learns on tokens.{entry.tokens}, but {what} tokens.{tokens}"
        if orders.split == "test":
            yield f"order_heads.{name}: learns, but orders.{entry.orders} has the test split's orders"
    for table in ("orders", "samples"):
        for name, entry in book.tables[table].items():
            if isinstance(entry.policy, PredictedConfig):
                head: Any = book.entry("order_heads", entry.policy.head)
                if head.model != entry.model:
                    yield (
                        f"{table}.{name}.policy.head: order_heads.{entry.policy.head} predicts "
                        f"models.{head.model}, not models.{entry.model}"
                    )


def _data_misfits(book: "Book") -> Iterable[str]:
    entries: Any
    for name, entries in book.tables["orders"].items():
        model: Any = book.entry("models", entries.model)
        if model.tokens != entries.tokens:
            yield (
                f"orders.{name}: extracts from tokens.{entries.tokens}, its model reads tokens.{model.tokens}"
            )
        for followed in [name for field, _, name in entries.references() if field == "orders"]:
            source: Any = book.entry("orders", followed)
            if source.tokens != entries.tokens:
                yield (
                    f"orders.{name}: extracts from tokens.{entries.tokens}, but follows orders of "
                    f"tokens.{source.tokens}"
                )
    for name, entries in book.tables["tokens"].items():
        if entries.dataset is None:
            continue
        tokenizer: Any = book.entry("tokenizers", entries.tokenizer)
        dataset: Any = book.entry("datasets", entries.dataset)
        if dataset.resolution % tokenizer.factor:
            yield (
                f"tokens.{name}: {dataset.resolution} pixels are no multiple of the "
                f"{tokenizer.factor} pixels a token of tokenizers.{entries.tokenizer}"
            )
    for table in ("orders", "information"):
        for name, entries in book.tables[table].items():
            tokens: Any = book.entry("tokens", entries.tokens)
            if entries.split == "test" and tokens.dataset is None and tokens.test_every is None:
                yield (
                    f"{table}.{name}.split: tokens.{entries.tokens} are published codes, of which none are "
                    "held out; give them `test_every`, or ask for another split"
                )
    for name, entries in book.tables["information"].items():
        tables = [read for order in entries.orders.values() for read in read_image_by_image(order)]
        for table, has_all in sorted({(read.orders, read.otherwise is None) for read in tables}):
            orders: Any = book.entry("orders", table)
            if orders.split not in ("all", entries.split):
                yield (
                    f"information.{name}: walks the {entries.split} split, but orders.{table} "
                    f"has the {orders.split} split's orders"
                )
            elif (
                has_all
                and orders.count is not None
                and (orders.split, orders.count) != (entries.split, entries.count)
            ):
                yield (
                    f"information.{name}: walks {_images(entries)}, but orders.{table} "
                    f"has the orders of {_images(orders)}"
                )
    for name, entries in book.tables["searches"].items():
        evaluation: Any
        for evaluation_name, evaluation in book.tables["evaluations"].items():
            reports_it = evaluation.searches == "all" or name in evaluation.searches
            if reports_it and (entries.dataset, entries.split) == (evaluation.dataset, evaluation.split):
                yield (
                    f"searches.{name}: chooses on the {entries.split} split, on which "
                    f"evaluations.{evaluation_name} reports it; choose on another, or leave it out there"
                )


def _images(entry: Any) -> str:
    """Which images an entry takes, in words."""
    return f"{entry.count or 'all'} images of the {entry.split} split"


def _published_misfits(book: "Book") -> Iterable[str]:
    """A published number is compared with one that the report's evaluation measures."""
    report: Any
    for name, report in book.tables["reports"].items():
        published: PublishedConfig | None = report.published
        if published is None:
            continue
        if not _measures(book, report.evaluation, published.samples):
            yield (
                f"reports.{name}.published.samples: evaluations.{report.evaluation} measures no "
                f"'{published.samples}'; name one of its sample sets, or SEARCH/NAME for its best setting"
            )
        evaluation: Any = book.entry("evaluations", report.evaluation)
        network: Any = book.entry("features", evaluation.features)
        if published.metric in ("fid", "sfid", "kid") and network.kind != "inception":
            yield (
                f"reports.{name}.published.metric: {published.metric} is measured with Inception alone, and "
                f"evaluations.{report.evaluation} measures with another network"
            )


def _measures(book: "Book", evaluation: str, samples: str) -> bool:
    """Whether an evaluation measures a sample set, NAME, or a search's best of it, SEARCH/NAME."""
    measured = book.ingredients("evaluations", evaluation)
    search, _, name = samples.rpartition("/")
    if not search:
        return ("samples", name) in measured.get("samples", [])
    searched: Any = book.tables["searches"].get(search)
    return ("searches", search) in measured.get("searches", []) and name in searched.samples
