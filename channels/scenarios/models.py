"""The scenarios as link channels: one user at a random place of a cell per drop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from channels.array_channel import ArrayChannel
from channels.errors import bad_value, unknown_name
from channels.paths import LargeScale, PathAngles, Paths
from channels.scenarios.environment import CONDITIONS, Environment
from channels.scenarios.indoor import IndoorFactory, IndoorOffice
from channels.scenarios.link_drop import Cell, LinkDrop, drop_links
from channels.scenarios.parameters import parameters
from channels.scenarios.response import Ends, path_gains
from channels.scenarios.rural import RuralMacro
from channels.scenarios.suburban import SuburbanMacro
from channels.scenarios.urban import UrbanMacro, UrbanMicro

Direction = Literal["uplink", "downlink"]
OutdoorCondition = Literal["los", "nlos", "o2i"]
#: Bytes of rays and of the arrays' responses to them that are held at once; draws are taken in steps that fit.
_STEP_BYTES = 64 << 20


class ScenarioChannel(ArrayChannel):
    """What all scenarios share; see the models. Random numbers of a drop: `channels.scenarios.link_drop.drop_links`."""

    def __init__(
        self,
        environment: Environment,
        cell: Cell,
        direction: str,
        rx_array: dict[str, Any] | None,
        tx_array: dict[str, Any] | None,
        speed_mps: float,
        pathloss: bool,
    ) -> None:
        self.environment, self.cell, self.pathloss = environment, cell, pathloss
        super().__init__(environment.carrier_frequency_hz, direction, rx_array, tx_array, speed_mps)
        self.parameters = parameters(environment)

    def drops(self, generators: Sequence[np.random.Generator]) -> LinkDrop:
        """Places, large-scale state and clusters of draws, without arrays."""
        return drop_links(self.environment, self.parameters, self.cell, generators)

    def _modes(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        nodes_s: np.ndarray,
        device: torch.device | str,
    ) -> tuple[Tensor, list[LinkDrop]]:
        base, terminal = self._base_and_terminal(num_rx_ant, num_tx_ant)
        uplink = self.direction == "uplink"
        ends = Ends(base, terminal, uplink, self.wavelength_m, self.speed_mps, not self.pathloss)
        rays = 20 * (int(self.parameters.num_clusters.max()) + 4)
        elements = base.num_elements + terminal.num_elements + 2 * terminal.num_ports * len(nodes_s)
        step = max(1, _STEP_BYTES // (rays * (32 * elements + 400)))
        drops, parts = [], []
        for first in range(0, max(len(generators), 1), step):
            drop = self.drops(generators[first : first + step])
            drops.append(drop)
            parts.append(path_gains(ends, drop, nodes_s, device))
        return parts[0] if len(parts) == 1 else torch.cat(parts), drops

    def _delays_s(self, drawn: list[LinkDrop]) -> np.ndarray:
        return np.concatenate([drop.clusters.delays_s for drop in drawn])

    def _described(self, gains: Tensor, drawn: list[LinkDrop], device: torch.device | str) -> Paths:
        def joined(parts: list[np.ndarray]) -> Tensor:
            return torch.from_numpy(np.concatenate(parts)).to(device)

        def angle(name: str) -> Tensor:
            return joined([drop.clusters.centres_rad[name] for drop in drawn])

        def spread(name: str) -> Tensor:
            return joined([np.deg2rad(getattr(drop.state, f"{name}_deg")) for drop in drawn])

        arrival, departure = self._ends_of_tables
        angles = PathAngles(*(angle(f"{kind}o{end}") for end in (arrival, departure) for kind in "az"))
        large_scale = LargeScale(
            path_loss_db=joined([drop.state.path_loss_db + drop.state.penetration_db for drop in drawn]),
            shadowing_db=joined([drop.state.shadowing_db for drop in drawn]),
            k_factor_db=joined([drop.state.k_factor_db for drop in drawn]),
            delay_spread_s=joined([drop.state.delay_spread_s for drop in drawn]),
            asa_rad=spread(f"as{arrival}"),
            zsa_rad=spread(f"zs{arrival}"),
            asd_rad=spread(f"as{departure}"),
            zsd_rad=spread(f"zs{departure}"),
        )
        return Paths(gains, torch.from_numpy(self._delays_s(drawn)).to(device), angles, large_scale)


def _cell(
    environment: Environment,
    inter_site_distance_m: float | None,
    distance_m: Sequence[float] | None,
    indoor_ratio: float | None,
    condition: str | None,
    penetration: Any = None,
) -> Cell:
    """The cell from options; `ValueError` of one line names the option."""
    least, most = environment.min_distance_m, environment.max_distance_m
    known = CONDITIONS if environment.indoor_ratio else CONDITIONS[:2]
    if condition is not None and condition not in known:
        raise unknown_name("condition", condition, known)
    ratio = environment.indoor_ratio if indoor_ratio is None else indoor_ratio
    if isinstance(ratio, bool) or not 0 <= ratio <= 1:
        raise bad_value("indoor_ratio", ratio, "0 to 1")
    if inter_site_distance_m is not None and distance_m is None:
        # users in buildings stand as much farther away as they are inside
        smallest = 2 * (least + environment.indoor_depth_m)
        if not smallest < inter_site_distance_m <= most:
            allowed = f"more than {smallest:g}, {environment.name}'s least distance and depth of buildings twice"
            raise bad_value("inter_site_distance_m", inter_site_distance_m, f"{allowed}, up to {most:g}")
    given = None
    if distance_m is not None:
        if len(distance_m) != 2 or not least <= distance_m[0] <= distance_m[1] <= most:
            source = "TR 38.901 tables 7.2-1 to 7.2-4 and 7.4.1-1"
            allowed = f"least and largest distance within {least:g} to {most:g} for {environment.name} ({source})"
            raise bad_value("distance_m", list(distance_m), allowed)
        given = (float(distance_m[0]), float(distance_m[1]))
    if penetration not in (None, "low", "high", "mixed"):
        raise unknown_name("o2i_loss", penetration, ("low", "high", "mixed"))
    wanted = None if condition is None else CONDITIONS.index(condition)
    return Cell(inter_site_distance_m, given, float(ratio), wanted, penetration)


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
        mean power over antenna pairs and start phases.

    Large-scale parameters and clusters as in §7.5 (table 7.5-6 of Rel-19), the two strongest clusters in three parts
    each. Delays count from the first path. The response is constant within an OFDM symbol.
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
    ) -> None:
        environment = UrbanMicro(carrier_frequency_hz)
        cell = _cell(environment, inter_site_distance_m, distance_m, indoor_ratio, condition, o2i_loss)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss)


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
    ) -> None:
        environment = UrbanMacro(carrier_frequency_hz)
        cell = _cell(environment, inter_site_distance_m, distance_m, indoor_ratio, condition, o2i_loss)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss)


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
    ) -> None:
        environment = RuralMacro(carrier_frequency_hz, building_height_m, street_width_m)
        cell = _cell(environment, inter_site_distance_m, distance_m, indoor_ratio, condition)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss)


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
    ) -> None:
        environment = SuburbanMacro(carrier_frequency_hz, vegetation, building_height_m, street_width_m)
        cell = _cell(environment, inter_site_distance_m, distance_m, indoor_ratio, condition, o2i_loss)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss)


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
    ) -> None:
        environment = IndoorOffice(carrier_frequency_hz, office)
        cell = _cell(environment, None, distance_m, 0.0, condition)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss)


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
    ) -> None:
        environment = IndoorFactory(
            carrier_frequency_hz, hall, hall_size_m, clutter_density, clutter_size_m, clutter_height_m
        )
        if hall == "HH" and condition == "nlos":
            raise bad_value("condition", condition, "los in hall 'HH' (TR 38.901 table 7.4.2-1)")
        cell = _cell(environment, None, distance_m, 0.0, condition)
        super().__init__(environment, cell, direction, rx_array, tx_array, speed_mps, pathloss)
