"""Drops of a calibration setup and their percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from channels.arrays import antenna_array
from channels.scenarios import drop_users, noise_power_dbm, serving_spreads, site_channels
from channels.scenarios.environment import Environment
from channels.scenarios.layout import Layout
from channels.scenarios.network import NetworkDrop
from channels.waves import SPEED_OF_LIGHT_MPS
from ran.link.streams import stream
from ran.sim.identity import digest
from ran.stats import Estimate, order_statistics_percentile
from ran.studies.calibration.setups import METRICS, TOLERANCE_DB, Setup, select
from ran.studies.job import Arrays, Job, JobWorkers, Results
from ran.studies.jobs import JobListener, JobStudy, run_jobs

KIND = "calibration study"
#: What the study writes into its folder beside the store.
PAGES = ("calibration.csv", "calibration.png", "calibration.html")
#: Raised whenever drops of the same setup change.
DROP_VERSION = 1
#: Attributes of a setup that decide its drops; the others name it or hold references.
_DECISIVE = (
    "name", "carrier_frequency_hz", "inter_site_distance_m", "power_dbm", "bandwidth_hz", "noise_figure_db",
    "beam_zenith_deg", "num_sites", "indoor_ratio", "spec",
)  # fmt: skip
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


@dataclass(frozen=True)
class Request:
    """What is calibrated. spreads: delay and angle spreads of the serving links as well. channels: wideband SIR and
    singular values, from the small-scale channels to all sectors."""

    setups: tuple[Setup, ...]
    drops: int
    seed: int
    spreads: bool = False
    channels: bool = False

    def study(self) -> JobStudy:
        """A job per drop."""
        identity = named(self)
        stages = (self._missing,)
        return JobStudy(KIND, self, DropWorker, identity, named, stages, PAGES, self.described, DropWorker(self))

    @property
    def described(self) -> dict[str, Any]:
        """What a report is made from, beside the results of the jobs: plain values."""
        setups = [[setup.name, setup.spec] for setup in self.setups]
        asked = {"drops": self.drops, "seed": self.seed, "spreads": self.spreads, "channels": self.channels}
        return {"setups": setups, **asked}

    def _missing(self, known: Results) -> Iterable[Job]:
        return [
            Job((key,), (setup, index), f"{setup.name}: {index} of {self.drops} drops")
            for setup in self.setups
            for index in range(self.drops)
            if (key := self.key(setup, index)) not in known
        ]

    def key(self, setup: Setup, index: int) -> str:
        """Names a drop by all that it depends on."""
        return f"{self._prefix[setup.name]} {index}"

    @cached_property
    def _prefix(self) -> dict[str, str]:
        """Of keys, by name of the setup."""
        asked = {"seed": self.seed, "spreads": self.spreads, "channels": self.channels}
        return {setup.name: digest({**_plain(setup), **asked}) for setup in self.setups}

    def calibrations(self, known: Results) -> list[Calibration]:
        """What the setups gave. `KeyError` where drops are missing."""
        found = []
        for setup in self.setups:
            parts = [known[self.key(setup, index)] for index in range(self.drops)]
            values = {name: np.sort(np.concatenate([p[name] for p in parts])) for name in METRICS if name in parts[0]}
            found.append(Calibration(setup, self.drops, self.seed, values))
        return found


def results_of(described: Mapping[str, Any], known: Results) -> list[Calibration]:
    """What the shipped setups of a request gave, from what its folder holds. `KeyError` where drops are missing."""
    setups = tuple(setup for name, spec in described["setups"] for setup in select([name], spec))
    asked = {key: value for key, value in described.items() if key != "setups"}
    return Request(setups, **asked).calibrations(known)


def named(request: Request) -> dict[str, Any]:
    """What all drops of a folder depend on; their keys name the rest."""
    return {"drop_version": DROP_VERSION}


def _plain(setup: Setup) -> dict[str, Any]:
    """What decides the drops of a setup."""
    values = {f.name: getattr(setup, f.name) for f in fields(setup) if f.name in _DECISIVE}
    return {**values, "environment": getattr(setup.environment, "__name__", "")}


def calibrate_all(
    request: Request,
    out: Path,
    *,
    workers: int | None = None,
    listener: JobListener | None = None,
    executor: JobWorkers | None = None,
) -> list[Calibration]:
    """Simulate the drops that the folder `out` does not hold yet; arguments as of `ran.studies.jobs.run_jobs`."""
    study = request.study()
    known = run_jobs(study, out, workers=workers, listener=listener, executor=executor)
    return request.calibrations(known)


def calibrate(setup: Setup, drops: int, seed: int, spreads: bool = False, channels: bool = False) -> Calibration:
    """Simulate `drops` drops in this process; each depends on the setup, the seed and its number alone.

    spreads, channels: as of `Request`.
    """
    request = Request((setup,), drops, seed, spreads, channels)
    return request.calibrations(run_jobs(request.study(), None))[0]


class DropWorker:
    """Simulates drops (`ran.studies.job.JobWorker`)."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def work(self, job: Job) -> dict[str, Arrays]:
        setup, index = job.work
        return dict.fromkeys(job.keys, self._drop(setup, index))

    def _drop(self, setup: Setup, index: int) -> Arrays:
        """Metrics of a drop, float64 [num_users] each, in the units that are shown."""
        request, seed = self._request, self._request.seed
        environment = setup.environment(setup.carrier_frequency_hz, spec=setup.spec)
        layout = setup.layout
        sector = antenna_array(_sector_block(setup), SPEED_OF_LIGHT_MPS / setup.carrier_frequency_hz)
        noise = noise_power_dbm(setup.bandwidth_hz, setup.noise_figure_db)
        users = USERS_PER_SECTOR * layout.num_sectors
        generator = stream(seed, setup.name, index, "network")
        drop = drop_users(environment, layout, generator, users, sector, setup.indoor_ratio)
        found = {
            "coupling_loss": drop.coupling_loss_db,
            "sir": drop.geometry_db(),
            "sinr": drop.geometry_db(setup.power_dbm, noise),
        }
        if request.spreads:
            found |= serving_spreads(environment, layout, drop, stream(seed, setup.name, index, "clusters"))
            found |= _drawn_spreads(drop)
        if request.channels:
            found |= _of_channels(setup, environment, layout, drop, stream(seed, setup.name, index, "channels"))
        return {name: values * METRICS[name].factor for name, values in found.items()}


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
