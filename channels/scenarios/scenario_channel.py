"""What the scenarios as link channels share: drops, tracks, and their way to paths and grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from channels.array_channel import ArrayChannel, Wideband
from channels.errors import bad_value, unknown_name
from channels.interface import Channel
from channels.link_state import PathGains
from channels.paths import BUDGET_BYTES, GridPart, LargeScale, PathAngles, Paths, path_phases
from channels.request import checked_axis
from channels.scenarios.additions import Additions
from channels.scenarios.environment import CONDITIONS, Environment
from channels.scenarios.link_drop import Cell, LinkDrop, drop_links
from channels.scenarios.parameters import parameters
from channels.scenarios.response import Ends, mean_pair_power, path_gains
from channels.scenarios.track import Tracks

#: Bytes of rays and of the arrays' responses to them that are held at once; draws are taken in steps that fit.
_STEP_BYTES = 64 << 20
#: Way after which clusters are looked at anew: their delays change by 0.2 ns at most.
_UPDATE_M = 0.05
#: What is to be known where path loss is switched on for users who move.
TRACK_NOTE = (
    "With pathloss and mobility the gain of a user who moves has steps of up to 7.5 dB every 5 cm: the law of the "
    "stages of TR 38.901 §7.6.3 (Rel-19), by which clusters come and go, sets it, and nothing smooths it."
)
#: Longest way over which paths with mobility are taken at once.
_PATHS_M = 0.5


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
        additions: Additions,
        wideband: Wideband = "auto",
    ) -> None:
        self.environment, self.cell, self.pathloss = environment, cell, pathloss
        self.additions, self.mobility = additions, additions.mobility
        super().__init__(environment.carrier_frequency_hz, direction, rx_array, tx_array, speed_mps, wideband)
        self.parameters = parameters(environment)
        if additions.dual is not None:
            self.doppler_hz += additions.dual.max_speed_mps / self.wavelength_m

    @property
    def has_absolute_gains(self) -> bool:
        """With `pathloss`."""
        return self.pathloss

    @property
    def notes(self) -> tuple[str, ...]:
        """With pathloss on tracks: that the gain has steps."""
        return (TRACK_NOTE,) if self.pathloss and self.mobility and self.speed_mps > 0 else ()

    def path_gains(self, generators: Sequence[np.random.Generator], num_rx_ant: int, num_tx_ant: int) -> PathGains:
        """As in the base class; with mobility at time 0."""
        if not self.pathloss:
            return super().path_gains(generators, num_rx_ant, num_tx_ant)
        base, terminal = self._base_and_terminal(num_rx_ant, num_tx_ant)
        ends = Ends(base, terminal, self.direction == "uplink", self.wavelength_m, self.speed_mps, True)
        if self.mobility and self.speed_mps > 0:
            start = Tracks(
                self.environment, self.parameters, self.cell, generators, self.speed_mps, np.zeros(1), None,
                self.wavelength_m, self.additions,
            )  # fmt: skip
            drop = start.at(0).drop
        else:
            drop = self.drops(generators)
        return PathGains(
            drop.state.gain_db + 10 * np.log10(mean_pair_power(ends, drop)),
            np.asarray(drop.links.distance_2d_m, np.float64),
            np.asarray(drop.state.condition, np.int8),
        )

    def drops(self, generators: Sequence[np.random.Generator]) -> LinkDrop:
        """Places, large-scale state and clusters of draws, without arrays."""
        drop = drop_links(self.environment, self.parameters, self.cell, generators)
        if not self.additions.any:
            return drop
        drawn = self.additions.draw(generators, np.zeros((len(generators), 1, 2)), drop.links.indoor)
        drop = self.additions.with_absolute_delays(drop, drawn)
        return self.additions.attenuated(drop, drop.way_m, drawn, 0)

    def track(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        way_points_m: Sequence[Sequence[float]] | None = None,
        symbol_times_s: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ) -> list[Paths]:
        """The draws while their users walk: paths at every time of `times_s`, with all that has drifted by then.

        Users go straight ahead at `speed_mps` in their own random direction, or from way point to way point, metres in
        x and y from where each was dropped, and stop at the last. Every `Paths` has gains at its time plus
        `symbol_times_s` (left out: 0), between which only phases turn. Delays count from the line of sight at time 0,
        with absolute_delay from the base station. A path keeps its index while it lives. Generators of the same state
        give the same surroundings, whatever the times; a longer way begins as a shorter one does.

        TR 38.901 §7.6.3.1, procedure A of §7.6.3.2 and the soft state of §7.6.3.3 (Rel-19); see
        `channels.scenarios.track.Tracks`. Without pathloss every user has unit mean power at every time.
        """
        times = checked_axis("times_s", times_s)
        if times.min() < 0:
            raise bad_value("times_s", float(times.min()), "times from 0, when users are where they were dropped")
        if self.additions.dual is not None:
            raise bad_value("track", "dual_mobility", "channels whose base station stands still (§7.6.3.2)")
        symbols = np.zeros(1) if symbol_times_s is None else checked_axis("symbol_times_s", symbol_times_s)
        result = []
        self._check_no_true_delays("track")
        for index, found, drop, delays in self._snapshots(
            generators, num_rx_ant, num_tx_ant, times, way_points_m, lambda _: symbols, device
        ):
            del index
            gains = found[0].transpose(-1, -2).reshape(len(generators), num_rx_ant, num_tx_ant, -1, symbols.size)
            paths = self._described(gains, [drop], device)
            result.append(replace(paths, delays_s=torch.from_numpy(delays).to(device)))
        return result

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """As in the base class; with mobility the surroundings are looked at anew every 5 cm of the way."""
        if not self.mobility or self.speed_mps == 0:
            return super().response(
                generators, num_rx_ant, num_tx_ant, symbol_times_s, subcarrier_frequencies_hz, device
            )
        times, frequencies = self._axes(symbol_times_s, subcarrier_frequencies_hz)
        if times.min() < 0:
            raise bad_value("symbol_times_s", float(times.min()), "times from 0 with mobility")
        period = _UPDATE_M / self.speed_mps
        # the nearest multiple of the period: other times that are asked for do not matter
        numbers, member = np.unique(np.rint(times / period), return_inverse=True)
        middles = numbers * period
        grid = torch.empty(
            len(generators), num_rx_ant, num_tx_ant, times.size, frequencies.size, dtype=torch.complex64, device=device
        )
        band = torch.from_numpy(frequencies).to(device)
        wide = self._band(num_rx_ant, num_tx_ant, frequencies)
        wavelengths, over_band = (None, None) if wide is None else (wide[0], torch.from_numpy(wide[1]).to(device))
        for index, gains, _, delays in self._snapshots(
            generators, num_rx_ant, num_tx_ant, middles, None,
            lambda index: times[member == index] - middles[index], device, wavelengths,
        ):  # fmt: skip
            phases = path_phases(torch.from_numpy(delays).to(device), band)
            if over_band is None:
                part = torch.bmm(gains[0].flatten(1, 2), phases)
            else:
                every = zip(gains, over_band.T.to(torch.float32), strict=True)
                part = torch.stack([torch.bmm(of_node.flatten(1, 2), phases) * w for of_node, w in every]).sum(0)
            part = part.view(*gains[0].shape[:3], -1)
            part = part.view(len(generators), num_rx_ant, num_tx_ant, -1, frequencies.size)
            grid[:, :, :, torch.from_numpy(member == index).to(device)] = part
        return grid

    def paths(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Paths:
        """As in the base class; with mobility what the middle of the times sees, on a way of half a metre at most."""
        if not self.mobility or self.speed_mps == 0:
            return super().paths(generators, num_rx_ant, num_tx_ant, times_s, device)
        times = checked_axis("times_s", times_s)
        span = float(np.ptp(times))
        if span * self.speed_mps > _PATHS_M:
            allowed = f"{_PATHS_M / self.speed_mps:g} from first to last with mobility, half a metre; take track"
            raise bad_value("times_s", span, allowed)
        middle = (float(times.min()) + float(times.max())) / 2
        return self.track(generators, num_rx_ant, num_tx_ant, np.array([middle]), None, times - middle, device)[0]

    def grid_parts(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
        budget_bytes: int = BUDGET_BYTES,
    ) -> Iterator[GridPart]:
        """As in the base class; with mobility of the `paths`, for bands over which the arrays need no true delays."""
        arguments = generators, num_rx_ant, num_tx_ant, symbol_times_s, subcarrier_frequencies_hz, device, budget_bytes
        if self.mobility and self.speed_mps > 0:
            half = float(np.abs(self._axes(symbol_times_s, subcarrier_frequencies_hz)[1]).max())
            self.for_band(num_rx_ant, num_tx_ant, half, as_paths=True)
            yield from Channel.grid_parts(self, *arguments)
        else:
            yield from super().grid_parts(*arguments)

    @property
    def _is_sum_of_paths(self) -> bool:
        made = type(self)
        own = (made.response, made.response_within) == (ScenarioChannel.response, ArrayChannel.response_within)
        return own and (not self.mobility or self.speed_mps == 0)

    def _snapshots(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        way_points_m: Sequence[Sequence[float]] | None,
        symbols_of: Callable[[int], np.ndarray],
        device: torch.device | str,
        array_wavelengths_m: Sequence[float] | None = None,
    ) -> Iterator[tuple[int, list[Tensor], LinkDrop, np.ndarray]]:
        """Index, gains [batch, pairs, num_symbols, num_paths], drop and delays [batch, num_paths] at every time.

        Gains are a list, one for every wavelength of the arrays' phases; of one, the carrier's, where none is given.
        """
        base, terminal = self._base_and_terminal(num_rx_ant, num_tx_ant)
        ends = Ends(base, terminal, self.direction == "uplink", self.wavelength_m, self.speed_mps, not self.pathloss)
        tracks = Tracks(
            self.environment, self.parameters, self.cell, generators, self.speed_mps, times_s, way_points_m,
            self.wavelength_m, self.additions,
        )  # fmt: skip
        looked_at: Sequence[float | None] = array_wavelengths_m or [None]
        for index in range(len(times_s)):
            snapshot = tracks.at(index)
            here = replace(ends, speed_mps=tracks.speed_mps(index))
            gains = [
                path_gains(replace(here, array_wavelength_m=wavelength), snapshot.drop, symbols_of(index), device)
                for wavelength in looked_at
            ]
            yield index, gains, snapshot.drop, snapshot.delays_s

    def _modes(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        nodes_s: np.ndarray,
        device: torch.device | str,
        array_wavelength_m: float | None = None,
    ) -> tuple[Tensor, list[LinkDrop]]:
        base, terminal = self._base_and_terminal(num_rx_ant, num_tx_ant)
        uplink = self.direction == "uplink"
        ends = Ends(
            base, terminal, uplink, self.wavelength_m, self.speed_mps, not self.pathloss, array_wavelength_m
        )  # fmt: skip
        rays = 20 * (int(self.parameters.num_clusters.max()) + 4)
        elements = base.num_elements + terminal.num_elements + 2 * terminal.num_ports * len(nodes_s)
        step = max(1, _STEP_BYTES // (rays * (32 * elements + 400)))
        drops, parts = [], []
        for first in range(0, max(len(generators), 1), step):
            drop = self.drops(generators[first : first + step])
            drops.append(drop)
            others = None
            if (dual := self.additions.dual) is not None:
                count = dual.numbers(*drop.clusters.xpr.shape[1:])
                numbers = np.stack([g.random(count) for g in generators[first : first + step]])
                others = dual, torch.from_numpy(numbers).to(device)
            parts.append(path_gains(ends, drop, nodes_s, device, others))
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


def cell_of(
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
