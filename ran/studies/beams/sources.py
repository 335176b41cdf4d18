"""Where beams meet a channel: gains between the user's receive beams and the panel's elements, path by path."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from channels.arrays import antenna_array, direction
from channels.raytraced import RayTraced
from channels.scenarios.beam_response import BeamEnds, beam_gains
from channels.scenarios.link_drop import LinkDrop
from channels.scenarios.scenario_channel import ScenarioChannel
from channels.scenarios.track import Tracks
from channels.waves import SPEED_OF_LIGHT_MPS, turns
from channels.wide_band import MAX_CYCLES, band_cycles, longest_delay_s, size_of_error
from ran.errors import bad_value
from ran.link.catalogue import build_channel
from ran.studies.beams.experiment import BeamExperiment


@dataclass(frozen=True)
class Instant:
    """Users at a time.

    gains: of every drop complex64 [num_rx_ports, num_slants, num_beams, num_paths]; ports face by face, in each
    polarisation by polarisation. delays_s: of every drop float64 [num_paths]. users_m float64 [batch, 3] from the site,
    in the sector's coordinates.
    """

    gains: Sequence[Tensor]
    delays_s: Sequence[Tensor]
    users_m: np.ndarray


class Source(Protocol):
    """Paths of a batch of drops over time."""

    carrier_frequency_hz: float
    #: What a reader of the results should know, a sentence each.
    notes: tuple[str, ...]

    def instants(self, generators: Sequence[np.random.Generator], times_s: np.ndarray) -> Iterator[Instant]:
        """The drops at every time; a drop depends on its own generator alone."""

    def belongs(self, generator: np.random.Generator, training: bool) -> bool:
        """Whether the drop that this generator gives may be of the training (or else of the tested) drops."""

    @property
    def tested_sites(self) -> np.ndarray | None:
        """Numbers of the places that tested drops may have, int64; None where every drop has a place of its own."""

    def sites(self, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """Numbers of the drops' places, int64 [len(generators)]; only where `tested_sites` is not None."""


