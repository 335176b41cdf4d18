"""OFDM symbol timing with exact NR cyclic prefixes."""

from __future__ import annotations

import numpy as np

NUM_SYMBOLS_PER_SLOT = 14
#: With the extended cyclic prefix (TS 38.211 table 4.3.2-2).
NUM_SYMBOLS_PER_EXTENDED_SLOT = 12
_T_C_S = 1.0 / (480e3 * 4096)  # TS 38.211 §4.1
_KAPPA = 64


def cyclic_prefix_s(numerology: int, slot_number: int = 0, extended: bool = False) -> np.ndarray:
    """Cyclic prefix durations of a slot's symbols, float64 [14], or [12] where extended, seconds.

    Source: TS 38.211 §5.3.1, Rel-18. The first symbol of every half subframe has a longer one; extended ones are equal.
    """
    if extended:
        return np.full(NUM_SYMBOLS_PER_EXTENDED_SLOT, 512 * 2.0**-numerology * _KAPPA * _T_C_S)
    symbol = np.arange(NUM_SYMBOLS_PER_SLOT) + NUM_SYMBOLS_PER_SLOT * (slot_number % 2**numerology)
    long = (symbol % (7 * 2**numerology)) == 0
    return (144 * 2.0**-numerology + 16 * long) * _KAPPA * _T_C_S


def slot_start_s(numerology: int, slot_number: int, extended: bool = False) -> float:
    """Start of a slot after the start of slot 0, seconds; from 60 kHz on the slots of a half subframe differ."""
    slots_per_subframe = 2**numerology
    subframe, slot = divmod(slot_number, slots_per_subframe)
    if extended:
        return subframe * 1e-3 + slot * 1e-3 / slots_per_subframe
    useful = 2048 * _KAPPA * _T_C_S * 2.0**-numerology * NUM_SYMBOLS_PER_SLOT
    return subframe * 1e-3 + sum(useful + float(cyclic_prefix_s(numerology, s).sum()) for s in range(slot))


def symbol_times_s(numerology: int, slot_number: int = 0, extended: bool = False) -> np.ndarray:
    """Start of each symbol's useful part after the start of the slot, float64 [14 or 12], seconds (TS 38.211 §5.3.1).

    extended: whether the cyclic prefix is.
    """
    useful = 2048 * _KAPPA * _T_C_S * 2.0**-numerology
    prefix = cyclic_prefix_s(numerology, slot_number, extended)
    return np.cumsum(prefix) + useful * np.arange(len(prefix))
