"""Antenna arrays: positions, patterns, polarisation, rotation and sub-arrays (TR 38.901 §7.1 and §7.3)."""

from __future__ import annotations

from channels.arrays.antenna_array import AntennaArray
from channels.arrays.options import antenna_array
from channels.arrays.pattern import pattern_names, power_gain
from channels.arrays.rotation import angles, direction, polarisation_basis, rotation_matrix

__all__ = [
    "AntennaArray",
    "angles",
    "antenna_array",
    "direction",
    "pattern_names",
    "polarisation_basis",
    "power_gain",
    "rotation_matrix",
]
