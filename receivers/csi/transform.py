"""Transform coding: the Karhunen-Loeve transform of many users' precoders, bits by reverse water-filling, scalar
quantisers; the classical challenger that learned compression has to beat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from receivers.csi.frame import Frame, as_complex, as_real, check_ports, first_in_place, in_phase, unit_norm
from receivers.errors import bad_value

#: Bits of a coefficient at most.
_MOST_BITS = 6
#: Drops over which the quantisers' iteration runs at most; more change the levels by less than their own spread.
_QUANTISER_SAMPLES = 4096
_QUANTISER_ROUNDS = 30


class TransformCoder:
    """Precoders of one layer as coefficients of a transform that was fitted beforehand, in a fixed number of bits.

    num_bits: of a report. shape: (n1, n2). With a base, a precoder that both sides know, what is coded is the
    difference to it in its frame (`receivers.csi.frame`); the bits of the base are not counted here.

    Every bit goes where it lowers the mean squared error most: reverse water-filling in whole bits, with the measured
    distortion of Lloyd and Max's quantisers (S. P. Lloyd, IEEE Trans. Inf. Theory 28, 1982) instead of a Gaussian's.
    """

    def __init__(self, num_bits: int, shape: tuple[int, int]) -> None:
        if num_bits < 0:
            raise bad_value("num_bits", num_bits, "0 or more")
        self.num_bits, self.shape = num_bits, shape
        self.mean = self.basis = np.zeros(0)
        self.bits = np.zeros(0, np.int64)
        #: Levels of every coefficient, [num_coefficients, 2**_MOST_BITS], NaN beyond its bits.
        self.levels = np.zeros((0, 2**_MOST_BITS))

    def fit(self, v: Tensor, base: Tensor | None = None) -> TransformCoder:
        """Fit transform and quantisers to precoders complex64 [num_samples, num_units, num_ports]; returns itself."""
        coefficients = self._fit_basis(v, base, max(self.num_bits, 1))
        self.bits, self.levels = _allocated(coefficients, self.num_bits)
        used = self.bits > 0
        self.basis, self.bits, self.levels = self.basis[:, used], self.bits[used], self.levels[used]
        return self

    def _fit_basis(self, v: Tensor, base: Tensor | None, count: int) -> np.ndarray:
        """Mean and the first `count` vectors of the transform; returns their coefficients [num_samples, count]."""
        x = self._features(v, base).double().numpy()
        if len(x) < 2:
            raise bad_value("v", len(x), "two or more precoders to fit to")
        self.mean = x.mean(0)
        _, vectors = np.linalg.eigh((x - self.mean).T @ (x - self.mean) / len(x))
        self.basis = vectors[:, ::-1][:, : min(count, x.shape[1])]
        found: np.ndarray = (x - self.mean) @ self.basis
        return found

    def _coefficients(self, v: Tensor, base: Tensor | None) -> np.ndarray:
        """Coefficients of the transform [batch, num_coefficients]."""
        found: np.ndarray = (self._features(v, base).double().numpy() - self.mean) @ self.basis
        return found

    def state_shapes(self, num_features: int) -> dict[str, tuple[int, ...]]:
        """Shapes that what `state` gives fits in, of precoders of num_features = 2 * num_units * num_ports real
        numbers; zeros may follow what `fit` found."""
        count = min(self.num_bits, num_features)
        return {
            "mean": (num_features,),
            "basis": (num_features, count),
            "bits": (count,),
            "levels": (count, 2**_MOST_BITS),
        }

    def state(self) -> dict[str, np.ndarray]:
        """What `fit` found, by name."""
        return {"mean": self.mean, "basis": self.basis, "bits": self.bits, "levels": self.levels}

    def load(self, state: Mapping[str, np.ndarray]) -> TransformCoder:
        """Take what `state` gave, zeros behind it or not; returns itself."""
        used = state["bits"] > 0
        self.mean, self.basis = state["mean"], state["basis"][:, used]
        self.bits, self.levels = state["bits"][used], state["levels"][used]
        return self

    def encode(self, v: Tensor, base: Tensor | None = None) -> np.ndarray:
        """Reports, uint8 [batch, num_bits], a coefficient after the other, most significant bit first."""
        z = self._coefficients(v, base)
        found = []
        for column, bits, levels in zip(z.T, self.bits, self.levels, strict=True):
            own = levels[: 2**bits]
            index = np.searchsorted((own[1:] + own[:-1]) / 2, column)
            found.append((index[:, None] >> np.arange(bits - 1, -1, -1)) & 1)
        return np.concatenate(found, 1).astype(np.uint8) if found else np.zeros((len(v), 0), np.uint8)

    def decode(self, bits: np.ndarray, base: Tensor | None = None) -> Tensor:
        """Unit-norm precoders complex64 [batch, num_units, num_ports] from reports, with the base of the encoder.
        `ValueError` for reports of another length."""
        if bits.ndim != 2 or bits.shape[1] != int(self.bits.sum()):
            raise bad_value("report", bits.shape, f"[batch, {int(self.bits.sum())}] bits")
        z, at = np.zeros((len(bits), len(self.bits))), 0
        for column, count in enumerate(self.bits.tolist()):
            index = bits[:, at : at + count].astype(np.int64) @ (1 << np.arange(count - 1, -1, -1))
            z[:, column], at = self.levels[column][index], at + count
        return self._precoders(z, base)

    def _precoders(self, z: np.ndarray, base: Tensor | None) -> Tensor:
        """Unit-norm precoders of coefficients [batch, num_coefficients]."""
        x = torch.from_numpy(self.mean + z @ self.basis.T).float()
        width = 4 * self.shape[0] * self.shape[1]
        x = x.unflatten(1, (-1, width))
        if base is None:
            ones = torch.ones(len(x), 1, 1, *self.shape, dtype=torch.complex64)
            frame = Frame(ones, torch.zeros(len(x), dtype=torch.bool), self.shape)
            return unit_norm(frame.leave(as_complex(x)))
        frame = Frame.around(base, self.shape)
        return unit_norm(frame.leave(as_complex(x + as_real(frame.enter(base)))))

    def _features(self, v: Tensor, base: Tensor | None) -> Tensor:
        check_ports(v, self.shape)
        if base is None:
            return as_real(first_in_place(v, self.shape)[0]).flatten(1)
        frame = Frame.around(base, self.shape)
        return as_real(frame.enter(in_phase(v, base)) - frame.enter(base)).flatten(1)


def _allocated(z: np.ndarray, num_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Bits of every coefficient, int64 [num_coefficients], and the levels of their quantisers."""
    count = z.shape[1]
    bits = np.zeros(count, np.int64)
    distortion = (z**2).mean(0)
    following: dict[int, tuple[np.ndarray, float]] = {}
    levels = np.full((count, 2**_MOST_BITS), np.nan)
    gain = np.full(count, -np.inf)

    def prepare(column: int) -> None:
        following[column] = lloyd_max(z[:_QUANTISER_SAMPLES, column], int(bits[column]) + 1)
        gain[column] = distortion[column] - following[column][1]

    for column in range(count):
        prepare(column)
    for _ in range(num_bits):
        best = int(gain.argmax())
        found, distortion[best] = following[best]
        bits[best] += 1
        levels[best, : len(found)] = found
        if bits[best] < _MOST_BITS:
            prepare(best)
        else:
            gain[best] = -np.inf
    return bits, levels


def lloyd_max(x: np.ndarray, bits: int) -> tuple[np.ndarray, float]:
    """Ascending levels of the quantiser with the least mean squared error on samples, and that error."""
    levels = np.quantile(x, (np.arange(2**bits) + 0.5) / 2**bits)
    for _ in range(_QUANTISER_ROUNDS):
        index = np.searchsorted((levels[1:] + levels[:-1]) / 2, x)
        number = np.bincount(index, minlength=len(levels))
        levels = np.where(number > 0, np.bincount(index, x, len(levels)) / np.maximum(number, 1), levels)
    index = np.searchsorted((levels[1:] + levels[:-1]) / 2, x)
    return levels, float(((x - levels[index]) ** 2).mean())
