"""The work of a CSI experiment as jobs of a study: drops to fit to, what is fitted, then the blocks of drops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ran.sim.identity import digest
from ran.studies.csi.evaluation import Evaluation, blocks_of, figure_names
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.observation import overhead
from ran.studies.csi.outcome import PointOutcome
from ran.studies.csi.point import points
from ran.studies.csi.world import BLOCK, CsiWorld
from ran.studies.job import Arrays, Job, Results
from ran.studies.jobs import JobStudy
from ran.studies.stopping import is_narrow, parts_ahead, parts_used, widest

KIND = "CSI study"
#: What the study writes into its folder beside the store.
PAGES = ("csi.json", "csi.csv", "csi.html")
#: Raised whenever figures of the same experiment move.
CSI_VERSION = 1
#: What arrays of a result that tell the cost of a point begin with.
_COST = "cost "
_COSTS = ("encoder_flops", "encoder_parameters", "decoder_flops", "decoder_parameters")


@dataclass(frozen=True)
class TrainingDrops:
    """A file of drops to be put into the cache."""

    number: int


@dataclass(frozen=True)
class Fit:
    """What is fitted, for the cache: the feedback of some points, or the predictor of one. names: of these points."""

    points: tuple[int, ...]
    names: tuple[str, ...]
    predictor: bool = False


@dataclass(frozen=True)
class Block:
    """Points, by their number, to be evaluated on the first `num_drops` drops of a block."""

    number: int
    num_drops: int
    points: tuple[int, ...]


class CsiRequest:
    """An experiment with its points, and the jobs that it needs."""

    def __init__(self, experiment: CsiExperiment) -> None:
        """`InputError` where a point does not fit the experiment."""
        self.experiment = experiment
        self.worker = CsiWorker(experiment)
        self.world, self.points = self.worker.world, self.worker.points

    def study(self) -> JobStudy:
        """The jobs: what is fitted first."""
        stages = (self._drops, self._fits, self._blocks)
        identity = identity_of(self.world)
        width = self._width if self.experiment.stopping.sgcs_half_width is not None else None
        return JobStudy(
            KIND, self.experiment, CsiWorker, identity, named, stages, PAGES, self.described, self.worker, width=width
        )

    def _width(self, known: Results) -> float:
        keys = [self._keys(number) for number in range(len(self.points))]
        return widest(_sgcs(keys, known), self.experiment.stopping.sgcs_half_width or math.inf)

    @cached_property
    def described(self) -> dict[str, Any]:
        """What a report is made from, beside the results of the jobs: plain values."""
        found = [
            {"curve": p.curve, "title": p.title, "predictor": p.predictor, "keys": self._keys(number)}
            for number, p in enumerate(self.points)
        ]
        return {"experiment": self.experiment.resolved(), "scenario_id": self.world.scenario_id, "points": found}

    def _blocks(self, known: Results) -> list[Job]:
        """A job per block: points share its drops, and the codebook's reports that some of them refine."""
        found = []
        for place, (number, num_drops) in enumerate(self._wanted_blocks(known)):
            wanted: dict[str, int] = {}
            for point in range(len(self.points)):
                key = self._keys(point)[place]
                if key not in known:
                    wanted.setdefault(key, point)  # of those that are equal the first
            if wanted:
                first = number * BLOCK
                work = Block(number, num_drops, tuple(wanted.values()))
                found.append(Job(tuple(wanted), work, f"drops {first + 1} to {first + num_drops}"))
        return found

    def _wanted_blocks(self, known: Results) -> list[tuple[int, int]]:
        """The blocks that count, as far as the stopping rule can tell."""
        blocks = blocks_of(self.experiment.num_drops)
        keys = [self._keys(number) for number in range(len(self.points))]
        used = blocks_used(self.experiment, keys, known)
        return blocks[: parts_ahead(known_blocks(keys, known), len(blocks)) if used is None else used]

    def _open(self, known: Results) -> list[int]:
        """Points that blocks are missing of."""
        return sorted({point for job in self._blocks(known) for point in job.work.points})

    def _fits(self, known: Results) -> list[Job]:
        groups: dict[str, list[int]] = {}
        predictor: list[int] = []
        for number in self._open(known):
            point = self.points[number]
            if (group := point.feedback.fit_group) is not None and not point.feedback.is_fitted(self.world):
                groups.setdefault(group, []).append(number)
            if not point.has_predictor(self.world):
                predictor.append(number)
        found = [
            Job((), Fit(tuple(numbers), tuple(self._point_ids[n] for n in numbers)), f"fitting {group}")
            for group, numbers in groups.items()
        ]
        if predictor:
            found.append(Job((), Fit((predictor[0],), ("linear predictor",), True), "fitting the linear predictor"))
        return found

    def _drops(self, known: Results) -> list[Job]:
        """Drops that the cache lacks and something is fitted to."""
        if not self._fits(known):
            return []
        per_file, count = self.world.drops_per_file, self.experiment.num_fit_drops
        return [
            Job((), TrainingDrops(number), f"training drops {number * per_file + 1} to {(number + 1) * per_file}")
            for number in range(-(-count // per_file))
            if not self.world.has_file("train", number)
        ]

    @cached_property
    def _point_ids(self) -> list[str]:
        return [digest(point.identity(self.experiment)) for point in self.points]

    def _keys(self, point: int) -> list[str]:
        """Of the blocks of a point: all that its figures depend on beside the identity of the folder."""
        name = self._point_ids[point][:32]
        return [f"{name} {number} {num_drops}" for number, num_drops in blocks_of(self.experiment.num_drops)]


def known_blocks(keys: Sequence[Sequence[str]], known: Results) -> int:
    """Blocks from the first on that all points have. keys: of every point, of all blocks."""
    blocks = list(zip(*keys, strict=True))
    return next((i for i, of_block in enumerate(blocks) if any(key not in known for key in of_block)), len(blocks))


def blocks_used(experiment: CsiExperiment, keys: Sequence[Sequence[str]], known: Results) -> int | None:
    """Blocks that count, by the stopping rule; None where it cannot tell yet."""
    half_width = experiment.stopping.sgcs_half_width
    if half_width is None:
        return len(keys[0])
    return parts_used([is_narrow(parts, half_width) for parts in _sgcs(keys, known)], len(keys[0]))


def _sgcs(keys: Sequence[Sequence[str]], known: Results) -> list[list[np.ndarray]]:
    """Of every point, on every block that all have, from the first on."""
    count = known_blocks(keys, known)
    return [[known[key]["sgcs"] for key in of_point[:count]] for of_point in keys]


def outcomes(described: Mapping[str, Any], known: Results) -> tuple[PointOutcome, ...]:
    """What became of every point, from results of the jobs. `KeyError` where one is missing."""
    found = []
    keys = [point["keys"] for point in described["points"]]
    experiment = CsiExperiment.model_validate(described["experiment"])
    used = blocks_used(experiment, keys, known)
    for point in described["points"]:
        parts = [known[key] for key in point["keys"][:used]]
        # in an order of their own: arrays that come from the store have another
        values = {name: np.concatenate([part[name] for part in parts]) for name in figure_names(experiment)}
        # what is left of the throughput beside CSI-RS
        kept = 1 - overhead(experiment)
        values |= {
            f"net_{name}": kept * of_all
            for name, of_all in values.items()
            if name.startswith(("mbps_", "adapted_mbps_"))
        }
        cost = {name: int(parts[0][_COST + name][0]) for name in _COSTS if _COST + name in parts[0]}
        bits = np.concatenate([part["bits"] for part in parts])
        found.append(PointOutcome(point["curve"], point["title"], point["predictor"], bits, values, cost))
    return tuple(found)


def identity_of(world: CsiWorld) -> dict[str, Any]:
    """What all results of a folder depend on; their keys name the rest."""
    resolved = world.experiment.resolved()
    found = {
        "version": CSI_VERSION,
        "drops": world.drops_id,
        "timing": resolved["timing"],
        "throughput": resolved["throughput"],
    }
    # results of before have no rank and CQI, and keep their identity
    return found if world.experiment.report.rank is None else {**found, "report": resolved["report"]}


def named(experiment: CsiExperiment) -> dict[str, Any]:
    """What results are named by on this machine."""
    worker = CsiWorker(experiment)
    return {**identity_of(worker.world), "points": [point.identity(experiment) for point in worker.points]}


class CsiWorker:
    """Fits and evaluates points of an experiment (`ran.studies.job.JobWorker`)."""

    def __init__(self, experiment: CsiExperiment) -> None:
        self.world, self.points = CsiWorld(experiment), points(experiment)
        self._evaluation: Evaluation | None = None
        self._ready: set[int] = set()

    def work(self, job: Job) -> Results:
        wanted: TrainingDrops | Fit | Block = job.work
        if isinstance(wanted, TrainingDrops):
            self.world.kept_file("train", wanted.number)
            return {}
        if isinstance(wanted, Fit):
            for number in wanted.points:
                point = self.points[number]
                (point.prepare_predictor if wanted.predictor else point.feedback.prepare)(self.world, _silent)
            return {}
        return dict(zip(job.keys, self._evaluated(wanted), strict=True))

    def _evaluated(self, wanted: Block) -> list[Arrays]:
        for number in wanted.points:
            if number not in self._ready:
                self.points[number].prepare(self.world, _silent)
                self._ready.add(number)
        self._evaluation = self._evaluation or Evaluation(self.world)
        own = [self.points[number] for number in wanted.points]
        found = self._evaluation(own, wanted.number, wanted.num_drops)
        return [
            {**values, **{_COST + name: np.array([count], np.int64) for name, count in point.feedback.cost().items()}}
            for point, values in zip(own, found, strict=True)
        ]


def _silent(text: str) -> None:
    """Jobs have their titles."""
