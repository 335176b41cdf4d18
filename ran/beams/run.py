"""Running a beam experiment: all predictors and settings share drops, measurements and noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ran.beams.catalogue import build_predictor, refusal
from ran.beams.experiment import BeamExperiment, SetB
from ran.beams.kept_drops import kept_drops
from ran.beams.link_rate import LinkRate
from ran.beams.measurement import Decision, decide
from ran.beams.metrics import Costs, mean, outcomes_of, reliability, rsrp_calibration, share, summary
from ran.beams.world import BeamWorld
from ran.errors import InputError
from ran.link.streams import stream
from ran.stats import Estimate, normal_mean, paired_difference
from receivers.beams import BeamPrediction, BeamPredictor

#: Drops that a predictor sees at once.
_BATCH = 256


@dataclass(frozen=True)
class Setting:
    """What differs between parts of the results: Set B, the users' speed, and which measurements in time are made.

    every: 1 for all of them, 2 for every second one, ...
    """

    set_b: SetB
    speed_kmh: float
    every: int = 1

    @property
    def set_b_title(self) -> str:
        return "all" if self.set_b.pattern == "all" else f"{self.set_b.size} {self.set_b.pattern}"

    @property
    def title(self) -> str:
        thinned = f", every {ordinal(self.every)} measurement" if self.every > 1 else ""
        return f"{self.set_b_title}, {self.speed_kmh:g} km/h{thinned}"


def ordinal(number: int) -> str:
    """2nd, 3rd, 4th, ..."""
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{last}"


@dataclass(frozen=True, eq=False)
class PerDrop:
    """Of every drop, float64 [num_drops]: share of predictions that are right, and mean loss in dB."""

    top1: np.ndarray
    loss_db_k1: np.ndarray


@dataclass(frozen=True, eq=False)
class Result:
    """A predictor in a setting.

    values: figures by name. against_own: Top-1 and mean loss less those in the experiment's own setting, over the
    same drops; nothing where drops differ. by_horizon: Top-1 and mean loss in dB per time of the horizon. num_beams:
    measured per decision, before any that are tried afterwards; num_rounds. refusal: why there is nothing, else None.
    """

    predictor: str
    setting: Setting
    needs_truth: bool
    num_beams: float
    num_rounds: int
    values: dict[str, Estimate]
    by_horizon: list[dict[str, Estimate]]
    reliability: list[dict[str, float]]
    rsrp_calibration: list[dict[str, float]]
    fingerprint: str
    refusal: str | None = None
    per_drop: PerDrop | None = None
    against_own: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Example:
    """A drop for the pictures: true powers of Set A, measurements and predictions of the first decision and time.

    predictions: by predictor, [num_set_a].
    """

    true_dbm: np.ndarray
    measured: np.ndarray
    measured_dbm: np.ndarray
    predictions: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class BeamResults:
    """All of a run. results: the own setting first. ideal_mbps: throughput of the best beams, for nothing."""

    experiment: BeamExperiment
    scenario_id: str
    settings: tuple[Setting, ...]
    results: tuple[Result, ...]
    example: Example
    world: BeamWorld
    ideal_mbps: float

    def of(self, setting: Setting) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.setting == setting and result.refusal is None)


def settings_of(experiment: BeamExperiment, world: BeamWorld) -> tuple[Setting, ...]:
    """The experiment's own setting, then those of the curves over Set B and over speed; each once."""
    evaluation, own = experiment.evaluation, experiment.set_b
    found = [Setting(own, experiment.speed_kmh)]
    for pattern in evaluation.set_b_patterns or (own.pattern,):
        for size in evaluation.set_b_sizes or (own.size,):
            if pattern == "wide":
                world.level(size)
            found.append(Setting(SetB(pattern=pattern, size=size), experiment.speed_kmh))
    found += [Setting(own, experiment.speed_kmh, every) for every in evaluation.measured_every]
    found += [Setting(own, speed) for speed in evaluation.speeds_kmh]
    return tuple(dict.fromkeys(found))


