"""Both sides of a two-sided CSI model as modules with the inputs of their files, and precoders to run them on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ran.errors import InputError, bad_value
from ran.export.files import make_new_folder
from ran.studies.csi.experiment import load
from ran.studies.csi.feedback import cached_bases
from ran.studies.csi.world import CsiWorld
from receivers.csi import NeuralCoder
from receivers.csi.frame import Frame
from receivers.csi.two_sided import TwoSided
from receivers.onnx.contract import Contract
from receivers.onnx.csi import CSI_DECODER, CSI_ENCODER, CSI_PLAIN_DECODER, CSI_PLAIN_ENCODER

#: Drops that files are run on.
NUM_DROPS = 64


@dataclass(frozen=True)
class CsiSides:
    """A model, and the inputs of its sides over some precoders v, complex64 [batch, num_units, num_ports].

    base: of the codebook's reports, zeros where there is none. x, x0: both in the frame, float32.
    """

    coder: NeuralCoder
    v: Tensor
    base: Tensor
    frame: Frame
    x: Tensor
    x0: Tensor

    @property
    def model(self) -> TwoSided:
        return self.coder.model

    @property
    def contracts(self) -> tuple[Contract, Contract]:
        """Of encoder and decoder."""
        return (CSI_ENCODER, CSI_DECODER) if self.model.has_base else (CSI_PLAIN_ENCODER, CSI_PLAIN_DECODER)

    def of_base(self) -> tuple[Tensor, ...]:
        """The input that models over a codebook have besides."""
        return (self.x0,) if self.model.has_base else ()

    def modules(self) -> tuple[nn.Module, nn.Module]:
        """Encoder and decoder with the inputs of their contracts."""
        encoder, decoder = self.model.encoder.eval(), self.model.decoder.eval()
        return (encoder, decoder) if self.model.has_base else (_PlainEncoder(encoder), _PlainDecoder(decoder))


def sides_of(weights: str, out: Path, experiment: str, changes: tuple[str, ...]) -> CsiSides:
    """The sides of a model over drops of a CSI experiment; makes the folder `out`.

    `InputError` for weights that are none of such a model or do not fit the experiment, and for a folder that is not
    new.
    """
    try:
        model = NeuralCoder(weights, 0).model
        if model.vector_size > 1:
            raise bad_value(f"{weights}: vector_size", model.vector_size, "1: files hold no codewords")
        coder = NeuralCoder(weights, model.num_latents)
    except ValueError as error:
        raise InputError(str(error)) from None
    loaded = load(experiment, changes)
    made = (len(loaded.band.units), (loaded.panel.n1, loaded.panel.n2))
    if made != (model.num_units, model.shape):
        raise bad_value("--experiment", experiment, f"{model.num_units} PMI units and ports as {model.shape}")
    make_new_folder(out)
    drops = CsiWorld(loaded).kept("test", NUM_DROPS).v[:, -1]
    v = torch.from_numpy(np.ascontiguousarray(drops.reshape(-1, *drops.shape[2:])))
    base = torch.zeros_like(v)
    if model.has_base:
        base = cached_bases(loaded, drops, int(coder.card["base"]["combination"]), lambda text: None)
    return CsiSides(coder, v, base, *coder.model.framed(v, base))


class _PlainEncoder(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, precoder: Tensor) -> Tensor:
        found: Tensor = self.encoder(precoder, precoder)
        return found


class _PlainDecoder(nn.Module):
    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, levels: Tensor, used: Tensor) -> Tensor:
        found: Tensor = self.decoder(levels, used, levels)
        return found
