"""Clusters and rays of links: delays, powers, angles, cross-polarisation (TR 38.901 §7.5 steps 5 to 9, Rel-19)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from channels.cluster_profiles import RAY_OFFSETS
from channels.scenarios.environment import LOS, O2I
from channels.scenarios.large_scale import LinkState
from channels.scenarios.parameters import Parameters

NUM_RAYS = len(RAY_OFFSETS)
#: Clusters this much weaker than the strongest are taken away.
_LEAST_POWER = 10**-2.5
#: Which of the three parts of a strong cluster a ray belongs to, and their delays in cluster delay spreads
#: (table 7.5-5, eq. (7.5-26)).
_PART_OF_RAY = np.array([0] * 8 + [1] * 4 + [2] * 4 + [1] * 2 + [0] * 2)
_PART_DELAYS = (0.0, 1.28, 2.56)
#: Strong clusters, each of which has two more paths than the others.
_NUM_STRONG = 2
#: Angles in the order of their random numbers; departure is at the base station.
_ANGLES = ("aoa", "aod", "zoa", "zod")


def num_paths(num_clusters: int) -> int:
    """Paths of so many clusters."""
    return num_clusters + 2 * _NUM_STRONG


def numbers_needed(num_clusters: int) -> tuple[int, int]:
    """How many uniform and how many normal numbers a drop's `draw_clusters` takes."""
    rays = num_clusters * NUM_RAYS
    return 5 * num_clusters + 7 * rays, 5 * num_clusters + rays


@dataclass(frozen=True)
class ClusterDraw:
    """Clusters of a batch of links as paths; arrays of the batch, float64. Powers sum up to 1, line of sight included.

    delays_s [batch, num_paths]: from the first cluster's.
    powers [batch, num_paths]: of paths, without the line of sight's los_power [batch], which is part of the first.
    centres_rad: of every angle, by its name, [batch, num_paths]. rays_rad: the same, [batch, num_paths, 20].
    in_part bool [batch, num_paths, 20]: rays of the cluster that belong to the path; power_of_ray [batch, num_paths]:
        of each of these. xpr [batch, num_paths, 20]: linear.
    start_turns [batch, num_paths, 20, 4]: start phases, 0 to 1.
    least_delay_s [batch]: of the first cluster after the straight way, without a line of sight; 0 with one.
    decay_per_s [batch]: by which the power of a cluster falls off with its delay, exp(-decay delay).
    cluster [batch, num_paths]: which cluster a path is of.
    ray_factors [batch, num_paths, 20]: by which amplitudes of rays are multiplied; None: 1.
    """

    delays_s: np.ndarray
    powers: np.ndarray
    los_power: np.ndarray
    centres_rad: dict[str, np.ndarray]
    rays_rad: dict[str, np.ndarray]
    in_part: np.ndarray
    power_of_ray: np.ndarray
    xpr: np.ndarray
    start_turns: np.ndarray
    least_delay_s: np.ndarray
    decay_per_s: np.ndarray
    cluster: np.ndarray
    ray_factors: np.ndarray | None = None


