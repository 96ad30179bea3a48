"""Whether finished ingredients belong together: codes mean something only with the store they are from."""

from collections.abc import Iterable
from pathlib import Path

from oarpipe.base.receipts import Receipt, checked
from oarpipe.config.orders import PolicyConfig, PredictedConfig
from oarpipe.errors import BadInput, FingerprintMismatch


def check_tokens(tokens: Receipt, ingredients: Iterable[Receipt]) -> None:
    """`FingerprintMismatch` names the first ingredient that was made from other tokens than these."""
    _check(f"{tokens.folder} holds", tokens.digest, ingredients)


def check_tokens_of(model: Receipt, ingredients: Iterable[Receipt]) -> None:
    """`FingerprintMismatch` names the first ingredient that was made from other tokens than the model."""
    _check(f"{model.folder} was trained on", model.inputs.get("tokens"), ingredients)


def check_tokenizer_of(model: Receipt, tokenizer: Receipt) -> None:
    """`FingerprintMismatch` where the model learned the codes of another tokenizer, if that is known."""
    if model.tokenizers and tokenizer.digest not in model.tokenizers:
        learned = ", ".join(map(_short, model.tokenizers))
        raise FingerprintMismatch(
            f"{tokenizer.folder}: tokenizers.{tokenizer.name} is {_short(tokenizer.digest)}, but "
            f"{model.folder} was trained on codes of tokenizer {learned}; name the one that made its tokens"
        )


def checked_head(policy: PolicyConfig, model: Receipt, head: Path | None) -> list[Receipt]:
    """The head as an input, where the policy predicts places; `FingerprintMismatch` if of another model."""
    predicts = isinstance(policy, PredictedConfig)
    if head is None:
        if predicts:
            raise BadInput("the policy predicts places: name the folder of its order head with --head")
        return []
    if not predicts:
        raise BadInput(f"the policy predicts no places; leave --head {head} out")
    receipt = checked(head, "order_heads")
    if receipt.inputs.get("model") != model.digest:
        raise FingerprintMismatch(
            f"{receipt.folder}: order_heads.{receipt.name} predicts another model than {model.folder}; "
            "name a head that was trained on that one"
        )
    return [receipt]


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
