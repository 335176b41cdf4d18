"""What a base station gets to see: measured and reported L1-RSRP of some beams, at some times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError
from ran.studies.beams.experiment import SetB
from ran.studies.beams.report import reported_dbm
from ran.studies.beams.site_codebook import seen_by_site_beams, site_beams
from ran.studies.beams.world import NUM_TONES, BeamDrops, BeamWorld
from receivers.beams import BeamObservation, BeamTruth


@dataclass(frozen=True, eq=False)
class Decision:
    """Drops at one decision: what is known, and the truth.

    measured_dbm float32 [num_drops, num_horizon, num_set_a]: what measuring all of Set A again at the times of the
    horizon would give, without quantisation; the noise of a time is the same as in the observation.
    """

    observation: BeamObservation
    truth: BeamTruth
    measured_dbm: np.ndarray

    @property
    def sounded(self) -> tuple[int, int]:
        """Beams per drop, and rounds, that were measured through the sounder so far."""
        sounder = self.observation.sounder
        return (sounder.num_measured, sounder.num_rounds) if isinstance(sounder, _Sounder) else (0, 0)


def decide(
    world: BeamWorld, drops: BeamDrops, decision: int = 0, set_b: SetB | None = None, every: int = 1
) -> Decision:
    """What is known at a decision (0 to num_decisions - 1) of drops, with the experiment's Set B or another.

    Every beam pair has the same noise whatever Set B is, so that settings are compared on equal terms; beams that were
    learned have their own. every: 2 where only every second measurement in time was made, and so on. `ValueError`
    for a Set B that the world does not have.
    """
    set_b = set_b or world.experiment.set_b
    seen, ahead = world.places(decision)
    entries = measured_entries(world, drops, seen)
    if set_b.pattern == "learned":
        values = measured_entries(world, seen_by_site_beams(world, drops, set_b.size), seen, "noise-learned")
        measured = np.broadcast_to(np.arange(set_b.size), values.shape).copy()
    else:
        measured, first = chosen_beams(world, drops, decision, set_b, len(seen))
        values = np.stack([np.take_along_axis(entries[:, t], measured[:, t] + first, -1) for t in range(len(seen))], 1)
    radio = world.experiment.radio
    if radio.quantised:
        values = reported_dbm(values)
    wide, towards = beams_outside(world, set_b)
    timing = world.experiment.timing
    truth = true_entries(world, drops, ahead)
    size = world.set_a.num_beams
    observation = BeamObservation(
        rsrp_dbm=torch.from_numpy(values.astype(np.float32)),
        measured=torch.from_numpy(measured),
        times_s=torch.tensor(timing.observed_ms, dtype=torch.float64) / 1e3,
        horizon_s=torch.tensor(timing.horizon_ms, dtype=torch.float64) / 1e3,
        set_a_weights=world.pool_weights[:, :size],
        set_a_cosines=torch.from_numpy(world.set_a.cosines.astype(np.float32)),
        grid=world.set_a.grid,
        positions=torch.from_numpy(world.positions.astype(np.float32)),
        noise_dbm=noise_floor_dbm(world),
        step_db=1.0 if radio.quantised else 0.0,
        wide_weights=wide,
        wide_cosines=towards,
        num_rx_beams=world.experiment.num_rx_beams if world.experiment.task == "pairs" else 1,
        users_m=_reported_places(world, drops, seen, decision),
        pool_weights=world.pool_weights,
        tree_first=world.tree.first,
        tree_parents=tuple(torch.from_numpy(parents) for parents in world.tree.parents),
        sounder=_Sounder(entries[:, -1], radio.quantised),
    )
    again = measured_entries(world, drops, ahead)[..., : world.experiment.num_set_a]
    return Decision(observation.every(every), BeamTruth(torch.from_numpy(truth)), again)


class _Sounder:
    """More measurements at the latest time, of the same noise; `num_measured` beams were asked for per drop, in
    `num_rounds` rounds."""

    def __init__(self, entries_dbm: np.ndarray, quantised: bool) -> None:
        self.entries_dbm, self.quantised = entries_dbm, quantised
        self.num_measured = self.num_rounds = 0

    def __call__(self, beams: Tensor) -> Tensor:
        self.num_measured += beams.shape[1]
        self.num_rounds += 1
        values = np.take_along_axis(self.entries_dbm, beams.cpu().numpy(), -1)
        return torch.from_numpy((reported_dbm(values) if self.quantised else values).astype(np.float32))


def noise_floor_dbm(world: BeamWorld) -> float:
    """Standard deviation of a measurement's noise where there is no signal, in power."""
    degrees = _num_samples(world)
    per_sample = _sample_noise_dbm(world)
    # the sum over receive polarisations and the mean over the rest, of independent exponential powers
    return float(per_sample + 10 * np.log10(world.num_rx_polarisations / np.sqrt(degrees)))


