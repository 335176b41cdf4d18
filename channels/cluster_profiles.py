"""Clusters of the clustered delay lines: tables of TR 38.901 §7.7.1 and how they are scaled."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from channels.errors import bad_value, unknown_name

#: Offsets of the 20 rays of a cluster for an rms spread of 1 (TR 38.901 table 7.5-3, Rel-18).
_HALF_OFFSETS = (0.0447, 0.1413, 0.2492, 0.3715, 0.5129, 0.6797, 0.8844, 1.1481, 1.5195, 2.1551)
RAY_OFFSETS = np.array([sign * offset for offset in _HALF_OFFSETS for sign in (1, -1)])
#: Angles by their names in the tables, which tell of the downlink: departure is at the base station.
ANGLES = ("aod", "aoa", "zod", "zoa")
#: The spread that belongs to each.
SPREADS = {"aod": "asd", "aoa": "asa", "zod": "zsd", "zoa": "zsa"}


@dataclass(frozen=True, eq=False)
class ClusterProfile:
    """Clusters of a channel with unit total power, and the line of sight if there is one.

    delays_s [num_clusters] float64. powers [num_clusters] float64, without the line of sight's `los_power`.
    centres_rad: of every angle, by its name in `ANGLES`, [num_clusters] float64.
    rays_rad: the same for the rays, [num_clusters, 20] float64.
    los_rad: the same for the line of sight, which arrives with delay 0. xpr: cross-polarisation ratio, linear.
    """

    delays_s: np.ndarray
    powers: np.ndarray
    los_power: float
    centres_rad: dict[str, np.ndarray]
    rays_rad: dict[str, np.ndarray]
    los_rad: dict[str, float]
    xpr: float

    @property
    def num_clusters(self) -> int:
        return len(self.powers)

    @property
    def num_rays(self) -> int:
        return len(RAY_OFFSETS)

    @property
    def k_factor(self) -> float:
        """Power of the line of sight over that of all clusters, linear; 0 without one."""
        return self.los_power / float(self.powers.sum())

    @property
    def rms_delay_spread_s(self) -> float:
        """Root mean square delay spread, power-weighted, line of sight included."""
        powers, delays = self._with_los(self.powers, self.delays_s, 0.0)
        return float(np.sqrt(powers @ delays**2 - (powers @ delays) ** 2))

    def angle_statistics(self, angle: str) -> tuple[float, float]:
        """Circular mean and rms spread of an angle over all rays, radians (TR 38.901 annex A)."""
        return _circular(self.rays_rad[angle], self.powers, self.los_rad[angle], self.los_power)

    def _with_los(self, powers: np.ndarray, values: np.ndarray, of_los: float) -> tuple[np.ndarray, np.ndarray]:
        return np.append(powers, self.los_power), np.append(values, of_los)


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, list[dict[str, str]]], dict[str, dict[str, float]]]:
    """Rows of tables 7.7.1-1 to 7.7.1-5 of TR 38.901, Rel-19, and the per-cluster parameters below each."""
    clusters: dict[str, list[dict[str, str]]] = {}
    for row in _rows("cdl_clusters.csv"):
        clusters.setdefault(row["profile"], []).append(row)
    return clusters, {row.pop("profile"): {k: float(v) for k, v in row.items()} for row in _rows("cdl_rays.csv")}


def _rows(file: str) -> list[dict[str, str]]:
    text = resources.files("channels").joinpath(file).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def cluster_profile_names() -> tuple[str, ...]:
    """Names of all profiles."""
    return tuple(_tables()[0])


def cluster_profile(
    name: str,
    delay_spread_s: float,
    angle_spreads_deg: Mapping[str, float] | None = None,
    mean_angles_deg: Mapping[str, float] | None = None,
    k_factor_db: float | None = None,
) -> ClusterProfile:
    """A profile by name, scaled.

    delay_spread_s: the tables' delays are multiplied by it (TR 38.901 eq. (7.7-1), Rel-18).
    angle_spreads_deg: wanted rms spreads by "asd", "asa", "zsd", "zsa"; mean_angles_deg: wanted means by "aod", "aoa",
        "zod", "zoa" (eq. (7.7-5), §7.7.5.1). What is left out stays as the table has it.
    k_factor_db: wanted K factor of a profile with a line of sight (§7.7.6): its power against all clusters; delays
        are then brought back to unit spread before they are scaled.
    """
    clusters, rays = _tables()
    if not isinstance(name, str) or name not in clusters:
        raise unknown_name("profile", name, clusters)
    rows = [row for row in clusters[name] if row["kind"] == "cluster"]
    los_rows = [row for row in clusters[name] if row["kind"] == "los"]
    powers = 10 ** (np.array([float(row["power_db"]) for row in rows]) / 10)
    los_power = 10 ** (float(los_rows[0]["power_db"]) / 10) if los_rows else 0.0
    delays = np.array([float(row["delay"]) for row in rows])
    if k_factor_db is not None:
        if not los_rows:
            raise bad_value("k_factor_db", k_factor_db, f"none: profile {name!r} has no line of sight")
        los_power = 10 ** (k_factor_db / 10) * powers.sum()
    total = powers.sum() + los_power
    powers, los_power = powers / total, los_power / total
    if k_factor_db is not None:
        delays = delays / math.sqrt(powers @ delays**2 - (powers @ delays) ** 2)
    parameters = rays[name]
    centres, of_rays, of_los = {}, {}, {}
    for angle in ANGLES:
        degrees = np.array([float(row[f"{angle}_deg"]) for row in rows])
        with_rays = degrees[:, None] + parameters[f"c_{SPREADS[angle]}_deg"] * RAY_OFFSETS
        los = float(los_rows[0][f"{angle}_deg"]) if los_rows else 0.0
        centres[angle], of_rays[angle] = np.deg2rad(degrees), np.deg2rad(with_rays)
        of_los[angle] = math.radians(los)
    _check_names("angle_spreads_deg", angle_spreads_deg, tuple(SPREADS.values()))
    _check_names("mean_angles_deg", mean_angles_deg, ANGLES)
    for angle in ANGLES:
        spread = (angle_spreads_deg or {}).get(SPREADS[angle])
        mean = (mean_angles_deg or {}).get(angle)
        if spread is None and mean is None:
            continue
        model_mean, model_spread = _circular(of_rays[angle], powers, of_los[angle], los_power)
        ratio = 1.0 if spread is None else math.radians(spread) / model_spread
        about = model_mean if mean is None else math.radians(mean)
        zenith = angle.startswith("z")
        centres[angle] = _scaled(centres[angle], model_mean, ratio, about, zenith)
        of_rays[angle] = _scaled(of_rays[angle], model_mean, ratio, about, zenith)
        of_los[angle] = float(_scaled(np.array(of_los[angle]), model_mean, ratio, about, zenith))
    xpr = 10 ** (parameters["xpr_db"] / 10)
    return ClusterProfile(delays * delay_spread_s, powers, float(los_power), centres, of_rays, of_los, xpr)


def _check_names(what: str, given: Mapping[str, float] | None, known: tuple[str, ...]) -> None:
    for key, value in (given or {}).items():
        if key not in known:
            raise unknown_name(what, key, known)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise bad_value(f"{what}.{key}", value, "a finite number of degrees")
        if known is not ANGLES and value < 0:
            raise bad_value(f"{what}.{key}", value, "a finite number of degrees from 0")
        if key in ("zod", "zoa") and not 0 <= value <= 180:
            raise bad_value(f"{what}.{key}", value, "0 to 180 degrees, a zenith angle")


def _circular(rays: np.ndarray, powers: np.ndarray, los: float, los_power: float) -> tuple[float, float]:
    """Circular mean and spread of rays [num_clusters, num_rays] and a line of sight, radians."""
    phasor = powers @ np.exp(1j * rays).mean(1) + los_power * np.exp(1j * los)
    return float(np.angle(phasor)), math.sqrt(-2 * math.log(abs(phasor) / (powers.sum() + los_power)))


def _scaled(angles: np.ndarray, mean: float, ratio: float, about: float, zenith: bool) -> np.ndarray:
    """Deviations from `mean` times `ratio`, about another mean; zenith angles are clipped to 0 to pi (§7.7.5.1)."""
    deviation = (angles - mean + np.pi) % (2 * np.pi) - np.pi
    moved = ratio * deviation + about
    return np.clip(moved, 0, np.pi) if zenith else moved
