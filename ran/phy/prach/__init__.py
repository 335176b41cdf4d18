"""The physical random access channel: preambles of a cell, as subcarriers and as samples."""

from ran.phy.prach.preamble import (
    NUM_PREAMBLES,
    PreambleSet,
    cyclic_shifts,
    doppler_shift,
    preamble,
    preamble_set,
    root_sequence,
)
from ran.phy.prach.tables import num_cyclic_shifts, num_repetitions, place, prefix_s, root_of
from ran.phy.prach.waveform import first_subcarrier, num_prefix_samples, prach_demodulate, prach_waveform

__all__ = [
    "NUM_PREAMBLES",
    "PreambleSet",
    "cyclic_shifts",
    "doppler_shift",
    "first_subcarrier",
    "num_cyclic_shifts",
    "num_prefix_samples",
    "num_repetitions",
    "place",
    "prach_demodulate",
    "prach_waveform",
    "preamble",
    "preamble_set",
    "prefix_s",
    "root_of",
    "root_sequence",
]
