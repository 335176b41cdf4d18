"""Reports of a delay-angle model, of a fixed number of bits or of a common step of the quantiser, and the way back."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from receivers.csi.arithmetic import ArithmeticDecoder, ArithmeticEncoder, frequencies
from receivers.csi.delay_angle import Sparse, enter, leave, num_rotations
from receivers.csi.delay_angle_model import DelayAngleModel
from receivers.csi.delay_angle_search import PASSES, Search
from receivers.csi.entropy_model import LARGEST
from receivers.csi.frame import unit_norm
from receivers.csi.neural import CSI_ARCHITECTURES
from receivers.errors import bad_value
from receivers.neural.weights import load_weights

#: Steps of the quantiser that a report may name, over the norm of a unit's precoder.
STEPS = 0.1 * 2.0 ** (np.arange(31) / 8)
_STEP_BITS = 5
#: In the place of a step: nothing but the strongest coefficient is reported, without any code.
_ALONE = len(STEPS)
#: Of a bit, what it may cost in squared error over the step's square.
_WEIGHT = 0.09
#: With this a step an eighth of an octave smaller nearly always takes fewer bits.
_HIGHEST = 0.25
#: A lower price than this wastes bits on what the step does not resolve.
_LEAST = 0.03
#: Lengths of reports of a common step are multiples of so many bits.
_UNIT = 16
#: Bits that the arithmetic coder may need above the sum of its symbols' information; with fewer most codes fit, too.
_SPARE, _USUAL_SPARE = 3, 1
#: Rotations of the beams that an encoder tries.
_ROTATIONS = 3
#: What a change of the reports of a given model changes.
CODER_VERSION = 3


class DelayAngleCoder:
    """Precoders of one layer as reports of `num_bits` bits.

    weights: a name that the package ships, or a path to a .safetensors file with its card beside it. `ValueError` for
    others, or for fewer bits than a report's head has with some to spare. layout: (n1, n2) of ports for which the model
    was not trained (`DelayAngleModel.for_layout`).

    The report: step of the quantiser, rotation of the beams, place of the strongest coefficient, then the arithmetic
    code, with zeros to the end. Both sides compute probabilities in double precision and round them to 20 bits, so that
    machines agree.
    """

    def __init__(self, weights: str, num_bits: int, layout: tuple[int, int] | None = None) -> None:
        loaded = load_weights(weights, "csi")
        model = loaded.model(weights, CSI_ARCHITECTURES)
        if not isinstance(model, DelayAngleModel):
            raise bad_value("weights", weights, "a model of the architecture 'delay-angle'")
        self.card, self.num_bits = loaded.card, num_bits
        self.fingerprint = f"{loaded.fingerprint}-{CODER_VERSION}"
        self._serve(model if layout in (None, model.shape) else model.for_layout(*layout))
        if not self.num_head_bits + _SPARE <= num_bits <= 4096:
            raise bad_value("num_bits", num_bits, f"{self.num_head_bits + _SPARE} to 4096")

    @classmethod
    def of(cls, model: DelayAngleModel, num_bits: int) -> DelayAngleCoder:
        """The coder of a model that was not loaded from a file."""
        found = cls.__new__(cls)
        found.card, found.fingerprint, found.num_bits = {}, "", num_bits
        found._serve(model)
        return found

    def _serve(self, model: DelayAngleModel) -> None:
        self.shape = model.shape
        self.model = copy.deepcopy(model).double().eval()
        # what is searched with need not agree with the other side
        self._searched = copy.deepcopy(model).float().eval()

    @property
    def _widths(self) -> tuple[int, int, int]:
        """Bits of the step, of the rotation and of the place of the strongest coefficient."""
        rotation, place = num_rotations(self.shape), 2 * self.shape[0] * self.shape[1]
        return _STEP_BITS, (rotation - 1).bit_length(), (place - 1).bit_length()

    @property
    def num_head_bits(self) -> int:
        """Bits before the arithmetic code."""
        return sum(self._widths)

    @property
    def num_tries(self) -> int:
        """Passes of an encoder through the networks, for one report."""
        return self._num_rotations * (_STEP_BITS + 6) + PASSES

    @property
    def _num_rotations(self) -> int:
        return min(_ROTATIONS, num_rotations(self.shape))

    @torch.no_grad()
    def encode(self, v: Tensor) -> np.ndarray:
        """Reports, uint8 [batch, num_bits]; v complex64 [batch, num_units, num_ports] of unit norm."""
        reports = np.zeros((len(v), self.num_bits), np.uint8)
        # nearly all codes need fewer bits than any may need: what does not fit is tried again
        left = np.arange(len(v))
        for spare in (_USUAL_SPARE, _SPARE):
            framed, search = self._best(v[left], spare)
            search.improve()
            number = np.where(search.step > 0, np.searchsorted(STEPS, search.step), _ALONE)
            found, fits = self._reports(framed, number, search.k, search.step, self.num_bits)
            reports[left[fits]] = found[fits]
            left = left[~fits]
            if not len(left):
                break
        return reports

    @torch.no_grad()
    def _best(self, v: Tensor, spare: int) -> tuple[Sparse, Search]:
        """Of every sample the rotation in which it is best, and what was found in it."""
        framed = self._framed(v)
        search = self._fitted(framed.x, spare)
        for choice in range(1, self._num_rotations):
            other = self._framed(v, choice)
            better = search.take_better(self._fitted(other.x, spare))
            framed = Sparse(*(_rows_of(better, b, a) for a, b in zip(framed, other, strict=True)))
        return framed, search

    @torch.no_grad()
    def encode_at(self, v: Tensor, step: float) -> list[np.ndarray]:
        """Reports of a common step of the quantiser and of lengths of their own, which their first field says in the
        place of the step: uint8 [16, 32, ... or 512 bits] each."""
        steps, price = np.full(len(v), step), np.full(len(v), _WEIGHT)
        framed, needed = self._framed(v), np.full(len(v), np.inf)
        for choice in range(self._num_rotations):
            other = self._framed(v, choice)
            of_other = Search(self._searched, other.x).bits_at(steps, price)
            fewer = torch.from_numpy(of_other < needed)
            needed = np.minimum(needed, of_other)
            framed = Sparse(*(_rows_of(fewer, b, a) for a, b in zip(framed, other, strict=True)))
        x = framed.x
        search = Search(self._searched, x)
        needed += self.num_head_bits + _SPARE
        longest = _UNIT << _STEP_BITS
        size = np.clip(_UNIT * np.rint(needed / _UNIT), 2 * _UNIT, longest)
        search.most = size - self.num_head_bits - _SPARE
        # the lowest price of bits with which the length that is nearest is enough
        low, top = np.full(len(x), _LEAST), np.full(len(x), _HIGHEST)
        for _ in range(4):
            weight = (low + top) / 2
            fits = search.try_with(steps, weight)
            top, low = np.where(fits, weight, top), np.where(fits, low, weight)
        # where none is, the next
        missing = search.step == 0
        size = np.where(missing, np.clip(_UNIT * np.ceil(needed / _UNIT), 2 * _UNIT, longest), size)
        search.most = np.where(missing, size - self.num_head_bits - _SPARE, -1)
        search.try_with(steps, price)
        search.most = np.where(search.step > 0, size - self.num_head_bits - _SPARE, 0)
        search.improve()
        size = np.where(search.step > 0, size, _UNIT).astype(int)
        reports, _ = self._reports(framed, size // _UNIT - 1, search.k, search.step, int(size.max()))
        return [report[:count] for report, count in zip(reports, size, strict=True)]

    def _framed(self, v: Tensor, choice: int = 0) -> Sparse:
        if v.ndim != 3 or v.shape[1] != self.model.num_units:
            raise bad_value("v", tuple(v.shape), f"[batch, {self.model.num_units}, num_ports]")
        return enter(v, self.shape, choice)

    def _reports(
        self, framed: Sparse, first: np.ndarray, k: Tensor, step: np.ndarray, num_bits: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bits of fields and codes, zeros to the end, and whether the code had room. first: value of the first field.
        step: 0 where there is no code."""
        reports, fits, at = np.zeros((len(k), num_bits), np.uint8), np.ones(len(k), bool), 0
        for value, width in zip((first, framed.rotation.numpy(), framed.place.numpy()), self._widths, strict=True):
            reports[:, at : at + width] = (value[:, None] >> np.arange(width - 1, -1, -1)) & 1
            at += width
        coded = np.flatnonzero(step > 0)
        for row, code in zip(coded, self._written(k[coded].to(torch.complex128), step[coded]), strict=True):
            fits[row] = at + len(code) <= num_bits
            if fits[row]:
                reports[row, at : at + len(code)] = code
        return reports, fits

    def _fitted(self, x: Tensor, spare: int) -> Search:
        """Of every sample the step and the indices with which its report is best and short enough."""
        search = Search(self._searched, x)
        search.most = np.full(len(x), float(self.num_bits - self.num_head_bits - spare))
        first, high = np.zeros(len(x), int), np.full(len(x), len(STEPS) - 1)
        for _ in range(_STEP_BITS):
            middle = (first + high) // 2
            fits = search.bits_at(STEPS[middle], np.full(len(x), _WEIGHT)) <= search.most
            high, first = np.where(fits, middle, high), np.where(fits, first, np.minimum(middle + 1, high))
        search.try_with(STEPS[high], np.full(len(x), _WEIGHT))
        # what is left of the bits: a lower price of bits, or a smaller step at a higher one
        for offset, (least, highest), rounds in ((0, (0.0, _WEIGHT), 2), (-1, (_WEIGHT, _HIGHEST), 3)):
            low, top = np.full(len(x), least), np.full(len(x), highest)
            steps = STEPS[np.maximum(high + offset, 0)]
            for _ in range(rounds):
                weight = (low + top) / 2
                fits = search.try_with(steps, weight)
                top, low = np.where(fits, weight, top), np.where(fits, low, weight)
        return search

    def _written(self, k: Tensor, step: np.ndarray) -> list[list[int]]:
        """Arithmetic codes of indices."""
        encoders = [ArithmeticEncoder() for _ in k]
        known, size, steps = torch.zeros_like(k), torch.zeros_like(k.real), torch.from_numpy(step)
        for at in self.model.contexts.steps():
            tables = _Tables(*self.model.contexts.mixture(known, size, steps, *at))
            wanted = k[:, at[0], at[1], at[2]].numpy()
            first, second = wanted.real.astype(int) + LARGEST, wanted.imag.astype(int) + LARGEST
            real, imaginary = tables.real(), tables.imaginary(first)
            for row, encoder in enumerate(encoders):
                for column in range(wanted.shape[1]):
                    encoder.put(real[row, column].tolist(), int(first[row, column]))
                    encoder.put(imaginary[row, column].tolist(), int(second[row, column]))
            known[:, at[0], at[1], at[2]] = k[:, at[0], at[1], at[2]]
            size[:, at[0], at[1], at[2]] = torch.log1p(k[:, at[0], at[1], at[2]].abs())
        return [encoder.bits() for encoder in encoders]

    @torch.no_grad()
    def decode(self, bits: np.ndarray) -> Tensor:
        """Unit-norm precoders complex64 [batch, num_units, num_ports]. `ValueError` for reports of another length."""
        if bits.ndim != 2 or bits.shape[1] != self.num_bits:
            raise bad_value("report", bits.shape, f"[batch, {self.num_bits}] bits")
        number = self._field(bits, 0)
        step = np.where(number < _ALONE, STEPS[np.minimum(number, _ALONE - 1)], 0.0)
        return self._decoded(bits, step)

    @torch.no_grad()
    def decode_at(self, reports: Sequence[np.ndarray], step: float) -> Tensor:
        """What reports of `encode_at` say. `ValueError` for one whose length is not what its first field says."""
        longest = max((len(report) for report in reports), default=0)
        bits = np.zeros((len(reports), longest), np.uint8)
        for row, report in enumerate(reports):
            bits[row, : len(report)] = report
        said = _UNIT * (self._field(bits, 0) + 1) if longest >= _UNIT else np.full(len(reports), _UNIT)
        for report, size in zip(reports, said, strict=True):
            if len(report) != size:
                raise bad_value("report", len(report), f"{size} bits, as its first field says")
        return self._decoded(bits, np.where(said > _UNIT, step, 0.0))

    def _field(self, bits: np.ndarray, number: int) -> np.ndarray:
        """A field of the head, int64 [batch]."""
        at, width = sum(self._widths[:number]), self._widths[number]
        return bits[:, at : at + width].astype(np.int64) @ (1 << np.arange(width - 1, -1, -1))

    def _decoded(self, bits: np.ndarray, step: np.ndarray) -> Tensor:
        k = torch.zeros(len(bits), self.model.num_units, 2 * self.shape[1], self.shape[0], dtype=torch.complex128)
        k[:, 0, 0, 0] = 1
        coded, used = np.flatnonzero(step > 0), torch.from_numpy(np.where(step > 0, step, STEPS[-1]))
        k[coded] = self._read(bits[coded, self.num_head_bits :], step[coded])
        x = self.model.restoration(k, used).to(torch.complex64)
        rotation, place = (torch.from_numpy(self._field(bits, number)) for number in (1, 2))
        return unit_norm(leave(x, rotation, place, self.shape))

    def _read(self, codes: np.ndarray, step: np.ndarray) -> Tensor:
        """Indices of arithmetic codes."""
        shape = (len(codes), self.model.num_units, 2 * self.shape[1], self.shape[0])
        decoders = [ArithmeticDecoder(code.tolist()) for code in codes]
        k, steps = torch.zeros(shape, dtype=torch.complex128), torch.from_numpy(step)
        size = torch.zeros(shape, dtype=torch.float64)
        for at in self.model.contexts.steps():
            tables = _Tables(*self.model.contexts.mixture(k, size, steps, *at))
            real = tables.real()
            first, second = np.zeros(real.shape[:2], int), np.zeros(real.shape[:2], int)
            for column in range(real.shape[1]):
                for row, decoder in enumerate(decoders):
                    first[row, column] = decoder.take(real[row, column])
                imaginary = tables.imaginary(first, slice(column, column + 1))
                for row, decoder in enumerate(decoders):
                    second[row, column] = decoder.take(imaginary[row, 0])
            found = torch.complex(
                torch.from_numpy(first - LARGEST).double(), torch.from_numpy(second - LARGEST).double()
            )
            k[:, at[0], at[1], at[2]], size[:, at[0], at[1], at[2]] = found, torch.log1p(found.abs())
        return k


