"""What was run, in a paragraph of generated sentences."""

from collections.abc import Sequence
from typing import Any

from oarpipe.data.index import ImageIndex
from oarpipe.data.token_store import TokenStore
from oarpipe.reports.arms import is_published
from oarpipe.reports.results import Results


def summary(results: Results) -> list[str]:
    """Sentences on the images, tokens, models, arms and seeds."""
    said = [_images(results), _tokens(results), *_models(results), _arms(results), _seeds(results.seeds)]
    return [sentence for sentence in said if sentence]


def _images(results: Results) -> str:
    receipt = results.receipts["datasets"][0]
    index = ImageIndex.read(receipt.folder / "index.parquet")
    kinds = {"digits": "scikit-learn’s handwritten digits", "folder": f"the image folder “{receipt.name}”"}
    side = receipt.recipe["resolution"]
    return (
        f"Images: {kinds.get(receipt.recipe['kind'], receipt.name)}, {len(index):,} of them in "
        f"{_count(len(index.classes), 'class', 'classes')} at {side}×{side} pixels, "
        f"{len(index.rows('train')):,} for training and {len(index.rows('test')):,} held out."
    )


def _tokens(results: Results) -> str:
    receipt = next((r for r in results.receipts["tokens"] if r.seed == results.seed), None)
    if receipt is None:
        return ""
    store = TokenStore.open(receipt.folder / "tokens.zarr")
    grid = f"{store.grid.height}×{store.grid.width} grid"
    return f"Tokens: a {grid} an image, from a codebook of {store.codebook:,}."


def _models(results: Results) -> list[str]:
    models = results.recipes("models")
    published = {name: recipe for name, recipe in models.items() if is_published(recipe)}
    trained = {name: recipe for name, recipe in models.items() if name not in published}
    bases = {name: recipe for name, recipe in trained.items() if recipe["init"] is None}
    tuned = [recipe for recipe in trained.values() if recipe["init"] is not None]
    files = [f"{name}, {_source(recipe)}" for name, recipe in published.items()]
    said = [f"{name}, {_size(recipe)}, {recipe['train']['steps']:,} steps" for name, recipe in bases.items()]
    sentences = [f"Published: {'; '.join(files)}." if files else ""]
    sentences.append(f"Any-order base: {'; '.join(said)}." if said else "")
    if tuned:
        steps = sorted({recipe["train"]["steps"] for recipe in tuned})
        equal = f"{steps[0]:,} steps each" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,} steps"
        start = "it" if len(bases) + len(published) == 1 else "these"
        sentences.append(f"Tuned from {start}: {_count(len(tuned), 'model', 'models')}, {equal}.")
    return sentences


def _source(recipe: Any) -> str:
    """Whose weights, and from where."""
    whose = {"randar": "RandAR’s", "llamagen": "LlamaGen’s"}[recipe["kind"]]
    weights = recipe["weights"]
    where = weights["path"] or weights.get("url") or f"{weights['file']} of {weights['hub']}"
    return f"{whose} weights ({where})"


def _size(recipe: Any) -> str:
    given = [f"{recipe[key]} {key}" for key in ("layers", "heads", "width") if recipe.get(key) is not None]
    return f"size “{recipe['preset']}”" + (f" with {', '.join(given)}" if given else "")


def _arms(results: Results) -> str:
    counts = sorted({recipe["count"] for recipe in results.recipes("samples").values()})
    samples = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return f"Measured: {_count(len(results.arms), 'arm', 'arms')} of {samples} samples."


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"One seed ({seeds[0]}), so nothing here speaks of other trainings."
    named = ", ".join(map(str, seeds))
    return f"{len(seeds)} seeds ({named}): all but the measuring network is trained anew for each."


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
