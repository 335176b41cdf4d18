"""The users of a CSI experiment: their channels over ports, subbands and time, and the precoders they would report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from ran.link.catalogue import build_channel, channel_fingerprint, without_defaults
from ran.link.streams import stream
from ran.sim.identity import digest
from ran.studies.beams.cached_drops import cached_arrays, has_arrays
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.observation import observed

Split = Literal["test", "train"]
#: Drops of a block are computed together, always the same ones: so a drop does not depend on what else is asked for.
BLOCK = 32
#: Blocks of a file in the cache, of drops with one time; of more times fewer.
_BLOCKS_PER_FILE = 16
#: Raised whenever drops of the same experiment change.
WORLD_VERSION = 1
#: Of the positions of a traced site every so many-th is for testing only.
_TEST_EVERY = 4


@dataclass(frozen=True, eq=False)
class CsiDrops:
    """Precoders of drops, every one an independent user.

    v complex64 [num_drops, num_times, num_layers, num_units, num_ports]: unit vectors, eigenvectors of the mean of
    H^H H over the unit's PRBs, the strongest first, of the channel as the user estimates it. true: of the channel
    itself. gains float32 [num_drops, num_times, num_layers, num_units]: eigenvalues of the true channel.
    """

    v: np.ndarray
    true: np.ndarray
    gains: np.ndarray

    @property
    def num_drops(self) -> int:
        return len(self.v)


@dataclass(eq=False)
class CsiWorld:
    """Drops of an experiment. Random numbers of a drop: stream (seed, scenario_id, split, index)."""

    experiment: CsiExperiment
    num_rx_ant: int = field(init=False)

    def __post_init__(self) -> None:
        e = self.experiment
        block = {
            **e.channel.block(),
            "direction": "downlink",
            "speed_mps": e.speed_kmh / 3.6,
            "tx_array": e.panel.block(),
            "rx_array": e.terminal.block(),
        }
        self.num_rx_ant = e.terminal.num_rx_ant
        self.block = block
        self.channel = build_channel(block)
        self.channel.check(self.num_rx_ant, e.panel.num_ports)

    @cached_property
    def scenario_id(self) -> str:
        """Names what decides the channels of a drop."""
        e = self.experiment
        band = e.band.model_dump(mode="json")
        return digest(
            {
                "channel": without_defaults(self.block),
                "rays": channel_fingerprint(self.block),
                "num_prb": band["num_prb"],
                "subcarrier_spacing_khz": band["subcarrier_spacing_khz"],
                "times_s": list(e.timing.times_s),
                "version": WORLD_VERSION,
            }
        )

    @cached_property
    def frequencies_hz(self) -> np.ndarray:
        """One subcarrier of every PRB, offsets from the carrier, float64 [num_prb]."""
        band = self.experiment.band
        return (np.arange(band.num_prb) - (band.num_prb - 1) / 2) * 12e3 * band.subcarrier_spacing_khz

    def generator(self, split: Split, index: int, purpose: str) -> np.random.Generator:
        """The stream of a purpose in a drop."""
        return stream(self.experiment.seed, f"{self.scenario_id}/{split}", index, purpose)

    def _channel_generator(self, split: Split, index: int) -> np.random.Generator:
        """Of a traced site's positions some are for testing, others for training: the first draw that is of the
        split."""
        if not hasattr(self.channel, "sites"):
            return self.generator(split, index, "channel")
        attempt = 0
        while True:
            site = int(self.channel.sites([self.generator(split, index, f"channel/{attempt}")])[0])
            if (site % _TEST_EVERY == 0) == (split == "test"):
                return self.generator(split, index, f"channel/{attempt}")
            attempt += 1

    def channels(self, split: Split, block: int) -> np.ndarray:
        """The drops of a block, complex64 [BLOCK, num_times, num_rx_ant, num_ports, num_prb], unit mean power."""
        generators = [self._channel_generator(split, block * BLOCK + i) for i in range(BLOCK)]
        times = np.array(self.experiment.timing.times_s)
        with torch.inference_mode():
            h = self.channel.response(
                generators, self.num_rx_ant, self.experiment.panel.num_ports, times, self.frequencies_hz
            )
        return np.ascontiguousarray(h.numpy().transpose(0, 3, 1, 2, 4))

    def estimates(self, split: Split, block: int, h: np.ndarray) -> np.ndarray:
        """What the users of a block know of their channels `h`, of the same shape."""
        if self.experiment.estimate.method == "ideal":
            return h
        noise = [self.generator(split, block * BLOCK + i, "csi-rs-noise") for i in range(BLOCK)]
        return observed(h, self.experiment, noise)

    def drops(self, split: Split, block: int) -> CsiDrops:
        """Precoders of the drops of a block."""
        e = self.experiment
        h = self.channels(split, block)
        true, gains = precoders(h, e.band.units, e.num_layers)
        known = self.estimates(split, block, h)
        return CsiDrops(true if known is h else precoders(known, e.band.units, e.num_layers)[0], true, gains)

    @property
    def doppler_hz(self) -> float:
        """Maximum Doppler shift of a user."""
        return float(self.channel.doppler_hz)  # type: ignore[attr-defined]

    @cached_property
    def drops_id(self) -> str:
        """Names the precoders of drops."""
        e = self.experiment.resolved()
        return digest(
            {
                "scenario": self.scenario_id,
                "seed": e["seed"],
                "layers": e["num_layers"],
                "estimate": e["estimate"],
                "band": e["band"],
            }
        )

    @property
    def drops_per_file(self) -> int:
        """Drops of a file in the cache."""
        return BLOCK * max(1, _BLOCKS_PER_FILE // len(self.experiment.timing.times_s))

    def kept(self, split: Split, count: int, say: Callable[[str], None] = lambda text: None) -> CsiDrops:
        """The first `count` drops, from the cache of `ran.studies.beams.cached_drops` or computed and kept there."""
        files = range(-(-count // self.drops_per_file))
        parts = [self.kept_file(split, number, say) for number in files]
        return CsiDrops(*(np.concatenate([p[name] for p in parts])[:count] for name in ("v", "true", "gains")))

    def kept_file(
        self, split: Split, number: int, say: Callable[[str], None] = lambda text: None
    ) -> dict[str, np.ndarray]:
        """The drops of one file of the cache, by the names of `CsiDrops`."""
        e = self.experiment
        shape = (self.drops_per_file, len(e.timing.times_s), e.num_layers, len(e.band.units))
        shapes = {"v": (*shape, e.panel.num_ports), "true": (*shape, e.panel.num_ports), "gains": shape}

        def compute() -> dict[str, np.ndarray]:
            say(f"{split} drops {number * self.drops_per_file + 1} to {(number + 1) * self.drops_per_file}")
            num_blocks = self.drops_per_file // BLOCK
            found = [self.drops(split, block) for block in range(number * num_blocks, (number + 1) * num_blocks)]
            return {name: np.concatenate([getattr(d, name) for d in found]) for name in shapes}

        return cached_arrays(self._file_name(split, number), shapes, compute)

    def has_file(self, split: Split, number: int) -> bool:
        """Whether the cache has that file."""
        return has_arrays(self._file_name(split, number))

    def _file_name(self, split: Split, number: int) -> str:
        return f"csi-{self.drops_id}-{split}-{number:05d}"


def precoders(h: np.ndarray, units: tuple[range, ...], num_layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors of the mean of H^H H over the PRBs of every unit, the strongest first, and their eigenvalues.

    h complex64 [..., num_rx_ant, num_ports, num_prb]. Returns complex64 [..., num_layers, num_units, num_ports] and
    float32 [..., num_layers, num_units].
    """
    vectors, values = [], []
    for unit in units:
        part = h[..., list(unit)]
        flat = np.moveaxis(part, -1, -3)
        rows = flat.reshape(*flat.shape[:-3], -1, flat.shape[-1]) / np.sqrt(np.float32(len(unit)))
        _, singular, right = np.linalg.svd(rows, full_matrices=False)
        vectors.append(right[..., :num_layers, :].conj())
        values.append(singular[..., :num_layers] ** 2)
    return (
        np.ascontiguousarray(np.stack(vectors, -2)).astype(np.complex64),
        np.stack(values, -1).astype(np.float32),
    )
