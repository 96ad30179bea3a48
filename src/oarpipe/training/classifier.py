"""Training of the small feature classifier: cross-entropy on the training split, minutes at most."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from oarpipe.base.augment import affine
from oarpipe.base.devices import autocast, pick_device
from oarpipe.base.log import MetricsLog, progress
from oarpipe.base.noise import Stream, integer, permutations
from oarpipe.config.datasets import ClassifierConfig
from oarpipe.data.images import ImageSource
from oarpipe.errors import BadInput
from oarpipe.metrics.classifier import Classifier, predict, to_floats
from oarpipe.training.optimizers import adamw, clip, set_rate

TEST_BATCH = 256  # images classified at once; no result depends on it


def train_classifier(
    source: ImageSource, entry: ClassifierConfig, seed: int, metrics: MetricsLog
) -> Classifier:
    """A network that has learned the training split; the same seed on the same machine gives the same one."""
    config = entry.train
    network = _fresh(source, entry, seed).to(pick_device()).train()
    device = next(network.parameters()).device
    optimizer = adamw(network, config)
    batches = _shuffled(source.index.rows("train"), config.batch, seed)
    for step in progress(range(config.steps), "train_features", unit="step"):
        ids = next(batches)
        images = to_floats(_load(source, ids).to(device))
        if entry.augment:
            images = affine(images, seed, step)
        labels = torch.from_numpy(source.index.label[ids]).long().to(device)
        lr = set_rate(optimizer, config, step)
        with autocast(device, config.precision):
            loss = F.cross_entropy(network(images)[1].float(), labels)
        optimizer.zero_grad()
        loss.backward()
        norm = clip(network, config)
        optimizer.step()
        if step % config.log_every == 0 or step == config.steps - 1:
            if not bool(torch.isfinite(loss)):
                raise BadInput(f"step {step}: the loss is {loss.item()}; lower the entry's train.lr")
            metrics.write(step, loss=loss.item(), lr=lr, norm=norm.item())
    return network.eval()


def test_accuracy(network: Classifier, source: ImageSource) -> float:
    """Share of the test images whose class the network recognises."""
    rows = source.index.rows("test")
    if len(rows) == 0:
        raise BadInput("the dataset has no test images, so its classifier cannot be judged")
    device = next(network.parameters()).device
    hits = 0
    for begin in range(0, len(rows), TEST_BATCH):
        ids = rows[begin : begin + TEST_BATCH]
        guesses = predict(network, _load(source, ids).to(device)).argmax(dim=1).cpu().numpy()
        hits += int((guesses == source.index.label[ids]).sum())
    return hits / len(rows)


def _fresh(source: ImageSource, entry: ClassifierConfig, seed: int) -> Classifier:
    """An untrained network whose weights depend on the seed alone."""
    num_classes = len(source.index.classes)
    if num_classes < 2:
        raise BadInput(f"a feature classifier needs two classes or more, the dataset has {num_classes}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(seed, Stream.INIT))
        return Classifier(
            resolution=source.resolution,
            channels=entry.channels,
            dimensions=entry.dimensions,
            num_classes=num_classes,
        )


def _shuffled(rows: Int64[np.ndarray, " n"], batch: int, seed: int) -> Iterator[np.ndarray]:
    """Batches of sample ids without end, every id once an epoch."""
    if len(rows) == 0:
        raise BadInput("the dataset has no training images to learn features from")
    waiting, epoch = rows[:0], 0
    while True:
        while len(waiting) < batch:
            order = permutations(seed, Stream.SHUFFLE, torch.tensor([epoch]), 0, len(rows))[0]
            waiting, epoch = np.concatenate([waiting, rows[order.numpy()]]), epoch + 1
        yield waiting[:batch]
        waiting = waiting[batch:]


def _load(source: ImageSource, ids: Int64[np.ndarray, " B"]) -> UInt8[Tensor, "B 3 H W"]:
    return torch.from_numpy(source.load(ids)).permute(0, 3, 1, 2).contiguous()
