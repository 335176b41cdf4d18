"""Transform coding with an entropy code: a uniform quantiser with a dead zone, an arithmetic code for its indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr
from torch import Tensor

from receivers.csi.arithmetic import PRECISION, ArithmeticDecoder, ArithmeticEncoder, frequencies
from receivers.csi.transform import TransformCoder
from receivers.errors import bad_value

#: Bits that say the step of the quantiser; the last value says that there is no code.
STEP_BITS = 4
_NUM_STEPS = 2**STEP_BITS - 1
#: Values up to this, over the step, are set to 0; what follows is in cells of one step.
DEAD_ZONE = 0.6
#: Of a bit, what it may cost in squared error over the step's square. At high rates 2 ln 2 / 12 = 0.116.
_PRICES = (0.06, 0.09, 0.12, 0.17, 0.25)
#: Bits that the code may need above its symbols' information; with fewer nearly all codes fit, too.
_SPARE, _USUAL_SPARE = 3, 1
#: Steps per octave among which the range of steps is looked for when fitting, and precoders that decide it.
_PER_OCTAVE, _STEP_SAMPLES = 4, 512
#: Least scale of a coefficient, over the largest deviation: some have none.
_LEAST_SCALE = 1e-9
#: Precoders that are searched at once.
_AT_ONCE = 512


class EntropyTransformCoder(TransformCoder):
    """Precoders of one layer as coefficients of a transform, entropy-coded in a fixed number of bits.

    num_bits, shape, and a base: as of `TransformCoder`. All coefficients have the same step of the quantiser, which is
    reverse water-filling: those far below it are 0 and take hardly any bits. The report: number of the step, then the
    arithmetic code of the indices (`receivers.csi.arithmetic`), zeros to the end. Probabilities are a Gaussian's or a
    Laplacian's with the scale that was fitted, whichever is the likelier of a coefficient, and so are the values that
    the indices stand for, the means of their cells. Every report takes the step, and the indices by squared error plus
    price of bits, with which the squared error is least of those that fit (G. J. Sullivan, IEEE Trans. Inf. Theory 42,
    1996).
    """

    def __init__(self, num_bits: int, shape: tuple[int, int]) -> None:
        if num_bits < STEP_BITS:
            raise bad_value("num_bits", num_bits, f"{STEP_BITS} or more, the bits of the step")
        super().__init__(num_bits, shape)
        #: Mean magnitude of Laplacian coefficients, standard deviation of Gaussian ones.
        self.scale = np.zeros(0)
        self.laplacian = np.zeros(0, bool)
        self.steps = np.zeros(_NUM_STEPS)
        #: Largest magnitude of all coefficients.
        self.reach = np.zeros(1)
        self._tables: dict[int, Table] = {}

    def fit(self, v: Tensor, base: Tensor | None = None) -> EntropyTransformCoder:
        """Fit transform, distributions and steps to precoders complex64 [num_samples, num_units, num_ports]; returns
        itself."""
        z = self._fit_basis(v, base, self.num_bits)
        self.scale, self.laplacian = fitted_scale(z)
        self.reach = np.abs(z).max(keepdims=True)[0]
        self.steps = self._fitted_steps(z[:_STEP_SAMPLES])
        self._tables = {}
        return self

    def _fitted_steps(self, z: np.ndarray) -> np.ndarray:
        """Steps in equal ratios over the range that reports of this length need."""
        coarsest = 4 * max(float(np.sqrt((z**2).mean(0).max())), np.finfo(float).eps)
        step, smallest = coarsest, coarsest / 2**10
        least, found = np.full(len(z), np.inf), np.zeros(len(z))
        while step > smallest:
            table = Table.of(self.scale, self.laplacian, step, self._largest(step))
            for price in _PRICES:
                trial = table.chosen(z, price)
                better = (trial.bits <= self.num_bits - STEP_BITS - _USUAL_SPARE) & (trial.error < least)
                least[better], found[better] = trial.error[better], step
            if not (trial.bits <= self.num_bits).any():
                break
            step /= 2 ** (1 / _PER_OCTAVE)
        used = found[found > 0]
        if not len(used):
            return np.full(_NUM_STEPS, coarsest)
        low, high = np.quantile(used, (0.005, 0.995)).tolist()
        return np.geomspace(low, high, _NUM_STEPS)

    def state_shapes(self, num_features: int) -> dict[str, tuple[int, ...]]:
        """As of `TransformCoder`."""
        count = min(self.num_bits, num_features)
        return {
            "mean": (num_features,),
            "basis": (num_features, count),
            "scale": (count,),
            "laplacian": (count,),
            "steps": (_NUM_STEPS,),
            "reach": (1,),
        }

    def state(self) -> dict[str, np.ndarray]:
        """What `fit` found, by name."""
        return {name: getattr(self, name) for name in ("mean", "basis", "scale", "laplacian", "steps", "reach")}

    def load(self, state: Mapping[str, np.ndarray]) -> EntropyTransformCoder:
        """Take what `state` gave; returns itself."""
        for name in ("mean", "basis", "scale", "laplacian", "steps", "reach"):
            setattr(self, name, state[name])
        self._tables = {}
        return self

    def _largest(self, step: float) -> int:
        """Largest index of the quantiser; larger values are set to it."""
        return int(np.ceil(float(self.reach[0]) / step))

    def _table(self, number: int) -> Table:
        if number not in self._tables:
            step = float(self.steps[number])
            self._tables[number] = Table.of(self.scale, self.laplacian, step, self._largest(step))
        return self._tables[number]

    def encode(self, v: Tensor, base: Tensor | None = None) -> np.ndarray:
        """Reports, uint8 [batch, num_bits]."""
        z = self._coefficients(v, base)
        parts = [self._encoded(z[first : first + _AT_ONCE]) for first in range(0, len(z), _AT_ONCE)]
        return np.concatenate(parts) if parts else np.zeros((0, self.num_bits), np.uint8)

    def _encoded(self, z: np.ndarray) -> np.ndarray:
        reports, left = np.zeros((len(z), self.num_bits), np.uint8), np.arange(len(z))
        # what does not fit is tried again with more bits to spare
        for spare in (_USUAL_SPARE, _SPARE):
            number, k = self._searched(z[left], self.num_bits - STEP_BITS - spare)
            fits = np.ones(len(left), bool)
            for row, at in enumerate(left):
                code = self._written(int(number[row]), k[row]) if number[row] < _NUM_STEPS else []
                fits[row] = len(code) <= self.num_bits - STEP_BITS
                if fits[row]:
                    reports[at, :STEP_BITS] = (number[row] >> np.arange(STEP_BITS - 1, -1, -1)) & 1
                    reports[at, STEP_BITS : STEP_BITS + len(code)] = code
            left = left[~fits]
        reports[left, :STEP_BITS] = 1
        return reports

    def _searched(self, z: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the steps and the indices with the least squared error in `most` bits of information."""
        number, k = np.full(len(z), _NUM_STEPS), np.zeros(z.shape, np.int64)
        least = np.full(len(z), np.inf)
        for trial_number in range(_NUM_STEPS):
            for price in _PRICES:
                trial = self._table(trial_number).chosen(z, price)
                better = (trial.bits <= most) & (trial.error < least)
                least[better], number[better], k[better] = trial.error[better], trial_number, trial.k[better]
        return number, k

    def _written(self, number: int, k: np.ndarray) -> list[int]:
        table, encoder = self._table(number), ArithmeticEncoder()
        for rising, index in zip(table.rising_lists(), (k + table.largest).tolist(), strict=True):
            encoder.put(rising, index)
        return encoder.bits()

    def decode(self, bits: np.ndarray, base: Tensor | None = None) -> Tensor:
        """Unit-norm precoders complex64 [batch, num_units, num_ports] from reports, with the base of the encoder.
        `ValueError` for reports of another length."""
        if bits.ndim != 2 or bits.shape[1] != self.num_bits:
            raise bad_value("report", bits.shape, f"[batch, {self.num_bits}] bits")
        numbers = bits[:, :STEP_BITS].astype(np.int64) @ (1 << np.arange(STEP_BITS - 1, -1, -1))
        z = np.zeros((len(bits), len(self.scale)))
        for row, number in enumerate(numbers.tolist()):
            if number < _NUM_STEPS:
                table, decoder = self._table(number), ArithmeticDecoder(bits[row, STEP_BITS:].tolist())
                k = np.array([decoder.take(rising) for rising in table.rising])
                z[row] = table.values[np.arange(len(k)), k]
        return self._precoders(z, base)


