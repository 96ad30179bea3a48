"""The networks that a tokenizer can be, by the kind of their anatomy."""

from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter

from oarpipe.config.tokenizers import VQGANAnatomy
from oarpipe.tokenizers.maskgit import MaskGITAnatomy, MaskGITVQGAN
from oarpipe.tokenizers.vqgan import VQGAN

Anatomy = VQGANAnatomy | MaskGITAnatomy
Network = VQGAN | MaskGITVQGAN

_ANATOMY: TypeAdapter[Anatomy] = TypeAdapter(Annotated[Anatomy, Field(discriminator="kind")])


def read_anatomy(plain: Any) -> Anatomy:
    """An anatomy from plain data; pydantic's `ValidationError` if it is none."""
    return _ANATOMY.validate_python(plain)


def build(anatomy: Anatomy, device: str) -> Network:
    """The network of an anatomy; on the device `meta` it has shapes and no weights yet."""
    with torch.device(device):
        return VQGAN(anatomy) if isinstance(anatomy, VQGANAnatomy) else MaskGITVQGAN(anatomy)
