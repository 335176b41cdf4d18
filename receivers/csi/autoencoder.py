"""A learned two-sided model with nothing underneath: the report is latents alone, of the whole precoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from receivers.csi.frame import Frame, as_complex, as_real, first_in_place, unit_norm
from receivers.csi.refinement import BODIES
from receivers.csi.two_sided import LEVEL_SCALE, SLOPE, TwoSided
from receivers.errors import bad_value

#: Real numbers of every delay that the encoder's network hands to the latents.
_CHANNELS = 16


class AutoencoderEncoder(nn.Module):
    """The user's side: a linear layer, and a network over delays beside it; latents 0 to 1 before quantisation."""

    def __init__(self, num_units: int, num_features: int, num_latents: int, width: int, depth: int, body: str) -> None:
        super().__init__()
        self.linear = nn.Linear(num_units * num_features, num_latents)
        # unit-norm precoders of every unit: latents begin with unit variance
        nn.init.normal_(self.linear.weight, std=1 / math.sqrt(num_units))
        self.body = BODIES[body](num_units, num_features, _CHANNELS, width, depth)
        self.mix = nn.Linear(_CHANNELS * num_units, num_latents)

    def forward(self, x: Tensor, x0: Tensor) -> Tensor:
        """x float32 [batch, num_units, num_features]: the precoder over delays and beams. x0: of no account."""
        del x0
        return torch.sigmoid(SLOPE * (self.linear(x.flatten(1)) + self.mix(self.body(x).flatten(1))))


class AutoencoderDecoder(nn.Module):
    """The base station's side: a linear layer, and a network over delays that corrects what it says."""

    def __init__(self, num_units: int, num_features: int, num_latents: int, width: int, depth: int, body: str) -> None:
        super().__init__()
        self.shape = (num_units, num_features)
        self.linear = nn.Linear(num_latents, num_units * num_features)
        self.body = BODIES[body](num_units, num_features, num_features, width, depth)

    def forward(self, levels: Tensor, used: Tensor, x0: Tensor) -> Tensor:
        """levels float32 [batch, num_latents], of latents that are used; used: 1 or 0 of the same shape."""
        del x0
        x = self.linear(LEVEL_SCALE * (levels - 0.5) * used).reshape(levels.shape[0], *self.shape)
        found: Tensor = x + self.body(x)
        return found


class Autoencoder(TwoSided):
    """Encoder and decoder of the whole precoder, trained from random numbers on.

    n1, n2: layout of the ports. width, depth, body: of the networks, "transformer" or "convolutional" over delays, with
    beams as channels. The rest: as of `TwoSided`. Before the encoder the phases of subbands, which are of no account,
    are turned so that the strongest coefficient over delays and beams is at delay 0 with phase 0 (`first_in_place`).
    """

    has_base = False

    def __init__(
        self,
        num_units: int = 13,
        n1: int = 8,
        n2: int = 2,
        num_latents: int = 96,
        bits_per_value: int = 2,
        width: int = 96,
        depth: int = 2,
        body: str = "transformer",
    ) -> None:
        if body not in BODIES:
            raise bad_value("body", body, ", ".join(BODIES))
        super().__init__(num_units, (n1, n2), num_latents, bits_per_value, 1)
        self.quantiser = None
        features = 4 * n1 * n2
        self.encoder = AutoencoderEncoder(num_units, features, num_latents, width, depth, body)
        self.decoder = AutoencoderDecoder(num_units, features, num_latents, width, depth, body)

    def framed(self, v: Tensor, base: Tensor) -> tuple[Frame, Tensor, Tensor]:
        """The frame, which is the same for all, the precoder in it as real numbers, and zeros."""
        del base
        found, frame = first_in_place(v, self.shape)
        x = as_real(found)
        return frame, x, torch.zeros_like(x)

    def decode(self, indices: Tensor, base: Tensor) -> Tensor:
        """Unit-norm precoders, complex64 [batch, num_units, num_ports]; base: of no account."""
        del base
        ones = torch.ones(len(indices), 1, 1, *self.shape, dtype=torch.complex64, device=indices.device)
        frame = Frame(ones, torch.zeros(len(indices), dtype=torch.bool, device=indices.device), self.shape)
        used = self.used(indices.shape[1], len(indices), indices.device)
        x = self.decoder(self.padded_levels(indices), used, torch.zeros(0, device=indices.device))
        return unit_norm(frame.leave(as_complex(x)))
