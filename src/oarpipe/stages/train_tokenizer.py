"""Trains a VQGAN on a dataset's training images, and lets it pass only if it reconstructs the others."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oarpipe.base.distributed import leads, shared
from oarpipe.base.files import write_json
from oarpipe.base.log import log, progress
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import GateConfig, ImportedTokenizerConfig, VQGANConfig
from oarpipe.errors import BadInput, GateFailed, IncompleteData

if TYPE_CHECKING:
    import numpy as np
    import torch

    from oarpipe.data.images import ImageSource
    from oarpipe.metrics.statistics import Moments
    from oarpipe.tokenizers import ImageTokenizer
    from oarpipe.tokenizers.perceptual import PerceptualDistance
    from oarpipe.tokenizers.vqgan import VQGAN

RECONSTRUCTION = "reconstruction.json"
JUDGED_BATCH = 64  # test images reconstructed at once; no result depends on it


def train_tokenizer(
    recipe: Recipe[VQGANConfig | ImportedTokenizerConfig],
    *,
    dataset: Path,
    features: Path | None = None,
    out: Path,
) -> None:
    """Trains, reports on the reconstructions of the test images, and holds them against the gate.

    `features` measures `rfd[...]`, the Fréchet distance between the test images and their reconstructions.
    `GateFailed` leaves the report and the weights but no receipt; with a milder gate the weights are
    judged again, not trained again.
    """
    if not isinstance(recipe.entry, VQGANConfig):
        raise BadInput(
            f"tokenizers.{recipe.name}: is imported, not trained; run `oarpipe {recipe.entry.verb}`"
        )
    if recipe.entry.gate is not None and features is None:
        raise BadInput(
            f"tokenizers.{recipe.name} has a gate: give the features that it names with --features"
        )
    images = checked(dataset, "datasets")
    judges = {} if features is None else {"features": checked(features, "features")}
    stage = Stage(recipe, out, inputs={"dataset": images, **judges})
    if stage.is_done(unless=lambda: not (out / RECONSTRUCTION).is_file()):
        return
    # Neither the gate nor the features touch the weights, so training has a fingerprint of its own.
    ungated = replace(recipe, entry=recipe.entry.model_copy(update={"gate": None}))
    training = Stage(ungated, out, inputs={"dataset": images})

    from oarpipe.base.devices import pick_device
    from oarpipe.data.images import open_images
    from oarpipe.tokenizers import load_tokenizer

    source = open_images(images)
    _complete(training, source)
    if not leads():
        return
    tokenizer = load_tokenizer(out).to(pick_device())
    distance = _ReconstructionDistance(judges["features"], images) if judges else None
    report = _judge(tokenizer, source, distance)
    write_json(out / RECONSTRUCTION, report)
    numbers = [f"{name} {value:.4g}" for name, value in report.items() if name != "values"]
    log.info("reconstruction: %s", ", ".join(numbers))
    if recipe.entry.gate is not None:
        _check_gate(recipe.entry.gate, report, f"tokenizers.{recipe.name}", out)
    stage.finish("tokenizer.safetensors", "tokenizer.yaml")


def _complete(training: Stage, source: "ImageSource") -> None:
    """Trains, unless this very training left its tokenizer in `out`, whole."""
    from oarpipe.tokenizers.folder import save_tokenizer

    if shared(lambda: _is_complete(training)):
        log.info("%s: already trained", training.out)
        return
    model = _train(training, source)
    if leads():
        save_tokenizer(model, training.out, resolution=source.resolution, training=training.fingerprint)


def _is_complete(training: Stage) -> bool:
    from oarpipe.tokenizers import load_tokenizer
    from oarpipe.tokenizers.folder import read_description

    try:
        if read_description(training.out)["training"] != training.fingerprint:
            return False
        load_tokenizer(training.out)
    except IncompleteData:
        return False  # nothing whole to go on from, so it is made anew
    return True


def _train(training: Stage, source: "ImageSource") -> "VQGAN":
    import torch

    from oarpipe.base.devices import pick_device
    from oarpipe.base.noise import Stream, integer
    from oarpipe.tokenizers.vqgan import VQGAN
    from oarpipe.training.gan_loop import GanRun, fit_gan
    from oarpipe.training.image_batches import ImageBatches

    entry, seed = training.recipe.entry, training.recipe.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(seed, Stream.INIT))
        model = VQGAN(entry.anatomy()).to(pick_device())
    model.grid(source.resolution)
    _check_resolution(entry, source.resolution)
    batches = ImageBatches(
        source.load,
        source.index.rows("train"),
        batch=entry.train.batch,
        seed=seed,
        load_visits=partial(source.load_at_random, crop=entry.crop, seed=seed) if entry.crop else None,
    )
    training.state.mkdir(parents=True, exist_ok=True)
    run = GanRun(
        name=f"train_tokenizer {training.recipe.name}",
        model=model,
        batches=batches,
        config=entry,
        seed=seed,
        metrics=training.out / "metrics.jsonl",
        checkpoints=training.state,
        perceptual=_perceptual(entry, model.device),
        validate=lambda tokenizer: _judge(tokenizer.eval(), source, None)["psnr"],
    )
    return fit_gan(run)


def _check_resolution(entry: VQGANConfig, resolution: int) -> None:
    """The losses' networks shrink the image; it must survive that."""
    from oarpipe.tokenizers import discriminator, perceptual

    needs = {"perceptual": perceptual.SMALLEST_SIDE if entry.perceptual else 0}
    if entry.adversarial is not None:
        needs["adversarial.layers"] = discriminator.smallest_side(entry.adversarial.layers)
    for key, side in needs.items():
        if resolution < side:
            raise BadInput(f"{key}: needs images of {side} pixels or more, the dataset has {resolution}")


