"""Takes a published model in: RandAR's or LlamaGen's weights become a model like one trained here."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from oarpipe.base.fetch import content_hash, fetch
from oarpipe.base.files import sha256
from oarpipe.base.log import log
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.config.models import ImportedModelConfig, ModelConfig
from oarpipe.config.recipe import Recipe
from oarpipe.config.weights import WeightsConfig
from oarpipe.errors import BadInput, FingerprintMismatch

if TYPE_CHECKING:
    from oarpipe.models.token_model import TokenModel


def import_model(
    recipe: Recipe[ImportedModelConfig | ModelConfig] | None = None,
    *,
    tokens: Path | None = None,
    weights: Path | None = None,
    kind: Literal["randar", "llamagen"] | None = None,
    heads: int | None = None,
    grid: str | None = None,
    out: Path,
) -> None:
    """Writes `model.safetensors` and `model.yaml`, checked name by name.

    Either --recipe and --tokens, as the workflow does, with a receipt; or --weights by hand, to be read
    by `oarpipe.load_model`. `oarpipe export-model` is the way back.
    """
    by_hand = {"weights": weights, "kind": kind, "heads": heads, "grid": grid}
    if recipe is None:
        if weights is None or tokens is not None:
            raise BadInput("import_model: give either --recipe and --tokens, or --weights without them")
        _import_file(weights, kind, heads, grid, out)
        return
    given = [f"--{name}" for name, value in by_hand.items() if value is not None]
    if given or tokens is None:
        advice = f"leave {', '.join(given)} out" if given else "name its token store with --tokens"
        raise BadInput(f"models.{recipe.name}: the recipe says which weights; {advice}")
    _import_entry(recipe, checked(tokens, "tokens"), out)


def _import_entry(recipe: Recipe[ImportedModelConfig | ModelConfig], tokens: Receipt, out: Path) -> None:
    """An entry's model, which must speak the codes, and know the classes, of its token store."""
    entry = recipe.entry
    if not isinstance(entry, ImportedModelConfig):
        raise BadInput(f"models.{recipe.name}: is trained, not imported; run `oarpipe {entry.verb}`")
    content = content_hash(entry.weights)
    stage = Stage(recipe, out, inputs={"tokens": tokens}, also={"weights": content})
    if stage.is_done():
        return
    from oarpipe.data.token_store import TokenStore
    from oarpipe.models import save_model
    from oarpipe.models.published import read_model

    store = TokenStore.open(tokens.folder / "tokens.zarr")
    found = read_model(fetch(entry.weights), kind=entry.kind, heads=entry.heads, grid=store.grid)
    log.info("recognised %s", found)
    for what, ours, theirs in (
        ("codes", store.codebook, found.model.codebook),
        ("classes", len(store.classes), found.model.classes),
    ):
        if ours != theirs:
            raise FingerprintMismatch(
                f"models.{recipe.name}: made for {theirs} {what}, but tokens.{tokens.name} has {ours}; "
                "name the tokens of the tokenizer and the classes that the model was trained on"
            )
    save_model(out, found.model, weights=found.weights, source={"kind": found.kind, "sha256": content})
    stage.finish("model.safetensors", "model.yaml")


def _import_file(weights: Path, kind: str | None, heads: int | None, grid: str | None, out: Path) -> None:
    """A file's model, with what the file does not tell said or assumed."""
    from oarpipe.base.grid import Grid
    from oarpipe.models import save_model
    from oarpipe.models.published import read_model

    size = Grid.parse(grid) if grid is not None else None
    file = fetch(WeightsConfig(path=str(weights)))
    found = read_model(file, kind=kind, heads=heads, grid=size)
    log.info("recognised %s", found)
    _tell_what_was_assumed(found.model, heads=heads, grid=grid)
    source = {"kind": found.kind, "sha256": sha256(file)}
    save_model(out, found.model, weights=found.weights, source=source)
    log.info("wrote %s", out)


def _tell_what_was_assumed(model: "TokenModel", *, heads: int | None, grid: str | None) -> None:
    assumed = {"--heads": (heads, model.heads), "--grid": (grid, model.grid)}
    said = [f"{flag} {value}" for flag, (given, value) in assumed.items() if given is None]
    if said:
        log.info("not in the file, so assumed: %s", ", ".join(said))
