"""Power patterns of antenna elements (TR 38.901 §7.3, Rel-19)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from channels.errors import unknown_name


@dataclass(frozen=True)
class _Sector:
    """A sector pattern: 3 dB beamwidth of both cuts, their largest attenuations, and the gain at the centre."""

    beamwidth_deg: float
    vertical_limit_db: float
    limit_db: float
    gain_dbi: float


#: None radiates alike everywhere.
_PATTERNS: dict[str, _Sector | None] = {
    "omni": None,
    "38.901": _Sector(65, 30, 30, 8),  # table 7.3-1
    "handheld": _Sector(125, 22.5, 22.5, 5.3),  # table 7.3-2, Rel-19
}


def pattern_names() -> tuple[str, ...]:
    """Names of all element patterns."""
    return tuple(_PATTERNS)


def check_pattern(name: str) -> None:
    """`ValueError` for an unknown pattern."""
    if name not in _PATTERNS:
        raise unknown_name("pattern", name, _PATTERNS)


def is_uniform(name: str) -> bool:
    """Whether a pattern has unit gain in all directions."""
    return _PATTERNS[name] is None


def power_gain(name: str, zenith: Tensor, azimuth: Tensor) -> Tensor:
    """Linear power gain [...] in local directions: zenith 0 to pi, azimuth -pi to pi, pi/2 and 0 at the centre."""
    sector = _PATTERNS[name]
    if sector is None:
        return torch.ones_like(zenith)
    width = math.radians(sector.beamwidth_deg)
    vertical = (12 * ((zenith - math.pi / 2) / width) ** 2).clamp(max=sector.vertical_limit_db)
    horizontal = (12 * (azimuth / width) ** 2).clamp(max=sector.limit_db)
    attenuation_db = (vertical + horizontal).clamp(max=sector.limit_db)
    return torch.pow(10.0, (sector.gain_dbi - attenuation_db) / 10)