def _perceptual(entry: VQGANConfig, device: "torch.device") -> "PerceptualDistance | None":
    if not entry.perceptual:
        return None
    from oarpipe.tokenizers.perceptual import load_perceptual

    return load_perceptual([Path(file).expanduser() for file in entry.perceptual_weights]).to(device)


def _judge(
    tokenizer: "ImageTokenizer", source: "ImageSource", distance: "_ReconstructionDistance | None"
) -> dict[str, Any]:
    """The reconstruction report: means over the test images, and rFD if something measures it."""
    import torch

    from oarpipe.metrics.reconstruction import code_perplexity, code_usage, psnr, ssim

    ids = source.index.rows("test")
    if len(ids) == 0:
        raise BadInput("the dataset has no test images to judge reconstructions by; lower its `test_every`")
    grid = tokenizer.grid(source.resolution)
    psnrs, ssims, codes = [], [], []
    for begin in progress(range(0, len(ids), JUDGED_BATCH), "reconstruct", unit="batch"):
        images = _load(source, ids[begin : begin + JUDGED_BATCH])
        tokens = tokenizer.encode(images)
        copies = tokenizer.decode(tokens, grid).cpu()
        psnrs.append(psnr(images, copies))
        ssims.append(ssim(images, copies))
        codes.append(tokens.cpu())
        if distance is not None:
            distance.add(images, copies)
    return {
        "count": len(ids),
        "psnr": float(torch.cat(psnrs).mean()),
        "ssim": float(torch.cat(ssims).mean()),
        "usage": code_usage(torch.cat(codes), tokenizer.codebook),
        "perplexity": code_perplexity(torch.cat(codes), tokenizer.codebook),
        **(distance.told() if distance is not None else {}),
    }


class _ReconstructionDistance:
    """rFD: the Fréchet distance between test images and their reconstructions.

    Memory does not grow with them.
    """

    def __init__(self, features: Receipt, images: Receipt) -> None:
        from oarpipe.metrics.extractors import load_extractor

        self._extractor, self._images = load_extractor(features), images
        self._moments: list[Moments] = []
        self._count = 0

    def add(self, images: "torch.Tensor", copies: "torch.Tensor") -> None:
        """Takes in a batch of pairs."""
        from oarpipe.metrics.statistics import Moments

        self._count += len(images)
        measured = [self._extractor(batch).features.numpy() for batch in (images, copies)]
        self._moments = self._moments or [Moments(one.shape[1]) for one in measured]
        for moments, one in zip(self._moments, measured, strict=True):
            moments.add(one)

    def told(self) -> dict[str, Any]:
        """The distance between all that came: by its name the number, in `values` where it comes from."""
        from oarpipe.base.identity import Identity
        from oarpipe.metrics.fidelity import frechet_distance
        from oarpipe.metrics.measurements import Measurement, Network

        name, by = f"r{self._extractor.metric('fd')}", self._extractor
        found = Measurement(
            name,
            frechet_distance(*(moments.statistics() for moments in self._moments)),
            "fidelity",
            Network(by.name, by.kind, by.sha256),
            Identity.of_split(self._images.name, self._images.digest, "test", self._count),
            self._count,
        )
        return {name: found.value, "values": {found.convention: {name: found.facts()}}}


def _check_gate(gate: GateConfig, report: dict[str, Any], name: str, out: Path) -> None:
    """`GateFailed` says what was demanded, what came, and which keys decide it."""
    distance = next((key for key in report if key.startswith("rf")), None)
    failures = []
    if report["psnr"] < gate.min_psnr:
        failures.append(f"psnr is {report['psnr']:.2f} dB, gate.min_psnr demands {gate.min_psnr:g}")
    if report["usage"] < gate.min_usage:
        failures.append(
            f"{report['usage']:.1%} of the codes are used, gate.min_usage demands {gate.min_usage:.1%}"
        )
    if gate.max_distance is not None and distance is not None and report[distance] > gate.max_distance:
        failures.append(
            f"{distance} is {report[distance]:.3g}, gate.max_distance allows {gate.max_distance:g}"
        )
    if failures:
        raise GateFailed(
            f"{name}: {'; '.join(failures)} (see {out / RECONSTRUCTION}). Train longer (train.steps), widen "
            "(width, codebook), or move the gate; a changed gate judges the same weights again"
        )


def _load(source: "ImageSource", ids: "np.ndarray") -> "torch.Tensor":
    """uint8 NCHW images of these samples."""
    import torch

    return torch.from_numpy(source.load(ids)).permute(0, 3, 1, 2).contiguous()
