"""Transform coding with a lattice quantiser: a Voronoi code for every group of coefficients."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from receivers.csi.lattice import E8, Lattice, VoronoiCode
from receivers.csi.transform import TransformCoder
from receivers.errors import bad_value

#: Most points of a code per dimension, which is the modulus of its numbers.
_MOST_POINTS = 64
#: Moduli that a group may gain at once: at few points, one more is worth less than two more.
_AHEAD = 3
#: Of a group's error, what a bit can take off at most; whoever is left below the best is not measured yet.
_MOST_PER_BIT = 0.25
#: Radius of a code's points over the deviation of a coefficient that is tried, times what is best for many points.
_RADIUS, _RADII = 3.5, (0.65, 0.8, 1.0, 1.25, 1.6)
#: Drops over which errors are measured when fitting.
_SAMPLES = 1024


class LatticeTransformCoder(TransformCoder):
    """Precoders of one layer as coefficients of a transform, several at a time by points of a lattice.

    num_bits, shape, and a base: as of `TransformCoder`. lattice: whose points these are. Coefficients in the order of
    their variance are taken in groups, each over its deviation; a group has a Voronoi code of modulus**dimension points
    (`receivers.csi.lattice`).
    Moduli go from group to group as bits do in reverse water-filling: where the measured squared error falls most per
    bit. They need not be powers of two: the report is one number, mixed from those of all groups.
    """

    def __init__(self, num_bits: int, shape: tuple[int, int], lattice: Lattice = E8) -> None:
        super().__init__(num_bits, shape)
        self.lattice = lattice
        self.deviation = np.zeros(0)
        #: Of every group: points per dimension, and the lattice's unit over the deviation.
        self.moduli, self.scales = np.zeros(0, np.int64), np.zeros(0)
        self._codes: list[VoronoiCode] = []

    def fit(self, v: Tensor, base: Tensor | None = None) -> LatticeTransformCoder:
        """Fit transform and codes to precoders complex64 [num_samples, num_units, num_ports]; returns itself."""
        z = self._fit_basis(v, base, max(self.num_bits, self.lattice.dimension))
        count = z.shape[1] - z.shape[1] % self.lattice.dimension
        z, self.basis = z[:, :count], self.basis[:, :count]
        deviation = np.sqrt((z**2).mean(0))
        self.deviation = np.maximum(deviation, max(1e-9 * float(deviation.max(initial=0)), np.finfo(float).eps))
        self.moduli, self.scales = self._allocated_points(z[:_SAMPLES])
        return self.load(self.state())

    def _allocated_points(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moduli and scales of all groups."""
        n = self.lattice.dimension
        groups = z.shape[1] // n
        moduli, scales = np.ones(groups, np.int64), np.zeros(groups)
        error = (z**2).mean(0).reshape(groups, n).sum(1)
        measured: dict[tuple[int, int], tuple[float, float]] = {}
        left = float(self.num_bits)
        while True:
            best: tuple[float, int, int] | None = None
            for group in range(groups):
                if best is not None and error[group] * _MOST_PER_BIT < best[0]:
                    break
                for modulus in range(int(moduli[group]) + 1, min(int(moduli[group]) + _AHEAD, _MOST_POINTS) + 1):
                    bits = n * math.log2(modulus / moduli[group])
                    if bits > left:
                        break
                    if (group, modulus) not in measured:
                        measured[group, modulus] = self._measured(z, group, modulus)
                    gain = (error[group] - measured[group, modulus][0]) / bits
                    if gain > 0 and (best is None or gain > best[0]):
                        best = gain, group, modulus
            if best is None:
                return moduli, scales
            _, group, modulus = best
            left -= n * math.log2(modulus / moduli[group])
            moduli[group] = modulus
            error[group], scales[group] = measured[group, modulus]

    def _measured(self, z: np.ndarray, group: int, modulus: int) -> tuple[float, float]:
        """Squared error of a group's code at the best of the scales, and the scale."""
        n = self.lattice.dimension
        part, code = slice(group * n, (group + 1) * n), VoronoiCode(self.lattice, modulus)
        x, found = z[:, part] / self.deviation[part], (np.inf, 0.0)
        for radius in _RADII:
            scale = _RADIUS * radius / modulus
            off = x - scale * code.points(code.digits(x / scale))
            found = min(found, (float(((off * self.deviation[part]) ** 2).sum(1).mean()), scale))
        return found

    def state_shapes(self, num_features: int) -> dict[str, tuple[int, ...]]:
        """As of `TransformCoder`."""
        n = self.lattice.dimension
        count = min(max(self.num_bits, n), num_features) // n
        return {
            "mean": (num_features,),
            "basis": (num_features, n * count),
            "deviation": (n * count,),
            "moduli": (count,),
            "scales": (count,),
        }

    def state(self) -> dict[str, np.ndarray]:
        """What `fit` found, by name."""
        return {name: getattr(self, name) for name in ("mean", "basis", "deviation", "moduli", "scales")}

    def load(self, state: Mapping[str, np.ndarray]) -> LatticeTransformCoder:
        """Take what `state` gave, zeros behind it or not; returns itself."""
        used = state["moduli"] > 1
        columns = np.repeat(used, self.lattice.dimension)
        self.mean, self.basis, self.deviation = state["mean"], state["basis"][:, columns], state["deviation"][columns]
        self.moduli, self.scales = state["moduli"][used], state["scales"][used]
        self._codes = [VoronoiCode(self.lattice, modulus) for modulus in self.moduli.tolist()]
        return self

    @property
    def num_reports(self) -> int:
        """Different reports, at most 2**num_bits."""
        return math.prod(modulus**self.lattice.dimension for modulus in self.moduli.tolist())

    def encode(self, v: Tensor, base: Tensor | None = None) -> np.ndarray:
        """Reports, uint8 [batch, num_bits], one number each, most significant bit first."""
        z = self._coefficients(v, base)
        numbers = [0] * len(z)
        for part, code, scale in self._groups():
            digits = code.digits(z[:, part] / self.deviation[part] / scale)
            for column in digits.T.tolist():
                numbers = [code.modulus * number + digit for number, digit in zip(numbers, column, strict=True)]
        written = [[int(bit) for bit in f"{number:0{self.num_bits}b}"] if self.num_bits else [] for number in numbers]
        return np.array(written, np.uint8).reshape(len(z), self.num_bits)

    def decode(self, bits: np.ndarray, base: Tensor | None = None) -> Tensor:
        """Unit-norm precoders complex64 [batch, num_units, num_ports] from reports, with the base of the encoder.
        `ValueError` for reports of another length, or of a number that no encoder writes."""
        if bits.ndim != 2 or bits.shape[1] != self.num_bits:
            raise bad_value("report", bits.shape, f"[batch, {self.num_bits}] bits")
        numbers = [int("0" + "".join(map(str, row)), 2) for row in bits.tolist()]
        if (most := max(numbers, default=0)) >= self.num_reports:
            raise bad_value("report", most, f"numbers below {self.num_reports}, the points of all codes together")
        z, n = np.zeros((len(bits), len(self.deviation))), self.lattice.dimension
        for part, code, scale in reversed(self._groups()):
            digits = np.zeros((len(bits), n), np.int64)
            for column in range(n - 1, -1, -1):
                digits[:, column] = [number % code.modulus for number in numbers]
                numbers = [number // code.modulus for number in numbers]
            z[:, part] = code.points(digits) * scale * self.deviation[part]
        return self._precoders(z, base)

    def _groups(self) -> list[tuple[slice, VoronoiCode, float]]:
        """Columns, code and scale of every group."""
        n = self.lattice.dimension
        return [
            (slice(group * n, (group + 1) * n), code, scale)
            for group, (code, scale) in enumerate(zip(self._codes, self.scales.tolist(), strict=True))
        ]
