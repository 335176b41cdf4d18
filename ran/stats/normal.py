"""Quantiles that intervals are made of."""

from __future__ import annotations


def two_sided_z(level: float) -> float:
    """How many standard deviations a normal variable stays within with probability `level`."""
    # scipy takes a while to import, and a refusal needs none of it
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def two_sided_t(level: float, degrees_of_freedom: int) -> float:
    """The same of Student's t (Student, Biometrika 6, 1908)."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, (1 + level) / 2))
