"""A CSI report as fields of stated widths, in the order in which TS 38.212 maps them, and as bits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ran.errors import InputError, bad_value


@dataclass(frozen=True)
class Field:
    """A field of a report: value from 0, in `width` bits, the most significant first; width 0: not reported."""

    name: str
    value: int
    width: int

    def __post_init__(self) -> None:
        if not 0 <= self.value < 2**self.width:
            raise bad_value(self.name, self.value, f"0 to {2**self.width - 1}, {self.width} bits")


@dataclass(frozen=True)
class Report:
    """The two parts of a CSI report, which are encoded separately (TS 38.214 §5.2.3)."""

    part1: tuple[Field, ...]
    part2: tuple[Field, ...]

    @property
    def bits1(self) -> np.ndarray:
        """Part 1, uint8 [num_bits]."""
        return bits_of(self.part1)

    @property
    def bits2(self) -> np.ndarray:
        """Part 2, uint8 [num_bits]."""
        return bits_of(self.part2)

    @property
    def num_bits(self) -> int:
        """Bits of both parts."""
        return sum(field.width for field in (*self.part1, *self.part2))

    @property
    def num_pmi_bits(self) -> int:
        """Bits of both parts without rank and CQI: what tells the precoder."""
        return sum(f.width for f in (*self.part1, *self.part2) if not f.name.startswith(("RI", "CQI")))


def width_of(num_values: int) -> int:
    """Bits for so many values, ceil(log2)."""
    if num_values < 1:
        raise bad_value("number of values", num_values, "1 or more")
    return (num_values - 1).bit_length()


def bits_of(fields: Iterable[Field]) -> np.ndarray:
    """The fields one after the other, uint8 [num_bits]."""
    text = "".join(format(field.value, f"0{field.width}b") for field in fields if field.width)
    return np.frombuffer(text.encode(), np.uint8) - ord("0")


class FieldReader:
    """Takes fields off the bits of a part; what is wrong is an `InputError` that names the part and the clause."""

    def __init__(self, bits: np.ndarray | Sequence[int], part: str, clause: str) -> None:
        given = np.asarray(bits)
        if given.ndim != 1 or (given.size and not np.isin(given, (0, 1)).all()):
            raise bad_value(part, given.shape, "bits, 0 or 1, along one axis")
        self._text = "".join("1" if bit else "0" for bit in given)
        self._part, self._clause = part, clause
        self._at = 0

    def take(self, name: str, width: int, num_values: int | None = None, first: int = 0) -> int:
        """The next field. num_values: how many values, from `first` on, are defined; others are refused."""
        if self._at + width > len(self._text):
            raise InputError(
                f"{self._part}: got {len(self._text)} bits, which end within {name}; allowed: the number of bits that "
                f"its fields have ({self._clause})"
            )
        value = int(self._text[self._at : self._at + width] or "0", 2)
        self._at += width
        if num_values is not None and not first <= value < first + num_values:
            raise bad_value(f"{self._part}: {name}", value, f"{first} to {first + num_values - 1} ({self._clause})")
        return value

    def end(self) -> None:
        """`InputError` for bits that are left over."""
        if self._at != len(self._text):
            raise bad_value(f"{self._part}: number of bits", len(self._text), f"{self._at} ({self._clause})")