def draw_clusters(
    state: LinkState,
    parameters: Parameters,
    azimuth_at_base_rad: np.ndarray,
    zenith_at_base_rad: np.ndarray,
    uniforms: np.ndarray,
    normals: np.ndarray,
) -> ClusterDraw:
    """Clusters of links [batch], in `parameters.num_clusters.max()` places each; those not needed have no power.

    uniforms, normals [batch, `numbers_needed`]. Uniform, in order: delays; signs of AOA, AOD, ZOA, ZOD; order of the
    rays of AOA, ZOA, ZOD; four start phases per ray. Normal: cluster shadowing; angles in the same order;
    cross-polarisation per ray.
    """
    batch, most = len(state.condition), int(parameters.num_clusters.max())
    cut = np.cumsum([most, 4 * most, 3 * most * NUM_RAYS])
    delay_numbers, signs, order, start = np.split(uniforms, cut, axis=1)
    shadow, wobble, cross = np.split(normals, [most, 5 * most], axis=1)
    condition, is_los = state.condition, state.condition == LOS
    k = np.where(is_los, 10 ** (state.k_factor_db / 10), 0.0)
    there = np.arange(most) < parameters.num_clusters[condition][:, None]
    unscaled, powers, least, decay = _delays_and_powers(state, parameters, delay_numbers, shadow, there)
    scale = _polynomial(state, is_los, (0.7705, -0.0433, 0.0002, 0.000017))
    delays = unscaled / scale[:, None]
    with_los = powers / (1 + k)[:, None]
    with_los[:, 0] += k / (1 + k)
    centres = _centres(
        state, parameters, with_los, azimuth_at_base_rad, zenith_at_base_rad,
        np.where(signs < 0.5, -1.0, 1.0).reshape(batch, 4, most), wobble.reshape(batch, 4, most),
    )  # fmt: skip
    spreads = {
        "aoa": parameters.cluster_asa_deg[condition],
        "aod": parameters.cluster_asd_deg[condition],
        "zoa": parameters.cluster_zsa_deg[condition],
        "zod": 3 / 8 * state.zsd_scale_deg,
    }
    cluster, part = _paths(powers)
    strong = (part >= 0)[..., None]
    in_part = ~strong | (part[..., None] == _PART_OF_RAY)
    groups = np.zeros((batch, most, NUM_RAYS), np.int64)
    # the first places are all the clusters, in order
    groups[:] = np.where(part[:, :most, None] >= 0, _PART_OF_RAY, 0)
    shuffled = _shuffled(groups[:, None], order.reshape(batch, 3, most, NUM_RAYS))
    rays = {}
    for name in _ANGLES:
        of_cluster = centres[name][..., None] + np.deg2rad(spreads[name])[:, None, None] * RAY_OFFSETS
        if name != "aod":
            place = ("aoa", "zoa", "zod").index(name)
            of_cluster = np.take_along_axis(of_cluster, shuffled[:, place], -1)
        if name[0] == "z":
            of_cluster = _folded(of_cluster)
        rays[name] = np.take_along_axis(of_cluster, cluster[..., None], 1)
    power_of_ray = np.take_along_axis(powers, cluster, 1) / NUM_RAYS / (1 + k)[:, None]
    xpr = parameters.xpr_mean_db[condition][:, None] + parameters.xpr_std_db[condition][:, None] * cross
    part_delay = np.array(_PART_DELAYS)[np.maximum(part, 0)]
    return ClusterDraw(
        delays_s=np.take_along_axis(delays, cluster, 1)
        + part_delay * parameters.cluster_delay_spread_s[condition][:, None],
        powers=power_of_ray * in_part.sum(-1),
        los_power=k / (1 + k),
        centres_rad={
            name: np.take_along_axis(_folded(c) if name[0] == "z" else c, cluster, 1) for name, c in centres.items()
        },
        rays_rad=rays,
        in_part=in_part,
        power_of_ray=power_of_ray,
        xpr=np.take_along_axis(10 ** (xpr.reshape(batch, most, NUM_RAYS) / 10), cluster[..., None], 1),
        start_turns=np.take_along_axis(start.reshape(batch, most, NUM_RAYS, 4), cluster[..., None, None], 1),
        least_delay_s=np.where(is_los, 0.0, least),
        decay_per_s=decay * scale,
        cluster=cluster,
    )


def measured_spreads(
    clusters: ClusterDraw, azimuth_at_base_rad: np.ndarray, zenith_at_base_rad: np.ndarray
) -> dict[str, np.ndarray]:
    """Root mean square delay spread in s, "ds", and circular angle spreads in radians, "asd", "asa", "zsd", "zsa".

    Of all rays and the line of sight, float64 [batch] each. Angle spreads as in TR 38.901 annex A.1.
    """
    los = clusters.los_power
    mean = (clusters.powers * clusters.delays_s).sum(1)
    square = (clusters.powers * clusters.delays_s**2).sum(1)
    found = {"ds": np.sqrt(np.maximum(square - mean**2, 0.0))}
    of_los = {
        "aod": azimuth_at_base_rad,
        "aoa": azimuth_at_base_rad + np.pi,
        "zod": zenith_at_base_rad,
        "zoa": np.pi - zenith_at_base_rad,
    }
    weights = clusters.power_of_ray[..., None] * clusters.in_part
    for name, angles in clusters.rays_rad.items():
        vector = (weights * np.exp(1j * angles)).sum((1, 2)) + los * np.exp(1j * of_los[name])
        found[f"{name[0]}s{name[2]}"] = np.sqrt(-2 * np.log(np.minimum(np.abs(vector), 1.0)))
    return found


