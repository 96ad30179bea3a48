"""What orders mean for pictures: when background is filled, how early the class shows, what they save."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from oarpipe.base.agreement import check_tokens
from oarpipe.base.devices import pick_device
from oarpipe.base.files import read_json
from oarpipe.base.noise import Stream, permutations
from oarpipe.base.receipts import Receipt
from oarpipe.data.images import open_images
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.token_store import TokenStore
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.metrics.backgrounds import background_places, background_shares
from oarpipe.metrics.extractors import load_extractor
from oarpipe.metrics.information import v_information
from oarpipe.metrics.recognisability import partly_filled, recognition_area
from oarpipe.reports.order_facts import Facts
from oarpipe.reports.order_sets import OrderSet
from oarpipe.tokenizers import load_tokenizer

MOST_PICTURES = 2000
MOST_RECOGNISED = 500
_POINTS = 13  # shares of the walk at which the classifier looks
_BATCH = 100


@dataclass(frozen=True)
class Ingredients:
    """Finished results that tell what the orders are about; each is optional."""

    tokens: Receipt | None = None
    dataset: Receipt | None = None
    tokenizer: Receipt | None = None
    features: Receipt | None = None
    information: Receipt | None = None

    def classes(self) -> list[str] | None:
        """The classes' names, where the tokens tell them."""
        return TokenStore.open(self.tokens.folder / "tokens.zarr").classes if self.tokens else None