class _Tables:
    """Cumulative frequencies of both parts of the coefficients of a step: of the real part, and of the imaginary part
    when the real part is known."""

    def __init__(self, weights: Tensor, scales: Tensor, mean: Tensor) -> None:
        edges = np.concatenate([[-np.inf], np.arange(-LARGEST, LARGEST) + 0.5, [np.inf]])
        self._weights, scale = weights.exp().numpy(), scales.numpy()[..., None]
        # of every component [batch, columns, components, indices]
        self._real, self._imaginary = (
            np.diff(0.5 * (1 + np.tanh((edges - part.numpy()[..., None, None]) / (2 * scale))), axis=-1)
            for part in (mean.real, mean.imag)
        )

    def real(self) -> np.ndarray:
        """int64 [batch, columns, indices + 1]."""
        return frequencies((self._weights[..., None] * self._real).sum(-2))

    def imaginary(self, real: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """With the places of the real parts, int [batch, columns]."""
        known = np.take_along_axis(self._real[:, columns], real[:, columns, None, None], -1)[..., 0]
        weights = self._weights[:, columns] * np.maximum(known, 1e-300)
        return frequencies((weights[..., None] * self._imaginary[:, columns]).sum(-2))


def _rows_of(chosen: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Rows of a where chosen, and else of b."""
    return torch.where(chosen.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
