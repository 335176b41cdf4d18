"""The scenarios as link channels: one user at a random place of a cell per drop."""

from __future__ import annotations

from typing import Any, Literal

from channels.array_channel import Wideband
from channels.errors import bad_value
from channels.scenarios.additions import Additions
from channels.scenarios.environment import Spec
from channels.scenarios.indoor import IndoorFactory, IndoorOffice
from channels.scenarios.rural import RuralMacro
from channels.scenarios.scenario_channel import ScenarioChannel, cell_of
from channels.scenarios.suburban import SuburbanMacro
from channels.scenarios.urban import UrbanMacro, UrbanMicro

Direction = Literal["uplink", "downlink"]
OutdoorCondition = Literal["los", "nlos", "o2i"]


class Umi(ScenarioChannel):
    """Urban street canyon (UMi of TR 38.901): one user at a random place of a cell per drop.

    carrier_frequency_hz: 0.5 to 100 GHz. direction: "uplink" from the user to the base station, or "downlink".
    rx_array, tx_array: blocks of `channels.arrays.antenna_array`; left out, a line of vertical omnidirectional
        elements at half a wavelength. The base station's faces along x, into the sector; every user's is turned about
        the vertical by a uniformly random angle.
    inter_site_distance_m: users uniformly over a sector of the hexagon. distance_m: instead, uniformly between a least
        and a largest horizontal distance. indoor_ratio: share of users in buildings, on random floors.
    condition: "los", "nlos" or "o2i" for all users; left out: as the probability of a line of sight has it.
    o2i_loss: buildings with "low" or "high" loss, or "mixed", half of each; left out: mixed, and 20 dB below 6 GHz.
    speed_mps: of the user, in a uniformly random horizontal direction.
    pathloss: whether gains hold path loss, shadowing, walls and the antennas' gains. Without it every drop has unit
        mean power over antenna pairs and start phases. With it an experiment has a link_budget in place of esn0_db.
    mobility: whether the user's surroundings change with its place (`ScenarioChannel.track`): delays and angles drift,
        clusters come and go, the line of sight as well. Without it only phases turn. Together with pathloss the gain
        of a user who moves has steps of up to 7.5 dB every 5 cm, by the standard's law of the stages (§7.6.3).
    absolute_delay: whether delays hold the whole way, with the excess delay of §7.6.9.
    oxygen: whether oxygen absorbs power (§7.6.1), which it does from 52 to 68 GHz.
    blockage: {"model": "A", ...} or {"model": "B", ...}: `channels.scenarios.blockage`.
    dual_mobility: block with base_speed_mps, scatterer_speed_mps and more (`channels.dual_mobility`, §7.6.10); not
        together with mobility.
    wideband: true delays of every element over the band, true, false or "auto" (`channels.array_channel.ArrayChannel`).
    spec: release of TR 38.901 whose tables hold: 19, or 14, whose tables also those of 15 to 18 are.

    Large-scale parameters and clusters as in §7.5, the two strongest clusters in three parts each. Tables of V19.2: so
    the values that Rel-19 measured between 7 and 24 GHz (FR3) are in: UMi's and UMa's spreads, UMa's cluster spreads,
    coated glass; "spec" 14 gives what was before. Not in: numbers of clusters and polarisation powers that vary
    (§7.6.15, §7.6.16). Delays count from the first path. The response is constant within an OFDM symbol.
    """

    name = "umi"

    def __init__(
        self,
        carrier_frequency_hz: float,
        direction: Direction = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        inter_site_distance_m: float = 200.0,
        distance_m: list[float] | None = None,
        indoor_ratio: float | None = None,
        condition: OutdoorCondition | None = None,
        o2i_loss: Literal["low", "high", "mixed"] | None = None,
        pathloss: bool = False,
        mobility: bool = False,
        absolute_delay: bool = False,
        oxygen: bool = False,
        blockage: dict[str, Any] | None = None,
        dual_mobility: dict[str, Any] | None = None,
        wideband: Wideband = "auto",
        spec: Spec = 19,
    ) -> None:
        environment = UrbanMicro(carrier_frequency_hz, spec)
        cell = cell_of(environment, inter_site_distance_m, distance_m, indoor_ratio, condition, o2i_loss)
        additions = Additions(environment, mobility, absolute_delay, oxygen, blockage, dual_mobility)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss, additions, wideband)


class Uma(ScenarioChannel):
    """Urban macro cell (UMa of TR 38.901): one user at a random place of a cell per drop.

    Options as for "umi".
    """

    name = "uma"

    def __init__(
        self,
        carrier_frequency_hz: float,
        direction: Direction = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        inter_site_distance_m: float = 500.0,
        distance_m: list[float] | None = None,
        indoor_ratio: float | None = None,
        condition: OutdoorCondition | None = None,
        o2i_loss: Literal["low", "high", "mixed"] | None = None,
        pathloss: bool = False,
        mobility: bool = False,
        absolute_delay: bool = False,
        oxygen: bool = False,
        blockage: dict[str, Any] | None = None,
        dual_mobility: dict[str, Any] | None = None,
        wideband: Wideband = "auto",
        spec: Spec = 19,
    ) -> None:
        environment = UrbanMacro(carrier_frequency_hz, spec)
        cell = cell_of(environment, inter_site_distance_m, distance_m, indoor_ratio, condition, o2i_loss)
        additions = Additions(environment, mobility, absolute_delay, oxygen, blockage, dual_mobility)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss, additions, wideband)


