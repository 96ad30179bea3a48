"""Whether finished ingredients belong together: codes mean something only with the store they are from."""

from collections.abc import Iterable

from oarpipe.base.files import Receipt
from oarpipe.errors import FingerprintMismatch


def check_tokens(tokens: Receipt, ingredients: Iterable[Receipt]) -> None:
    """`FingerprintMismatch` names the first ingredient that was made from other tokens than these."""
    _check(f"{tokens.folder} holds", tokens.digest, ingredients)


def check_tokens_of(model: Receipt, ingredients: Iterable[Receipt]) -> None:
    """`FingerprintMismatch` names the first ingredient that was made from other tokens than the model."""
    _check(f"{model.folder} was trained on", model.inputs.get("tokens"), ingredients)


def _check(holder: str, expected: str | None, ingredients: Iterable[Receipt]) -> None:
    for one in ingredients:
        found = one.inputs.get("tokens")
        if found != expected:
            raise FingerprintMismatch(
                f"{one.folder}: {one.table}.{one.name} was made from tokens {_short(found)}, but {holder} "
                f"tokens {_short(expected)}; name ingredients made from one token store, or make them anew"
            )


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "of unknown origin"
