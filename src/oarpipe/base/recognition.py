"""What a file of published weights is, told from the names of its tensors."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    """A published system; if it can be imported, the table of a book it belongs in, and its `kind:` there."""

    says: str
    signs: tuple[str, ...]  # names that it has
    table: str | None = None
    kind: str | None = None


# The first whose signs are all there is meant, so the more particular come first.
SYSTEMS = (
    System(
        "RandAR's text-conditional model (only the class-conditional ones can be imported)",
        ("pos_instruct_embeddings", "cls_embedding.cap_proj.fc1.weight"),
    ),
    System(
        "LlamaGen's text-conditional model (only the class-conditional ones can be imported)",
        ("tok_embeddings.weight", "cls_embedding.cap_proj.fc1.weight"),
    ),
    System("RandAR's class-conditional model", ("pos_instruct_embeddings",), "models", "randar"),
    System(
        "LlamaGen's class-conditional model",
        ("tok_embeddings.weight", "cls_embedding.embedding_table.weight"),
        "models",
        "llamagen",
    ),
    System("LlamaGen's tokenizer", ("encoder.conv_blocks.0.res.0.conv1.weight",), "tokenizers", "llamagen"),
    System(
        "a tokenizer of taming-transformers",
        ("encoder.down.0.block.0.conv1.weight", "quant_conv.weight"),
        "tokenizers",
        "taming",
    ),
    System(
        "MaskGIT's tokenizer",
        ("encoder.down.0.block.0.conv1.weight", "quantize.embedding.weight"),
        "tokenizers",
        "maskgit",
    ),
    System("RAR's model (which cannot be imported)", ("target_aware_pos_embed",)),
    System("a Llama language model", ("model.embed_tokens.weight",)),
    System("Inception's network", ("Mixed_7c.branch1x1.conv.weight",)),
    System("VGG's network", ("features.0.weight", "features.28.weight")),
)


def recognise(names: Collection[str]) -> System | None:
    """The published system that has tensors of these names; None if none is known."""
    return next((one for one in SYSTEMS if all(sign in names for sign in one.signs)), None)


def appearance(names: Collection[str]) -> str:
    """For a sentence: `looks like LlamaGen's tokenizer`, or what its names begin with."""
    found = recognise(names)
    if found is not None:
        return f"looks like {found.says}"
    first = ", ".join(sorted(names)[:3])
    return f"looks like nothing known (its {len(names)} tensors begin with {first})"
