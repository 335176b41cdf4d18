"""Where a slot's time goes, stage by stage and receiver by receiver, against the floor of each stage."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ran.bench.cost import Cost
from ran.bench.machine import Limits, measure_limits
from ran.bench.measure import one_thread
from ran.bench.stage_floors import floor_seconds, receiver_floors, shared_floors
from ran.bench.stages import SHARED_STAGES, STAGES, StageClock
from ran.config.host import cpu_model
from ran.config.provenance import versions
from ran.errors import InputError, bad_value
from ran.link import Link
from ran.sim.experiment import MAX_ESN0_DB, MIN_ESN0_DB, Experiment, load, refuse_link_budget
from ran.sim.segment import Segment, Task
from ran.sim.simulation import Simulation, build_simulation
from ran.sim.store import Store

#: Share of lost blocks at which a profile is taken, unless the point is given.
_BLER = 0.1
_SCENARIO = "profile"

#: Whose time, empty for what all receivers share, and on what.
Owned = tuple[str, str]


@dataclass(frozen=True)
class StageTime:
    """A stage of a slot. receiver: whose; empty for what all share. seconds: of a processor, per slot.

    floor_s: the least that it takes on this machine; None where none is stated.
    """

    receiver: str
    stage: str
    seconds: float
    floor_s: float | None

    @property
    def times_floor(self) -> float | None:
        return self.seconds / self.floor_s if self.floor_s else None


@dataclass(frozen=True)
class Profile:
    """Of an experiment's slots at one point.

    blers: blocks lost, by receiver. plain_s: processor seconds per slot without the clock, to see what it adds.
    """

    experiment: str
    esn0_db: float
    num_slots: int
    stages: tuple[StageTime, ...]
    blers: Mapping[str, float]
    plain_s: float
    limits: Limits
    cpu: str
    versions: Mapping[str, str]

    @property
    def receivers(self) -> tuple[str, ...]:
        """What all share, as an empty title, then the receivers."""
        return tuple(dict.fromkeys(stage.receiver for stage in self.stages))

    @property
    def total_s(self) -> float:
        """Processor seconds of a slot with all receivers side by side."""
        return sum(stage.seconds for stage in self.stages)

    def seconds_of(self, receiver: str) -> float:
        return sum(stage.seconds for stage in self.stages if stage.receiver == receiver)

    def share(self, stage: StageTime) -> float:
        """Part of a stage in the time of its slot with all receivers."""
        return stage.seconds / self.total_s


def profile(
    name: str,
    changes: Sequence[str],
    num_slots: int,
    esn0_db: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    limits: Limits | None = None,
) -> Profile:
    """Profile the slots of an experiment, on one thread of a CPU.

    num_slots: at least so many, in whole batches. esn0_db: where; by default the lowest of the experiment's points at
    which its first receiver loses at most one block in ten. limits: of this machine, by default measured.
    InputError for an experiment whose points are transmit powers, or whose slots are those of a file.
    """
    if esn0_db is not None and not MIN_ESN0_DB <= esn0_db <= MAX_ESN0_DB:
        raise bad_value("--esn0-db", esn0_db, f"{MIN_ESN0_DB} to {MAX_ESN0_DB}")
    experiment = load(name, changes)
    refuse_link_budget(experiment, "ran bench profile")
    with one_thread():
        simulation = build_simulation(experiment)
        link = simulation.link
        if not isinstance(link, Link):
            raise InputError(f"profile: got {name!r}; allowed: experiments whose slots are simulated")
        simulation.warm_up(say)
        if esn0_db is None:
            esn0_db = _waterfall(link, simulation, experiment)
        say(f"{experiment.name} at {esn0_db:g} dB")
        limits = measure_limits() if limits is None else limits
        batches = max(1, -(-num_slots // link.batch_drops))
        plain_s, seconds, blers = _measured(link, simulation, experiment.seed, esn0_db, batches)
        floors = {("", stage): cost for stage, cost in shared_floors(link).items()}
        if experiment.harq is None:
            floors |= _receiver_floors(link, simulation, experiment, esn0_db)
    _join_fused(seconds, floors, simulation.receivers)
    slots = batches * link.batch_drops
    stages = tuple(
        StageTime(receiver, stage, seconds[receiver, stage] / slots, _seconds(floors.get((receiver, stage)), limits))
        for receiver in ("", *simulation.receivers)
        for stage in STAGES
        if (receiver, stage) in seconds
    )
    return Profile(experiment.name, esn0_db, slots, stages, blers, plain_s / slots, limits, cpu_model(), versions())


def _receiver_floors(link: Link, simulation: Simulation, experiment: Experiment, esn0_db: float) -> dict[Owned, Cost]:
    """Of every receiver; how many iterations the decoder runs for it is measured on one batch."""
    decoder, floors = experiment.decoder, dict[Owned, Cost]()
    needs_truth = any(receiver.needs_truth for receiver in simulation.receivers.values())
    with torch.no_grad():
        batch = link.batch(range(link.batch_drops), esn0_db, experiment.seed, _SCENARIO, needs_truth)
        for title, receiver in simulation.receivers.items():
            llr = link.receive(receiver, batch, title).numpy()
            decided = link.grid.decode_blocks(llr, decoder.num_iterations, decoder.precision)
            iterations = float(np.mean([decision.iterations.mean() for decision in decided]))
            of_receiver = receiver_floors(link, receiver, batch, iterations)
            floors |= {(title, stage): cost for stage, cost in of_receiver.items()}
    return floors


def _seconds(floor: Cost | None, limits: Limits) -> float | None:
    return None if floor is None else floor_seconds(floor, limits)


def _join_fused(seconds: Mapping[Owned, float], floors: dict[Owned, Cost], titles: Collection[str]) -> None:
    """Where equalisation and demapping are one loop, the floor of both belongs to the stage that was seen."""
    for title in titles:
        demap = floors.get((title, "demap"))
        if demap is not None and (title, "demap") not in seconds:
            floors[title, "equalise"] += demap


def _waterfall(link: Link, simulation: Simulation, experiment: Experiment) -> float:
    """The lowest point at which the first receiver loses at most one block in ten, by bisection on one batch."""
    title, receiver = next(iter(simulation.receivers.items()))
    points = experiment.snr_grid
    low, high = 0, len(points) - 1
    while low < high:
        middle = (low + high) // 2
        found = link.simulate({title: receiver}, range(link.batch_drops), points[middle], experiment.seed, _SCENARIO)
        bler = float(found[title].block_errors.sum()) / (link.batch_drops * link.blocks_per_drop)
        low, high = (low, middle) if bler <= _BLER else (middle + 1, high)
    return points[low]


def _measured(
    link: Link, simulation: Simulation, seed: int, esn0_db: float, batches: int
) -> tuple[float, dict[Owned, float], dict[str, float]]:
    """Processor seconds without the clock, the same by receiver and stage with it, and lost blocks by receiver."""
    size, clock, plain_s = link.batch_drops, StageClock(), 0.0
    errors = dict.fromkeys(simulation.receivers, 0)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.create(Path(folder) / "profile.sqlite", {})
        try:
            for number in range(batches):
                drops = range(number * size, (number + 1) * size)
                started = time.thread_time()
                link.simulate(simulation.receivers, drops, esn0_db, seed, _SCENARIO)
                plain_s += time.thread_time() - started
                with clock.running():
                    found = link.simulate(simulation.receivers, drops, esn0_db, seed, _SCENARIO)
                    segments = {
                        Task(f"{title} {_SCENARIO}", _SCENARIO, title, esn0_db): Segment(drops.start, outcome)
                        for title, outcome in found.items()
                    }
                    store.add(segments, {})
                for title, outcome in found.items():
                    errors[title] += int(outcome.block_errors.sum())
        finally:
            store.close()
    blers = {title: count / (batches * size * link.blocks_per_drop) for title, count in errors.items()}
    return plain_s, _by_owner(clock.seconds), blers


def _by_owner(seconds: Mapping[Owned, float]) -> dict[Owned, float]:
    """What all share is drawn, transmitted and stored once; whatever else ran then belongs to no stage."""
    found: dict[Owned, float] = {}
    for (receiver, stage), value in seconds.items():
        shared = receiver == "" and stage not in (*SHARED_STAGES, "compare", "store")
        key = (receiver, "other") if shared else (receiver, stage)
        found[key] = found.get(key, 0.0) + value
    return found
