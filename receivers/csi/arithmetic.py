"""Arithmetic coding of symbols with given probabilities, in whole numbers (Witten, Neal, Cleary, Commun. ACM 30, 1987).

Probabilities are tables of cumulative frequencies, ascending from 0 to 2**PRECISION; encoder and decoder have to be
given the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: log2 of what the frequencies of a symbol's table sum to.
PRECISION = 20
_BITS = 32
_WHOLE, _HALF, _QUARTER = 1 << _BITS, 1 << (_BITS - 1), 1 << (_BITS - 2)


def frequencies(p: np.ndarray) -> np.ndarray:
    """Cumulative frequencies int64 [..., num_symbols + 1] of probabilities [..., num_symbols]: at least 1 each."""
    count = p.shape[-1]
    rising = np.cumsum(p, -1) / p.sum(-1, keepdims=True)
    inner = np.floor(rising * ((1 << PRECISION) - count)).astype(np.int64) + np.arange(1, count + 1)
    inner[..., -1] = 1 << PRECISION  # whatever the sum is rounded to
    return np.concatenate([np.zeros_like(inner[..., :1]), inner], -1)


class ArithmeticEncoder:
    """Takes symbols one after the other; `bits` are what an `ArithmeticDecoder` needs to find them again."""

    def __init__(self) -> None:
        self._low, self._high, self._waiting = 0, _WHOLE - 1, 0
        self._bits: list[int] = []

    def put(self, table: Sequence[int], symbol: int) -> None:
        """table: cumulative frequencies of all symbols. symbol: from 0 on."""
        span = self._high - self._low + 1
        self._high = self._low + (span * table[symbol + 1] >> PRECISION) - 1
        self._low += span * table[symbol] >> PRECISION
        while True:
            if self._high < _HALF:
                self._out(0)
            elif self._low >= _HALF:
                self._out(1)
                self._low, self._high = self._low - _HALF, self._high - _HALF
            elif self._low >= _QUARTER and self._high < _HALF + _QUARTER:
                self._waiting += 1
                self._low, self._high = self._low - _QUARTER, self._high - _QUARTER
            else:
                return
            self._low, self._high = 2 * self._low, 2 * self._high + 1

    def _out(self, bit: int) -> None:
        self._bits.append(bit)
        self._bits += [1 - bit] * self._waiting
        self._waiting = 0

    def bits(self) -> list[int]:
        """All bits; zeros that follow may be left out or added."""
        last = 0 if self._low < _QUARTER else 1
        found = [*self._bits, last, *[1 - last] * (self._waiting + 1)]
        while found and not found[-1]:
            found.pop()
        return found


class ArithmeticDecoder:
    """Finds the symbols again; bits [num_bits] of which zeros that follow may be missing."""

    def __init__(self, bits: Sequence[int]) -> None:
        self._bits, self._at = list(bits), 0
        self._low, self._high, self._value = 0, _WHOLE - 1, 0
        for _ in range(_BITS):
            self._value = 2 * self._value + self._next()

    def _next(self) -> int:
        self._at += 1
        return self._bits[self._at - 1] if self._at <= len(self._bits) else 0

    def take(self, table: np.ndarray) -> int:
        """The next symbol; table int64: cumulative frequencies of all symbols."""
        span = self._high - self._low + 1
        place = ((self._value - self._low + 1 << PRECISION) - 1) // span
        symbol = int(np.searchsorted(table, place, "right")) - 1
        self._high = self._low + (span * int(table[symbol + 1]) >> PRECISION) - 1
        self._low += span * int(table[symbol]) >> PRECISION
        while True:
            if self._high < _HALF:
                offset = 0
            elif self._low >= _HALF:
                offset = _HALF
            elif self._low >= _QUARTER and self._high < _HALF + _QUARTER:
                offset = _QUARTER
            else:
                return symbol
            self._low, self._high = 2 * (self._low - offset), 2 * (self._high - offset) + 1
            self._value = 2 * (self._value - offset) + self._next()
