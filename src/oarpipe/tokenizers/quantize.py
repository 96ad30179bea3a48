"""The codebook: the look-up with its straight-through gradient, and the care of codes nobody uses.

Vector quantisation as in van den Oord et al. 2017, with the l2-normalised look-up of Yu et al. 2021
(ViT-VQGAN) that LlamaGen uses: encodings and codes both lie on the unit sphere.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from oarpipe.base.noise import Stream, permutations


class Quantised(NamedTuple):
    """What the look-up gives: `codes` for the decoder, their numbers, and the two halves of the VQ loss."""

    codes: Float[Tensor, "B D H W"]
    tokens: Int[Tensor, "B N"]
    codebook_loss: Float[Tensor, ""]
    commitment_loss: Float[Tensor, ""]


class VectorQuantizer(nn.Module):
    """`codebook` code vectors of length `code_dim`; with `normalise`, only their direction counts."""

    def __init__(self, codebook: int, code_dim: int, *, normalise: bool) -> None:
        super().__init__()
        self.normalise = normalise
        self.embedding = nn.Embedding(codebook, code_dim)
        nn.init.uniform_(self.embedding.weight, -1 / codebook, 1 / codebook)

    def forward(self, encodings: Float[Tensor, "B D H W"]) -> Quantised:
        """The nearest codes; gradients reach the encoder as if the look-up were the identity."""
        flat = self.points(encodings)  # [B*N D]
        rows = self.rows()  # [V D]
        tokens = self.nearest(flat)  # [B*N]
        chosen = rows[tokens]
        straight = flat + (chosen - flat).detach()
        batch, dim, height, width = encodings.shape
        return Quantised(
            codes=straight.view(batch, height, width, dim).permute(0, 3, 1, 2),
            tokens=tokens.view(batch, height * width),
            codebook_loss=F.mse_loss(chosen, flat.detach()),
            commitment_loss=F.mse_loss(flat, chosen.detach()),
        )

    def rows(self) -> Float[Tensor, "V D"]:
        """The codes as the decoder sees them."""
        return self._place(self.embedding.weight)

    def points(self, encodings: Float[Tensor, "B D H W"]) -> Float[Tensor, "R D"]:
        """Encodings as rows in raster order, placed where codes lie."""
        return self._place(encodings.permute(0, 2, 3, 1).flatten(0, 2))

    @torch.no_grad()
    def nearest(self, points: Float[Tensor, "R D"]) -> Int[Tensor, " R"]:
        """The number of the code with the smallest Euclidean distance, computed in float32."""
        points, rows = points.float(), self.rows().float()
        # |p - r|^2 without |p|^2, which is the same for every code
        return torch.addmm(rows.square().sum(1), points, rows.T, beta=1, alpha=-2).argmin(dim=1)

    def _place(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self.normalise else vectors


class CodeCare(nn.Module):
    """Starts codes at encodings of the first batch, and again those that went unused for too long.

    Its state is two buffers, saved with the checkpoint; which encodings are taken is a function of
    seed and step. So a run that was killed revives the same codes.
    """

    idle: Tensor
    revived: Tensor

    def __init__(self, codebook: int, *, revive_after: int | None) -> None:
        super().__init__()
        self.revive_after = revive_after
        self.register_buffer("idle", torch.zeros(codebook, dtype=torch.int64))  # steps without use
        self.register_buffer("revived", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def start(self, quantizer: VectorQuantizer, encodings: Float[Tensor, "B D H W"], seed: int) -> None:
        """Before the first step: every code becomes some encoding."""
        everyone = torch.ones_like(self.idle, dtype=torch.bool)
        _restart(quantizer, everyone, encodings, seed, step=0)

    @torch.no_grad()
    def watch(
        self,
        quantizer: VectorQuantizer,
        encodings: Float[Tensor, "B D H W"],
        tokens: Int[Tensor, "B N"],
        *,
        seed: int,
        step: int,
    ) -> None:
        """After step `step` (from 0): counts unused codes and restarts the dead ones."""
        used = torch.zeros_like(self.idle, dtype=torch.bool)
        used[tokens.flatten()] = True
        self.idle.add_(1).masked_fill_(used, 0)
        if self.revive_after is None:
            return
        dead = self.idle >= self.revive_after
        if dead.any():
            _restart(quantizer, dead, encodings, seed, step=step + 1)
            self.idle.masked_fill_(dead, 0)
            self.revived.add_(dead.sum())

    def usage(self, steps: int) -> float:
        """The share of codes that were used, or restarted, within the last `steps` steps."""
        return float((self.idle < steps).double().mean())


def _restart(quantizer: VectorQuantizer, which: Tensor, encodings: Tensor, seed: int, *, step: int) -> None:
    """Puts the codes of a mask at distinct encodings, as far as there are enough of them."""
    points = quantizer.points(encodings)
    codes = which.nonzero().flatten()
    order = permutations(seed, Stream.CODEBOOK, codes.new_zeros(1), step, len(points))[0]
    chosen = order[torch.arange(len(codes), device=order.device) % len(points)]
    quantizer.embedding.weight[codes] = points[chosen].to(quantizer.embedding.weight.dtype)