def true_entries(world: BeamWorld, drops: BeamDrops, places: np.ndarray) -> np.ndarray:
    """True L1-RSRP of Set A at some times, float32 [num_drops, len(places), num_set_a]."""
    powers = drops.rsrp_dbm[:, places, :, : world.set_a.num_beams]
    if world.experiment.task == "tx":
        return np.ascontiguousarray(powers.max(2))
    return powers.reshape(*powers.shape[:2], -1)


def beams_outside(world: BeamWorld, set_b: SetB) -> tuple[Tensor | None, Tensor | None]:
    """Weights and directions of measured beams that are not in Set A."""
    if not set_b.is_outside:
        return None, None
    if set_b.pattern == "learned":
        weights, cosines = site_beams(world, set_b.size)
    else:
        level = world.tree.levels[world.level(set_b.size)]
        weights, cosines = level.weights, level.cosines
    return torch.from_numpy(weights.astype(np.complex64)), torch.from_numpy(cosines.astype(np.float32))


def measured_entries(world: BeamWorld, drops: BeamDrops, places: np.ndarray, purpose: str = "noise") -> np.ndarray:
    """Measured L1-RSRP without quantisation of all beams of the pool, or of all pairs of Set A.

    float32 [num_drops, len(places), num_entries]. In task "tx" a user tries all its receive beams per transmit beam and
    reports the strongest, noise included (TS 38.214 §5.1.6.1.2, repetition "on"). purpose: of the noise's stream.
    """
    noisy = np.empty_like(drops.rsrp_dbm[:, places])
    for row in range(drops.num_drops):
        for at, place in enumerate(places):
            generator = world.generator(drops.split, drops.first + row, f"{purpose}/{place}")
            noisy[row, at] = with_noise(world, drops.rsrp_dbm[row, place], generator)
    if world.experiment.task == "tx":
        return np.ascontiguousarray(noisy.max(2))
    size = world.set_a.num_beams
    return np.ascontiguousarray(noisy[..., :size].reshape(*noisy.shape[:2], -1))


def _num_samples(world: BeamWorld) -> int:
    """Independent noise samples of a measurement: tones, receive and transmit polarisations."""
    return NUM_TONES * world.num_rx_polarisations * world.num_tx_polarisations


def _sample_noise_dbm(world: BeamWorld) -> float:
    """Noise power of a sample: a tone stands for the elements around it, which are added up coherently."""
    return float(world.noise_dbm - 10 * np.log10(world.experiment.radio.num_re / NUM_TONES))


