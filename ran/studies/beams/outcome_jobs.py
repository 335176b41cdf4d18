"""The work of a beam experiment as jobs of a study: drops first, then what every predictor makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ran.errors import InputError
from ran.link.catalogue import channel_fingerprint
from ran.registry.lookup import is_user_file
from ran.sim.identity import digest
from ran.studies.beams.cached_drops import SHARD, cached_drops, cached_part, is_cached
from ran.studies.beams.catalogue import build_predictor, predictor_fingerprint, refusal
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.beams.measurement import Decision, decide
from ran.studies.beams.metrics import Outcomes, outcomes_of
from ran.studies.beams.setting import Setting, settings_of
from ran.studies.beams.world import WORLD_VERSION, BeamDrops, BeamWorld, Split
from ran.studies.job import Arrays, Job, Results
from ran.studies.jobs import JobStudy
from ran.studies.stopping import is_narrow, parts_ahead, parts_used, widest
from receivers.beams import BeamPrediction, BeamPredictor

KIND = "beam study"
#: What the study writes into its folder beside the store.
PAGES = ("beams.json", "beams.csv", "beams.html")
#: Raised whenever a predictor or what is made of its predictions changes.
OUTCOMES_VERSION = 1
#: Drops that a predictor sees at once.
_BATCH = 256
#: Drops of a job.
_DROPS = 4 * _BATCH
#: What identifies the experiment of a folder; everything else may change from one command to the next.
_IDENTITY = ("speed_kmh", "panel", "terminal", "set_a", "task", "radio", "timing", "position_error_m", "seed")


@dataclass(frozen=True)
class DropShard:
    """Drops to be put into the cache."""

    speed_kmh: float
    split: Split
    shard: int


@dataclass(frozen=True)
class Evaluation:
    """A predictor to be evaluated on some drops in a setting."""

    setting: Setting
    title: str
    first: int
    stop: int


@dataclass(frozen=True, eq=False)
class PredictorOutcomes:
    """What a predictor came to in a setting.

    sounded: beams that it measured by itself per drop, and rounds. num_measured: beams of Set B. example: of the first
    drop's first decision and time of the horizon. refusal: why there is nothing, else None.
    """

    arrays: Sequence[Arrays]
    top_k: tuple[int, ...]

    @property
    def refusal(self) -> str | None:
        text = self.arrays[0].get("refusal")
        return None if text is None else text.tobytes().decode()

    @cached_property
    def outcomes(self) -> Outcomes:
        """Of all drops."""
        names = [field.name for field in fields(Outcomes) if field.name != "top_k"]
        return Outcomes(self.top_k, **{name: np.concatenate([part[name] for part in self.arrays]) for name in names})

    @property
    def sounded(self) -> tuple[int, int]:
        beams, rounds = self.arrays[0]["sounded"]
        return int(beams), int(rounds)

    @property
    def num_measured(self) -> int:
        return int(self.arrays[0]["num_measured"][0])

    @property
    def example(self) -> Arrays:
        """Powers of all of Set A, true and predicted; measured beams and what was measured of them."""
        prefix = "example_"
        return {name.removeprefix(prefix): v for name, v in self.arrays[0].items() if name.startswith(prefix)}


class BeamRequest:
    """An experiment with its settings and predictors, and the jobs that it needs."""

    def __init__(self, experiment: BeamExperiment) -> None:
        self.experiment = experiment
        self.worker = BeamWorker(experiment)
        self.predictors = self.worker.predictors
        self.settings = settings_of(experiment, self.world)
        needy = any(predictor.needs_fit for predictor in self.predictors.values())
        if needy and experiment.num_fit_drops < 1:
            raise InputError("num_fit_drops: got 0; allowed: 1 or more with predictors that learn a site")
        if experiment.set_b.pattern != "learned":  # that has to be learned first, by a job
            self._check_predictors()

    def _check_predictors(self) -> None:
        """`InputError` for one that cannot work in the experiment's own setting, before any drop is computed."""
        world = self.world
        shape = (1, len(world.times_s), self.experiment.num_rx_beams)
        power = np.full((*shape, world.pool_weights.shape[1]), -100, np.float32)
        drop = BeamDrops(power, np.zeros((*shape[:2], 3), np.float32), world.times_s, "test", 0)
        observation = decide(world, drop, 0, self.settings[0].set_b).observation.part(0, 0)
        for title, predictor in self.predictors.items():
            if (reason := refusal(predictor, observation)) is not None:
                raise InputError(f"predictors.{title}: {reason}")

    @property
    def world(self) -> BeamWorld:
        return self.worker.world(self.experiment.speed_kmh)

    def study(self) -> JobStudy:
        """The jobs, drops first."""
        stages = (self._drops, self._evaluations)
        identity = identity_of(self.world)
        width = self._width if self.experiment.stopping.top1_half_width is not None else None
        return JobStudy(
            KIND, self.experiment, BeamWorker, identity, named, stages, PAGES, self.described, self.worker, width=width
        )

    def _width(self, known: Results) -> float:
        parts = _right(self._own_keys(), known)
        return widest(parts, self.experiment.stopping.top1_half_width or math.inf)

    def _own_keys(self) -> dict[str, list[str]]:
        """Of the outcomes in the experiment's own setting, by predictor."""
        return {t: [self._key(place) for place in self._places(self.settings[0], t)] for t in self.predictors}

    @staticmethod
    def _about(block: Mapping[str, Any], predictor: BeamPredictor) -> dict[str, Any]:
        found = predictor_fingerprint(block, predictor)
        return {"needs_truth": predictor.needs_truth, "sounds": predictor.sounds, "fingerprint": found}

    @cached_property
    def described(self) -> dict[str, Any]:
        """What a report is made from, beside the results of the jobs: plain values."""
        found: dict[str, Any] = {
            "experiment": self.experiment.resolved(),
            "notes": list(self.world.source.notes),
            "carrier_frequency_hz": self.world.source.carrier_frequency_hz,
            "settings": [],
            "predictors": {
                block.title: self._about(block.block(), self.predictors[block.title])
                for block in self.experiment.predictors
            },
        }
        for setting in self.settings:
            keys = {title: [self._key(place) for place in self._places(setting, title)] for title in self.predictors}
            found["settings"].append(
                {
                    "set_b": setting.set_b.model_dump(mode="json"),
                    "speed_kmh": setting.speed_kmh,
                    "every": setting.every,
                    "scenario_id": self.worker.world(setting.speed_kmh).scenario_id,
                    "keys": keys,
                }
            )
        return found

    def _places(self, setting: Setting, title: str) -> list[Evaluation]:
        count = self.experiment.num_drops
        return [Evaluation(setting, title, i, min(i + _DROPS, count)) for i in range(0, count, _DROPS)]

    def _evaluations(self, known: Results) -> list[Job]:
        """What is missing; `InputError` where a predictor was refused in the experiment's own setting."""
        own = self.settings[0]
        for title in self.predictors:
            first = self._places(own, title)[0]
            if "refusal" in (found := known.get(self._key(first), {})):
                raise InputError(f"predictors.{title}: {found['refusal'].tobytes().decode()}")
        jobs: dict[str, Job] = {}
        count = self._wanted_places(known)
        for setting in self.settings:
            # all predictors on some drops, then on others: a worker keeps what it has made of them
            for places in zip(*(self._places(setting, title)[:count] for title in self.predictors), strict=True):
                for place in places:
                    if (key := self._key(place)) not in known:
                        jobs.setdefault(key, Job((key,), place, f"{setting.title}: {place.title}"))
        return list(jobs.values())

    def _wanted_places(self, known: Results) -> int:
        """Parts of the drops that count, as far as the stopping rule can tell."""
        keys = self._own_keys()
        used = parts_that_count(self.experiment, keys, known)
        total = len(next(iter(keys.values())))
        return parts_ahead(_known_parts(keys, known), total) if used is None else used

    def _drops(self, known: Results) -> list[Job]:
        """Drops of missing evaluations that are not in the cache."""
        wanted: dict[DropShard, None] = {}
        for job in self._evaluations(known):
            place: Evaluation = job.work
            speed_kmh = place.setting.speed_kmh
            tested = range(place.first // SHARD, -(-place.stop // SHARD))
            wanted.update(dict.fromkeys(DropShard(speed_kmh, "test", shard) for shard in tested))
            if self.predictors[place.title].needs_fit:
                shards = range(-(-self.experiment.num_fit_drops // SHARD))
                wanted.update(dict.fromkeys(DropShard(speed_kmh, "train", shard) for shard in shards))
        return [
            Job((), shard, f"{shard.split} drops {shard.shard * SHARD + 1} to {(shard.shard + 1) * SHARD}")
            for shard in wanted
            if not is_cached(self.worker.world(shard.speed_kmh), shard.split, shard.shard)
        ]

    def _key(self, place: Evaluation) -> str:
        """Names the outcomes by all that they depend on beside the identity of the folder."""
        experiment, setting = self.experiment, place.setting
        learns = self.predictors[place.title].needs_fit or setting.set_b.pattern == "learned"
        values = {
            "set_b": setting.set_b.model_dump(mode="json"),
            "speed_kmh": setting.speed_kmh,
            "every": setting.every,
            "predictor": self._predictor_ids[place.title],
            "num_fit_drops": experiment.num_fit_drops if learns else 0,
            "top_k": sorted({1, *experiment.evaluation.top_k}),
            "confidence": experiment.evaluation.confidence,
            "drops": [place.first, place.stop],
        }
        return digest(values)

    @cached_property
    def _predictor_ids(self) -> dict[str, str]:
        return predictor_ids(self.experiment, self.predictors)


def _known_parts(keys: Mapping[str, Sequence[str]], known: Results) -> int:
    """Parts of the drops, from the first on, of which there are outcomes of all predictors."""
    parts = list(zip(*keys.values(), strict=True))
    return next((i for i, of_part in enumerate(parts) if any(key not in known for key in of_part)), len(parts))


def parts_that_count(experiment: BeamExperiment, keys: Mapping[str, Sequence[str]], known: Results) -> int | None:
    """Parts of the drops that count, by the stopping rule; None where it cannot tell yet. keys: of the outcomes in the
    experiment's own setting, by predictor."""
    half_width, total = experiment.stopping.top1_half_width, len(next(iter(keys.values())))
    if half_width is None:
        return total
    return parts_used([is_narrow(parts, half_width) for parts in _right(keys, known)], total)


def _right(keys: Mapping[str, Sequence[str]], known: Results) -> list[list[np.ndarray]]:
    """Of every predictor the share of right predictions per drop, in all parts that all have, from the first on."""
    count = _known_parts(keys, known)
    ranks = [[known[key]["rank"] for key in of_predictor[:count]] for of_predictor in keys.values()]
    return [[(rank == 0).reshape(len(rank), -1).mean(1) for rank in of_predictor] for of_predictor in ranks]


def predictor_ids(experiment: BeamExperiment, predictors: dict[str, BeamPredictor]) -> dict[str, str]:
    """Names of predictors by title: their options, and in place of files the content of weights and of source."""
    found = {}
    for block in experiment.predictors:
        fingerprint = predictor_fingerprint(block.block(), predictors[block.title])
        options = {key: value for key, value in block.block().items() if key != "label"}
        if fingerprint:
            options["weights"] = fingerprint
        if is_user_file(block.name):
            options["name"] = Path(block.name).name  # its content is in the fingerprint, wherever it is
        found[block.title] = digest(options)
    return found


def identity_of(world: BeamWorld) -> dict[str, Any]:
    """What all outcomes of a folder depend on."""
    resolved = world.experiment.resolved()
    channel = dict(resolved["channel"])
    if world.experiment.channel.name == "ray-traced":
        channel["rays"] = channel_fingerprint(world.experiment.channel.block())
    versions = {"world_version": WORLD_VERSION, "outcomes_version": OUTCOMES_VERSION}
    return {"channel": channel, **{key: resolved[key] for key in _IDENTITY}, **versions}


def named(experiment: BeamExperiment) -> dict[str, Any]:
    """What outcomes are named by on this machine."""
    worker = BeamWorker(experiment)
    world = worker.world(experiment.speed_kmh)
    return {**identity_of(world), "predictors": predictor_ids(experiment, worker.predictors)}


class BeamWorker:
    """Makes drops and evaluates predictors on them (`ran.studies.job.JobWorker`); keeps what it used last."""

    def __init__(self, experiment: BeamExperiment) -> None:
        self._experiment = experiment
        self._worlds: dict[float, BeamWorld] = {}
        self.world(experiment.speed_kmh)
        self.predictors = {
            block.title: build_predictor({k: v for k, v in block.block().items() if k != "label"}, f"predictors.{i}")
            for i, block in enumerate(experiment.predictors)
        }
        self._decisions: tuple[Any, list[Decision]] = (None, [])
        self._training: tuple[Setting | None, Decision | None] = (None, None)
        self._fitted: dict[str, Setting] = {}

    def world(self, speed_kmh: float) -> BeamWorld:
        """The experiment's world with users of some speed."""
        if speed_kmh not in self._worlds:
            experiment = self._experiment
            if speed_kmh != experiment.speed_kmh:
                experiment = BeamExperiment.model_validate({**experiment.resolved(), "speed_kmh": speed_kmh})
            self._worlds[speed_kmh] = BeamWorld(experiment)
            self._worlds[speed_kmh].source  # noqa: B018 - refuses channels that cannot be built
        return self._worlds[speed_kmh]

    def work(self, job: Job) -> Results:
        wanted: DropShard | Evaluation = job.work
        if isinstance(wanted, DropShard):
            first = wanted.shard * SHARD
            cached_part(self.world(wanted.speed_kmh), wanted.split, range(first, first + SHARD))
            return {}
        return dict.fromkeys(job.keys, self._evaluated(wanted))

    def _evaluated(self, wanted: Evaluation) -> Arrays:
        decisions = self._decided(wanted)
        predictor = self.predictors[wanted.title]
        reason = refusal(predictor, decisions[0].observation.part(0, 0))
        if reason is not None:
            return {"refusal": np.frombuffer(reason.encode(), np.uint8)}
        if predictor.needs_fit and self._fitted.get(wanted.title) != wanted.setting:
            training = self._learned_from(wanted.setting)
            predictor.fit(training.observation, training.truth)
            self._fitted[wanted.title] = wanted.setting
        predictions, counts = [], (0, 0)
        for decision in decisions:
            before = decision.sounded
            predictions.append(_predicted(predictor, decision))
            counts = (decision.sounded[0] - before[0], decision.sounded[1] - before[1])
        found = self._outcomes(decisions, predictions)
        observation = decisions[0].observation
        return {
            **{field.name: getattr(found, field.name) for field in fields(Outcomes) if field.name != "top_k"},
            "sounded": np.array(counts, np.int64),
            "num_measured": np.array([observation.measured.shape[-1]], np.int64),
            "example_true_dbm": decisions[0].truth.rsrp_dbm[0, 0].numpy(),
            "example_measured": observation.measured[0, -1].numpy(),
            "example_measured_dbm": observation.rsrp_dbm[0, -1].numpy(),
            "example_predicted_dbm": predictions[0].rsrp_dbm[0, 0].numpy(),
        }

    def _outcomes(self, decisions: Sequence[Decision], predictions: Sequence[BeamPrediction]) -> Outcomes:
        evaluation = self._experiment.evaluation

        def stacked(values: list[Any]) -> np.ndarray:
            return np.stack([np.asarray(value) for value in values], 1)  # [num_drops, num_decisions, num_horizon, ...]

        return outcomes_of(
            stacked([p.log_probability for p in predictions]),
            stacked([p.rsrp_dbm for p in predictions]),
            stacked([d.truth.rsrp_dbm for d in decisions]),
            stacked([d.measured_dbm for d in decisions]),
            evaluation.top_k,
            evaluation.confidence,
        )

    def _decided(self, wanted: Evaluation) -> list[Decision]:
        setting, place = wanted.setting, (wanted.setting, wanted.first, wanted.stop)
        if self._decisions[0] != place:
            world = self.world(setting.speed_kmh)
            drops = cached_part(world, "test", range(wanted.first, wanted.stop))
            numbers = range(world.experiment.timing.num_decisions)
            self._decisions = place, [decide(world, drops, n, setting.set_b, setting.every) for n in numbers]
        return self._decisions[1]

    def _learned_from(self, setting: Setting) -> Decision:
        known_for, training = self._training
        if known_for != setting or training is None:
            world = self.world(setting.speed_kmh)
            drops = cached_drops(world, "train", world.experiment.num_fit_drops)
            training = decide(world, drops, 0, setting.set_b, setting.every)
            self._training = setting, training
        return training


def _predicted(predictor: BeamPredictor, decision: Decision) -> BeamPrediction:
    observation, truth = decision.observation, decision.truth
    with torch.inference_mode():
        if predictor.sounds:
            return predictor(observation)
        parts = [
            predictor(observation.part(i, i + _BATCH), truth.part(i, i + _BATCH) if predictor.needs_truth else None)
            for i in range(0, observation.batch, _BATCH)
        ]
    return BeamPrediction(torch.cat([p.rsrp_dbm for p in parts]), torch.cat([p.log_probability for p in parts]))
