"""Constellations other than QAM: points by their labels, outside of TS 38.211."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: What the mean power of the points may differ from 1.
_POWER_TOLERANCE = 1e-3
#: Least power of the mean of the points from which a slot without DM-RS can be received.
_LEAST_MEAN_POWER = 1e-3


def points_of(pairs: Sequence[Sequence[float]]) -> np.ndarray:
    """Points complex64 [n] from real and imaginary parts [n][2]."""
    return np.array([complex(*pair) for pair in pairs]).astype(np.complex64)


def shifted_qam(bits_per_symbol: int, power: object) -> tuple[tuple[float, float], ...]:
    """QAM of TS 38.211 §5.1 around a real mean of that power, unit power in all; `ValueError` for another power."""
    if isinstance(power, bool) or not isinstance(power, int | float) or not 0 <= power < 1:
        raise ValueError(f"mean_power: got {power!r}; allowed: 0 or more, below 1")
    from ran.phy.modulation import constellation  # torch takes a while to import

    points = np.sqrt(1 - power) * constellation(bits_per_symbol) + np.sqrt(power)
    return tuple((float(p.real), float(p.imag)) for p in points.astype(np.complex64))


def check_mean(pairs: Sequence[Sequence[float]]) -> None:
    """`ValueError` for points [n][2] whose mean is too weak for a receiver without pilots to tell the channel by."""
    power = float(abs(points_of(pairs).mean()) ** 2)
    if power < _LEAST_MEAN_POWER:
        raise ValueError(
            f"pilotless: got a constellation whose mean has power {power:.2g}, from which no receiver can tell the "
            f"channel; allowed: {_LEAST_MEAN_POWER:g} or more"
        )


def check_points(pairs: Sequence[Sequence[float]], bits_per_symbol: int) -> None:
    """`ValueError` for points [2**bits_per_symbol][2] that are too many or few, not of unit power, or not distinct."""
    points = points_of(pairs)
    if len(points) != 2**bits_per_symbol or bits_per_symbol < 2:
        allowed = "an MCS of QPSK or more" if bits_per_symbol < 2 else f"{2**bits_per_symbol}, as the MCS has"
        raise ValueError(f"constellation: got {len(points)} points; allowed: {allowed}")
    power = float(np.mean(np.abs(points) ** 2))
    if abs(power - 1) > _POWER_TOLERANCE:
        raise ValueError(f"constellation: got points of mean power {power:.4g}; allowed: 1")
    if len(np.unique(points)) != len(points):
        raise ValueError("constellation: got the same point twice; allowed: a point of its own for every label")
