"""Low-PAPR sequences, the DM-RS of DFT-s-OFDM."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

from ran.errors import bad_value
from ran.phy.sequences import gold_sequence


@cache
def _short_phases() -> dict[tuple[int, int], np.ndarray]:
    """phi of TS 38.211 tables 5.2.2.2-1 to -4 by length and group."""
    text = (resources.files("ran.phy") / "low_papr_phases.csv").read_text()
    rows = [line.split(",") for line in text.split() if not line.startswith("length")]
    return {(int(row[0]), int(row[1])): np.array([int(value) for value in row[2:]]) for row in rows}


def _largest_prime_below(number: int) -> int:
    return next(n for n in range(number - 1, 1, -1) if all(n % d for d in range(2, int(n**0.5) + 1)))


def low_papr_type_1(group: int, number: int, length: int) -> np.ndarray:
    """Base sequence r_u,v of TS 38.211 §5.2.2, Rel-18, without cyclic shift, complex128 [length], unit modulus.

    group: u, 0 to 29. number: v, 0 or 1 (1 only from length 72). length: 6, 12, 18, 24, 30, or from 36 on.
    """
    if not 0 <= group <= 29:
        raise bad_value("sequence group u", group, "0 to 29 (TS 38.211 §5.2.2)")
    if number not in (0, 1) or (number == 1 and length < 72):
        raise bad_value("sequence number v", number, "0, or 1 for lengths from 72 (TS 38.211 §5.2.2)")
    if length < 6 or length % 6:
        raise bad_value("length of a low-PAPR sequence", length, "multiples of 6 (TS 38.211 §5.2.2)")
    n = np.arange(length)
    if length < 30:
        return np.exp(0.25j * np.pi * _short_phases()[length, group])
    if length == 30:
        return np.exp(-1j * np.pi * (group + 1) * (n + 1) * (n + 2) / 31)
    prime = _largest_prime_below(length)
    # 2 q_bar as an integer division keeps the floors exact
    doubled = 2 * prime * (group + 1) // 31
    root = (2 * prime * (group + 1) + 31) // 62 + number * (-1) ** doubled
    m = n % prime
    # the phase repeats every 2 N_ZC, which keeps the argument small
    return np.exp(-1j * np.pi * (root * m * (m + 1) % (2 * prime)) / prime)


def low_papr_type_2(c_init: int, length: int) -> np.ndarray:
    """Sequence of TS 38.211 §5.2.3.1, Rel-18, complex128 [length], unit mean power: the DFT of pi/2-BPSK symbols.

    length: from 30 on. Shorter ones need tables 5.2.3.2-1 to -4, which are not here.
    """
    if length < 30:
        raise bad_value(
            "length of a low-PAPR sequence of type 2",
            length,
            "30 or more, which takes 5 PRBs or more (TS 38.211 §5.2.3.1); use dmrs.low_papr_type 1 on fewer",
        )
    bits = gold_sequence(c_init, length).astype(float)
    symbols = (1 - 2 * bits) * np.exp(0.5j * np.pi * (np.arange(length) % 2)) * np.exp(0.25j * np.pi)
    return np.fft.fft(symbols, norm="ortho")


def hopping(mode: str, n_id: int, symbol_number: int, length: int) -> tuple[int, int]:
    """Sequence group u and number v of a DM-RS (TS 38.211 §6.4.1.1.1.2, Rel-18).

    mode: "none", "group" or "sequence". symbol_number: 14 n_s + l, counted within the frame. length: of the sequence.
    """
    if mode == "group":
        bits = gold_sequence(n_id // 30, 8 * symbol_number + 8)[8 * symbol_number :]
        return (int(bits @ (1 << np.arange(8))) % 30 + n_id) % 30, 0
    if mode == "sequence" and length >= 72:
        return n_id % 30, int(gold_sequence(n_id, symbol_number + 1)[symbol_number])
    return n_id % 30, 0
