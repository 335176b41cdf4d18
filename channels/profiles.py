"""Power delay profiles of tapped delay lines."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

from channels.errors import unknown_name


@dataclass(frozen=True, eq=False)
class PowerDelayProfile:
    """Taps of a channel with unit total power.

    delays_s [num_taps] float64: delays of the taps.
    powers [num_taps] float64: mean powers of their Rayleigh-fading parts.
    los_power: power of the line-of-sight path, which arrives with the first tap; 0 without one.
    """

    delays_s: np.ndarray
    powers: np.ndarray
    los_power: float = 0.0

    @property
    def num_taps(self) -> int:
        return len(self.delays_s)

    @property
    def k_factor(self) -> float:
        """Rician K factor of the first tap, linear: line of sight over fading power."""
        return self.los_power / float(self.powers[0])

    @property
    def rms_delay_spread_s(self) -> float:
        """Root mean square delay spread, power-weighted (TR 38.901 §7.7, Rel-18)."""
        powers = self.powers.copy()
        powers[0] += self.los_power
        mean = powers @ self.delays_s
        return float(np.sqrt(powers @ (self.delays_s - mean) ** 2))

    def frequency_correlation(self, spacing_hz: np.ndarray | float) -> np.ndarray:
        """E[H(f + spacing) conj(H(f))], complex128, shape of `spacing_hz`: the transform of the profile."""
        powers = self.powers.copy()
        powers[0] += self.los_power
        phases = np.exp(-2j * np.pi * np.multiply.outer(spacing_hz, self.delays_s))
        return np.asarray(phases @ powers)


@dataclass(frozen=True)
class _Table:
    """One profile as the standard prints it, with the unit of its delays: "normalised" or "ns"."""

    unit: str
    delays: tuple[float, ...]
    powers_db: tuple[float, ...]
    los_power_db: float | None


@lru_cache(maxsize=1)
def _tables() -> dict[str, _Table]:
    """Tables 7.7.2-1 to 7.7.2-5 of TR 38.901 and the quantised profiles of TS 38.104 annex G.2.1.1, Rel-18."""
    rows_of: dict[str, list[dict[str, str]]] = {}
    text = resources.files("channels").joinpath("power_delay_profiles.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        rows_of.setdefault(row["profile"], []).append(row)
    tables = {}
    for name, rows in rows_of.items():
        fading = [row for row in rows if row["fading"] == "rayleigh"]
        los = [float(row["power_db"]) for row in rows if row["fading"] == "los"]
        tables[name] = _Table(
            unit=rows[0]["delay_unit"],
            delays=tuple(float(row["delay"]) for row in fading),
            powers_db=tuple(float(row["power_db"]) for row in fading),
            los_power_db=los[0] if los else None,
        )
    return tables


def profile_names() -> tuple[str, ...]:
    """Names of all profiles."""
    return tuple(_tables())


def is_scalable(name: str) -> bool:
    """Whether the profile needs a delay spread; `ValueError` for an unknown name."""
    if not isinstance(name, str) or name not in _tables():
        raise unknown_name("profile", name, _tables())
    return _tables()[name].unit == "normalised"


def power_delay_profile(name: str, delay_spread_s: float | None = None) -> PowerDelayProfile:
    """A profile by name, its powers normalised to a sum of 1.

    delay_spread_s: multiplies the delays of scalable profiles as TR 38.901 eq. (7.7-1) says; None for the others.
    """
    scalable = is_scalable(name)
    if scalable != (delay_spread_s is not None):
        raise ValueError(
            f"delay_spread_s: got {delay_spread_s!r}; profile {name!r} {'needs' if scalable else 'fixes'} it"
        )
    table = _tables()[name]
    unit_s = delay_spread_s if delay_spread_s is not None else 1e-9
    powers = 10 ** (np.array(table.powers_db) / 10)
    los_power = 0.0 if table.los_power_db is None else 10 ** (table.los_power_db / 10)
    total = powers.sum() + los_power
    return PowerDelayProfile(np.array(table.delays) * unit_s, powers / total, float(los_power / total))
