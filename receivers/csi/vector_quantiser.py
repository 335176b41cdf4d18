"""Vector quantisation of latents: neighbouring ones are reported together, by the number of a codeword."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.errors import bad_value

#: Most bits of a codeword's number.
_MOST_BITS = 10
#: Iterations of the generalised Lloyd algorithm, and samples that it sees.
_ROUNDS, _SAMPLES = 12, 8192
_AT_ONCE = 512


class VectorQuantiser(nn.Module):
    """A codebook for every `size` latents.

    num_latents: a multiple of size. bits_per_value: size times as many bits name a codeword. Codewords are latents of
    unit variance; before `fit` they are random ones.
    """

    def __init__(self, num_latents: int, size: int, bits_per_value: int) -> None:
        super().__init__()
        if size < 2 or num_latents % size:
            raise bad_value("vector_size", size, f"a divisor of num_latents, {num_latents}, from 2 on; 1 is scalar")
        if size * bits_per_value > _MOST_BITS:
            most = _MOST_BITS // bits_per_value
            raise bad_value("vector_size", size, f"up to {most} with {bits_per_value} bits per value")
        self.size = size
        self.codewords = nn.Parameter(torch.randn(num_latents // size, 2 ** (size * bits_per_value), size))

    @torch.no_grad()
    def fit(self, z: Tensor, generator: torch.Generator) -> None:
        """Codewords of the least squared error on latents [num_samples, num_latents] (Linde, Buzo, Gray, IEEE Trans.
        Commun. 28, 1980), from samples drawn by `generator` on."""
        count = self.codewords.shape[1]
        if len(z) < count:
            raise bad_value("samples", len(z), f"{count} or more, the codewords")
        z = z[torch.randperm(len(z), generator=generator)[:_SAMPLES]]
        self.codewords.copy_(self._parts(z)[:count].transpose(0, 1))
        parts = self._parts(z).transpose(0, 1)
        for _ in range(_ROUNDS):
            nearest = torch.cat([self.nearest(part) for part in z.split(_AT_ONCE)]).T
            for words, part, number in zip(self.codewords, parts, nearest, strict=True):
                hits = torch.bincount(number, minlength=count)
                sums = torch.zeros_like(words).index_add_(0, number, part)
                words.copy_(torch.where(hits[:, None] > 0, sums / hits[:, None].clamp(min=1), words))

    def _parts(self, z: Tensor) -> Tensor:
        return z.unflatten(-1, (-1, self.size))

    def nearest(self, z: Tensor) -> Tensor:
        """Numbers of the nearest codewords, int64 [batch, num_latents / size]; z [batch, num_latents]."""
        parts = self._parts(z)
        # |w|^2 - 2 w z: the rest is the same for all
        inner = torch.einsum("bgs,gws->bgw", parts, self.codewords)
        return (self.codewords.square().sum(-1) - 2 * inner).argmin(-1)

    def values(self, numbers: Tensor) -> Tensor:
        """Latents that numbers of the first codebooks stand for, [batch, numbers.shape[1] * size]."""
        groups = torch.arange(numbers.shape[1], device=numbers.device)
        return self.codewords[groups, numbers].flatten(1)
