"""Rays of a batch of draws, as tensors of one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from channels.arrays import direction as direction_of
from channels.raytraced.ray_set import RaySet


@dataclass(frozen=True)
class BatchRays:
    """Rays of a batch of draws, all axes [batch, num_rays, ...]; `there` is False for those that fill up."""

    there: Tensor
    delays_s: Tensor
    transfer: Tensor
    base_angles: tuple[Tensor, Tensor]
    user_angles: tuple[Tensor, Tensor]
    at_base: Tensor
    at_user: Tensor
    base_radius_m: Tensor
    user_radius_m: Tensor

    @property
    def num_rays(self) -> int:
        return int(self.there.shape[1])

    def select(self, part: slice) -> BatchRays:
        values = (self.there, self.delays_s, self.transfer)
        angles = [tuple(angle[part] for angle in pair) for pair in (self.base_angles, self.user_angles)]
        vectors = (self.at_base, self.at_user, self.base_radius_m, self.user_radius_m)
        return BatchRays(*(v[part] for v in values), *angles, *(v[part] for v in vectors))  # type: ignore[arg-type]


@dataclass(frozen=True)
class RayTable:
    """The arrays of a set with one more ray, of no power, that fills up where positions have fewer than others."""

    first: np.ndarray
    counts: np.ndarray
    columns: dict[str, Tensor]

    @classmethod
    def of(cls, rays: RaySet) -> RayTable:
        names = ("delays_s", "base_zenith_rad", "base_azimuth_rad", "user_zenith_rad", "user_azimuth_rad")
        columns = {}
        for name in (*names, "base_radius_m", "user_radius_m"):
            filling = 1.0 if name.endswith("radius_m") else 0.0
            columns[name] = torch.from_numpy(np.append(getattr(rays, name).astype(np.float64), filling))
        none = np.zeros((1, 2, 2), np.complex64)
        columns["transfer"] = torch.from_numpy(np.concatenate([rays.transfer, none]))
        return cls(rays.first[:-1].astype(np.int64), rays.num_rays, columns)

    def of_positions(self, positions: np.ndarray, device: torch.device | str) -> BatchRays:
        """Always as many rays as the position with most has, so that a drop does not depend on the batch."""
        number = np.arange(self.counts.max())
        there = number < self.counts[positions][:, None]
        filling = len(self.columns["delays_s"]) - 1
        places = torch.from_numpy(np.where(there, self.first[positions][:, None] + number, filling))
        own = {name: column[places].to(device) for name, column in self.columns.items()}
        base = (own["base_zenith_rad"], own["base_azimuth_rad"])
        user = (own["user_zenith_rad"], own["user_azimuth_rad"])
        return BatchRays(
            torch.from_numpy(there).to(device),
            own["delays_s"],
            own["transfer"],
            base,
            user,
            direction_of(*base),
            direction_of(*user),
            own["base_radius_m"],
            own["user_radius_m"],
        )
