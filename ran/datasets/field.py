"""What a data set holds per drop, and how arrays are stored: as they are, as float16 pairs, as packed bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ran.config.doors import parse_json

Encoding = Literal["plain", "complex-float16", "packed-bits"]

#: What files say beside packed bits, as the attribute `bit_order`.
BIT_ORDER = "eight bits to a byte, the first in the highest bit; the last axis runs fastest; zeros fill the last byte"

#: What fields may be made of, and their longest axis.
_DTYPES, _MOST_SIZE = ("<c8", "<f4", "<f8", "|u1", "|i1", "<i2", "<i4", "<i8", "<u2", "<u4"), 2**31

#: Exponent of the largest number of a drop after scaling: float16 ends at 65504.
_TOP_EXPONENT = 15


@dataclass(frozen=True)
class Field:
    """An array with one entry per drop.

    axes, shape: names and sizes of the axes behind the drops, as readers get them.
    dtype: what readers get; `stored_dtype` and `stored_shape` are what the file holds.
    encoding: `plain`; `complex-float16`, real and imaginary parts divided by the drop's scale, a power of two;
        `packed-bits`, in the order of `BIT_ORDER`, which files state too.
    """

    name: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    unit: str
    description: str
    encoding: Encoding = "plain"

    @property
    def stored_dtype(self) -> str:
        return {"plain": self.dtype, "complex-float16": "<f2", "packed-bits": "|u1"}[self.encoding]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        if self.encoding == "complex-float16":
            return (*self.shape, 2)
        if self.encoding == "packed-bits":
            return (-(-int(np.prod(self.shape)) // 8),)
        return self.shape

    @property
    def drop_bytes(self) -> int:
        """Bytes of a drop in the file, uncompressed."""
        return int(np.prod(self.stored_shape)) * np.dtype(self.stored_dtype).itemsize

    @property
    def scale_name(self) -> str:
        """Name of the field that holds the scales of float16 pairs."""
        return f"{self.name}_scale"

    def encode(self, values: NDArray, scale: NDArray | None = None) -> NDArray:
        """Values [drops, *shape] as they are stored, [drops, *stored_shape]; `scale` [drops] for float16 pairs."""
        values = np.ascontiguousarray(values, self.dtype)
        if self.encoding == "packed-bits":
            return np.packbits(values.reshape(len(values), -1), axis=1)
        if self.encoding == "complex-float16":
            pairs = values.view(np.float32).reshape(len(values), *self.stored_shape)
            return (pairs / _over(scale, pairs)).astype("<f2")
        return values

    def decode(self, stored: NDArray, scale: NDArray | None = None) -> NDArray:
        """The inverse of `encode`: [drops, *stored_shape] to values [drops, *shape]."""
        if self.encoding == "packed-bits":
            bits = np.unpackbits(stored, axis=1, count=int(np.prod(self.shape)))
            return bits.reshape(len(stored), *self.shape)
        if self.encoding == "complex-float16":
            pairs = stored.astype(np.float32)
            pairs *= _over(scale, pairs)
            return pairs.view(np.complex64).reshape(len(stored), *self.shape)
        return stored


def field_of(text: str) -> Field:
    """A field from the JSON text that files keep it as."""
    values: dict[str, Any] = parse_json(text, "field")
    field = Field(**{**values, "axes": tuple(values["axes"]), "shape": tuple(values["shape"])})
    texts = (field.name, field.unit, field.description, *field.axes)
    sizes = all(type(size) is int and 0 < size <= _MOST_SIZE for size in field.shape)
    if (
        not sizes
        or len(field.axes) != len(field.shape)
        or len(field.shape) > 8
        or not all(isinstance(text, str) for text in texts)
    ):
        raise ValueError(f"field {field.name!r}: got shape {field.shape} of axes {field.axes}")
    if field.dtype not in _DTYPES or field.encoding not in get_args(Encoding):
        raise ValueError(f"field {field.name!r}: got {field.dtype!r} as {field.encoding!r}")
    return field


def scale_of(values: NDArray) -> NDArray[np.float32]:
    """Power of two per drop by which complex values [drops, ...] are divided before they become float16 pairs.

    The largest real or imaginary part of a drop then lies from 2^15 to 2^16, at the top of float16. Rounding to float16
    makes a relative error of at most 2^-11 in every real and imaginary part down to 2^-29 of the drop's largest, and an
    absolute one of at most 2^-40 of the largest below.
    """
    largest = np.abs(np.ascontiguousarray(values).view(np.float32).reshape(len(values), -1)).max(axis=1)
    # a margin, so that rounding up does not leave the range: 65504 is below 2^16
    exponent = np.frexp(largest * np.float32(1 + 2**-10))[1] - 1
    return np.ldexp(np.float32(1), np.where(largest > 0, exponent - _TOP_EXPONENT, 0)).astype(np.float32)


def _over(scale: NDArray | None, pairs: NDArray) -> NDArray:
    """`scale` [drops] with axes added so that it multiplies `pairs`."""
    if scale is None:
        raise ValueError("scale: got none; allowed: one per drop for complex-float16")
    return scale.reshape(-1, *(1,) * (pairs.ndim - 1))
