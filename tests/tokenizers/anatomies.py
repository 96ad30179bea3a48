"""Small anatomies that between them take every branch of the VQGAN."""

from oarpipe.config.tokenizers import VQGANAnatomy

PATCH = VQGANAnatomy(kind="vqgan", factor=4, width=8, blocks=1, code_dim=4, codebook=12)
SMALL = {
    "patch": PATCH,
    "patch, widening, with attention, not normalised": VQGANAnatomy(
        kind="vqgan", factor=2, width=4, multipliers=[1, 2], blocks=1, attention=True, code_dim=3, codebook=7,
        normalise=False,
    ),
    "patch, without residual blocks": VQGANAnatomy(
        kind="vqgan", factor=4, width=6, multipliers=[2, 1], blocks=0, code_dim=4, codebook=12
    ),
    "strided": VQGANAnatomy(
        kind="vqgan", stem="strided", factor=4, width=4, multipliers=[1, 1, 2], code_dim=4, codebook=12
    ),
    "strided with attention": VQGANAnatomy(
        kind="vqgan", stem="strided", factor=2, width=4, multipliers=[1, 2], attention=True, code_dim=4,
        codebook=12,
    ),
    "pixels": VQGANAnatomy(kind="vqgan", stem="pixels", factor=4, code_dim=4, codebook=12),
}  # fmt: skip