class Choice(NamedTuple):
    """Indices int64 [batch, num_coefficients], their information in bits and squared error [batch]."""

    k: np.ndarray
    bits: np.ndarray
    error: np.ndarray


class Table:
    """Of a step of the quantiser: what its indices, -largest to largest, stand for and how likely they are.

    values [num_coefficients, 2 * largest + 1]: means of the cells. rising int64 [num_coefficients, 2 * largest + 2]:
    cumulative frequencies. information: bits that an index takes, of the frequencies.
    """

    def __init__(self, step: float, values: np.ndarray, probabilities: np.ndarray) -> None:
        self.step, self.values, self.largest = step, values, values.shape[1] // 2
        self.rising = frequencies(probabilities)
        self.information = PRECISION - np.log2(np.diff(self.rising, axis=-1))
        self._lists: list[list[int]] = []

    @classmethod
    def of(cls, scale: np.ndarray, laplacian: np.ndarray, step: float, largest: int) -> Table:
        """The table of coefficients of these distributions: scale and laplacian, [num_coefficients]."""
        low = step * (np.arange(largest) + DEAD_ZONE)
        high = np.append(low[1:], np.inf)
        tail, mean = _positive_cells(scale[:, None], laplacian[:, None], low, high, step)
        zero = 1 - 2 * tail.sum(1, keepdims=True)
        return cls(
            step,
            np.concatenate([-mean[:, ::-1], np.zeros_like(zero), mean], 1),
            np.maximum(np.concatenate([tail[:, ::-1], zero, tail], 1), 0),
        )

    def rising_lists(self) -> list[list[int]]:
        """`rising` as lists, which the encoder reads faster."""
        if not self._lists:
            self._lists = self.rising.tolist()
        return self._lists

    def chosen(self, z: np.ndarray, price: float) -> Choice:
        """Indices of coefficients [batch, num_coefficients] by squared error plus price * step**2 per bit."""
        rounded = np.clip(np.rint(z / self.step), -self.largest, self.largest).astype(np.int64)
        column = np.arange(z.shape[1])
        cost = np.full(z.shape, np.inf)
        k, bits, error = np.zeros(z.shape, np.int64), np.zeros(z.shape), np.zeros(z.shape)
        for trial in (rounded, rounded - np.sign(rounded), np.zeros_like(rounded)):
            at = column, trial + self.largest
            of_error, of_bits = (z - self.values[at]) ** 2, self.information[at]
            of_cost = of_error + price * self.step**2 * of_bits
            better = of_cost < cost
            for found, of_trial in ((cost, of_cost), (k, trial), (bits, of_bits), (error, of_error)):
                found[better] = of_trial[better]
        return Choice(k, bits.sum(1), error.sum(1))


