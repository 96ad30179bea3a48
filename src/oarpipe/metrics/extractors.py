"""Networks that turn images into the features that distances are measured in.

An extractor is a classifier trained in the pipeline or the Inception network of FID. Both are
registered with torch-fidelity, so that its own interface can use them by name.
"""

import importlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
import yaml
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from oarpipe.base.devices import pick_device
from oarpipe.base.files import write_atomically, write_text
from oarpipe.base.receipts import Receipt
from oarpipe.errors import IncompleteData
from oarpipe.metrics.classifier import load_classifier, to_floats

INCEPTION_WEIGHTS = "inception.safetensors"
INCEPTION_DESCRIPTION = "inception.yaml"
Kind = Literal["classifier", "inception"]
Short = Literal["fd", "sfd", "kd", "is"]
SPATIAL_CHANNELS = 7  # of the block's first branch; with 17x17 places ADM's 2023 spatial features

# Schemas of torchvision's compiled operators, once defined; torch forgets a library nobody holds.
_SCHEMAS: list[torch.library.Library] = []


@dataclass(frozen=True)
class Features:
    """What a network says of a batch: the vectors that distances are measured between, and its logits.

    `spatial` is Inception's alone: the features of ADM's sFID.
    """

    features: Float[Tensor, "B D"]
    logits: Float[Tensor, "B C"]
    spatial: Float[Tensor, "B S"] | None = None


class Extractor:
    """A feature network under the name of its recipe.

        extractor = load_extractor(read_receipt(Path("results/digits/seed-0/features/digits")))
        extractor(images).features      # uint8 [B, 3, H, W] in, float32 [B, D] on the CPU out

    `registered` is the name under which torch-fidelity knows it. It holds a digest of the weights,
    because torch-fidelity's caches are keyed by this name only. `sha256` is that of the weights' file,
    of Inception's as published.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        kind: Kind,
        digest: str,
        sha256: str | None = None,
        test_accuracy: float | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.device = device or pick_device()
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.name = name
        self.kind: Kind = kind
        self.digest = digest
        self.sha256 = sha256 or digest
        self.test_accuracy = test_accuracy
        self.registered = f"{name}-{digest[:12]}"
        _register(self.registered, lambda: self.network)

    @torch.inference_mode()
    def __call__(self, images: UInt8[Tensor, "B 3 H W"]) -> Features:
        return Features(*(found.float().cpu() for found in self.network(images.to(self.device))))

    def metric(self, short: Short) -> str:
        """The name of a distance measured with this network; see `metric_name`."""
        return metric_name(short, self.name, self.kind)


def metric_name(short: Short, features: str, kind: str) -> str:
    """`fd[digits]` on the features `digits`; `fid`, `sfid`, `kid` and `is` belong to Inception's alone."""
    if kind == "inception":
        return {"fd": "fid", "sfd": "sfid", "kd": "kid", "is": "is"}[short]
    return f"{short}[{features}]"


def load_extractor(receipt: Receipt, *, device: torch.device | None = None) -> Extractor:
    """The feature network of a results folder of table `features`, on a GPU if there is one."""
    folder, facts = receipt.folder, network_facts(receipt)
    known = {"name": receipt.name, "digest": receipt.digest, "sha256": facts["sha256"], "device": device}
    if receipt.recipe["kind"] == "inception":
        return Extractor(_load_inception(folder), kind="inception", **known)
    network, _ = load_classifier(folder)
    return Extractor(FromBytes(network), kind="classifier", test_accuracy=facts["test_accuracy"], **known)


def network_facts(receipt: Receipt) -> dict[str, Any]:
    """What an evaluation says of a network: whose weights, and how well a classifier does."""
    kind = receipt.recipe["kind"]
    description = yaml.safe_load((receipt.folder / f"{kind}.yaml").read_text())
    return {
        "name": receipt.name,
        "kind": kind,
        "digest": receipt.digest,
        "sha256": description.get("sha256") or receipt.files[f"{kind}.safetensors"]["sha256"],
        "test_accuracy": description.get("test_accuracy"),
    }


def import_torch_fidelity(module: str = "") -> ModuleType:
    """torch-fidelity (or one of its modules), also where torchvision was built for another torch.

    torch-fidelity imports torchvision, whose Python part refuses to load when its compiled part does
    not fit torch ("operator torchvision::nms does not exist"). Nothing here calls those operators,
    so after exactly that failure their schemas are declared and the import is tried once more.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library: Any = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _SCHEMAS.append(library)
        importlib.import_module("torchvision")
    return importlib.import_module(f"torch_fidelity{module and '.'}{module}")


def save_inception(state: dict[str, Tensor], folder: Path, description: dict[str, Any]) -> None:
    """Writes Inception's weights in a form that needs no pickle, after trying them in the network."""
    inception_network(state)
    tensors = {key: value.contiguous() for key, value in state.items()}
    write_atomically(folder / INCEPTION_WEIGHTS, lambda partial: save_file(tensors, partial))
    write_text(folder / INCEPTION_DESCRIPTION, yaml.safe_dump(description, sort_keys=False))


def inception_network(state: dict[str, Tensor]) -> nn.Module:
    """torch-fidelity's Inception with these weights: pool3, logits without bias, spatial features.

    Its constructor unpickles a file; it is handed bytes that were written here a moment before.
    """
    extractor = import_torch_fidelity("feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    weights = io.BytesIO()
    torch.save(state, weights)
    weights.seek(0)
    network: nn.Module = extractor(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=weights
    )
    return _WithSpatial(network)


class _WithSpatial(nn.Module):
    """Inception with the features of ADM's sFID: TensorFlow's `mixed_6/conv`, with its channels last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, images: UInt8[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B C"], Float[Tensor, "B S"]]:
        seen: list[Tensor] = []
        block: Any = self.network.get_submodule("Mixed_6d.branch1x1")
        watch = block.register_forward_hook(lambda module, given, found: seen.append(found))
        try:
            features, logits = self.network(images)
        finally:
            watch.remove()
        return features, logits, seen[0][:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)


class FromBytes(nn.Module):
    """A classifier behind the door that torch-fidelity knocks at: uint8 images in."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: UInt8[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B C"]]:
        features, logits = self.network(to_floats(images))
        return features, logits


def _load_inception(folder: Path) -> nn.Module:
    try:
        return inception_network(load_file(folder / INCEPTION_WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise IncompleteData(
            f"{folder / INCEPTION_WEIGHTS}: not Inception's weights ({' '.join(str(error).split())[:120]}); "
            f"delete {folder} and run `oarpipe train_features` again"
        ) from error


def _register(name: str, network: Callable[[], nn.Module]) -> None:
    """Makes a network known to torch-fidelity; a name holds its digest, so once is enough."""
    registry = import_torch_fidelity("registry")
    if name in registry.FEATURE_EXTRACTORS_REGISTRY:
        return

    class Registered(registry.FeatureExtractorBase):  # type: ignore[misc]  # an untyped library's class
        def __init__(self, name: str, features_list: list[str], **options: Any) -> None:
            super().__init__(name, features_list)
            self.network = network()

        @staticmethod
        def get_provided_features_list() -> tuple[str, str]:
            return "features", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        @staticmethod
        def get_dummy_input_for_compile() -> Tensor:
            return torch.zeros(1, 3, 4, 4, dtype=torch.uint8)

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            outputs = dict(zip(("features", "logits"), self.network(images)[:2], strict=True))
            return tuple(outputs[layer] for layer in self.features_list)

    registry.register_feature_extractor(name, Registered)