def _delays_and_powers(
    state: LinkState, parameters: Parameters, uniform: np.ndarray, normal: np.ndarray, there: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Delays before the line of sight is made up for, and powers that sum up to 1, in order of delay (steps 5, 6).

    Also the least of the delays drawn, from which they count, and how fast powers fall off with them.
    """
    scaling = parameters.delay_scaling[state.condition][:, None]
    spread = state.delay_spread_s[:, None]
    delays = -scaling * spread * np.log1p(-uniform)  # of 1 - u, which is never 0
    delays = np.where(there, delays, np.inf)
    least = delays.min(1)
    delays = delays - least[:, None]
    order = delays.argsort(1)
    delays = np.take_along_axis(delays, order, 1)
    there = np.isfinite(delays)
    delays = np.where(there, delays, 0.0)
    shadow = parameters.cluster_shadowing_db[state.condition][:, None] * np.take_along_axis(normal, order, 1)
    decay = (scaling - 1) / (scaling * spread)
    powers = np.exp(-delays * (scaling - 1) / (scaling * spread)) * 10 ** (-shadow / 10) * there
    powers = powers / powers.sum(1, keepdims=True)
    kept = powers >= _LEAST_POWER * powers.max(1, keepdims=True)
    powers = powers * kept
    return delays, powers / powers.sum(1, keepdims=True), least, decay[:, 0]


def _polynomial(state: LinkState, is_los: np.ndarray, terms: tuple[float, float, float, float]) -> np.ndarray:
    """A polynomial of the K factor in dB with a line of sight, 1 without (eq. (7.5-3), (7.5-10), (7.5-15))."""
    k = np.where(is_los, state.k_factor_db, 0.0)
    return np.where(is_los, terms[0] + k * (terms[1] + k * (terms[2] + k * terms[3])), 1.0)


def _centres(
    state: LinkState,
    parameters: Parameters,
    powers: np.ndarray,
    azimuth_at_base_rad: np.ndarray,
    zenith_at_base_rad: np.ndarray,
    signs: np.ndarray,
    wobble: np.ndarray,
) -> dict[str, np.ndarray]:
    """Angles of clusters, radians (step 7). powers: line of sight included. signs, wobble [batch, 4, num_clusters]."""
    condition, is_los = state.condition, state.condition == LOS
    log_power = -np.log(np.clip(powers / powers.max(1, keepdims=True), 1e-6, 1.0))
    azimuth_scale = parameters.azimuth_scale[condition] * _polynomial(state, is_los, (1.1035, -0.028, -0.002, 0.0001))
    zenith_scale = parameters.zenith_scale[condition] * _polynomial(state, is_los, (1.3086, 0.0339, -0.0077, 0.0002))
    # users in buildings receive around the horizon
    zenith_at_user = np.where(condition == O2I, np.pi / 2, np.pi - zenith_at_base_rad)
    middle = {
        "aoa": azimuth_at_base_rad + np.pi,
        "aod": azimuth_at_base_rad,
        "zoa": zenith_at_user,
        "zod": zenith_at_base_rad + np.deg2rad(state.zod_offset_deg),
    }
    spreads = {"aoa": state.asa_deg, "aod": state.asd_deg, "zoa": state.zsa_deg, "zod": state.zsd_deg}
    centres = {}
    for place, name in enumerate(_ANGLES):
        spread = np.deg2rad(spreads[name])[:, None]
        if name[0] == "a":
            away = 2 * (spread / 1.4) * np.sqrt(log_power) / azimuth_scale[:, None]
        else:
            away = spread * log_power / zenith_scale[:, None]
        away = signs[:, place] * away + wobble[:, place] * spread / 7
        # the first cluster is where the line of sight is
        away = away - np.where(is_los, away[:, 0], 0.0)[:, None]
        centres[name] = away + middle[name][:, None]
    return centres


def _paths(powers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cluster of every path, and its part of a strong cluster, -1 for a whole one; int64 [batch, num_paths]."""
    batch, most = powers.shape
    strong = np.argsort(-powers, axis=1, kind="stable")[:, :_NUM_STRONG]
    part = np.full((batch, most), -1)
    np.put_along_axis(part, strong, 0, 1)
    cluster = np.concatenate([np.broadcast_to(np.arange(most), (batch, most)), strong, strong], 1)
    rest = np.repeat([1, 2], _NUM_STRONG)
    return cluster, np.concatenate([part, np.broadcast_to(rest, (batch, len(rest)))], 1)


def _shuffled(groups: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Random order within groups: for every place the place whose value comes there (step 8)."""
    groups = np.broadcast_to(groups, uniforms.shape)
    places = groups.argsort(-1, kind="stable")
    random = (groups + uniforms).argsort(-1)
    shuffled = np.empty_like(random)
    np.put_along_axis(shuffled, places, random, -1)
    return shuffled


def _folded(zenith_rad: np.ndarray) -> np.ndarray:
    """Zenith angles back to 0 to pi."""
    turned = zenith_rad % (2 * np.pi)
    return np.where(turned > np.pi, 2 * np.pi - turned, turned)
