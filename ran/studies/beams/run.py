"""Running a beam experiment: all predictors and settings share drops, measurements and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ran.link.streams import stream
from ran.stats import Estimate, normal_mean, paired_difference
from ran.studies.beams.experiment import BeamExperiment, SetB
from ran.studies.beams.link_rate import LinkRate
from ran.studies.beams.metrics import Costs, mean, reliability, rsrp_calibration, share, summary
from ran.studies.beams.outcome_jobs import BeamRequest, PredictorOutcomes, parts_that_count
from ran.studies.beams.setting import Setting
from ran.studies.beams.world import BeamWorld
from ran.studies.job import JobWorkers, Results
from ran.studies.jobs import JobListener, run_jobs


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
    """All of a run. results: the own setting first. ideal_mbps: throughput of the best beams, for nothing.

    notes: what a reader should know of the channel, a sentence each. world: its beams; nothing else of it is used.
    """

    experiment: BeamExperiment
    scenario_id: str
    notes: tuple[str, ...]
    carrier_frequency_hz: float
    settings: tuple[Setting, ...]
    results: tuple[Result, ...]
    example: Example
    world: BeamWorld
    ideal_mbps: float

    def of(self, setting: Setting) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.setting == setting and result.refusal is None)

    @property
    def num_drops(self) -> int:
        """Drops that were evaluated."""
        per_drop = self.of(self.settings[0])[0].per_drop
        return self.experiment.num_drops if per_drop is None else len(per_drop.top1)


def run_experiment(
    experiment: BeamExperiment,
    out: Path | None = None,
    *,
    workers: int | None = None,
    listener: JobListener | None = None,
    executor: JobWorkers | None = None,
) -> BeamResults:
    """All predictors in all settings. `InputError` for one that cannot work in the experiment's own setting.

    out: the folder that keeps outcomes, in which the same experiment with more drops, other settings or other
    predictors goes on; None evaluates everything in this process. Other arguments as of `ran.studies.jobs.run_jobs`.
    """
    request = BeamRequest(experiment)
    known = run_jobs(request.study(), out, workers=workers, listener=listener, executor=executor)
    return results_of(request.described, known)


def results_of(described: Mapping[str, Any], known: Results) -> BeamResults:
    """The results of a request, from what its folder holds. `KeyError` where jobs of it are missing."""
    experiment = BeamExperiment.model_validate(described["experiment"])
    world = BeamWorld(experiment)
    top_k = tuple(sorted({1, *experiment.evaluation.top_k}))
    results: list[Result] = []
    settings: list[Setting] = []
    own: dict[str, PredictorOutcomes] = {}
    used = parts_that_count(experiment, described["settings"][0]["keys"], known)
    for of_setting in described["settings"]:
        set_b = SetB.model_validate(of_setting["set_b"])
        setting = Setting(set_b, of_setting["speed_kmh"], of_setting["every"])
        settings.append(setting)
        for title, predictor in described["predictors"].items():
            found = PredictorOutcomes([known[key] for key in of_setting["keys"][title][:used]], top_k)
            if setting == settings[0]:
                own[title] = found
            if found.refusal is None:
                results.append(_result(world, of_setting["scenario_id"], setting, title, predictor, found))
            else:
                refused = Result(title, setting, predictor["needs_truth"], 0, 0, {}, [], [], [], "", found.refusal)
                results.append(refused)
    first = next(iter(own.values()))
    # [decisions, drops, horizon], as the mean has always been taken
    best = np.ascontiguousarray(first.outcomes.best_dbm.astype(np.float32).swapaxes(0, 1))
    ideal = float(link_rate(experiment).mbps(best - world.noise_dbm).mean())
    compared = tuple(_against_own(result, results, settings[0]) for result in results)
    example = Example(
        true_dbm=first.example["true_dbm"],
        measured=first.example["measured"],
        measured_dbm=first.example["measured_dbm"],
        predictions={title: found.example["predicted_dbm"] for title, found in own.items()},
    )
    return BeamResults(
        experiment,
        described["settings"][0]["scenario_id"],
        tuple(described["notes"]),
        described["carrier_frequency_hz"],
        tuple(settings),
        compared,
        example,
        world,
        ideal,
    )


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


def _result(
    world: BeamWorld,
    scenario_id: str,
    setting: Setting,
    title: str,
    predictor: Mapping[str, Any],
    found: PredictorOutcomes,
) -> Result:
    """predictor: whether it needs the truth and measures by itself, and its fingerprint."""
    experiment, outcomes = world.experiment, found.outcomes
    evaluation = experiment.evaluation
    rate = link_rate(experiment)
    generator = stream(experiment.seed, scenario_id, 0, "resampling")
    values = summary(outcomes, evaluation.within_db, rate.mbps, world.noise_dbm, evaluation.failure_snr_db, generator)
    num_beams = float(found.sounded[0] if predictor["sounds"] else found.num_measured)
    rounds = found.sounded[1] if predictor["sounds"] else 1
    if predictor["needs_truth"]:
        num_beams, rounds = 0.0, 0
    tries = (1,) if predictor["sounds"] or predictor["needs_truth"] else outcomes.top_k
    values |= with_costs(values, costs_of(experiment, setting.every), tries, num_beams, rounds)
    horizons = []
    for place in range(outcomes.rank.shape[2]):
        at = replace(outcomes, rank=outcomes.rank[:, :, place], loss_db=outcomes.loss_db[:, :, place])
        horizons.append({"top1": share(at.rank == 0), "loss_db": mean(at.loss_db[..., 0])})
    return Result(
        title, setting, predictor["needs_truth"], num_beams, rounds, values, horizons, reliability(outcomes),
        rsrp_calibration(outcomes), predictor["fingerprint"], per_drop=PerDrop(
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
