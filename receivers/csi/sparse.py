"""Delay-angle sparse selection: the strongest coefficients over beams and delays, where they are and what they are."""

from __future__ import annotations

from math import comb

import numpy as np
import torch
from torch import Tensor

from receivers.csi.frame import Frame, first_in_place, unit_norm
from receivers.errors import bad_value

#: Amplitude steps of 3 dB, the last for none at all, and phases of a coefficient.
_AMPLITUDE_BITS, _PHASE_BITS = 3, 4
#: Amplitude, of the strongest, that is none at all.
_NOTHING = 10 ** (-3 * 2**_AMPLITUDE_BITS / 20)


class SparseCoder:
    """Precoders of one layer as `num_coefficients` of their coefficients over beams and delays.

    A report is the set of places as one number, then amplitude (relative to the strongest, 3 bits: 0 to -18 dB in
    steps of 3 dB, or none) and
    phase (4 bits) of every coefficient but the strongest, which the frame has at delay 0 with phase 0; its place among
    the beams is in the set, as the strongest of delay 0.
    """

    def __init__(self, num_coefficients: int, num_units: int, shape: tuple[int, int]) -> None:
        self.num_places = num_units * 2 * shape[0] * shape[1]
        if not 1 <= num_coefficients <= self.num_places:
            raise bad_value("num_coefficients", num_coefficients, f"1 to {self.num_places}, beams times delays")
        self.num_coefficients, self.num_units, self.shape = num_coefficients, num_units, shape
        self._set_bits = (comb(self.num_places, num_coefficients) - 1).bit_length()
        self._strongest_bits = (num_coefficients - 1).bit_length()

    @property
    def num_bits(self) -> int:
        """Of a report."""
        values = (_AMPLITUDE_BITS + _PHASE_BITS) * (self.num_coefficients - 1)
        return self._set_bits + self._strongest_bits + values

    def encode(self, v: Tensor) -> np.ndarray:
        """Reports, uint8 [batch, num_bits], from complex64 [batch, num_units, num_ports]."""
        x = first_in_place(v, self.shape)[0].flatten(1).numpy()
        return np.stack([self._encoded(row) for row in x])

    def decode(self, bits: np.ndarray) -> Tensor:
        """Unit-norm precoders complex64 [batch, num_units, num_ports]. `ValueError` for what is no report."""
        if bits.ndim != 2 or bits.shape[1] != self.num_bits:
            raise bad_value("report", bits.shape, f"[batch, {self.num_bits}] bits")
        x = np.zeros((len(bits), self.num_places), np.complex64)
        for row, report in zip(x, bits, strict=True):
            self._decoded(report, row)
        ones = torch.ones(len(x), 1, 1, *self.shape, dtype=torch.complex64)
        frame = Frame(ones, torch.zeros(len(x), dtype=torch.bool), self.shape)
        return unit_norm(frame.leave(torch.from_numpy(x).unflatten(1, (self.num_units, -1))))

    def _encoded(self, x: np.ndarray) -> np.ndarray:
        places = np.sort(np.argsort(-np.abs(x), kind="stable")[: self.num_coefficients])
        strongest = int(np.abs(x[places]).argmax())
        relative = x[places] / x[places[strongest]]
        step = np.clip(np.rint(-20 * np.log10(np.maximum(np.abs(relative), _NOTHING)) / 3), 0, 2**_AMPLITUDE_BITS - 1)
        turn = np.rint(np.angle(relative) * 2**_PHASE_BITS / (2 * np.pi)) % 2**_PHASE_BITS
        text = [_text(_number(places, self.num_places), self._set_bits), _text(strongest, self._strongest_bits)]
        for i in range(self.num_coefficients):
            if i != strongest:
                text += [_text(int(step[i]), _AMPLITUDE_BITS), _text(int(turn[i]), _PHASE_BITS)]
        return np.frombuffer("".join(text).encode(), np.uint8) - ord("0")

    def _decoded(self, report: np.ndarray, x: np.ndarray) -> None:
        text, at = "".join("1" if bit else "0" for bit in report), 0

        def take(width: int) -> int:
            nonlocal at
            at += width
            return int(text[at - width : at] or "0", 2)

        number, strongest = take(self._set_bits), take(self._strongest_bits)
        if number >= comb(self.num_places, self.num_coefficients) or strongest >= self.num_coefficients:
            raise bad_value("report", "places that are not there", "numbers of sets, and the strongest among them")
        for i, place in enumerate(_places(number, self.num_coefficients, self.num_places)):
            step, turn = (0, 0) if i == strongest else (take(_AMPLITUDE_BITS), take(_PHASE_BITS))
            size = 0.0 if step == 2**_AMPLITUDE_BITS - 1 else 10 ** (-3 * step / 20)
            x[place] = size * np.exp(2j * np.pi * turn / 2**_PHASE_BITS)


def _text(value: int, width: int) -> str:
    return format(value, f"0{width}b") if width else ""


def _number(places: np.ndarray, size: int) -> int:
    """Combinatorial number of an ascending set."""
    count = len(places)
    return sum(comb(size - 1 - int(n), count - i) for i, n in enumerate(places))


def _places(number: int, count: int, size: int) -> list[int]:
    found, x = [], size - 1
    for i in range(count):
        while comb(x, count - i) > number:
            x -= 1
        number -= comb(x, count - i)
        found.append(size - 1 - x)
        x -= 1
    return found
