"""Makes the network that measures: trains the small classifier, or takes over Inception's weights."""

from pathlib import Path

from oarpipe.base.fetch import fetch
from oarpipe.base.files import sha256
from oarpipe.base.log import MetricsLog, log
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.config.datasets import ClassifierConfig, FeaturesConfig, InceptionConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput, IncompleteData


def train_features(recipe: Recipe[FeaturesConfig], *, dataset: Path | None = None, out: Path) -> None:
    """A classifier learns its dataset's training split; Inception's published weights are checked and kept.

    It takes seconds to minutes, so it keeps no checkpoints: a run that was killed starts again.
    """
    inputs = {} if dataset is None else {"dataset": checked(dataset, "datasets")}
    stage = Stage(recipe, out, inputs=inputs)
    if stage.is_done():
        return
    entry = recipe.entry
    if isinstance(entry, InceptionConfig):
        _take_over_inception(entry, out)
        stage.finish("inception.safetensors", "inception.yaml")
    elif dataset is None:
        raise BadInput(f"features.{recipe.name} is a classifier: name the images it learns with --dataset")
    else:
        _train(entry, recipe.seed, inputs["dataset"], out)
        stage.finish("classifier.safetensors", "classifier.yaml")


def _train(entry: ClassifierConfig, seed: int, dataset: Receipt, out: Path) -> None:
    from oarpipe.data.images import open_images
    from oarpipe.metrics.classifier import save_classifier
    from oarpipe.training.classifier import test_accuracy, train_classifier

    out.mkdir(parents=True, exist_ok=True)
    source = open_images(dataset)
    network = train_classifier(source, entry, seed, MetricsLog(out / "metrics.jsonl"))
    accuracy = test_accuracy(network, source)
    log.info("feature classifier: %.2f %% of the test images recognised", 100 * accuracy)
    description = {
        "kind": "classifier",
        "resolution": source.resolution,
        "channels": entry.channels,
        "dimensions": entry.dimensions,
        "classes": source.index.classes,
        "test_accuracy": accuracy,
    }
    save_classifier(network, out, description)


def _take_over_inception(entry: InceptionConfig, out: Path) -> None:
    """The weights leave their pickle here, read with nothing but tensors allowed."""
    import pickle

    import torch

    from oarpipe.metrics.extractors import save_inception

    file = fetch(entry.weights)
    found = sha256(file)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        save_inception(state, out, {"kind": "inception", "source": file.name, "sha256": found})
    except (RuntimeError, EOFError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise IncompleteData(
            f"{file}: not Inception's weights ({' '.join(str(error).split())[:120]}); download them anew"
        ) from error
    log.info("Inception's weights taken over, sha256 %s", found)
