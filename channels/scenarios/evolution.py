"""Clusters as a user walks away from where they were drawn (TR 38.901 §7.6.3.2, procedure A, Rel-19).

Procedure A turns a cluster's directions and changes its delay as if waves came straight from a fixed image of the base
station: it is the first-order step of what is computed here at once. So a place decides, not the steps taken to it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from channels.scenarios.clusters import ClusterDraw
from channels.waves import SPEED_OF_LIGHT_MPS


@dataclass(frozen=True)
class Clusters:
    """Clusters at the place where they were drawn.

    draw: delays count from the first path. length_m [batch, num_paths]: of the whole way. mirrored [batch, num_paths]:
    1 or -1, for an even or an odd number of reflections, 1 for the line of sight (X_n of §7.6.3.2).
    """

    draw: ClusterDraw
    length_m: np.ndarray
    mirrored: np.ndarray


def moved(clusters: Clusters, step_m: np.ndarray, wavelength_m: float) -> tuple[ClusterDraw, np.ndarray]:
    """Clusters seen from `step_m` [batch, 2] away, horizontally, and the lengths of their ways [batch, num_paths].

    Rays have images of their own, at their cluster's distance, and turn their phases by the change of their ways.
    Powers follow the delays as in step 6 and keep their sum. Cross-polarisation and start phases stay.
    """
    draw = clusters.draw
    step = np.concatenate([step_m, np.zeros((len(step_m), 1))], 1)
    turned, of_rays = _turned(draw.rays_rad, clusters.length_m[..., None], clusters.mirrored[..., None], step)
    centres, lengths = _turned(draw.centres_rad, clusters.length_m, clusters.mirrored, step)
    change = (of_rays - clusters.length_m[..., None]) / wavelength_m
    later = (lengths - clusters.length_m) / SPEED_OF_LIGHT_MPS
    weight = np.exp(-later * draw.decay_per_s[:, None])
    total = draw.powers.sum(1, keepdims=True)
    weight = weight * total / np.maximum((draw.powers * weight).sum(1, keepdims=True), np.finfo(np.float64).tiny)
    result = replace(
        draw,
        delays_s=draw.delays_s + later,
        powers=draw.powers * weight,
        power_of_ray=draw.power_of_ray * weight,
        rays_rad=turned,
        centres_rad=centres,
        start_turns=(draw.start_turns - change[..., None]) % 1.0,
    )
    return result, lengths


def _turned(
    angles_rad: dict[str, np.ndarray], length_m: np.ndarray, mirrored: np.ndarray, step_m: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Angles of ways to fixed images, and the ways' lengths, after a step; first axis the batch."""
    step = step_m.reshape(len(step_m), *[1] * (angles_rad["aoa"].ndim - 1), 3)
    own, down, across = _axes(angles_rad["zoa"], angles_rad["aoa"])
    seen = length_m[..., None] * own - step
    # the step as the base station sees it, in the mirrors that the way meets: what points to the last bounce there
    # points to the terminal here
    there, down_there, across_there = _axes(angles_rad["zod"], angles_rad["aod"])
    parts = [(step * axis).sum(-1, keepdims=True) for axis in (own, down, across)]
    mirror = parts[1] * down_there - parts[0] * there - mirrored[..., None] * parts[2] * across_there
    sent = length_m[..., None] * there + mirror
    found = {}
    for end, vector in (("a", seen), ("d", sent)):
        flat = np.hypot(vector[..., 0], vector[..., 1])
        found[f"zo{end}"] = np.arctan2(flat, vector[..., 2])
        found[f"ao{end}"] = np.arctan2(vector[..., 1], vector[..., 0])
    return found, np.linalg.norm(seen, axis=-1)


def _axes(zenith: np.ndarray, azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors along a direction, of growing zenith and of growing azimuth (eq. (7.1-6), (7.1-13), (7.1-14))."""
    sine, cosine, east, north = np.sin(zenith), np.cos(zenith), np.cos(azimuth), np.sin(azimuth)
    own = np.stack([sine * east, sine * north, cosine], -1)
    down = np.stack([cosine * east, cosine * north, -sine], -1)
    return own, down, np.stack([-north, east, np.zeros_like(north)], -1)


def joined(draws: list[ClusterDraw], shares: list[np.ndarray]) -> ClusterDraw:
    """Clusters of several draws as one, each with its share of the power [batch]; the line of sight is of the first
    path, whose direction and delay are the same in all draws that have one."""
    scaled = [
        replace(d, powers=d.powers * s[:, None], power_of_ray=(d.power_of_ray.T * s).T, los_power=d.los_power * s)
        for d, s in zip(draws, shares, strict=True)
    ]
    whole: dict[str, Any] = {}
    for field in fields(ClusterDraw):
        parts = [getattr(d, field.name) for d in scaled]
        if field.name in ("centres_rad", "rays_rad"):
            whole[field.name] = {name: np.concatenate([p[name] for p in parts], 1) for name in parts[0]}
        elif field.name == "los_power":
            whole[field.name] = np.sum(parts, 0)
        elif parts[0] is None or parts[0].ndim == 1:
            whole[field.name] = parts[0]
        else:
            whole[field.name] = np.concatenate(parts, 1)
    return ClusterDraw(**whole)
