"""Takes over a published tokenizer: LlamaGen's VQ-16, a VQGAN of taming-transformers, or MaskGIT's."""

from pathlib import Path
from typing import Literal

from oarpipe.base.fetch import content_hash, fetch
from oarpipe.base.log import log
from oarpipe.base.receipts import Stage
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import ImportedTokenizerConfig, VQGANConfig
from oarpipe.config.weights import WeightsConfig
from oarpipe.errors import BadInput


def import_tokenizer(
    recipe: Recipe[ImportedTokenizerConfig | VQGANConfig] | None = None,
    *,
    weights: Path | None = None,
    kind: Literal["llamagen", "taming", "maskgit"] | None = None,
    out: Path,
) -> None:
    """Writes `tokenizer.safetensors` and `tokenizer.yaml`, every tensor checked by name and shape.

    Either --recipe, as the workflow does; or --weights by hand, a `.safetensors` or PyTorch file.
    """
    entry = _entry(recipe, weights, kind)
    content = content_hash(entry.weights)
    whole = recipe or Recipe("tokenizers", out.name, 0, entry)
    stage = Stage(whole, out, also={"weights": content})
    if stage.is_done():
        return
    from oarpipe.tokenizers.folder import save_tokenizer
    from oarpipe.tokenizers.published import read_published

    network = read_published(fetch(entry.weights), entry.kind)
    anatomy = network.anatomy
    log.info(
        "recognised %s: %d codes of length %d, %d pixels a token, %s parameters",
        entry.kind,
        anatomy.codebook,
        anatomy.code_dim,
        anatomy.factor,
        f"{sum(tensor.numel() for tensor in network.parameters()):,}",
    )
    save_tokenizer(network, out, source={"kind": entry.kind, "sha256": content})
    stage.finish("tokenizer.safetensors", "tokenizer.yaml")


def _entry(
    recipe: Recipe[ImportedTokenizerConfig | VQGANConfig] | None, weights: Path | None, kind: str | None
) -> ImportedTokenizerConfig:
    """The recipe's entry, or what the arguments say as one; the kind is told from the names if left out."""
    if recipe is None:
        if weights is None:
            raise BadInput("import_tokenizer: give either --recipe, or --weights without it")
        from oarpipe.tokenizers.published import kind_of

        file = fetch(WeightsConfig(path=str(weights)))
        given = {"kind": kind or kind_of(file), "weights": str(file)}
        return ImportedTokenizerConfig.model_validate(given)
    if weights is not None or kind is not None:
        raise BadInput(
            f"tokenizers.{recipe.name}: the recipe says which weights; leave --weights and --kind out"
        )
    if not isinstance(recipe.entry, ImportedTokenizerConfig):
        raise BadInput(
            f"tokenizers.{recipe.name}: is trained, not imported; run `oarpipe {recipe.entry.verb}`"
        )
    return recipe.entry