def with_noise(world: BeamWorld, rsrp_dbm: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Measured powers in dBm: those of samples with noise, added up, less the noise's mean.

    The sum of the powers of complex samples in white noise depends on the sum of their own powers alone: it is
    noncentral chi-squared with two degrees of freedom per sample.
    """
    samples = _num_samples(world)
    noise = 10 ** (_sample_noise_dbm(world) / 10)
    # rsrp: sum over receive polarisations, mean over the rest
    per_rx = samples / world.num_rx_polarisations
    power = 10 ** (rsrp_dbm.astype(np.float64) / 10)
    shift = np.sqrt(2 * power * per_rx / noise)
    first = (generator.standard_normal(power.shape) + shift) ** 2
    rest = generator.chisquare(2 * samples - 1, power.shape)
    estimate = (noise / 2 * (first + rest) - noise * samples) / per_rx
    # what is at or below the noise's mean is reported as nothing
    return np.asarray(10 * np.log10(np.maximum(estimate, 1e-20)), np.float32)


def chosen_beams(
    world: BeamWorld, drops: BeamDrops, decision: int, set_b: SetB, num_times: int
) -> tuple[np.ndarray, int]:
    """Which beams are measured, int64 [num_drops, num_times, num_measured], and where they begin in the pool.

    `InputError` for beams learned for a site, which are in no pool.
    """
    if set_b.pattern == "learned":
        raise InputError("set_b.pattern: got 'learned'; allowed here: fixed, random, wide, all, beams of the pool")
    shape = (drops.num_drops, num_times)
    total = world.experiment.num_set_a
    if set_b.pattern == "wide":
        level = world.level(set_b.size)
        return np.broadcast_to(np.arange(set_b.size), (*shape, set_b.size)).copy(), world.tree.first[level]
    if set_b.pattern == "all":
        return np.broadcast_to(np.arange(total), (*shape, total)).copy(), 0
    if set_b.pattern == "fixed":
        beams = fixed_pattern(world, set_b.size)
        return np.broadcast_to(beams, (*shape, set_b.size)).copy(), 0
    found = np.empty((*shape, set_b.size), np.int64)
    for row in range(drops.num_drops):
        generator = world.generator(drops.split, drops.first + row, f"set-b/{decision}")
        for time in range(num_times):
            found[row, time] = np.sort(generator.permutation(total)[: set_b.size])
    return found, 0


def fixed_pattern(world: BeamWorld, size: int) -> np.ndarray:
    """Entries of Set A that cover its grid evenly, int64 [size], ascending.

    Every beam has a measured one near: medoids that make the sum of squared distances in steps of the grid small, found
    from the beams farthest apart (Lloyd's iteration). Of pairs, receive beams take turns.
    """
    rows, columns = world.set_a.grid
    number = rows * columns
    if world.experiment.task == "tx":
        return even_cover(rows, columns, size)
    num_rx = world.experiment.num_rx_beams
    beams = even_cover(rows, columns, min(-(-size // num_rx), number))
    pairs = np.arange(num_rx)[:, None] * number + beams
    return np.sort(pairs.T.reshape(-1)[:size])


def even_cover(rows: int, columns: int, size: int) -> np.ndarray:
    """So many places of a grid, such that none is far from all of them, int64 [size], ascending.

    The best of Lloyd's iterations from places farthest apart and from all tilings of the grid into equal blocks.
    """
    points = np.stack(np.divmod(np.arange(rows * columns), columns), -1).astype(np.float64)
    starts = [_farthest(points, size)]
    for down in range(1, size + 1):
        if size % down == 0 and rows % down == 0 and columns % (size // down) == 0:
            row = np.arange(down) * (rows // down) + (rows // down - 1) // 2
            column = np.arange(size // down) * (columns * down // size) + (columns * down // size - 1) // 2
            starts.append((row[:, None] * columns + column).reshape(-1).tolist())
    found = [_settled(points, start) for start in starts]
    return min(found, key=lambda taken: _squares(points, taken).min(1).sum())


def _squares(points: np.ndarray, taken: np.ndarray) -> np.ndarray:
    return np.asarray(((points[:, None] - points[taken]) ** 2).sum(-1))


def _farthest(points: np.ndarray, size: int) -> list[int]:
    taken = [len(points) // 2]
    while len(taken) < size:
        taken.append(int(_squares(points, np.array(taken)).min(1).argmax()))
    return taken


def _settled(points: np.ndarray, taken: list[int]) -> np.ndarray:
    for _ in range(50):
        owner = _squares(points, np.array(taken)).argmin(1)
        moved: list[int] = []
        for place, before in enumerate(taken):
            members = points[owner == place]
            distance = ((points - (members.mean(0) if len(members) else points[before])) ** 2).sum(-1)
            distance[moved] = np.inf
            moved.append(int(distance.argmin()))
        if moved == taken:
            break
        taken = moved
    return np.sort(np.array(taken))


def _reported_places(world: BeamWorld, drops: BeamDrops, seen: np.ndarray, decision: int) -> Tensor | None:
    error = world.experiment.position_error_m
    if error is None:
        return None
    places = drops.users_m[:, seen].copy()
    for row in range(drops.num_drops):
        generator = world.generator(drops.split, drops.first + row, f"position/{decision}")
        places[row] += error * generator.standard_normal(places[row].shape).astype(np.float32)
    return torch.from_numpy(places)
