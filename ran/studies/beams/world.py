"""The world of a beam experiment: its beams, and the true L1-RSRP of every beam pair over time, drop by drop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from channels.arrays.codebook import BeamTree, Codebook, beam_tree, dft_codebook, sector_codebook
from channels.arrays.layout import linear, panel
from channels.paths import path_phases
from channels.scenarios.network import noise_power_dbm
from ran.errors import InputError, bad_value
from ran.link.catalogue import channel_fingerprint
from ran.link.streams import stream
from ran.sim.identity import digest
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.beams.sources import Arrays, Instant, Source, source_of

#: Drops of a block are computed together, always the same ones: so a drop does not depend on what else is asked for.
BLOCK = 8
#: Tones over the band whose power is averaged; a measurement averages coherently over the elements around each.
NUM_TONES = 32
#: Raised whenever drops of the same experiment change.
WORLD_VERSION = 2

Split = Literal["test", "train"]


@dataclass(frozen=True, eq=False)
class BeamDrops:
    """True L1-RSRP of drops, every one an independent user.

    rsrp_dbm float32 [num_drops, num_times, num_rx_beams, num_pool]: of all receive beams and all beams of the pool
        (Set A, then ever wider beams, `BeamWorld.tree`). Mean over the band and over the transmit polarisations, sum
        over the receive polarisations.
    users_m float32 [num_drops, num_times, 3]: true places from the site. times_s float64 [num_times]: of the track.
    split, first: which drops these are.
    """

    rsrp_dbm: np.ndarray
    users_m: np.ndarray
    times_s: np.ndarray
    split: Split
    first: int

    @property
    def num_drops(self) -> int:
        return len(self.rsrp_dbm)


@dataclass(eq=False)
class BeamWorld:
    """Beams and drops of an experiment. Random numbers of a drop: stream (seed, scenario_id, split, index)."""

    experiment: BeamExperiment
    positions: np.ndarray = field(init=False)
    tree: BeamTree = field(init=False)
    rx_codebook: Codebook = field(init=False)
    #: Beams learned for the site, by their number (`ran.studies.beams.site_codebook`).
    learned: dict[int, tuple[np.ndarray, np.ndarray]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        experiment = self.experiment
        size, terminal = experiment.panel, experiment.terminal
        self.positions = panel(size.rows, size.columns, size.spacing)
        try:
            self.tree = beam_tree(self.positions, self._set_a())
        except ValueError as error:
            raise InputError(f"set_a.{error}") from None
        if experiment.set_b.pattern == "wide":
            self.level(experiment.set_b.size)
        try:
            self.rx_codebook = sector_codebook(linear(terminal.columns, 0.5, "y"), (1, terminal.num_beams))
        except ValueError as error:
            raise InputError(f"terminal.{error}") from None

    @cached_property
    def _own_source(self) -> tuple[Source, Arrays]:
        return self._source(self.pool_weights)

    @property
    def source(self) -> Source:
        """Paths of the drops to the pool's beams. `InputError` where the channel cannot be built."""
        return self._own_source[0]

    @property
    def arrays(self) -> Arrays:
        """The panel with the pool's beams, and the user's faces."""
        return self._own_source[1]

    def _source(self, weights: torch.Tensor) -> tuple[Source, Arrays]:
        return source_of(self.experiment, self.rx_codebook.port_weights(self.num_rx_polarisations), weights)

    def _set_a(self) -> Codebook:
        chosen, size = self.experiment.set_a, self.experiment.panel
        if chosen.codebook == "dft":
            return dft_codebook(self.positions, (size.rows, size.columns), size.spacing, chosen.oversampling)
        return sector_codebook(self.positions, chosen.beams, chosen.azimuth_deg, chosen.zenith_deg)

    @property
    def set_a(self) -> Codebook:
        return self.tree.levels[0]

    def level(self, num_beams: int) -> int:
        """Level of the tree with so many wide beams; `InputError` when there is none."""
        sizes = [level.num_beams for level in self.tree.levels[1:]]
        if num_beams not in sizes:
            raise bad_value("set_b.size", num_beams, f"{', '.join(map(str, sizes))}, the numbers of wide beams")
        return 1 + sizes.index(num_beams)

    @property
    def num_rx_polarisations(self) -> int:
        return 2 if self.experiment.terminal.polarisation == "cross" else 1

    @property
    def num_tx_polarisations(self) -> int:
        return 2 if self.experiment.panel.polarisation == "cross" else 1

    @cached_property
    def pool_weights(self) -> torch.Tensor:
        """All beams of one polarisation, Set A first, complex64 [num_places, num_pool]."""
        return torch.from_numpy(self.tree.weights).to(torch.complex64)

    @cached_property
    def scenario_id(self) -> str:
        """Names what decides the true powers of a drop."""
        resolved = self.experiment.resolved()
        keys = ("channel", "speed_kmh", "panel", "terminal", "set_a", "radio", "timing")
        found = {key: resolved[key] for key in keys}
        for key in ("num_re", "quantised", "noise_figure_db"):
            del found["radio"][key]
        if self.experiment.channel.name == "ray-traced":
            found["rays"] = channel_fingerprint(self.experiment.channel.block())
            found["channel"] = {k: v for k, v in found["channel"].items() if k != "rays"}
        return digest({**found, "version": WORLD_VERSION})

    @property
    def cache_id(self) -> str:
        """Names the drops in the cache: on a traced site users stood still in what earlier versions kept there."""
        return self.scenario_id[:32] + ("" if self.source.tested_sites is None else "-on-tracks")

    @cached_property
    def times_s(self) -> np.ndarray:
        """All times of a drop's track, from 0, ascending, float64 [num_times]."""
        timing = self.experiment.timing
        asked = {
            round(decision + at, 6)
            for decision in timing.decisions_ms
            for at in (*timing.observed_ms, *timing.horizon_ms)
        }
        times = np.array(sorted(asked))
        return (times - times[0]) / 1e3

    def places(self, decision: int) -> tuple[np.ndarray, np.ndarray]:
        """Where in `times_s` the measurements and the horizon of a decision are."""
        timing = self.experiment.timing
        start = timing.observed_ms[0]
        at = timing.decisions_ms[decision] - start

        def find(times_ms: tuple[float, ...]) -> np.ndarray:
            wanted = (np.array(times_ms) + at) / 1e3
            return np.abs(self.times_s[None] - wanted[:, None]).argmin(1)

        return find(timing.observed_ms), find(timing.horizon_ms)

    @property
    def epre_dbm(self) -> float:
        """Power per resource element, over the whole panel."""
        radio = self.experiment.radio
        return radio.tx_power_dbm - 10 * math.log10(12 * radio.num_prb)

    @property
    def noise_dbm(self) -> float:
        """Noise per resource element and receive port."""
        radio = self.experiment.radio
        return noise_power_dbm(1e3 * radio.subcarrier_spacing_khz, radio.noise_figure_db)

    def generator(self, split: Split, index: int, purpose: str) -> np.random.Generator:
        """The stream of a purpose in a drop."""
        return stream(self.experiment.seed, f"{self.scenario_id}/{split}", index, purpose)

    def drops(self, split: Split, first: int, count: int, weights: torch.Tensor | None = None) -> BeamDrops:
        """True powers of the drops `first` to `first + count` of a split; of the pool's beams, or of others.

        weights complex64 [num_places, num_beams]: of one polarisation. A drop is the same whatever beams it meets.
        """
        blocks = range(first // BLOCK, -(-(first + count) // BLOCK))
        parts = [self._block(split, number, weights) for number in blocks]
        begin = first - blocks.start * BLOCK
        rsrp, users = (np.concatenate(values)[begin : begin + count] for values in zip(*parts, strict=True))
        return BeamDrops(rsrp, users, self.times_s, split, first)

    def instants(self, split: Split, block: int, weights: torch.Tensor | None = None) -> Iterator[Instant]:
        """The drops `block * BLOCK` and on at every time of their tracks, with beams as in `drops`."""
        generators = [self._channel_generator(split, block * BLOCK + i) for i in range(BLOCK)]
        source = self.source if weights is None else self._source(weights)[0]
        return source.instants(generators, self.times_s)

    def _block(self, split: Split, number: int, weights: torch.Tensor | None) -> tuple[np.ndarray, np.ndarray]:
        powers, users = [], []
        with torch.inference_mode():
            for instant in self.instants(split, number, weights):
                powers.append(self._powers_dbm(instant))
                users.append(instant.users_m.astype(np.float32))
        return np.stack(powers, 1), np.stack(users, 1)

    def _channel_generator(self, split: Split, index: int) -> np.random.Generator:
        """Of a site's positions some are for testing, others for training: the first draw that is of the split."""
        attempt = 0
        while not self.source.belongs(self.generator(split, index, f"channel/{attempt}"), split == "train"):
            attempt += 1
        return self.generator(split, index, f"channel/{attempt}")

    def sites(self, split: Split, first: int, count: int) -> np.ndarray | None:
        """Numbers of the drops' places, int64 [count]; None where every drop has a place of its own."""
        if self.source.tested_sites is None:
            return None
        return self.source.sites([self._channel_generator(split, first + i) for i in range(count)])

    def _powers_dbm(self, instant: Instant) -> np.ndarray:
        """float32 [batch, num_rx_beams, num_pool]."""
        found = []
        for gains, delays in zip(instant.gains, instant.delays_s, strict=True):
            grid = gains @ path_phases(delays, self.tones_hz)
            # [faces, receive polarisations, receive beams, transmit polarisations, pool]
            power = torch.view_as_real(grid).square().sum((-1, -2)) / NUM_TONES
            power = power.view(-1, self.num_rx_polarisations, self.rx_codebook.num_beams, *power.shape[1:])
            found.append(power.sum(1).mean(2).flatten(0, 1))
        power = torch.stack(found).clamp(min=1e-30)
        return (10 * torch.log10(power) + self.epre_dbm).to(torch.float32).numpy()

    @cached_property
    def tones_hz(self) -> torch.Tensor:
        """One tone in each of `NUM_TONES` equal parts of the band, at places without a common period: delays that even
        spacing would take for one another stay apart."""
        inside = (np.arange(NUM_TONES) * (math.sqrt(5) - 1) / 2) % 1
        return torch.from_numpy(
            self.experiment.radio.bandwidth_hz * ((np.arange(NUM_TONES) + inside) / NUM_TONES - 0.5)
        )
