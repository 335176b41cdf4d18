"""A learned two-sided model that starts from a codebook: the codebook's report, and latents for what it misses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from receivers.csi.frame import Frame, as_complex, as_real, in_phase, unit_norm
from receivers.csi.two_sided import LEVEL_SCALE, SLOPE, TwoSided
from receivers.csi.vector_quantiser import VectorQuantiser
from receivers.errors import bad_value

#: By bits per value, the optimal levels of a Gaussian over those that LEVEL_SCALE gives: with one bit sqrt(2 / pi)
#: instead of 1.02.
_SCALE = {1: 0.7979 / (LEVEL_SCALE / 4), 2: 1.0}


@contextmanager
def plain_attention() -> Iterator[None]:
    """Transformers as single operations, which can be exported and counted, not as torch's fused ones for inference."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class Body(nn.Module):
    """A transformer over delays: real features of every delay in, features of the same number out, 0 before
    training."""

    def __init__(self, num_units: int, num_in: int, num_out: int, width: int, depth: int, heads: int = 4) -> None:
        super().__init__()
        self.enter = nn.Linear(num_in, width)
        self.place = nn.Parameter(0.02 * torch.randn(num_units, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.leave = nn.Linear(width, num_out)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.leave(self.layers(self.enter(x) + self.place))
        return found


class ConvolutionalBody(nn.Module):
    """Residual convolutions over delays in the place of a transformer; the same shapes."""

    def __init__(self, num_units: int, num_in: int, num_out: int, width: int, depth: int) -> None:
        super().__init__()
        del num_units
        self.enter = nn.Conv1d(num_in, width, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.GELU(), nn.Conv1d(width, width, 5, padding=2), nn.GELU(), nn.Conv1d(width, width, 1))
            for _ in range(depth)
        )
        self.leave = nn.Conv1d(width, num_out, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x.transpose(1, 2))
        for layer in self.layers:
            x = x + layer(x)
        found: Tensor = self.leave(x).transpose(1, 2)
        return found


class Encoder(nn.Module):
    """The user's side: latents before quantisation, 0 to 1.

    A transform of the residual, fitted beforehand, plus what a network adds to it.
    """

    def __init__(self, num_units: int, num_features: int, num_latents: int, width: int, depth: int, body: str) -> None:
        super().__init__()
        self.transform = nn.Parameter(torch.zeros(num_units * num_features, num_latents), requires_grad=False)
        self.mean = nn.Parameter(torch.zeros(num_units * num_features), requires_grad=False)
        self.body = BODIES[body](num_units, 2 * num_features, 8, width, depth)
        self.mix = nn.Linear(8 * num_units, num_latents)
        self.scale = nn.Parameter(torch.ones(num_latents))

    def forward(self, x: Tensor, x0: Tensor) -> Tensor:
        """x, x0 float32 [batch, num_units, num_features]: the precoder and the base in its frame."""
        z = ((x - x0).flatten(1) - self.mean) @ self.transform
        z = z * self.scale + self.mix(self.body(torch.cat([x, x0], -1)).flatten(1))
        return torch.sigmoid(SLOPE * z)


class Decoder(nn.Module):
    """The base station's side: the precoder in the frame of the base."""

    def __init__(self, num_units: int, num_features: int, num_latents: int, width: int, depth: int, body: str) -> None:
        super().__init__()
        self.transform = nn.Parameter(torch.zeros(num_latents, num_units * num_features))
        self.mean = nn.Parameter(torch.zeros(num_units * num_features), requires_grad=False)
        self.body = BODIES[body](num_units, 3 * num_features, num_features, width, depth)

    def forward(self, levels: Tensor, used: Tensor, x0: Tensor) -> Tensor:
        """levels float32 [batch, num_latents]: 1/8 to 7/8, of latents that are used; used: 1 or 0 of the same shape."""
        z = self.latents(levels) * used
        linear = (z @ self.transform + self.mean).reshape(x0.shape)
        found: Tensor = x0 + linear + self.body(torch.cat([x0, linear, x0 + linear], -1))
        return found

    def latents(self, levels: Tensor) -> Tensor:
        """Levels as the latents of unit variance that they stand for."""
        return LEVEL_SCALE * (levels - 0.5)


BODIES: dict[str, type[nn.Module]] = {"transformer": Body, "convolutional": ConvolutionalBody}


class Refinement(TwoSided):
    """Encoder and decoder around a base precoder that both sides know from a codebook's report.

    n1, n2: layout of the ports. width, depth, body: of the networks ("transformer" or "convolutional"). The rest: as of
    `TwoSided`.
    """

    has_base = True
    encoder: Encoder
    decoder: Decoder

    def __init__(
        self,
        num_units: int = 13,
        n1: int = 8,
        n2: int = 2,
        num_latents: int = 96,
        bits_per_value: int = 2,
        width: int = 96,
        depth: int = 3,
        body: str = "transformer",
        vector_size: int = 1,
    ) -> None:
        if body not in BODIES:
            raise bad_value("body", body, ", ".join(BODIES))
        super().__init__(num_units, (n1, n2), num_latents, bits_per_value, vector_size)
        features = 4 * n1 * n2
        self.encoder = Encoder(num_units, features, num_latents, width, depth, body)
        self.decoder = Decoder(num_units, features, num_latents, width, depth, body)
        self.quantiser = None if vector_size == 1 else VectorQuantiser(num_latents, vector_size, bits_per_value)

    @torch.no_grad()
    def start_from(self, x: Tensor, x0: Tensor) -> None:
        """Fit the transform to residuals in the frame, float32 [num_samples, num_units, num_features]: before training
        the model is a Karhunen-Loeve transform with a quantiser of 4 levels, or of 2."""
        residual = (x - x0).flatten(1).double()
        mean = residual.mean(0)
        values, vectors = torch.linalg.eigh((residual - mean).T @ (residual - mean) / len(residual))
        std = values.clamp(min=0).sqrt().flip(0)[: self.num_latents]
        # of a direction in which nothing varies nothing is reported
        inverse = torch.where(std > 0, 1 / std, torch.zeros_like(std))
        basis = vectors.flip(1)[:, : self.num_latents]
        self.encoder.transform.copy_((basis * inverse).float())
        self.encoder.mean.copy_(mean.float())
        self.decoder.mean.copy_(mean.float())
        self.decoder.transform.copy_((basis * std * _SCALE[self.bits_per_value]).T.float())

    @torch.no_grad()
    def start_levels(self, bits_before: int) -> None:
        """The decoder of a model that had so many bits per value: before training its transform has the scale of the
        levels that there are now."""
        self.decoder.transform.mul_(_SCALE[self.bits_per_value] / _SCALE[bits_before])

    @torch.no_grad()
    def start_encoder(self) -> None:
        """The encoder for a decoder that is given: before training its latents are those from which the decoder's
        transform comes nearest to a residual, before quantisation."""
        self.encoder.transform.copy_(torch.linalg.pinv(self.decoder.transform.double()).float())
        self.encoder.mean.copy_(self.decoder.mean)

    @torch.no_grad()
    def start_decoder(self, x: Tensor, x0: Tensor, indices: Tensor) -> None:
        """The decoder for reports that are given: before training the linear function of them that comes nearest to
        the residuals.

        x, x0: as of `start_from`. indices int64 [num_samples, num_values]: of the quantiser, the first latents.
        """
        residual, count = (x - x0).flatten(1).double(), indices.shape[1]
        known = self.decoder.latents(self.levels(indices)).double()
        fitted = torch.linalg.pinv(torch.cat([known, torch.ones_like(residual[:, :1])], 1)) @ residual
        self.decoder.transform.zero_()
        self.decoder.transform[:count].copy_(fitted[:-1].float())
        self.decoder.mean.copy_(fitted[-1].float())

    def framed(self, v: Tensor, base: Tensor) -> tuple[Frame, Tensor, Tensor]:
        """The frame, and both in it as real numbers."""
        frame = Frame.around(base, self.shape)
        return frame, as_real(frame.enter(in_phase(v, base))), as_real(frame.enter(base))

    def decode(self, indices: Tensor, base: Tensor) -> Tensor:
        """Unit-norm precoders, complex64 [batch, num_units, num_ports]."""
        frame = Frame.around(base, self.shape)
        x0 = as_real(frame.enter(base))
        num_values = indices.shape[1] * self.vector_size
        x = self.decoder(self.padded_levels(indices), self.used(num_values, len(base), base.device), x0)
        return unit_norm(frame.leave(as_complex(x)))
