"""Users on their way: soft line of sight, large-scale state and clusters at any time (TR 38.901 §7.6.3, Rel-19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from channels.scenarios.additions import Additions, Drawn
from channels.scenarios.clusters import NUM_RAYS, draw_clusters
from channels.scenarios.consistency import (
    FieldValues,
    alike_numbers,
    cluster_distances_m,
    fields_at,
    soft_line_of_sight,
    uniform_of,
)
from channels.scenarios.environment import LOS, NLOS, O2I, Environment
from channels.scenarios.evolution import Clusters, joined, moved
from channels.scenarios.large_scale import LinkState, link_states
from channels.scenarios.link_drop import Cell, LinkDrop, Placing, place_users
from channels.scenarios.links import Links
from channels.scenarios.parameters import Parameters
from channels.scenarios.way import Way, by_way_points, straight
from channels.waves import SPEED_OF_LIGHT_MPS


@dataclass(frozen=True)
class Snapshot:
    """Users at a time: a drop whose clusters are those of both conditions and of two stages of the way.

    delays_s [batch, num_paths]: from the line of sight at the start of the way. sight [batch]: soft line of sight.
    """

    drop: LinkDrop
    delays_s: np.ndarray
    sight: np.ndarray


class Tracks:
    """A batch of users on their way, at times that are given beforehand.

    Clusters are drawn at stages of the way, one correlation distance apart, from numbers that are alike from stage to
    stage (§7.6.3.1). From each they evolve by procedure A (§7.6.3.2), while the power fades from stage to stage, which
    gives birth and death to clusters and keeps their law the same all along. With and without a line of sight are
    drawn both and mixed (§7.6.3.3); users in buildings stay there.
    """

    def __init__(
        self,
        environment: Environment,
        parameters: Parameters,
        cell: Cell,
        generators: Sequence[np.random.Generator],
        speed_mps: float,
        times_s: np.ndarray,
        way_points_m: Sequence[Sequence[float]] | None,
        wavelength_m: float,
        additions: Additions,
    ) -> None:
        self.additions = additions
        self.environment, self.parameters, self.cell, self.wavelength_m = environment, parameters, cell, wavelength_m
        self.user: Placing = place_users(environment, parameters, cell, generators)
        batch = len(generators)
        self.way: Way = (
            straight(self.user.travel_azimuth_rad, speed_mps)
            if way_points_m is None
            else by_way_points(way_points_m, batch, speed_mps)
        )
        distances = cluster_distances_m(environment)
        self.spacing_m = float(distances[:2].min())
        self.gone_m = speed_mps * np.asarray(times_s, np.float64)
        stages = int(self.gone_m.max() // self.spacing_m) + 2
        self.stages_m = self.way.after(self.spacing_m * np.arange(stages))[0]
        self.places_m, self.velocities_mps = self.way.after(self.gone_m)
        everywhere = np.concatenate([self.stages_m, self.places_m], 1)
        self.fields: FieldValues = fields_at(environment, parameters, generators, everywhere)
        most = int(parameters.num_clusters.max())
        self.mirrored = np.stack([np.where(g.random((2, most)) < 0.5, -1.0, 1.0) for g in generators])
        indoor = self.user.links.indoor
        near = np.stack([np.where(indoor, distances[O2I], distances[LOS]), np.full(batch, distances[NLOS])], 1)
        self.extra: Drawn = additions.draw(generators, everywhere, indoor)
        # a generator of their own for numbers whose count grows with the way, so that others do not depend on it
        of_stages = [np.random.Generator(np.random.Philox(key=g.integers(1 << 63, size=2))) for g in generators]
        self.numbers = alike_numbers(of_stages, self.stages_m, near, most * (6 + 5 * NUM_RAYS))
        self._clusters: dict[tuple[int, int], Clusters] = {}

    def at(self, index: int) -> Snapshot:
        """Users at `times_s[index]`."""
        place = self.stages_m.shape[1] + index
        links, azimuth = self._links(self.places_m[:, index])
        sight, states, gain = self._states(links, place)
        stage, fraction = divmod(float(self.gone_m[index]) / self.spacing_m, 1.0)
        fade = {int(stage): np.cos(np.pi / 2 * fraction) ** 2, int(stage) + 1: np.sin(np.pi / 2 * fraction) ** 2}
        draws, shares, lengths = [], [], []
        for kind in self._kinds:
            # one stage of even and one of odd number: a path keeps its place while its stage lasts
            for number in sorted(fade, key=lambda n: n % 2):
                clusters = self._stage(number, kind)
                draw, length = moved(clusters, self.places_m[:, index] - self.stages_m[:, number], self.wavelength_m)
                draws.append(draw)
                shares.append(gain[kind] * fade[number])
                lengths.append(length)
        start_m = 0.0 if self.additions.absolute_delay else self.user.links.distance_3d_m[:, None]
        way = np.concatenate(lengths, 1)
        delays = (way - start_m) / SPEED_OF_LIGHT_MPS
        velocity = self.velocities_mps[:, index]
        travel = np.arctan2(velocity[:, 1], velocity[:, 0]) - self.user.bearing_rad
        drop = LinkDrop(links, azimuth, states, joined(draws, shares), travel, self.user.bearing_rad)
        return Snapshot(self.additions.attenuated(drop, way, self.extra, place), delays, sight)

    def speed_mps(self, index: int) -> float:
        """At `times_s[index]`: that of the way, or 0 for users who have arrived."""
        return float(np.linalg.norm(self.velocities_mps[0, index]))

    @property
    def _kinds(self) -> tuple[int, ...]:
        """0: with a line of sight, or in buildings; 1: without a line of sight."""
        return {None: (0, 1), LOS: (0,), NLOS: (1,), O2I: (0,)}[self.cell.condition]

    def _links(self, moved_m: np.ndarray) -> tuple[Links, np.ndarray]:
        """Geometry and azimuth from the base station after a displacement [batch, 2]."""
        links, azimuth = self.user.links, self.user.azimuth_rad
        place = links.distance_2d_m[:, None] * np.stack([np.cos(azimuth), np.sin(azimuth)], -1) + moved_m
        return replace(links, distance_2d_m=np.hypot(place[:, 0], place[:, 1])), np.arctan2(place[:, 1], place[:, 0])

    def _states(self, links: Links, place: int) -> tuple[np.ndarray, LinkState, list[np.ndarray]]:
        """Soft line of sight, the state that both conditions make together, and their shares of the power."""
        near = self._for_formulas(links)
        probability = self.environment.los_probability(near)
        sight = soft_line_of_sight(probability, self.fields.sight[:, place], self.wavelength_m)
        if self.cell.condition in (LOS, NLOS):
            sight = np.full_like(sight, self.cell.condition == LOS)
        clear, shadowed = (self._state(near, np.full(len(sight), los), place) for los in (True, False))
        power = [sight**2 * 10 ** (clear.gain_db / 10), (1 - sight**2) * 10 ** (shadowed.gain_db / 10)]
        # in buildings both are of one condition and have the same clusters
        power = [np.where(links.indoor, power[0] + power[1], power[0]), np.where(links.indoor, 0.0, power[1])]
        total = power[0] + power[1]
        visible = (sight > 0.5)[..., None]
        names = [n for n in LinkState.__dataclass_fields__ if n not in ("path_loss_db", "penetration_db")]
        mixed = {n: np.where(visible[:, 0], getattr(clear, n), getattr(shadowed, n)) for n in names}
        walls = clear.penetration_db
        loss = mixed["shadowing_db"] - walls - 10 * np.log10(total)
        state = LinkState(path_loss_db=loss, penetration_db=walls, **mixed)
        return sight, state, [p / total for p in power]

    def _for_formulas(self, links: Links) -> Links:
        """Users nearer than the scenario allows have path loss and spreads of the least distance."""
        least = self.environment.min_distance_m + links.indoor_distance_m
        return replace(links, distance_2d_m=np.maximum(links.distance_2d_m, least))

    def _state(self, links: Links, los: np.ndarray, place: int) -> LinkState:
        condition = np.where(links.indoor, O2I, np.where(los, LOS, NLOS))
        normals = self.fields.normals[np.arange(len(los)), condition, place]
        # probabilities are from 0 to 1: -1 is below and 2 above them
        numbers = replace(self.user.numbers, los=np.where(los, -1.0, 2.0), normals=normals)
        return link_states(self.environment, self.parameters, links, numbers, self.cell.penetration)

    def _stage(self, number: int, kind: int) -> Clusters:
        if (number, kind) not in self._clusters:
            self._clusters[number, kind] = self._drawn(number, kind)
        return self._clusters[number, kind]

    def _drawn(self, number: int, kind: int) -> Clusters:
        links, azimuth = self._links(self.stages_m[:, number])
        near = self._for_formulas(links)
        sight = self.environment.los_probability(near), self.fields.sight[:, number]
        # what leads to a building counts for the clusters inside
        los = np.where(links.indoor, soft_line_of_sight(*sight, self.wavelength_m) > 0.5, kind == 0)
        state = self._state(near, los, number)
        most = int(self.parameters.num_clusters.max())
        numbers = self.numbers[:, kind, number]
        delays, start, normals = np.split(numbers, [most, most * (1 + 4 * NUM_RAYS)], axis=1)
        # signs of angles and the order of rays are of the drop (§7.6.3.1)
        fixed = self.user.uniforms[:, most : most * (5 + 3 * NUM_RAYS)]
        uniforms = np.concatenate([uniform_of(delays), fixed, uniform_of(start)], 1)
        draw = draw_clusters(state, self.parameters, azimuth, links.zenith_at_base_rad, uniforms, normals)
        mirrored = np.take_along_axis(self.mirrored[:, kind], draw.cluster, 1)
        mirrored = np.where((draw.cluster == 0) & (state.condition == LOS)[:, None], 1.0, mirrored)
        least = draw.least_delay_s
        if self.additions.absolute_delay:
            least = self.additions.excess_delay_s(state.condition, self.extra, number)
        extra = draw.delays_s + least[:, None]
        return Clusters(draw, links.distance_3d_m[:, None] + SPEED_OF_LIGHT_MPS * extra, mirrored)
