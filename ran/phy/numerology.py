"""OFDM symbol timing with exact NR cyclic prefixes."""

from __future__ import annotations

import numpy as np

NUM_SYMBOLS_PER_SLOT = 14
_T_C_S = 1.0 / (480e3 * 4096)  # TS 38.211 §4.1
_KAPPA = 64


def cyclic_prefix_s(numerology: int, slot_number: int = 0) -> np.ndarray:
    """Cyclic prefix durations of a slot's symbols, float64 [14], seconds.

    Source: TS 38.211 §5.3.1, Rel-18, normal cyclic prefix. The first symbol of every half subframe has a longer one.
    """
    symbol = np.arange(NUM_SYMBOLS_PER_SLOT) + NUM_SYMBOLS_PER_SLOT * (slot_number % 2**numerology)
    long = (symbol % (7 * 2**numerology)) == 0
    return (144 * 2.0**-numerology + 16 * long) * _KAPPA * _T_C_S


def symbol_times_s(numerology: int, slot_number: int = 0) -> np.ndarray:
    """Start of each symbol's useful part after the start of the slot, float64 [14], seconds (TS 38.211 §5.3.1)."""
    useful = 2048 * _KAPPA * _T_C_S * 2.0**-numerology
    prefix = cyclic_prefix_s(numerology, slot_number)
    return np.cumsum(prefix) + useful * np.arange(NUM_SYMBOLS_PER_SLOT)
