"""White Gaussian noise from a counter: any number of a stream by itself, on any device, in any order.

Philox4x32-10 (J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11) turns a key of 64 bits and a
counter of 128 bits into four words of 32 bits. Two of the key's four words are the upper half of the counter, so that
distinct keys give disjoint streams. The Box-Muller transform makes a complex number of two words: exact Gaussian up to
the resolution of 32 bits, which ends the amplitude at 6.8 standard deviations of an axis (exceeded once in 8e9).

Complex number e of a stream takes words 2 (e mod 2) and 2 (e mod 2) + 1 of counter e // 2. `complex_normals` is the
readable form, in torch; `ran.link.kernels` computes the same on a CPU while it fills the received grid.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.link.streams import stream_digest

#: Multipliers and key increments of Philox4x32, and its number of rounds.
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
INCREMENTS = (0x9E3779B9, 0xBB67AE85)
NUM_ROUNDS = 10
_LOW = 0xFFFFFFFF


def stream_key(seed: int, scenario_id: str, drop_index: int, purpose: str) -> NDArray[np.uint32]:
    """Key of a stream, uint32 [4]: `stream_digest` as words."""
    return np.frombuffer(stream_digest(seed, scenario_id, drop_index, purpose), "<u4").astype(np.uint32)


def philox(keys: Tensor, counters: Tensor) -> Tensor:
    """Four words per key and counter, int64 [len(keys), len(counters), 4] in 0 to 2^32 - 1.

    keys int64 [n, 4]; counters int64 [m].
    """
    shape = (len(keys), len(counters))
    x0, x1 = (counters & _LOW).expand(shape), ((counters >> 32) & _LOW).expand(shape)
    k0, k1, x2, x3 = (keys[:, i : i + 1] for i in range(4))
    x2, x3 = x2.expand(shape), x3.expand(shape)
    for _ in range(NUM_ROUNDS):
        # products of 64 bits wrap into the sign, which masking takes away again
        p, q = x0 * MULTIPLIERS[0], x2 * MULTIPLIERS[1]
        x0, x1, x2, x3 = ((q >> 32) & _LOW) ^ x1 ^ k0, q & _LOW, ((p >> 32) & _LOW) ^ x3 ^ k1, p & _LOW
        k0, k1 = (k0 + INCREMENTS[0]) & _LOW, (k1 + INCREMENTS[1]) & _LOW
    return torch.stack([x0, x1, x2, x3], dim=-1)


def complex_normals(keys: NDArray[np.uint32], count: int, device: torch.device | str = "cpu") -> Tensor:
    """The first numbers of each stream, CN(0, 1), complex64 [len(keys), count]; computed in double precision."""
    counters = torch.arange(-(-count // 2), device=device)
    words = philox(torch.from_numpy(keys.astype(np.int64)).to(device), counters)
    # [key, number, word]
    words = words.unflatten(-1, (2, 2)).flatten(1, 2)[:, :count].double()
    # the amplitude of a number of unit power: its square is exponentially distributed
    radius = (-torch.log((words[..., 0] + 0.5) / 2**32)).sqrt()
    angle = (words[..., 1] - 2**29) * (2 * math.pi / 2**32)
    return torch.polar(radius, angle).to(torch.complex64)
