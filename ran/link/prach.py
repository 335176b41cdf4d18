"""A PRACH received: from samples or subcarriers to detected preambles and their timing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ran.phy.config import Prach
from ran.phy.prach import doppler_shift, preamble_set, root_sequence
from receivers.control.preamble_detector import PreambleDetector


def prach_detector(prach: Prach, false_alarm: float = 5e-4, max_cfo_hz: float = 400.0) -> PreambleDetector:
    """Detector of the cell's 64 preambles; `prach.preamble_index` does not matter.

    It takes what `ran.phy.prach.prach_demodulate` gives. false_alarm: probability that noise alone is taken for any
    preamble. max_cfo_hz: frequency offset up to which repetitions are added coherently. With the restricted set of type
    A, offsets of a subcarrier either way are searched, and the windows of the preambles stay apart.
    """
    cell = preamble_set(prach)
    length = cell.sequence_length
    sequences: npt.NDArray[np.complex128] = np.fft.fft(
        np.stack([root_sequence(length, root) for root in cell.roots]), norm="ortho"
    )[:, None]
    if prach.restricted_set == "A":
        # an offset of a subcarrier up or down moves the peak by d_u to either side
        moved = np.array([doppler_shift(length, root) for root in cell.roots])[:, None] * np.array([0, -1, 1])
        sequences = sequences * np.exp(2j * np.pi * moved[..., None] * np.arange(length) / length)
    return PreambleDetector(
        sequences, cell.root_index, cell.cyclic_shifts, cell.num_cs, prach.spacing_hz, false_alarm, max_cfo_hz
    )