def run_experiment(experiment: BeamExperiment, say: Callable[[str], None] = lambda text: None) -> BeamResults:
    """All predictors in all settings. `InputError` for one that cannot work in the experiment's own setting."""
    world = BeamWorld(experiment)
    predictors = {
        block.title: build_predictor({k: v for k, v in block.block().items() if k != "label"}, f"predictors.{i}")
        for i, block in enumerate(experiment.predictors)
    }
    settings = settings_of(experiment, world)
    results: list[Result] = []
    example = None
    worlds = {experiment.speed_kmh: world}
    for setting in settings:
        if setting.speed_kmh not in worlds:
            faster = BeamExperiment.model_validate({**experiment.resolved(), "speed_kmh": setting.speed_kmh})
            worlds[setting.speed_kmh] = BeamWorld(faster)
        own = worlds[setting.speed_kmh]
        say(f"setting {setting.title}")
        played = _play(own, setting, predictors, setting is settings[0], say)
        results += played[0]
        example = example or played[1]
    if example is None:
        raise InputError("predictors: got none; allowed: at least one")
    drops = kept_drops(world, "test", experiment.num_drops)
    best = np.stack([decide(world, drops, d).truth.rsrp_dbm.numpy().max(-1) for d in range(_num_decisions(world))])
    ideal = float(link_rate(experiment).mbps(best - world.noise_dbm).mean())
    compared = tuple(_against_own(result, results, settings[0]) for result in results)
    return BeamResults(experiment, world.scenario_id, settings, compared, example, world, ideal)


def _against_own(result: Result, results: Sequence[Result], own: Setting) -> Result:
    """With the difference to the same predictor in the experiment's own setting, drop by drop."""
    setting = result.setting
    other = next((r for r in results if r.setting == own and r.predictor == result.predictor), None)
    if setting == own or setting.speed_kmh != own.speed_kmh or result.per_drop is None:
        return result
    if other is None or other.per_drop is None:
        return result
    differences = {
        name: paired_difference(getattr(result.per_drop, name), getattr(other.per_drop, name), normal_mean)
        for name in ("top1", "loss_db_k1")
    }
    return replace(result, against_own=differences)


def link_rate(experiment: BeamExperiment) -> LinkRate:
    """Of the experiment's band."""
    radio = experiment.radio
    return LinkRate(radio.num_prb, radio.subcarrier_spacing_khz, experiment.evaluation.mcs_table)


def costs_of(experiment: BeamExperiment, every: int = 1) -> Costs:
    """Overhead of measuring in the experiment; every: as in `Setting`."""
    symbol_ms = 15 / experiment.radio.subcarrier_spacing_khz / 14
    default = 1.0 if experiment.task == "pairs" else float(experiment.terminal.num_beams)
    return Costs(
        symbols_per_period=every * experiment.timing.period_ms / symbol_ms,
        symbols_per_beam=experiment.evaluation.symbols_per_beam or default,
        symbol_ms=symbol_ms,
        report_ms=experiment.evaluation.report_ms,
    )


def _num_decisions(world: BeamWorld) -> int:
    return world.experiment.timing.num_decisions


def _play(
    world: BeamWorld, setting: Setting, predictors: dict[str, BeamPredictor], is_own: bool, say: Callable[[str], None]
) -> tuple[list[Result], Example | None]:
    experiment = world.experiment
    drops = kept_drops(world, "test", experiment.num_drops, say)
    decisions = [decide(world, drops, number, setting.set_b, setting.every) for number in range(_num_decisions(world))]
    training: Decision | None = None
    found, shown = [], {}
    for title, predictor in predictors.items():
        reason = refusal(predictor, decisions[0].observation.part(0, 0))
        if reason is not None:
            if is_own:
                raise InputError(f"predictors.{title}: {reason}")
            found.append(Result(title, setting, predictor.needs_truth, 0, 0, {}, [], [], [], "", reason))
            continue
        if predictor.needs_fit:
            if training is None:
                training = _training(world, setting, say)
            predictor.fit(training.observation, training.truth)
        predictions, counts = [], (0, 0)
        for decision in decisions:
            before = decision.sounded
            predictions.append(_predicted(predictor, decision))
            counts = (decision.sounded[0] - before[0], decision.sounded[1] - before[1])
        found.append(_result(world, setting, title, predictor, decisions, predictions, counts))
        shown[title] = predictions[0].rsrp_dbm[:, 0].numpy()
    return found, _example(decisions[0], shown) if is_own and shown else None