class Rma(ScenarioChannel):
    """Rural macro cell (RMa of TR 38.901): one user in a house or a car at a random place of a cell per drop.

    Options as for "umi", up to 7 GHz. building_height_m, street_width_m: 5 to 50, on average. Buildings are of low
    loss, and users outside them in cars.
    """

    name = "rma"

    def __init__(
        self,
        carrier_frequency_hz: float,
        direction: Direction = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        inter_site_distance_m: float = 1732.0,
        distance_m: list[float] | None = None,
        indoor_ratio: float | None = None,
        condition: OutdoorCondition | None = None,
        building_height_m: float = 5.0,
        street_width_m: float = 20.0,
        pathloss: bool = False,
        mobility: bool = False,
        absolute_delay: bool = False,
        oxygen: bool = False,
        blockage: dict[str, Any] | None = None,
        dual_mobility: dict[str, Any] | None = None,
        wideband: Wideband = "auto",
    ) -> None:
        environment = RuralMacro(carrier_frequency_hz, building_height_m, street_width_m)
        cell = cell_of(environment, inter_site_distance_m, distance_m, indoor_ratio, condition)
        additions = Additions(environment, mobility, absolute_delay, oxygen, blockage, dual_mobility)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss, additions, wideband)


class Sma(ScenarioChannel):
    """Suburban macro cell (SMa of TR 38.901 Rel-19): one user in a house or a car at a random place of a cell per drop.

    Options as for "umi", up to 24 GHz; o2i_loss left out: low. vegetation: "none", "sparse" or "dense", which sets how
    likely a line of sight is. building_height_m, street_width_m: 5 to 50, on average.
    """

    name = "sma"

    def __init__(
        self,
        carrier_frequency_hz: float,
        direction: Direction = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        inter_site_distance_m: float = 1299.0,
        distance_m: list[float] | None = None,
        indoor_ratio: float | None = None,
        condition: OutdoorCondition | None = None,
        o2i_loss: Literal["low", "high", "mixed"] | None = None,
        vegetation: Literal["none", "sparse", "dense"] = "sparse",
        building_height_m: float = 10.0,
        street_width_m: float = 10.0,
        pathloss: bool = False,
        mobility: bool = False,
        absolute_delay: bool = False,
        oxygen: bool = False,
        blockage: dict[str, Any] | None = None,
        dual_mobility: dict[str, Any] | None = None,
        wideband: Wideband = "auto",
    ) -> None:
        environment = SuburbanMacro(carrier_frequency_hz, vegetation, building_height_m, street_width_m)
        cell = cell_of(environment, inter_site_distance_m, distance_m, indoor_ratio, condition, o2i_loss)
        additions = Additions(environment, mobility, absolute_delay, oxygen, blockage, dual_mobility)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss, additions, wideband)


class Inh(ScenarioChannel):
    """Indoor office (InH of TR 38.901): one user at a random place of the office per drop.

    Options as for "umi". office: "open" or "mixed", which sets how likely a line of sight is. The base station is in
    the middle of 120 x 50 m, unless distance_m is given.
    """

    name = "inh"

    def __init__(
        self,
        carrier_frequency_hz: float,
        direction: Direction = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        office: Literal["open", "mixed"] = "mixed",
        distance_m: list[float] | None = None,
        condition: Literal["los", "nlos"] | None = None,
        pathloss: bool = False,
        mobility: bool = False,
        absolute_delay: bool = False,
        oxygen: bool = False,
        blockage: dict[str, Any] | None = None,
        dual_mobility: dict[str, Any] | None = None,
        wideband: Wideband = "auto",
    ) -> None:
        environment = IndoorOffice(carrier_frequency_hz, office)
        cell = cell_of(environment, None, distance_m, 0.0, condition)
        additions = Additions(environment, mobility, absolute_delay, oxygen, blockage, dual_mobility)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss, additions, wideband)


class Inf(ScenarioChannel):
    """Indoor factory (InF of TR 38.901): one user at a random place of the hall per drop.

    Options as for "umi". hall: "SL", "DL", "SH", "DH" or "HH" (sparse or dense clutter, base station low or high, both
    ends high). hall_size_m, clutter_density, clutter_size_m, clutter_height_m: `channels.scenarios.indoor`. The base
    station is in the middle, unless distance_m is given.
    """

    name = "inf"

    def __init__(
        self,
        carrier_frequency_hz: float,
        hall: Literal["SL", "DL", "SH", "DH", "HH"] = "SH",
        direction: Direction = "uplink",
        rx_array: dict[str, Any] | None = None,
        tx_array: dict[str, Any] | None = None,
        speed_mps: float = 0.0,
        hall_size_m: list[float] | None = None,
        clutter_density: float | None = None,
        clutter_size_m: float | None = None,
        clutter_height_m: float | None = None,
        distance_m: list[float] | None = None,
        condition: Literal["los", "nlos"] | None = None,
        pathloss: bool = False,
        mobility: bool = False,
        absolute_delay: bool = False,
        oxygen: bool = False,
        blockage: dict[str, Any] | None = None,
        dual_mobility: dict[str, Any] | None = None,
        wideband: Wideband = "auto",
    ) -> None:
        environment = IndoorFactory(
            carrier_frequency_hz, hall, hall_size_m, clutter_density, clutter_size_m, clutter_height_m
        )
        if hall == "HH" and condition == "nlos":
            raise bad_value("condition", condition, "los in hall 'HH' (TR 38.901 table 7.4.2-1)")
        cell = cell_of(environment, None, distance_m, 0.0, condition)
        additions = Additions(environment, mobility, absolute_delay, oxygen, blockage, dual_mobility)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss, additions, wideband)
