"""Tables of the PRACH: durations of formats, cyclic shifts, roots, the place in the carrier (TS 38.211, Rel-18).

Long roots were read from OpenAirInterface and srsRAN, which agree; the rest is closed forms and short rows.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.config import Carrier, Prach

#: Repetitions of the sequence and cyclic prefix in kappa T_c = 1/30.72 us, of short formats times 2^-mu
#: (tables 6.3.3.1-1 and 6.3.3.1-2).
_DURATIONS = {
    "0": (1, 3168),
    "1": (2, 21024),
    "2": (4, 4688),
    "3": (4, 3168),
    "A1": (2, 288),
    "A2": (4, 576),
    "A3": (6, 864),
    "B1": (2, 216),
    "B2": (4, 360),
    "B3": (6, 504),
    "B4": (12, 936),
    "C0": (1, 1240),
    "C2": (4, 2048),
}
# N_CS, tables 6.3.3.1-5 to -7; of the restricted set of type A below
_NCS_1250 = (0, 13, 15, 18, 22, 26, 32, 38, 46, 59, 76, 93, 119, 167, 279, 419)
_NCS_5000 = (0, 13, 26, 33, 38, 41, 49, 55, 64, 76, 93, 119, 139, 209, 279, 419)
_NCS_SHORT = (0, 2, 4, 6, 8, 10, 12, 13, 15, 17, 19, 23, 27, 34, 46, 69)
_NCS_1250_A = (15, 18, 22, 26, 32, 38, 46, 55, 68, 82, 100, 128, 158, 202, 237)
_NCS_5000_A = (36, 57, 72, 81, 89, 94, 103, 112, 121, 132, 137, 152, 173, 195, 216, 237)
# PRBs of an occasion and k_bar by spacing of PRACH and carrier in kHz, table 6.3.3.2-1; short ones have k_bar 2
_PLACES = {
    (1.25, 15): (6, 7),
    (1.25, 30): (3, 1),
    (1.25, 60): (2, 133),
    (5.0, 15): (24, 12),
    (5.0, 30): (12, 10),
    (5.0, 60): (6, 7),
}
_KAPPA_RATE_HZ = 30.72e6


def num_repetitions(prach: Prach) -> int:
    """Times that the sequence is sent in a preamble."""
    return _DURATIONS[prach.format][0]


def prefix_s(prach: Prach) -> float:
    """Cyclic prefix in seconds, without what short formats add at the start of a half subframe."""
    scale = 1.0 if prach.is_long else 15e3 / prach.spacing_hz
    return _DURATIONS[prach.format][1] * scale / _KAPPA_RATE_HZ


def num_cyclic_shifts(prach: Prach) -> int:
    """N_CS: distance of the cyclic shifts of a root, 0 for one preamble per root."""
    if not prach.is_long:
        return _NCS_SHORT[prach.zero_correlation_zone]
    if prach.restricted_set == "A":
        return (_NCS_5000_A if prach.format == "3" else _NCS_1250_A)[prach.zero_correlation_zone]
    return (_NCS_5000 if prach.format == "3" else _NCS_1250)[prach.zero_correlation_zone]


@cache
def _long_roots() -> npt.NDArray[np.int64]:
    text = (resources.files("ran.phy.prach") / "long_roots.csv").read_text()
    first = [int(value) for line in text.splitlines() if line[0] != "#" for value in line.split(",")]
    return np.array([root for u in first for root in (u, 839 - u)])


def root_of(sequence_length: int, logical_index: int) -> int:
    """Sequence number u of a logical root, counted cyclically (tables 6.3.3.1-3 and 6.3.3.1-4)."""
    index = logical_index % (sequence_length - 1)
    if sequence_length == 839:
        return int(_long_roots()[index])
    # 1, 138, 2, 137, ...
    return index // 2 + 1 if index % 2 == 0 else sequence_length - 1 - index // 2


def place(carrier: Carrier, prach: Prach) -> tuple[int, int]:
    """PRBs of the carrier that an occasion takes, and k_bar: subcarriers of the PRACH left free before it.

    `InputError` for spacings that do not go together (table 6.3.3.2-1).
    """
    spacing = prach.spacing_hz / 1e3
    if prach.is_long:
        found = _PLACES.get((spacing, carrier.subcarrier_spacing_khz))
        if found is None:
            raise bad_value(
                f"subcarrier_spacing_khz of the carrier of PRACH format {prach.format}",
                carrier.subcarrier_spacing_khz,
                "15, 30, 60 (TS 38.211 table 6.3.3.2-1)",
            )
        return found
    # 144 subcarriers of the PRACH; FR1 has 15 and 30 kHz, FR2 60 and 120 kHz
    allowed = {15: (15, 30, 60), 30: (15, 30, 60), 60: (60, 120), 120: (60, 120)}[int(spacing)]
    if carrier.subcarrier_spacing_khz not in allowed:
        raise bad_value(
            f"subcarrier_spacing_khz of the carrier of a PRACH with {spacing:g} kHz",
            carrier.subcarrier_spacing_khz,
            f"{', '.join(map(str, allowed))} (TS 38.211 table 6.3.3.2-1)",
        )
    return round(12 * spacing / carrier.subcarrier_spacing_khz), 2