class OwnPlaces:
    """Of sources whose drops have places of their own, drawn anew for each."""

    tested_sites = None
    notes: tuple[str, ...] = ()

    def belongs(self, generator: np.random.Generator, training: bool) -> bool:
        """True: any drop may be of either."""
        return True

    def sites(self, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """`ValueError`: places have no numbers."""
        raise ValueError("sites: got drops that have places of their own; allowed: those of a ray-traced site")


class Arrays:
    """The base station's panel and beams, and the user's faces, whose ports are receive beams.

    weights complex64 [num_places, num_beams]: of one polarisation.
    """

    def __init__(
        self, experiment: BeamExperiment, wavelength_m: float, terminal_weights: np.ndarray, weights: Tensor
    ) -> None:
        self.wavelength_m, self.weights = wavelength_m, weights
        base, faces = self.blocks(experiment, terminal_weights)
        self.base = antenna_array(base, wavelength_m)
        self.faces = tuple(antenna_array(face, wavelength_m) for face in faces)

    @property
    def ends(self) -> BeamEnds:
        return BeamEnds(self.base, self.weights, self.faces, self.wavelength_m)

    def beams(self, faces: Sequence[Tensor]) -> Tensor:
        """Gains of beams from those of elements: complex64 [batch, num_rx_ports, num_slants, num_beams, ...] from
        [batch, ports of a face, num_elements, ...] per face."""
        elements = torch.cat(list(faces), 1).unflatten(2, (-1, len(self.weights)))
        return torch.einsum("brsp...,pn->brsn...", elements, self.weights)

    @staticmethod
    def blocks(experiment: BeamExperiment, weights: np.ndarray) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Options of the panel and of every face. weights complex128 [num_rx_ports, num_elements] of a face."""
        panel, terminal = experiment.panel, experiment.terminal
        base = {
            "rows": panel.rows,
            "columns": panel.columns,
            "spacing": list(panel.spacing),
            "polarisation": panel.polarisation,
            "pattern": panel.pattern,
            "orientation_deg": [panel.bearing_deg, panel.downtilt_deg, 0.0],
        }
        plain = {
            "rows": 1,
            "columns": terminal.columns,
            "polarisation": terminal.polarisation,
            "pattern": terminal.pattern,
            "weights": [[[w.real, w.imag] for w in row] for row in weights.tolist()],
        }
        return base, [{**plain, "orientation_deg": [face, 0.0, 0.0]} for face in terminal.faces_deg]


class ScenarioSource(OwnPlaces):
    """UMa, UMi and the others of TR 38.901, with absolute path loss; on a track where there is more than one time."""

    def __init__(self, channel: ScenarioChannel, arrays: Arrays) -> None:
        self.channel, self.ends = channel, arrays.ends
        self.notes = channel.notes
        self.carrier_frequency_hz = channel.carrier_frequency_hz

    def instants(self, generators: Sequence[np.random.Generator], times_s: np.ndarray) -> Iterator[Instant]:
        channel = self.channel
        if len(times_s) == 1:
            drop = channel.drops(generators)
            yield self._instant(drop)
            return
        tracks = Tracks(
            channel.environment, channel.parameters, channel.cell, generators, channel.speed_mps, times_s, None,
            channel.wavelength_m, channel.additions,
        )  # fmt: skip
        for index in range(len(times_s)):
            snapshot = tracks.at(index)
            yield self._instant(
                replace(snapshot.drop, clusters=replace(snapshot.drop.clusters, delays_s=snapshot.delays_s))
            )

    def _instant(self, drop: LinkDrop) -> Instant:
        pairs = list(beam_gains(self.ends, drop))
        flat, links = drop.links.distance_2d_m, drop.links
        users = np.stack(
            [
                flat * np.cos(drop.azimuth_rad),
                flat * np.sin(drop.azimuth_rad),
                links.user_height_m - links.base_height_m,
            ],
            -1,
        )
        return Instant([gains for gains, _ in pairs], [delays for _, delays in pairs], users)


class FreeSpaceSource(OwnPlaces):
    """Nothing but the straight way, for tests and to look at codebooks: users anywhere in the sector.

    distance_m: least and largest, uniform in area; zenith_deg: limits of the directions, seen from the base station.
    """

    def __init__(self, block: dict[str, Any], arrays: Arrays, carrier_frequency_hz: float, speed_mps: float) -> None:
        self.arrays, self.carrier_frequency_hz, self.speed_mps = arrays, carrier_frequency_hz, speed_mps
        self.distance_m, self.zenith_deg = block.get("distance_m", [20.0, 200.0]), block.get("zenith_deg", [90, 110])

    def instants(self, generators: Sequence[np.random.Generator], times_s: np.ndarray) -> Iterator[Instant]:
        numbers = np.stack([generator.random(6) for generator in generators])
        low, high = self.distance_m
        distance = np.sqrt(low**2 + numbers[:, 0] * (high**2 - low**2))
        azimuth = (numbers[:, 1] - 0.5) * (2 * np.pi / 3)
        zenith = np.deg2rad(self.zenith_deg[0] + numbers[:, 2] * (self.zenith_deg[1] - self.zenith_deg[0]))
        start = distance[:, None] * direction(torch.from_numpy(zenith), torch.from_numpy(azimuth)).numpy()
        travel, bearing = 2 * np.pi * numbers[:, 3], 2 * np.pi * numbers[:, 4]
        for time in times_s:
            way = self.speed_mps * time
            users = start + way * np.stack([np.cos(travel), np.sin(travel), np.zeros_like(travel)], -1)
            yield self._instant(users, bearing)

    def _instant(self, users_m: np.ndarray, bearing_rad: np.ndarray) -> Instant:
        length = np.linalg.norm(users_m, axis=-1)
        toward = torch.from_numpy(users_m / length[:, None])
        base = self.arrays.base.response(toward[:, None], self.arrays.wavelength_m)[:, :, 0]
        turn = torch.from_numpy(np.stack([np.cos(bearing_rad), np.sin(bearing_rad)], -1))
        x, y, z = -toward[:, 0], -toward[:, 1], -toward[:, 2]
        seen = torch.stack([turn[:, 0] * x + turn[:, 1] * y, turn[:, 0] * y - turn[:, 1] * x, z], -1)
        cycles = torch.from_numpy(-length / self.arrays.wavelength_m)
        amplitude = torch.from_numpy(self.arrays.wavelength_m / (4 * math.pi * length)).to(torch.float32) * turns(
            cycles
        )
        # growing azimuth points the other way at the other end (TR 38.901 eq. (7.5-29))
        signs = torch.tensor([1.0, -1.0])
        gains = []
        for face in self.arrays.faces:
            user = face.response(seen[:, None], self.arrays.wavelength_m)[:, :, 0] * signs
            gains.append((user @ base.transpose(1, 2) * amplitude[:, None, None])[..., None])
        return Instant(list(self.arrays.beams(gains)), [torch.zeros(1, dtype=torch.float64)] * len(length), users_m)


class RaySource:
    """A ray-traced site, with absolute gains; every time sees the user where it has moved to, with the same rays."""

    notes: tuple[str, ...] = ()
    #: Of the positions of a site one in so many is for testing, the others for training.
    TESTED = 4

    def __init__(self, channels: Sequence[RayTraced], arrays: Arrays, bearing_deg: float) -> None:
        self.channels, self.arrays, self.bearing_rad = channels, arrays, math.radians(bearing_deg)
        self.carrier_frequency_hz = channels[0].carrier_frequency_hz

    def belongs(self, generator: np.random.Generator, training: bool) -> bool:
        return self._is_tested(self.channels[0].sites([generator]))[0] != training

    def sites(self, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """Places of the draws by their number, int64 [len(generators)]."""
        return self.channels[0].sites(generators)

    @property
    def tested_sites(self) -> np.ndarray:
        """Numbers of the places that are for testing, int64, ascending."""
        places = self.channels[0].served_sites
        return places[self._is_tested(places)]

    def _is_tested(self, sites: np.ndarray) -> np.ndarray:
        return np.asarray(sites % self.TESTED == 0)

    def instants(self, generators: Sequence[np.random.Generator], times_s: np.ndarray) -> Iterator[Instant]:
        states = [generator.bit_generator.state for generator in generators]
        found, delays = [], torch.empty(0)
        for channel, face in zip(self.channels, self.arrays.faces, strict=True):
            paths = channel.paths(_again(generators, states), face.num_ports, self.arrays.base.num_ports, times_s)
            found.append(paths.gains)
            delays = paths.delays_s
        users = self.channels[0].places_m(_again(generators, states), times_s)
        for index in range(len(times_s)):
            gains = self.arrays.beams([face[..., index] for face in found])
            at = _turned(users[:, index] - self.channels[0].rays.base_position_m, -self.bearing_rad)
            yield Instant(list(gains), list(delays), at)


class DelayLineSource(OwnPlaces):
    """Clustered delay lines whose directions at the base station are turned to a random place in the sector."""

    def __init__(self, block: dict[str, Any], arrays: Arrays, channels_of: Any, loss_db: float) -> None:
        self.block, self.arrays, self.channels_of = block, arrays, channels_of
        self.amplitude = 10 ** (-loss_db / 20)
        self.carrier_frequency_hz = float(block["carrier_frequency_hz"])

    def instants(self, generators: Sequence[np.random.Generator], times_s: np.ndarray) -> Iterator[Instant]:
        drops = [self._drop(generator, times_s) for generator in generators]
        for index in range(len(times_s)):
            faces = [
                torch.cat([drop[face].gains[..., index] for drop in drops]) * self.amplitude
                for face in range(len(self.arrays.faces))
            ]
            delays = [drop[0].delays_s[0] for drop in drops]
            yield Instant(list(self.arrays.beams(faces)), delays, np.zeros((len(generators), 3)))

    def _drop(self, generator: np.random.Generator, times_s: np.ndarray) -> list[Any]:
        numbers = generator.random(3)
        angles = {"aod": 120 * (numbers[0] - 0.5), "zod": 90 + 20 * numbers[1], "aoa": 360 * (numbers[2] - 0.5)}
        state, found = generator.bit_generator.state, []
        for channel, face in zip(self.channels_of({"mean_angles_deg": angles}), self.arrays.faces, strict=True):
            generators = _again([generator], [state])
            found.append(channel.paths(generators, face.num_ports, self.arrays.base.num_ports, times_s))
        return found


def _turned(places_m: np.ndarray, angle_rad: float) -> np.ndarray:
    """Places [batch, 3] turned about the vertical."""
    x, y, z = places_m.T
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], -1)


def _again(generators: Sequence[np.random.Generator], states: Sequence[Any]) -> Sequence[np.random.Generator]:
    """Generators set back to a state: every face of a user sees the same surroundings."""
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = state
    return generators


def source_of(experiment: BeamExperiment, terminal_weights: np.ndarray, weights: Tensor) -> tuple[Source, Arrays]:
    """The experiment's source of paths; `InputError` as `ran.link.catalogue.build_channel` raises it.

    Also for a band over which the elements' delays would matter: beams are taken at one wavelength.
    """
    source, arrays = _source_of(experiment, terminal_weights, weights)
    delay = longest_delay_s(arrays.base) + max(longest_delay_s(face) for face in arrays.faces)
    half = experiment.radio.bandwidth_hz / 2
    if band_cycles(delay, half) > MAX_CYCLES:
        allowed = f"a narrower band or a smaller panel: beams are taken at one wavelength; {size_of_error(delay, half)}"
        raise bad_value("radio", f"{2 * half / 1e6:g} MHz", allowed)
    return source, arrays


def _source_of(experiment: BeamExperiment, terminal_weights: np.ndarray, weights: Tensor) -> tuple[Source, Arrays]:
    """See `source_of`."""
    block, speed = experiment.channel.block(), experiment.speed_kmh / 3.6
    name = block["name"]
    if name == "free-space":
        carrier = float(block.get("carrier_frequency_hz", 30e9))
        arrays = Arrays(experiment, SPEED_OF_LIGHT_MPS / carrier, terminal_weights, weights)
        return FreeSpaceSource(block, arrays, carrier, speed), arrays
    moving = {**block, "direction": "downlink", "speed_mps": speed}
    if name in ("cdl", "ray-traced"):
        kept = "none" if name == "ray-traced" else False

        def channels_of(more: dict[str, Any]) -> list[Any]:
            blocks = Arrays.blocks(experiment, terminal_weights)
            return [
                build_channel({**moving, "normalise": kept, "tx_array": blocks[0], "rx_array": face, **more})
                for face in blocks[1]
            ]

        channels = channels_of({})
        arrays = Arrays(experiment, channels[0].wavelength_m, terminal_weights, weights)
        if name == "ray-traced":
            return RaySource(channels, arrays, experiment.panel.bearing_deg), arrays
        return DelayLineSource(moving, arrays, channels_of, experiment.radio.path_loss_db or 0.0), arrays
    many_times = (
        experiment.timing.num_observed + len(experiment.timing.horizon_ms) + experiment.timing.num_decisions > 3
    )
    built: Any = build_channel({**moving, "pathloss": True, "mobility": many_times})
    arrays = Arrays(experiment, built.wavelength_m, terminal_weights, weights)
    return ScenarioSource(built, arrays), arrays
