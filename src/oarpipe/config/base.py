"""The ground every recipe stands on: frozen, strict types, and references between entries.

A field annotated with `Ref(table)` holds the name of another entry. References make the graph of
the workflow; a recipe's fingerprint leaves them out, because the digests of what they name are in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Ref:
    """Marks a field that names entries of `table`."""

    table: str


class Strict(BaseModel):
    """A frozen set of options that refuses unknown keys and wrong types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def references(self) -> Iterator[tuple[str, str, str]]:
        """Every reference below this node, as (field, table, name); `all` stays unexpanded."""
        for field, info in type(self).model_fields.items():
            value = getattr(self, field)
            ref = next((m for m in info.metadata if isinstance(m, Ref)), None)
            if ref is not None:
                names = value if isinstance(value, list) else [] if value is None else [value]
                yield from ((field, ref.table, name) for name in names)
            else:
                for child in _strict_children(value):
                    yield from child.references()

    def without_references(self) -> dict[str, Any]:
        """The options as plain data, references left out: what a fingerprint covers."""
        plain: dict[str, Any] = {}
        for field, info in type(self).model_fields.items():
            if any(isinstance(m, Ref) for m in info.metadata):
                continue
            plain[field] = _plain(getattr(self, field))
        return plain


def _strict_children(value: Any) -> list[Strict]:
    if isinstance(value, Strict):
        return [value]
    if isinstance(value, dict):
        return [child for item in value.values() for child in _strict_children(item)]
    if isinstance(value, list):
        return [child for item in value for child in _strict_children(item)]
    return []


def _plain(value: Any) -> Any:
    if isinstance(value, Strict):
        return value.without_references()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