def background_facts(one: OrderSet, given: Ingredients) -> Facts | None:
    """The share of background among the first places; None where there are no pictures to decide it on."""
    if one.store is not None:
        first = _first(one.store, MOST_PICTURES)
        orders, images = first["orders"], first["images"]
    elif given.dataset is not None:
        table = one.first_view
        rows = _spread(len(table), MOST_PICTURES)
        source = open_images(given.dataset)
        orders, images = table.order[rows], source.first_view(table.sample_id[rows], _views(one, given))
    else:
        return None
    if images.shape[1] % one.grid.height or images.shape[2] % one.grid.width:
        raise BadInput(
            f"{one.name}: images of {images.shape[1]} pixels do not divide into {one.grid} places; "
            "name the dataset that the orders are of with --dataset"
        )
    shares = background_shares(orders, background_places(images, one.grid))
    early = max(one.grid.positions // 4, 1)
    return {"value": float(shares[early - 1]), "random": float(shares[-1]), "by_step": shares.tolist()}


def _views(one: OrderSet, given: Ingredients) -> Any:
    if given.tokens is not None:
        return given.tokens.recipe["views"] if "dataset" in given.tokens.recipe else "centre"
    if one.table.view.max() > 1:
        raise BadInput(f"{one.name}: orders of many views; name their token store with --tokens")
    return "centre"


def recognition_facts(one: OrderSet, given: Ingredients) -> Facts | None:
    """Confidence in the true class along the walk; `random`: the same codes, filled in at random.

    Open places hold the commonest code of the set, so that nothing of what comes later shows through the
    decoder. None without a tokenizer and a classifier, or without the codes.
    """
    if given.tokenizer is None or given.features is None or (known := _codes(one, given)) is None:
        return None
    codes, orders, labels = known
    counts = np.unique(np.linspace(0, one.grid.positions, _POINTS).round().astype(int))
    blank = int(np.bincount(codes.reshape(-1)).argmax())
    tokenizer = load_tokenizer(given.tokenizer.folder).to(pick_device())
    network = load_extractor(given.features)
    if network.kind != "classifier":
        raise BadInput(
            f"{given.features.folder}: recognisability asks a classifier of the orders' own classes; name "
            "one that `train_features` trained on them with --features"
        )

    def curve(walks: np.ndarray) -> np.ndarray:
        """The confidence of every image, at every count."""
        found = np.empty((len(walks), len(counts)), np.float32)
        for column, count in enumerate(counts.tolist()):
            shown = torch.from_numpy(partly_filled(codes, walks, count, blank)).to(pick_device())
            for begin in range(0, len(shown), _BATCH):
                part = slice(begin, begin + _BATCH)
                logits = network(tokenizer.decode(shown[part], one.grid)).logits
                if int(labels.max()) >= logits.shape[1]:
                    raise BadInput(
                        f"features.{network.name}: knows {logits.shape[1]} classes, but {one.name} has label "
                        f"{int(labels.max())}; name a classifier of its classes with --features"
                    )
                found[part, column] = logits.softmax(1).gather(1, labels[part, None])[:, 0]
        return found

    at_random = permutations(0, Stream.VISIT, torch.arange(len(codes)), 0, one.grid.positions).numpy()
    shares = counts / one.grid.positions
    walked, control = curve(orders), curve(at_random)
    return {
        "value": float(recognition_area(walked, shares).mean()),
        "random": float(recognition_area(control, shares).mean()),
        "shares": shares.tolist(),
        "confidence": walked.mean(axis=0).tolist(),
        "random_confidence": control.mean(axis=0).tolist(),
        "images": len(codes),
    }


def _codes(one: OrderSet, given: Ingredients) -> tuple[np.ndarray, np.ndarray, torch.Tensor] | None:
    """Raster codes, orders and labels of some images' first view; None where nothing tells the codes."""
    if one.store is not None:
        first = _first(one.store, MOST_RECOGNISED)
        codes, orders, labels = first["tokens"], first["orders"], first["labels"]
    elif given.tokens is not None:
        if one.table.provenance.get("tokens") != given.tokens.digest:
            raise FingerprintMismatch(
                f"{one.name}: these orders were extracted from other tokens than {given.tokens.folder}; "
                "name their own with --tokens"
            )
        table = one.first_view
        rows = _spread(len(table), MOST_RECOGNISED)
        held = TokenStore.open(given.tokens.folder / "tokens.zarr").read()
        place = np.argsort(held.sample_ids)
        wanted = np.searchsorted(held.sample_ids, table.sample_id[rows], sorter=place)
        codes, orders, labels = held.tokens[place[wanted], 0], table.order[rows], table.label[rows]
    else:
        return None
    return codes.astype(np.int64), orders.astype(np.int64), torch.from_numpy(labels.astype(np.int64))


def _first(store: SampleStore, most: int) -> dict[str, np.ndarray]:
    """At most so many samples, the first; classes come in turn."""
    return next(store.batches(min(most, store.count)))


def information_facts(given: Ingredients) -> list[Facts]:
    """Of every order but raster that was walked: V-information by class and over all, nats an image.

    Of each order the model counts that predicts the held-out images best in it: the family of Eqs. 3-5 is
    represented by the models that were walked.
    """
    if given.information is None:
        return []
    if given.tokens is None:
        raise BadInput("V-information is told by class; name the token store with --tokens")
    check_tokens(given.tokens, [given.information])
    content, recipe = read_json(given.information.folder / "information.json"), given.information.recipe
    held_out = TokenStore.open(given.tokens.folder / "tokens.zarr").read()
    labels = held_out.select(recipe["split"], recipe["count"]).labels
    raster = [name for name, order in recipe["orders"].items() if order == {"kind": "rule", "name": "raster"}]
    if not raster:
        raise BadInput(
            f"{given.information.folder}: nothing was walked in raster order, which V-information is told "
            "against; add `raster: {kind: rule, name: raster}` to the entry's orders"
        )

    def best(order: str) -> tuple[str, np.ndarray]:
        """The model and its log-probabilities, one sum an image."""
        model = min(content["models"], key=lambda name: content["models"][name][order]["nll"])
        nats = np.array(content["models"][model][order]["per_sample"]) * content["positions"]
        return model, -nats[:, None]

    found = []
    for order in recipe["orders"]:
        if order != raster[0]:
            (raster_model, plain), (model, special) = best(raster[0]), best(order)
            (total,) = v_information(plain, special, np.zeros_like(labels))
            classes = [asdict(row) for row in v_information(plain, special, labels)]
            found.append(
                {
                    "order": order, "model": model, "raster_model": raster_model,
                    "leaks": order in content["leaking"],
                    "all": asdict(total) | {"label": None}, "classes": classes,
                }
            )  # fmt: skip
    return found


def _spread(count: int, most: int) -> np.ndarray:
    """At most so many rows, evenly spread."""
    return np.arange(min(count, most)) * count // min(count, most)
