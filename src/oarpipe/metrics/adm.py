"""ADM's evaluator, which papers on ImageNet quote, where it differs from torch-fidelity.

Source: openai/guided-diffusion, evaluations/evaluator.py. Its Fréchet distances are torch-fidelity's
formula. Its precision and recall compare squared distances in float16: these are the same numbers,
found by float32 products of rounded vectors, because half-precision products are slow on CPUs.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from oarpipe.base.devices import pick_device
from oarpipe.base.log import progress
from oarpipe.errors import BadInput

SPLIT_SIZE = 5000  # samples whose inception score is taken together, in the order of the file
NEIGHBOURS = 3
REFERENCES = 10_000  # images that ADM's reference files hold for precision and recall
BLOCK = 10_000  # distances are made so many by so many; one that is not finite makes its block float32


def inception_score(logits: Float[np.ndarray, "n C"], *, split_size: int = SPLIT_SIZE) -> float:
    """Mean over splits, in the given order, of exp of the mean divergence of p(class | image) from p(class).

    Logits are those without the bias (a softmax does not ask for their scale: logarithms of
    probabilities do as well). A last, smaller split counts as much as the others.
    """
    if not len(logits):
        raise BadInput("an inception score needs samples, got none")
    scores = []
    for begin in range(0, len(logits), split_size):
        part = torch.from_numpy(logits[begin : begin + split_size]).double().softmax(dim=1)
        divergence = torch.xlogy(part, part) - torch.xlogy(part, part.mean(dim=0))
        scores.append(float(divergence.sum(dim=1).mean().exp()))
    return float(np.mean(scores))


def precision_recall(
    generated: Float32[np.ndarray, "n D"],
    reference: Float32[np.ndarray, "m D"],
    *,
    device: torch.device | None = None,
) -> tuple[float, float]:
    """Shares of generated vectors in the reference's balls and the other way, on a GPU if there is one.

    A ball reaches to its centre's third neighbour in its own set. Memory: twice that of the
    vectors beside them, and a gigabyte for a block of distances.
    """
    smallest = min(len(generated), len(reference))
    if smallest <= NEIGHBOURS:
        raise BadInput(f"precision and recall need more than {NEIGHBOURS} images a set, got {smallest}")
    device = device or pick_device()
    samples, references = (_Blocks(given, device) for given in (generated, reference))
    sample_radii, reference_radii = samples.radii("sample neighbours"), references.radii("neighbours")
    is_covered = [torch.zeros(len(block), dtype=torch.bool, device=device) for block in references.blocks]
    inside = 0
    for sample, own_radii in zip(samples.blocks, sample_radii, strict=True):
        is_inside = torch.zeros(len(sample), dtype=torch.bool, device=device)
        for covered, block, radii in zip(is_covered, references.blocks, reference_radii, strict=True):
            distances = block.distances(sample)
            is_inside |= (distances <= radii[:, None]).any(dim=0)
            covered |= (distances <= own_radii).any(dim=1)
        inside += int(is_inside.sum())
    return inside / len(generated), int(torch.cat(is_covered).sum()) / len(reference)


class _Block:
    """Vectors as float16 sees them, and their squared lengths in float16; both are summed in float32."""

    def __init__(self, vectors: Float32[Tensor, "B D"]) -> None:
        self._whole = vectors
        self._rounded = vectors.half().float()
        self._squares = self._rounded.square().sum(dim=1).half()

    def __len__(self) -> int:
        return len(self._whole)

    def products(self, other: "_Block") -> Float[Tensor, "B M"]:
        """Rounded to float16."""
        return (self._rounded @ other._rounded.T).half()

    def distances(
        self, other: "_Block", products: Float[Tensor, "B M"] | None = None
    ) -> Float[Tensor, "B M"]:
        """Squared distances in float16; all in float32 if one of them is not finite."""
        products = self.products(other) if products is None else products
        found = _distances(self._squares, products, other._squares)
        if bool(found.amax().isfinite()):
            return found
        squares = [block._whole.square().sum(dim=1) for block in (self, other)]
        return _distances(squares[0], self._whole @ other._whole.T, squares[1])


def _distances(rows: Tensor, products: Float[Tensor, "B M"], columns: Tensor) -> Float[Tensor, "B M"]:
    """|u|^2 - 2 uv + |v|^2, rounded after each step, as the evaluator writes it."""
    return (products * -2).add_(rows[:, None]).add_(columns).clamp_min_(0)


class _Blocks:
    """A set of vectors, a block after the other."""

    def __init__(self, vectors: Float32[np.ndarray, "n D"], device: torch.device) -> None:
        parts = (vectors[begin : begin + BLOCK] for begin in range(0, len(vectors), BLOCK))
        self.blocks = [_Block(torch.tensor(part, device=device)) for part in parts]

    def radii(self, what: str) -> list[Float[Tensor, " B"]]:
        """Of each block's vectors, the squared distance to the third neighbour; each is its own zeroth."""
        nearest: list[list[Tensor]] = [[] for _ in self.blocks]
        pairs = [(i, j) for i in range(len(self.blocks)) for j in range(i + 1)]
        for i, j in progress(pairs, what, unit="block"):
            products = self.blocks[i].products(self.blocks[j])
            nearest[i].append(_smallest(self.blocks[i].distances(self.blocks[j], products)))
            if i != j:  # the same products, but rounded in the other order
                nearest[j].append(_smallest(self.blocks[j].distances(self.blocks[i], products.T)))
        return [_smallest(torch.cat(found, dim=1))[:, NEIGHBOURS] for found in nearest]


def _smallest(distances: Float[Tensor, "B M"]) -> Float32[Tensor, "B k"]:
    """The four smallest of each row, or all of them, ascending."""
    wanted = min(NEIGHBOURS + 1, distances.shape[1])
    return distances.topk(wanted, largest=False).values.float()