def _training(world: BeamWorld, setting: Setting, say: Callable[[str], None]) -> Decision:
    number = world.experiment.num_fit_drops
    if number < 1:
        raise InputError("num_fit_drops: got 0; allowed: 1 or more with predictors that learn a site")
    return decide(world, kept_drops(world, "train", number, say), 0, setting.set_b, setting.every)


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


def _result(
    world: BeamWorld,
    setting: Setting,
    title: str,
    predictor: BeamPredictor,
    decisions: Sequence[Decision],
    predictions: Sequence[BeamPrediction],
    sounded: tuple[int, int],
) -> Result:
    experiment = world.experiment
    evaluation = experiment.evaluation

    def stacked(values: list[Any]) -> np.ndarray:
        return np.stack([np.asarray(value) for value in values], 1)  # [num_drops, num_decisions, num_horizon, ...]

    outcomes = outcomes_of(
        stacked([p.log_probability for p in predictions]),
        stacked([p.rsrp_dbm for p in predictions]),
        stacked([d.truth.rsrp_dbm for d in decisions]),
        stacked([d.measured_dbm for d in decisions]),
        evaluation.top_k,
        evaluation.confidence,
    )
    rate = link_rate(experiment)
    generator = stream(experiment.seed, world.scenario_id, 0, "resampling")
    values = summary(outcomes, evaluation.within_db, rate.mbps, world.noise_dbm, evaluation.failure_snr_db, generator)
    num_beams = float(sounded[0]) if predictor.sounds else float(decisions[0].observation.measured.shape[-1])
    rounds = sounded[1] if predictor.sounds else 1
    if predictor.needs_truth:
        num_beams, rounds = 0.0, 0
    tries = (1,) if predictor.sounds or predictor.needs_truth else outcomes.top_k
    values |= with_costs(values, costs_of(experiment, setting.every), tries, num_beams, rounds)
    horizons = []
    for place in range(outcomes.rank.shape[2]):
        at = replace(outcomes, rank=outcomes.rank[:, :, place], loss_db=outcomes.loss_db[:, :, place])
        horizons.append({"top1": share(at.rank == 0), "loss_db": mean(at.loss_db[..., 0])})
    return Result(
        title, setting, predictor.needs_truth, num_beams, rounds, values, horizons, reliability(outcomes),
        rsrp_calibration(outcomes), predictor.fingerprint(), per_drop=PerDrop(
            (outcomes.rank == 0).reshape(outcomes.num_drops, -1).mean(1),
            outcomes.loss_db[..., 0].reshape(outcomes.num_drops, -1).mean(1),
        ),
    )  # fmt: skip


def with_costs(
    values: dict[str, Estimate], costs: Costs, tries: tuple[int, ...], num_beams: float, num_rounds: int
) -> dict[str, Estimate]:
    """Overhead, latency and throughput after overhead, for every K: K beams more are tried where K is above 1."""
    found = {}
    for k in tries:
        more = num_beams + (k if k > 1 else 0)
        rounds = num_rounds + (1 if k > 1 else 0)
        left = 1 - costs.overhead(more)
        rate = values[f"rate_mbps_k{k}"]
        found[f"beams_k{k}"] = Estimate.exact(more)
        found[f"overhead_k{k}"] = Estimate.exact(1 - left)
        found[f"latency_ms_k{k}"] = Estimate.exact(costs.latency_ms(more, rounds), "ms")
        found[f"effective_mbps_k{k}"] = rate.scaled(left)
    return found


def _example(decision: Decision, predictions: dict[str, np.ndarray]) -> Example:
    truth = decision.truth.rsrp_dbm[:, 0].numpy()
    observation = decision.observation
    return Example(
        true_dbm=truth[0],
        measured=observation.measured[0, -1].numpy(),
        measured_dbm=observation.rsrp_dbm[0, -1].numpy(),
        predictions={title: values[0] for title, values in predictions.items()},
    )
