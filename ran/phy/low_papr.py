"""Low-PAPR sequences, the DM-RS of DFT-s-OFDM."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np

from ran.errors import bad_value
from ran.phy.sequences import gold_sequence


@cache
def _short_table(name: str) -> dict[tuple[int, int], np.ndarray]:
    """Rows of a file of tables by length and group.

    low_papr_phases.csv: phi of TS 38.211 tables 5.2.2.2-1 to -4, compared entry by entry with OpenAirInterface
    (ul_ref_seq_nr.h) and, in the one that is wrong there (length 24, group 18, first), with srsRAN and others.
    low_papr_type_2.csv: phi of table 5.2.3.2-1 (length 6) and b of tables 5.2.3.2-2 to -4, from one public source, a
    viewer of fronthaul IQ data in JavaScript, which has that entry right; rows 0 to 2 of length 12 are also those of
    US 2022/0094583.
    """
    text = (resources.files("ran.phy") / name).read_text()
    rows = [line.split(",") for line in text.split() if not line.startswith("length")]
    return {(int(row[0]), int(row[1])): np.array([int(value) for value in row[2:]]) for row in rows}


def _check(group: int, length: int, clause: str) -> None:
    if not 0 <= group <= 29:
        raise bad_value("sequence group u", group, f"0 to 29 (TS 38.211 {clause})")
    if length < 6 or length % 6:
        raise bad_value("length of a low-PAPR sequence", length, f"multiples of 6 (TS 38.211 {clause})")


def _largest_prime_below(number: int) -> int:
    return next(n for n in range(number - 1, 1, -1) if all(n % d for d in range(2, int(n**0.5) + 1)))


def low_papr_type_1(group: int, number: int, length: int) -> np.ndarray:
    """Base sequence r_u,v of TS 38.211 §5.2.2, Rel-18, without cyclic shift, complex128 [length], unit modulus.

    group: u, 0 to 29. number: v, 0 or 1 (1 only from length 72). length: 6, 12, 18, 24, 30, or from 36 on.
    """
    _check(group, length, "§5.2.2")
    if number not in (0, 1) or (number == 1 and length < 72):
        raise bad_value("sequence number v", number, "0, or 1 for lengths from 72 (TS 38.211 §5.2.2)")
    n = np.arange(length)
    if length < 30:
        return np.exp(0.25j * np.pi * _short_table("low_papr_phases.csv")[length, group])
    if length == 30:
        return np.exp(-1j * np.pi * (group + 1) * (n + 1) * (n + 2) / 31)
    prime = _largest_prime_below(length)
    # 2 q_bar as an integer division keeps the floors exact
    doubled = 2 * prime * (group + 1) // 31
    root = (2 * prime * (group + 1) + 31) // 62 + number * (-1) ** doubled
    m = n % prime
    # the phase repeats every 2 N_ZC, which keeps the argument small
    return np.exp(-1j * np.pi * (root * m * (m + 1) % (2 * prime)) / prime)


def low_papr_type_2(group: int, c_init: int, length: int) -> np.ndarray:
    """Sequence of TS 38.211 §5.2.3, Rel-18, complex128 [length], unit mean power: the DFT of pi/2-BPSK symbols.

    group: u, 0 to 29, which counts for lengths below 30. c_init: of the Gold sequence, which counts from 30 on.
    length: a multiple of 6. With length 6 the symbols are 8-PSK. Powers differ between subcarriers; some sequences of
    the standard have none on some (group 26 of length 12 is periodic and occupies every third alone).
    """
    _check(group, length, "§5.2.3")
    if length == 6:
        symbols = np.exp(0.125j * np.pi * _short_table("low_papr_type_2.csv")[length, group])
    else:
        short = length < 30
        bits = _short_table("low_papr_type_2.csv")[length, group] if short else gold_sequence(c_init, length)
        turns = np.exp(0.5j * np.pi * (np.arange(length) % 2)) * np.exp(0.25j * np.pi)
        symbols = (1 - 2 * bits.astype(float)) * turns
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
