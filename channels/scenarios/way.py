"""Where a user goes: straight ahead, or from way point to way point at a constant speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from channels.errors import bad_value


@dataclass(frozen=True)
class Way:
    """Ways of a batch of users that set out at the same time with the same speed.

    corners_m float64 [batch, num_corners, 2]: from the place where the user was dropped, which is the first corner.
    open_end: whether the last leg goes on; otherwise users stay at the last corner.
    """

    corners_m: np.ndarray
    speed_mps: float
    open_end: bool

    def at(self, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacements and velocities, float64 [batch, num_times, 2] each, metres and metres per second."""
        return self.after(self.speed_mps * np.asarray(times_s, np.float64))

    def after(self, gone_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacements and velocities after so many metres, [num_places]."""
        legs = np.diff(self.corners_m, axis=1)
        lengths = np.linalg.norm(legs, axis=-1)
        headings = legs / lengths[..., None]
        before = np.cumsum(lengths, 1) - lengths
        along = gone_m[None, :, None] - before[:, None]
        # the leg on which a user is: the last that has begun
        leg = np.maximum((along >= 0).sum(-1) - 1, 0)
        rows = np.arange(len(legs))[:, None]
        on_leg = np.maximum(np.take_along_axis(along, leg[..., None], -1)[..., 0], 0.0)
        there = np.zeros(on_leg.shape, bool)
        if not self.open_end:
            there = (leg == legs.shape[1] - 1) & (on_leg >= lengths[rows, leg])
            on_leg = np.minimum(on_leg, lengths[rows, leg])
        heading = headings[rows, leg]
        place = self.corners_m[rows, leg] + on_leg[..., None] * heading
        return place, np.where(there[..., None], 0.0, self.speed_mps * heading)


def straight(azimuth_rad: np.ndarray, speed_mps: float) -> Way:
    """Straight ahead for ever. azimuth_rad [batch]."""
    heading = np.stack([np.cos(azimuth_rad), np.sin(azimuth_rad)], -1)
    return Way(np.stack([np.zeros_like(heading), heading], 1), speed_mps, True)


def by_way_points(way_points_m: Sequence[Sequence[float]], batch: int, speed_mps: float) -> Way:
    """The same way for all users. way_points_m [num_points, 2]: metres east and north of where each was dropped."""
    points = np.asarray(way_points_m, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise bad_value("way_points_m", way_points_m, "pairs of finite metres, at least one")
    corners = np.concatenate([np.zeros((1, 2)), points])
    if (np.linalg.norm(np.diff(corners, axis=0), axis=-1) == 0).any():
        raise bad_value(
            "way_points_m", way_points_m, "each at another place than the one before; the first is not 0, 0"
        )
    return Way(np.broadcast_to(corners, (batch, *corners.shape)), speed_mps, False)
