"""Drops of a calibration setup and their percentiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from channels.arrays import antenna_array
from channels.scenarios import drop_users, noise_power_dbm, serving_spreads, site_channels
from channels.scenarios.environment import Environment
from channels.scenarios.layout import Layout
from channels.scenarios.network import NetworkDrop
from channels.waves import SPEED_OF_LIGHT_MPS
from ran.link.streams import stream
from ran.stats import Estimate, order_statistics_percentile
from ran.studies.calibration.setups import METRICS, TOLERANCE_DB, Setup

#: Users of a drop: ten per sector (TR 38.901 table 7.8-1 with TR 36.873 table 6-1).
USERS_PER_SECTOR = 10
#: Percentiles that tables show.
PERCENTILES = (1, *range(5, 100, 5), 99)
#: Of the PRB whose singular values are looked at.
_PRB_SPACING_HZ = 15e3


@dataclass(frozen=True)
class Percentile:
    """A percentile in the metric's unit, and the reference, if any."""

    metric: str
    percent: int
    estimate: Estimate
    reference: float | None
    tolerance: float | None

    @property
    def deviation(self) -> float | None:
        if self.reference is None or self.estimate.value is None:
            return None
        return self.estimate.value - self.reference

    @property
    def is_met(self) -> bool | None:
        """Whether the reference is met; None without one."""
        if self.deviation is None or self.tolerance is None:
            return None
        return abs(self.deviation) <= self.tolerance


@dataclass(frozen=True)
class Calibration:
    """What a setup gave. values: by metric, float64 [num_users], sorted."""

    setup: Setup
    drops: int
    seed: int
    values: dict[str, np.ndarray]

    @property
    def num_users(self) -> int:
        return len(self.values["sir"])

    def percentile(self, metric: str, percent: int) -> Percentile:
        estimate = order_statistics_percentile(self.values[metric], percent)
        return Percentile(
            metric,
            percent,
            replace(estimate, unit=METRICS[metric].unit),
            self.setup.counted_reference.get(metric, {}).get(percent),
            TOLERANCE_DB.get(metric),
        )

    def against_reference(self) -> list[Percentile]:
        """All percentiles that have a reference."""
        of = self.setup.counted_reference
        return [self.percentile(metric, percent) for metric in of if metric in self.values for percent in of[metric]]


def calibrate(
    setup: Setup,
    drops: int,
    seed: int,
    spreads: bool = False,
    channels: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Simulate `drops` drops; each depends on the setup, the seed and its number alone.

    spreads: delay and angle spreads of the serving links as well. channels: wideband SIR and singular values, from the
    small-scale channels to all sectors. say: told about progress.
    """
    environment = setup.environment(setup.carrier_frequency_hz, spec=setup.spec)
    layout = setup.layout
    sector = antenna_array(_sector_block(setup), SPEED_OF_LIGHT_MPS / setup.carrier_frequency_hz)
    noise = noise_power_dbm(setup.bandwidth_hz, setup.noise_figure_db)
    users = USERS_PER_SECTOR * layout.num_sectors
    parts: dict[str, list[np.ndarray]] = {}
    for index in range(drops):
        if index % max(1, drops // 10) == 0:
            say(f"{setup.name}: {index} of {drops} drops")
        generator = stream(seed, setup.name, index, "network")
        drop = drop_users(environment, layout, generator, users, sector, setup.indoor_ratio)
        found = {
            "coupling_loss": drop.coupling_loss_db,
            "sir": drop.geometry_db(),
            "sinr": drop.geometry_db(setup.power_dbm, noise),
        }
        if spreads:
            found |= serving_spreads(environment, layout, drop, stream(seed, setup.name, index, "clusters"))
            found |= _drawn_spreads(drop)
        if channels:
            found |= _of_channels(setup, environment, layout, drop, stream(seed, setup.name, index, "channels"))
        for name, values in found.items():
            parts.setdefault(name, []).append(values * METRICS[name].factor)
    return Calibration(
        setup, drops, seed, {name: np.sort(np.concatenate(parts[name])) for name in METRICS if name in parts}
    )


def _drawn_spreads(drop: NetworkDrop) -> dict[str, np.ndarray]:
    """Delay spreads of the links as they were drawn, before few clusters realise them, s, float64 [num_users] each.

    Of the serving site, and of the one that would serve if shadowing did not help to choose: a link with much shadowing
    gain has a small spread (their correlation is -0.4 to -0.8), so the strongest sector is one of small spread.
    """
    users = np.arange(len(drop.users_m))
    without = drop.gain_db - np.repeat(drop.state.shadowing_db, 3, axis=1)
    sites = {"ds_drawn": drop.serving // 3, "ds_apart": without.argmax(-1) // 3}
    return {name: drop.state.delay_spread_s[users, site] for name, site in sites.items()}


def _sector_block(setup: Setup) -> dict[str, Any]:
    """Options of a sector's antenna: ten elements above one another, one port."""
    return {
        "rows": 10,
        "columns": 1,
        "pattern": "38.901",
        "subarray_rows": 10,
        "subarray_zenith_deg": setup.beam_zenith_deg,
    }


def _of_channels(
    setup: Setup, environment: Environment, layout: Layout, drop: NetworkDrop, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Wideband SIR and singular values of a PRB at the carrier, dB, float64 [num_users] each.

    Sectors have their ten elements twice, slanted by 45 degrees to either side; users a vertical and a horizontal
    element. Singular values: of the mean over the PRB of H H^H, of a channel of unit mean power per antenna pair.
    """
    wavelength = SPEED_OF_LIGHT_MPS / setup.carrier_frequency_hz
    sector = antenna_array(_sector_block(setup) | {"polarisation": "cross"}, wavelength)
    user = antenna_array({"num_elements": 1, "polarisation": "VH"}, wavelength)
    users, serving = np.arange(len(drop.users_m)), drop.serving
    powers = np.empty((len(users), layout.num_sectors))
    values = np.empty((len(users), 2))
    frequencies = (np.arange(12) - 5.5) * _PRB_SPACING_HZ
    for site in site_channels(environment, layout, drop, sector, user, generator):
        powers[:, 3 * site.site : 3 * site.site + 3] = site.powers
        here = users[serving // 3 == site.site]
        gains = site.gains.numpy()[here, serving[here] % 3].astype(np.complex128)
        turned = np.exp(-2j * np.pi * site.delays_s[here][..., None] * frequencies)
        # [users, subcarriers, user ports, sector ports]
        h = np.einsum("bijn,bnf->bfij", gains, turned)
        h = h / np.sqrt(site.powers[here, serving[here] % 3])[:, None, None, None]
        values[here] = np.linalg.eigvalsh((h @ h.conj().swapaxes(-1, -2)).mean(1))
    best = powers[users, serving]
    smallest, largest = 10 * np.log10(np.maximum(values, 1e-30)).T
    return {
        "wideband_sir": 10 * np.log10(best / (powers.sum(-1) - best)),
        "sv1": largest,
        "sv2": smallest,
        "sv_ratio": largest - smallest,
    }
