"""Setups of the large-scale calibration (TR 38.901 table 7.8-1, Rel-19) and the curves to meet.

The curves are of the campaign of 2016, whose tables Rel-19 changed in part (coated glass, spreads of UMi and UMa). At
30 GHz that decides: the setups there take the old tables, `spec` 14, for which they have references. At 6 GHz both meet
the curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from channels.scenarios.environment import Environment, Spec
from channels.scenarios.indoor import IndoorOffice
from channels.scenarios.layout import HexagonalLayout, IndoorLayout, Layout
from channels.scenarios.urban import UrbanMacro, UrbanMicro
from ran.errors import unknown_name
from ran.studies.calibration.references import INH_6GHZ, INH_30GHZ, UMA_30GHZ, UMI_30GHZ

#: How far a percentile may be from that of the companies' median curve, dB. Spreads are shown beside theirs without a
#: verdict: the documents do not say whether companies counted drawn or realised ones (`ds_drawn`).
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
    "ds_drawn": Metric("Delay spread drawn", "ns", 1e9),
    "ds_apart": Metric("Drawn, site without shadowing", "ns", 1e9),
    "asd": Metric("Azimuth spread of departure", "degrees", math.degrees(1)),
    "asa": Metric("Azimuth spread of arrival", "degrees", math.degrees(1)),
    "zsd": Metric("Zenith spread of departure", "degrees", math.degrees(1)),
    "zsa": Metric("Zenith spread of arrival", "degrees", math.degrees(1)),
    "wideband_sir": Metric("Wideband SIR", "dB"),
    "sv1": Metric("Largest singular value of a PRB", "dB"),
    "sv2": Metric("Smallest singular value of a PRB", "dB"),
    "sv_ratio": Metric("Largest over smallest singular value", "dB"),
}


class MakeEnvironment(Protocol):
    """Makes a scenario at a carrier frequency, by the tables of a release where there are several."""

    def __call__(self, carrier_frequency_hz: float, spec: Spec) -> Environment: ...


def _office(carrier_frequency_hz: float, spec: Spec) -> Environment:
    """An open office, whose tables are the same in all releases."""
    return IndoorOffice(carrier_frequency_hz, "open")


@dataclass(frozen=True)
class Setup:
    """A scenario at a frequency: 19 sites, 3 sectors each, wrap-around, 80 % of the users in buildings; or an open
    office with 12 sites, 3 sectors each.

    Sectors have ten elements above one another at half a wavelength, with the beam at a zenith of 102 degrees, 110 in
    an office. spec: release of TR 38.901 whose tables hold. reference: by metric, percentile -> its unit, the medians
    over companies; they hold for the tables of `references_for`.
    """

    name: str
    title: str
    environment: MakeEnvironment
    carrier_frequency_hz: float
    inter_site_distance_m: float
    power_dbm: float
    bandwidth_hz: float
    noise_figure_db: float = 9.0
    beam_zenith_deg: float = 102.0
    num_sites: int = 19
    indoor_ratio: float = 0.8
    reference: dict[str, dict[int, float]] = field(default_factory=dict)
    spec: Spec = 14
    references_for: tuple[Spec, ...] = (14,)

    @property
    def layout(self) -> Layout:
        """Where sites are."""
        if self.environment is _office:
            return IndoorLayout(self.inter_site_distance_m)
        return HexagonalLayout(self.num_sites, self.inter_site_distance_m)

    @property
    def counted_reference(self) -> dict[str, dict[int, float]]:
        """The references, where they hold for these tables."""
        return self.reference if self.spec in self.references_for else {}

    @property
    def release(self) -> str:
        """Whose tables hold, in words."""
        return "TR 38.901 Rel-19" if self.spec == 19 else "TR 38.901 Rel-14 to Rel-18"


def _indoor(
    name: str, title: str, carrier_frequency_hz: float, bandwidth_hz: float, reference: dict[str, dict[int, float]]
) -> Setup:
    """An open office.

    Its transmit power of 24 dBm is an assumption: it decides the geometry with noise alone, which has no reference.
    """
    return Setup(
        name, title, _office, carrier_frequency_hz, 20.0, 24.0, bandwidth_hz,
        beam_zenith_deg=110.0, num_sites=12, indoor_ratio=0.0, reference=reference,
    )  # fmt: skip


SETUPS = {
    setup.name: setup
    for setup in (
        Setup(
            "umi-6ghz", "UMi, 6 GHz", UrbanMicro, 6e9, 200.0, 44.0, 20e6,
            reference={
                "coupling_loss": {5: -142.3, 50: -112.2, 95: -74.8},
                "sir": {5: -1.7, 50: 7.3, 95: 24.9},
            },
            spec=19, references_for=(14, 19),
        ),
        Setup(
            "uma-6ghz", "UMa, 6 GHz", UrbanMacro, 6e9, 500.0, 49.0, 20e6,
            reference={"coupling_loss": {50: -120.3}, "sir": {50: 8.6}},
            spec=19, references_for=(14, 19),
        ),
        Setup("umi-30ghz", "UMi, 30 GHz", UrbanMicro, 30e9, 200.0, 35.0, 100e6, reference=UMI_30GHZ),
        Setup("uma-30ghz", "UMa, 30 GHz", UrbanMacro, 30e9, 500.0, 35.0, 100e6, reference=UMA_30GHZ),
        _indoor("inh-6ghz", "InH open office, 6 GHz", 6e9, 20e6, INH_6GHZ),
        _indoor("inh-30ghz", "InH open office, 30 GHz", 30e9, 100e6, INH_30GHZ),
    )
}  # fmt: skip


def select(names: Sequence[str], spec: Spec | None = None) -> list[Setup]:
    """Setups by name, each once; all when none is named. InputError for an unknown one.

    spec: release whose tables hold in all of them; None: each setup's own.
    """
    for name in names:
        if name not in SETUPS:
            raise unknown_name("setup", name, SETUPS)
    chosen = [SETUPS[name] for name in dict.fromkeys(names)] or list(SETUPS.values())
    return chosen if spec is None else [replace(setup, spec=spec) for setup in chosen]
