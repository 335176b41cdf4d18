"""Base stations that move, and scatterers: the Doppler shifts of TR 38.901 §7.6.10 (Rel-19)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from channels.arrays import direction
from channels.errors import bad_value, non_negative, unknown_name


@dataclass(frozen=True)
class DualMobility:
    """How the other end and the surroundings move.

    base_speed_mps, base_azimuth_deg, base_zenith_deg: the base station's motion; the azimuth is uniformly random per
        draw unless it is given.
    scatterer_speed_mps: largest speed of scatterers, v_scatt. moving_share: share of the rays that meet a moving one,
        p, typically 0.2.
    """

    base_speed_mps: float = 0.0
    base_azimuth_deg: float | None = None
    base_zenith_deg: float = 90.0
    scatterer_speed_mps: float = 0.0
    moving_share: float = 0.2

    @property
    def max_speed_mps(self) -> float:
        """By how much a path can get shorter per second, without the terminal's motion."""
        return self.base_speed_mps + 2 * self.scatterer_speed_mps

    @staticmethod
    def numbers(num_paths: int, num_rays: int) -> int:
        """Uniform numbers of a draw: the base station's azimuth, then of every ray whether it moves, and its speed."""
        return 1 + 2 * num_paths * num_rays

    def base_velocity_mps(self, numbers: Tensor) -> Tensor:
        """float64 [batch, 3]. numbers float64 [batch, `numbers`], uniform from 0 to 1."""
        azimuth = 2 * math.pi * numbers[:, 0]
        if self.base_azimuth_deg is not None:
            azimuth = torch.full_like(azimuth, math.radians(self.base_azimuth_deg))
        return self.base_speed_mps * direction(torch.full_like(azimuth, math.radians(self.base_zenith_deg)), azimuth)

    def approach_mps(self, numbers: Tensor, at_base: Tensor) -> Tensor:
        """By how much rays get shorter per second (eq. (7.6-46) without the terminal), float64 [batch, paths, rays].

        at_base float64 [batch, paths, rays, 3]: unit vectors from the base station towards the rays.
        """
        moves, speed = numbers[:, 1:].unflatten(1, (2, *at_base.shape[1:3])).unbind(1)
        of_scatterers = 2 * self.scatterer_speed_mps * (2 * speed - 1) * (moves < self.moving_share)
        return torch.einsum("bnmx,bx->bnm", at_base, self.base_velocity_mps(numbers)) + of_scatterers


def dual_mobility(block: Mapping[str, Any]) -> DualMobility:
    """From options; `ValueError` of one line names the option."""
    known = [field.name for field in fields(DualMobility)]
    for name in block:
        if name not in known:
            raise unknown_name("dual_mobility", name, known)
    found = DualMobility(**block)
    for name in ("base_speed_mps", "scatterer_speed_mps"):
        non_negative(f"dual_mobility.{name}", getattr(found, name))
    for name in ("base_azimuth_deg", "base_zenith_deg"):
        value = getattr(found, name)
        if value is not None and (isinstance(value, bool) or not math.isfinite(value)):
            raise bad_value(f"dual_mobility.{name}", value, "a finite number of degrees")
    if isinstance(found.moving_share, bool) or not 0 <= found.moving_share <= 1:
        raise bad_value("dual_mobility.moving_share", found.moving_share, "0 to 1")
    return found
