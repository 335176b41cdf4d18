"""What both kinds of two-sided models share: latents between their sides, and how these are quantised."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from receivers.csi.frame import Frame
from receivers.csi.vector_quantiser import VectorQuantiser
from receivers.errors import bad_value

#: sigmoid(SLOPE z) is 1/4, 1/2, 3/4 at the thresholds of the optimal 4-level quantiser of a Gaussian z.
SLOPE = 1.0986 / 0.9816
#: The distance of the optimal 4 levels of a Gaussian, evenly spaced in 0 to 1.
LEVEL_SCALE = 4 * 1.02
#: Samples that go through an encoder together when its latents are fitted to.
_AT_ONCE = 512


class TwoSided(nn.Module):
    """An encoder whose latents, 0 to 1, are quantised and reported, and a decoder; fewer latents are a prefix.

    num_units: subbands. shape: (n1, n2). num_latents: the most that a report has. bits_per_value: of the uniform
    quantiser, 2 (levels 1/8, 3/8, 5/8, 7/8) or 1 (1/4, 3/4). vector_size: so many latents are quantised together, by a
    codeword of vector_size * bits_per_value bits (`VectorQuantiser`); 1 is the uniform quantiser.

    A subclass has `encoder`, latents of (x, x0), and `decoder`, precoders of (levels, used, x0): precoder and base as
    real numbers in a frame, float32 [batch, num_units, num_features].
    """

    #: Whether it codes what a base precoder misses, that both sides know; others take bases of zeros.
    has_base: ClassVar[bool]
    encoder: nn.Module
    decoder: nn.Module
    quantiser: VectorQuantiser | None

    def __init__(
        self, num_units: int, shape: tuple[int, int], num_latents: int, bits_per_value: int, vector_size: int
    ) -> None:
        super().__init__()
        if bits_per_value not in (1, 2):
            raise bad_value("bits_per_value", bits_per_value, "1, 2")
        self.num_units, self.shape, self.num_latents = num_units, shape, num_latents
        self.bits_per_value, self.vector_size = bits_per_value, vector_size

    @abstractmethod
    def framed(self, v: Tensor, base: Tensor) -> tuple[Frame, Tensor, Tensor]:
        """The frame, and both in it as real numbers."""

    @abstractmethod
    def decode(self, indices: Tensor, base: Tensor) -> Tensor:
        """Unit-norm precoders, complex64 [batch, num_units, num_ports]."""

    @property
    def bits_per_index(self) -> int:
        """Bits of a number that is reported, which stands for `vector_size` latents."""
        return self.vector_size * self.bits_per_value

    @torch.no_grad()
    def start_quantiser(self, x: Tensor, x0: Tensor, generator: torch.Generator) -> None:
        """Fit the codewords of a vector quantiser to what the encoder makes of precoders and bases in their frames."""
        if self.quantiser is not None:
            parts = zip(x.split(_AT_ONCE), x0.split(_AT_ONCE), strict=True)
            self.quantiser.fit(torch.cat([_unit_variance(self.encoder(*part)) for part in parts]), generator)

    def indices(self, latents: Tensor) -> Tensor:
        """Latents 0 to 1 to indices of the quantiser, int64: one for each, or for vector_size of them."""
        if self.quantiser is not None:
            return self.quantiser.nearest(_unit_variance(latents))
        levels = 2**self.bits_per_value
        return (latents * levels).floor().clamp(0, levels - 1).long()

    def levels(self, indices: Tensor) -> Tensor:
        """Indices to the levels that they stand for, of all their latents."""
        if self.quantiser is not None:
            return self.quantiser.values(indices) / LEVEL_SCALE + 0.5
        return (indices.float() + 0.5) / 2**self.bits_per_value

    def used(self, num_values: int, batch: int, device: torch.device) -> Tensor:
        """1 for the first `num_values` latents, 0 for others."""
        if not 0 <= num_values <= self.num_latents:
            raise bad_value("num_values", num_values, f"0 to {self.num_latents}, the latents of the model")
        if num_values % self.vector_size:
            raise bad_value("num_values", num_values, f"multiples of {self.vector_size}, the latents of a codeword")
        one = (torch.arange(self.num_latents, device=device) < num_values).float()
        return one.expand(batch, -1)

    def encode(self, v: Tensor, base: Tensor, num_values: int) -> Tensor:
        """Indices of the first latents, int64 [batch, num_values / vector_size]; v, base complex64 [batch, num_units,
        num_ports]."""
        _, x, x0 = self.framed(v, base)
        return self.indices(self.encoder(x, x0))[:, : num_values // self.vector_size]

    def reconstruct(self, x: Tensor, x0: Tensor, num_values: Tensor) -> Tensor:
        """For training: both sides with a straight-through quantiser; num_values int64 [batch]: of every sample."""
        latents = self.encoder(x, x0)
        hard = self.levels(self.indices(latents))
        if self.quantiser is not None:
            # codewords are trained, too: by what the decoder makes of them
            return self.reconstruct_from(hard + latents - latents.detach(), x0, num_values)
        return self.reconstruct_from(latents + (hard - latents).detach(), x0, num_values)

    def reconstruct_from(self, levels: Tensor, x0: Tensor, num_values: Tensor) -> Tensor:
        """For training: the decoder alone; levels float32 [batch, num_latents], the first `num_values` are used."""
        used = (torch.arange(self.num_latents, device=levels.device) < num_values[:, None]).float()
        found: Tensor = self.decoder(levels, used, x0)
        return found

    def padded_levels(self, indices: Tensor) -> Tensor:
        """Levels of the first latents, float32 [batch, num_latents]; those that are not reported in the middle."""
        levels = torch.full((len(indices), self.num_latents), 0.5, device=indices.device)
        levels[:, : indices.shape[1] * self.vector_size] = self.levels(indices)
        return levels


def _unit_variance(latents: Tensor) -> Tensor:
    """Latents 0 to 1 as what a decoder takes them for, of unit variance."""
    return torch.logit(latents, eps=1e-6) / SLOPE
