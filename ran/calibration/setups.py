"""Setups of the large-scale calibration (TR 38.901 table 7.8-1, Rel-19) and the curves to meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from channels.scenarios.environment import Environment
from channels.scenarios.urban import UrbanMacro, UrbanMicro
from ran.errors import unknown_name

#: How far a percentile may be from that of the companies' median curve, dB.
TOLERANCE_DB = {"coupling_loss": 1.5, "sir": 0.6}


@dataclass(frozen=True)
class Metric:
    """What is measured of every user. factor: from the unit of the library to the one that is shown."""

    title: str
    unit: str
    factor: float = 1.0


#: Metrics by name: those of table 7.8-1, then those of table 7.8-2: spreads of the serving link, wideband SIR and
#: singular values.
METRICS = {
    "coupling_loss": Metric("Coupling loss, serving sector", "dB"),
    "sir": Metric("Geometry without noise", "dB"),
    "sinr": Metric("Geometry with noise", "dB"),
    "ds": Metric("Delay spread", "ns", 1e9),
    "asd": Metric("Azimuth spread of departure", "degrees", math.degrees(1)),
    "asa": Metric("Azimuth spread of arrival", "degrees", math.degrees(1)),
    "zsd": Metric("Zenith spread of departure", "degrees", math.degrees(1)),
    "zsa": Metric("Zenith spread of arrival", "degrees", math.degrees(1)),
    "wideband_sir": Metric("Wideband SIR", "dB"),
    "sv1": Metric("Largest singular value of a PRB", "dB"),
    "sv2": Metric("Smallest singular value of a PRB", "dB"),
    "sv_ratio": Metric("Largest over smallest singular value", "dB"),
}


@dataclass(frozen=True)
class Setup:
    """A scenario at a frequency: 19 sites, 3 sectors each, wrap-around, 80 % of the users in buildings.

    Sectors have ten elements above one another at half a wavelength, with the beam at a zenith of 102 degrees.
    reference: by metric, percentile -> dB, the medians over companies in R1-165974.
    """

    name: str
    title: str
    environment: type[Environment]
    carrier_frequency_hz: float
    inter_site_distance_m: float
    power_dbm: float
    bandwidth_hz: float
    noise_figure_db: float = 9.0
    beam_zenith_deg: float = 102.0
    num_sites: int = 19
    indoor_ratio: float = 0.8
    reference: dict[str, dict[int, float]] = field(default_factory=dict)


SETUPS = {
    setup.name: setup
    for setup in (
        Setup(
            "umi-6ghz", "UMi, 6 GHz", UrbanMicro, 6e9, 200.0, 44.0, 20e6,
            reference={
                "coupling_loss": {5: -142.3, 50: -112.2, 95: -74.8},
                "sir": {5: -1.7, 50: 7.3, 95: 24.9},
            },
        ),
        Setup(
            "uma-6ghz", "UMa, 6 GHz", UrbanMacro, 6e9, 500.0, 49.0, 20e6,
            reference={"coupling_loss": {50: -120.3}, "sir": {50: 8.6}},
        ),
        Setup("umi-30ghz", "UMi, 30 GHz", UrbanMicro, 30e9, 200.0, 35.0, 100e6),
        Setup("uma-30ghz", "UMa, 30 GHz", UrbanMacro, 30e9, 500.0, 35.0, 100e6),
    )
}  # fmt: skip


def select(names: Sequence[str]) -> list[Setup]:
    """Setups by name, each once; all when none is named. InputError for an unknown one."""
    for name in names:
        if name not in SETUPS:
            raise unknown_name("setup", name, SETUPS)
    return [SETUPS[name] for name in dict.fromkeys(names)] or list(SETUPS.values())
