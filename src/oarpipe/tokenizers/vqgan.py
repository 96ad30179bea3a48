"""The VQGAN (Esser et al. 2021): encoder, codebook, decoder, between pixels and a grid of codes."""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from oarpipe.base.grid import Grid
from oarpipe.config.tokenizers import VQGANAnatomy
from oarpipe.tokenizers.protocol import ImageTokenizer, square_grid
from oarpipe.tokenizers.quantize import Quantised, VectorQuantizer
from oarpipe.tokenizers.stems import Decoder, Encoder, latent_channels


class VQGAN(ImageTokenizer):
    """A VQGAN of any anatomy; `forward` is the training pass, `encode` and `decode` are for use."""

    def __init__(self, anatomy: VQGANAnatomy) -> None:
        super().__init__()
        self.anatomy = anatomy
        self.codebook = anatomy.codebook
        latent = latent_channels(anatomy)
        is_bare = anatomy.stem == "pixels"
        self.encoder = nn.PixelUnshuffle(anatomy.factor) if is_bare else Encoder(anatomy)
        self.quant_conv = nn.Conv2d(latent, anatomy.code_dim, 1)
        self.quantize = VectorQuantizer(anatomy.codebook, anatomy.code_dim, normalise=anatomy.normalise)
        self.post_quant_conv = nn.Conv2d(anatomy.code_dim, latent, 1)
        self.decoder = nn.PixelShuffle(anatomy.factor) if is_bare else Decoder(anatomy)

    def forward(
        self, images: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B 3 H W"], Float[Tensor, "B D h w"], Quantised]:
        """Reconstructions of images in -1..1, their encodings before the look-up, and the look-up."""
        encodings = self.encodings(images)
        quantised = self.quantize(encodings)
        return self.decoder(self.post_quant_conv(quantised.codes)), encodings, quantised

    def encodings(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
        """What the codebook is asked for."""
        out: Tensor = self.quant_conv(self.encoder(images))
        return out

    def grid(self, resolution: int) -> Grid:
        return square_grid(resolution, self.anatomy.factor)

    @torch.no_grad()
    def encode(self, images: UInt8[Tensor, "B 3 H W"]) -> Int[Tensor, "B N"]:
        return self.tokens_of(from_uint8(images.to(self.device)))

    @torch.no_grad()
    def decode(self, tokens: Int[Tensor, "B N"], grid: Grid) -> UInt8[Tensor, "B 3 H W"]:
        return to_uint8(self.images_of(tokens, grid))

    def tokens_of(self, images: Float[Tensor, "B 3 H W"]) -> Int[Tensor, "B N"]:
        """The codes of images in -1..1."""
        return self.quantize.nearest(self.quantize.points(self.encodings(images))).view(len(images), -1)

    def images_of(self, tokens: Int[Tensor, "B N"], grid: Grid) -> Float[Tensor, "B 3 H W"]:
        """The images that the codes stand for, around -1..1."""
        codes = self.quantize.rows()[tokens.to(self.device)]  # [B N D]
        codes = codes.transpose(1, 2).unflatten(2, (grid.height, grid.width))  # [B D h w]
        out: Tensor = self.decoder(self.post_quant_conv(codes))
        return out

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.quant_conv.weight.device

    @property
    def last_layer(self) -> Tensor:
        """The decoder's last weights, at which the adaptive weight compares gradients."""
        last = self.decoder.conv_out if isinstance(self.decoder, Decoder) else self.post_quant_conv
        return last.weight


def from_uint8(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """0..255 to float32 in -1..1."""
    return images.float() / 127.5 - 1.0


def to_uint8(images: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 H W"]:
    """-1..1 to 0..255; 127.5 x + 128 cut to whole numbers, LlamaGen's way of rounding."""
    return (images.float() * 127.5 + 128.0).clamp(0, 255).to(torch.uint8)
