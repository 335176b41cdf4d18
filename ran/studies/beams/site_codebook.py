"""A Set B learned for a site: probing beams from the channels of the drops for training, never of those tested."""

from __future__ import annotations

import numpy as np
import torch

from channels.arrays.codebook import Codebook
from channels.arrays.learned_codebook import learn_beams
from channels.paths import path_phases
from ran.errors import InputError
from ran.link.streams import stream
from ran.studies.beams.cached_drops import cached_arrays, cached_drops
from ran.studies.beams.sources import Instant
from ran.studies.beams.world import BLOCK, BeamDrops, BeamWorld

#: Principal components of a drop's covariance that are learned from.
_COMPONENTS = 8
#: Directions per beam of Set A and dimension among which a learned beam's main direction is looked for.
_FINE = 4
#: Raised whenever the beams learned from the same drops change.
_VERSION = 1


def site_beams(world: BeamWorld, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Probing beams of the world's site: weights complex64 [num_places, size], cosines float32 [size, 2].

    Learned from the experiment's `num_fit_drops` drops at the first time of their tracks (`learn_beams`), and kept in
    the cache. cosines: where a beam is strongest within the field of Set A. `InputError` for fewer drops than beams.
    """
    count = world.experiment.num_fit_drops
    if size > count:
        raise InputError(f"set_b.size: got {size} beams to learn; allowed: 1 to {count}, the drops of num_fit_drops")
    found = world.learned.get(size)
    if found is None:
        name = f"{world.scenario_id[:32]}-{world.experiment.seed}-learned-{size}-of-{count}-v{_VERSION}"
        shapes = {"weights": (len(world.positions), size), "cosines": (size, 2)}
        kept = cached_arrays(name, shapes, lambda: _learned(world, size, count))
        found = world.learned[size] = kept["weights"], kept["cosines"]
    return found


def seen_by_site_beams(world: BeamWorld, drops: BeamDrops, size: int) -> BeamDrops:
    """The same drops with the true L1-RSRP of the site's beams in place of the pool."""
    weights, stop = torch.from_numpy(site_beams(world, size)[0]), drops.first + drops.num_drops
    all_of_them = cached_drops(world, drops.split, stop, weights=weights)
    return BeamDrops(
        all_of_them.rsrp_dbm[drops.first :], all_of_them.users_m[drops.first :], drops.times_s, drops.split, drops.first
    )


def site_channels(world: BeamWorld, count: int) -> np.ndarray:
    """Channels of the first `count` drops for training, complex64 [count, num_places, components].

    Principal components over the band and the polarisations, received with the beam that gets most.
    """
    places = len(world.positions)
    found: list[np.ndarray] = []
    with torch.inference_mode():
        for block in range(-(-count // BLOCK)):
            instant = next(iter(world.instants("train", block, torch.eye(places, dtype=torch.complex64))))
            found += [_principal(world, instant, row) for row in range(BLOCK)]
    return np.stack(found[:count])


def _learned(world: BeamWorld, size: int, count: int) -> dict[str, np.ndarray]:
    generator = stream(world.experiment.seed, world.scenario_id, size, "site-codebook")
    weights = learn_beams(site_channels(world, count), size, generator).weights
    cosines = main_directions(world.set_a, world.positions, weights)
    # in the order of Set A: rows upwards, columns from one side to the other
    order = np.lexsort((cosines[:, 0], cosines[:, 1]))
    return {"weights": weights[:, order].astype(np.complex64), "cosines": cosines[order].astype(np.float32)}


def main_directions(set_a: Codebook, positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Direction cosines in which beams are strongest, within the field of a codebook, float64 [num_beams, 2]."""
    axes = []
    for axis, number in ((0, set_a.grid[1]), (1, set_a.grid[0])):
        half = set_a.widths[axis] / 2
        cosines = set_a.cosines[:, axis]
        axes.append(np.linspace(cosines.min() - half, cosines.max() + half, number * _FINE + 1))
    directions = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    waves = np.exp(2j * np.pi * directions @ positions[:, 1:].T)
    return np.asarray(directions[np.abs(waves @ weights).argmax(0)])


def _principal(world: BeamWorld, instant: Instant, row: int) -> np.ndarray:
    grid = instant.gains[row] @ path_phases(instant.delays_s[row], world.tones_hz)
    # [faces, receive polarisations, receive beams, transmit polarisations, places, tones]
    grid = grid.view(-1, world.num_rx_polarisations, world.rx_codebook.num_beams, *grid.shape[1:])
    # [receive beams of all faces, places, samples]
    heard = grid.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 1)
    best = heard[torch.view_as_real(heard).square().sum((1, 2, 3)).argmax()]
    left, values, _ = np.linalg.svd(best.numpy(), full_matrices=False)
    number = min(_COMPONENTS, len(left))
    padded = np.zeros((len(left), number), np.complex64)
    found = (left * values)[:, :number]
    padded[:, : found.shape[1]] = found
    return padded
