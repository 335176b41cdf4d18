"""Arrays over wide bands: when one wavelength is not enough, and how the elements' true delays are taken.

An element of an array sees a wave earlier or later than the array's centre by up to its distance over the speed of
light. A model at one wavelength turns that delay into a phase at the carrier, which is wrong elsewhere in the band: a
beam points another way at the band's edge (beam squint). The phases at other frequencies belong to a process over
frequency of limited "Doppler shift", the longest such delay, so few frequencies tell all (`path_grid.time_nodes`).
"""

from __future__ import annotations

import math

import numpy as np

from channels.arrays import AntennaArray
from channels.path_grid import time_nodes
from channels.waves import SPEED_OF_LIGHT_MPS

#: Aperture times bandwidth over the speed of light, in cycles, up to which one wavelength does for the whole band. At
#: it the outermost elements' phases are off by 22.5 degrees at the band's edges, and the gain of a line of elements
#: towards its end by 0.22 dB; that error grows with the square.
MAX_CYCLES = 0.25


def longest_delay_s(*arrays: AntennaArray) -> float:
    """By how much an element of one array and one of another may see a wave earlier than the centres do."""
    return sum(float(np.linalg.norm(array.positions_m, axis=1).max()) for array in arrays) / SPEED_OF_LIGHT_MPS


def band_cycles(delay_s: float, half_width_hz: float) -> float:
    """Aperture times bandwidth over the speed of light, of a band that reaches `half_width_hz` off the carrier."""
    return 4 * delay_s * half_width_hz


def size_of_error(delay_s: float, half_width_hz: float) -> str:
    """How wrong one wavelength is at the band's edge, in words."""
    cycles = band_cycles(delay_s, half_width_hz)
    gain = abs(np.sinc(min(cycles / 2, 1.0)))
    loss = f"{-20 * math.log10(gain):.2g} dB" if gain > 1e-3 else "all of its gain"
    return (
        f"aperture x bandwidth / c is {cycles:.2g}: at the band's edge phases at the outermost elements are off by up "
        f"to {360 * cycles / 4:.3g} degrees, a line's gain by up to {loss}"
    )


def band_nodes(frequencies_hz: np.ndarray, delay_s: float) -> tuple[np.ndarray, np.ndarray]:
    """The few frequencies at which the arrays are looked at, and the matrix to all of them, float64.

    frequencies_hz [num_subcarriers]: offsets from the carrier. Returns nodes [num_nodes] and the matrix
    [num_subcarriers, num_nodes]; errors 80 dB below the amplitudes.
    """
    nodes, matrix = time_nodes(frequencies_hz, delay_s)
    return nodes, np.eye(len(nodes)) if matrix is None else matrix
