"""The tables of a book: which options each admits, and what is wrong with an entry that has others."""

import types
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from oarpipe.config.base import Ref, Strict
from oarpipe.config.benchmarks import BenchmarkConfig
from oarpipe.config.datasets import DatasetConfig, FeaturesConfig
from oarpipe.config.models import AnyModelConfig
from oarpipe.config.order_heads import OrderHeadConfig
from oarpipe.config.orders import OrdersConfig
from oarpipe.config.outputs import EvaluationConfig, InformationConfig, ReportConfig
from oarpipe.config.samples import SamplesConfig, SearchConfig
from oarpipe.config.tokenizers import AnyTokensConfig, TokenizerConfig
from oarpipe.errors import nearest

TABLES: dict[str, Any] = {
    "datasets": DatasetConfig,
    "features": FeaturesConfig,
    "tokenizers": TokenizerConfig,
    "tokens": AnyTokensConfig,
    "models": AnyModelConfig,
    "orders": OrdersConfig,
    "order_heads": OrderHeadConfig,
    "samples": SamplesConfig,
    "searches": SearchConfig,
    "evaluations": EvaluationConfig,
    "information": InformationConfig,
    "benchmarks": BenchmarkConfig,
    "reports": ReportConfig,
}

# What an entry is that does not say its kind.
DEFAULT_KINDS = {"models": "position_tokens", "tokens": "dataset"}


def validate_entry(table: str, name: str, raw: Any) -> tuple[Strict | None, list[str]]:
    """An entry as its type, or every mistake in it, one line each."""
    if table in DEFAULT_KINDS and isinstance(raw, dict):
        raw = {"kind": DEFAULT_KINDS[table], **raw}
    try:
        return _adapter(table).validate_python(raw), []
    except ValidationError as error:
        return None, _explain(error, table, name, raw)


@cache
def _adapter(table: str) -> Any:
    return TypeAdapter(TABLES[table])


def reference_fields(table: str) -> dict[str, str]:
    """The fields of a table's entries that name one other entry: field -> table."""
    return {
        field: ref.table
        for cls in option_classes(TABLES[table])
        for field, info in cls.model_fields.items()
        for ref in info.metadata
        if isinstance(ref, Ref)
    }


def option_classes(annotation: Any) -> list[type[Strict]]:
    """The option classes an annotation admits."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType, list, dict):
        return [cls for arg in get_args(annotation) for cls in option_classes(arg)]
    return []


def _explain(error: ValidationError, table: str, name: str, entry: Any) -> list[str]:
    """One line a mistake: where, what was expected, what came, and the nearest known key."""
    lines = []
    for item in error.errors():
        where, classes = [table, name], option_classes(TABLES[table])
        node: Any = entry
        location = list(item["loc"])
        for depth, part in enumerate(location):
            is_last = depth == len(location) - 1
            tagged = [c for c in classes if part in _tags(c)]
            in_node = isinstance(node, dict) and part in node
            if tagged and not in_node:
                classes = tagged
                continue
            is_plain = not isinstance(node, dict | list)
            if is_plain:
                break  # a member of a union, such as `int` of an int or a word
            where.append(str(part))
            if is_last and item["type"] == "extra_forbidden":
                break
            node = node[part] if in_node or isinstance(node, list) else None
            fields = [c.model_fields[str(part)].annotation for c in classes if part in c.model_fields]
            classes = [c for field in fields for c in option_classes(field)] or classes
        path = ".".join(where)
        if item["type"] == "extra_forbidden":
            fields_here = {field for c in classes for field in c.model_fields}
            lines.append(f"{path}: unknown key, {nearest(str(location[-1]), fields_here)}")
        elif item["type"] == "missing":
            lines.append(f"{path}: missing")
        elif item["type"] in ("union_tag_invalid", "union_tag_not_found"):
            context = item.get("ctx", {})
            key = str(context.get("discriminator", "kind")).strip("'")
            known = [t.strip(" '") for t in str(context.get("expected_tags", "")).split(",") if t.strip()]
            known = known or [tag for c in classes for tag in _tags(c)]
            given = item["input"].get(key) if isinstance(item["input"], dict) else item["input"]
            lines.append(f"{path}.{key}: got {given!r}, {nearest(str(given), known)}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            message = message[0].lower() + message[1:]
            shown = "" if item["type"] == "value_error" else f", got {item['input']!r}"
            lines.append(f"{path}: {message}{shown}")
    return lines


def _tags(cls: type[Strict]) -> tuple[str, ...]:
    for key in ("kind", "select"):
        if key in cls.model_fields:
            return tuple(get_args(cls.model_fields[key].annotation))
    return ()