def fitted_scale(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale of every column of z [num_samples, num_coefficients] around 0, and whether a Laplacian, of that mean
    magnitude, is likelier than a Gaussian, of that standard deviation; by maximum likelihood, [num_coefficients]."""
    magnitude, deviation = np.abs(z).mean(0), np.sqrt((z**2).mean(0))
    least = max(_LEAST_SCALE * float(deviation.max()), np.finfo(float).eps)
    magnitude, deviation = np.maximum(magnitude, least), np.maximum(deviation, least)
    # mean log likelihoods: -log(2 magnitude) - 1 and -log(2 pi deviation**2) / 2 - 1 / 2
    laplacian = np.log(2 * magnitude) + 0.5 < np.log(2 * np.pi * deviation**2) / 2
    return np.where(laplacian, magnitude, deviation), laplacian


def _positive_cells(
    scale: np.ndarray, laplacian: np.ndarray, low: np.ndarray, high: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and means of cells from low to high, above 0, [num_coefficients, num_cells]."""
    a, b = low / scale, high / scale
    width = b - a
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        exponential = np.exp(-a) * -np.expm1(-width) / 2
        # of a Laplacian: a + 1 - width / (exp(width) - 1), the last cell having no end
        of_exponential = a + 1 - np.where(np.isinf(width), 0, width / np.expm1(width))
        normal = ndtr(-a) - ndtr(-b)
        density = (np.exp(-(a**2) / 2) - np.exp(-(b**2) / 2)) / np.sqrt(2 * np.pi)
        of_normal = density / normal
    probability = np.where(laplacian, exponential, normal)
    mean = scale * np.where(laplacian, of_exponential, of_normal)
    # far out a Gaussian has nothing left that could be computed: the cell's lower end
    mean = np.clip(np.where(np.isfinite(mean), mean, low), low, low + step)
    return np.nan_to_num(probability), mean
