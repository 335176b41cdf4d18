"""Points of curves: one way to report with one set of options, and the predictor before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ran.errors import InputError, bad_value, unknown_name
from ran.link.catalogue import construct
from ran.sim.identity import digest
from ran.studies.beams.cached_drops import cached_arrays, has_arrays
from ran.studies.csi.experiment import CsiExperiment, FeedbackBlock
from ran.studies.csi.feedback import Feedback, Say, flat_of
from ran.studies.csi.feedback_catalogue import FEEDBACK
from ran.studies.csi.world import CsiWorld, precoders
from receivers.csi import (
    LEAST_TIMES,
    LEAST_TIMES_OF_BEAMS,
    LearnedPredictor,
    LinearPredictor,
    autoregressive,
    autoregressive_of_beams,
    doppler_weights,
    hold_last,
    predicted_channel,
)

#: Least part of the power that the filter over channels takes for error.
_GUARD = 1e-3
#: Who predicts before a report: nobody, a filter over precoders fitted to the cell, or over channels a filter that
#: knows the speed of the user, and autoregressive ones of the user or of every beam and a learned one, which do not.
PREDICTORS = ("hold", "linear", "wiener", "autoregressive", "autoregressive-beams", "learned")
#: What is reported of several instants: a report on each, or one on the first that holds for all.
REPORTED = ("each", "first")
#: Those that predict one period ahead, and periods that follow from what they predicted.
_ONE_PERIOD = ("autoregressive", "autoregressive-beams", "learned")
#: Estimates that autoregressive ones need.
_LEAST_TIMES = {"autoregressive": LEAST_TIMES, "autoregressive-beams": LEAST_TIMES_OF_BEAMS}
#: Weights of `learned` where the block names none.
WEIGHTS = "csi-prediction"


@dataclass
class Point:
    """One way to report with one set of options: a point of a curve.

    predictor: what is done before it. reported: of several instants, one of `REPORTED`.
    """

    curve: str
    value: Any
    block: dict[str, Any]
    feedback: Feedback
    predictor: str
    linear: LinearPredictor | None = None
    learned: LearnedPredictor | None = None
    reported: str = "each"

    @property
    def title(self) -> str:
        """For tables: the curve, and what is varied along it."""
        return self.curve if self.value is None else f"{self.curve} {self.value}"

    @property
    def needs_fit(self) -> bool:
        """Whether drops of the training split decide what becomes of it."""
        return self.predictor == "linear" or self.feedback.fit_group is not None

    def identity(self, experiment: CsiExperiment) -> dict[str, Any]:
        """What the point's numbers depend on, beside the drops that are evaluated."""
        fingerprint = self.feedback.fingerprint()
        # weights are named by their content, wherever they lie
        block = {
            key: value for key, value in self.block.items() if key not in ("weights", "decoder") or fingerprint is None
        }
        fit = experiment.num_fit_drops if self.needs_fit else 0
        found = {**block, "predictor": self.predictor, "fingerprint": fingerprint, "num_fit_drops": fit}
        if self.reported != REPORTED[0]:
            found["reported"] = self.reported
        return found if self.learned is None else {**found, "predictor_fingerprint": self.learned.fingerprint}

    def prepare(self, world: CsiWorld, say: Say) -> None:
        """Fit what is fitted, or take it from the cache."""
        self.feedback.prepare(world, say)
        self.prepare_predictor(world, say)

    def prepare_predictor(self, world: CsiWorld, say: Say) -> None:
        """Fit the predictor alone, or take it from the cache."""
        if self.predictor == "linear":
            self.linear = _fitted_predictor(world, say)

    def has_predictor(self, world: CsiWorld) -> bool:
        """Whether the predictor needs no fit, or the cache has it."""
        return self.predictor != "linear" or has_arrays(_kept_as(world))

    def wanted(self, world: CsiWorld, history: np.ndarray, known: np.ndarray) -> np.ndarray:
        """What the user would report, complex64 [num_drops, num_instants, num_layers, num_units, num_ports]; without
        prediction of one instant, which stands for all.

        history: precoders at the times of the estimates, [num_drops, num_times, num_layers, ...]. known: channels as
        the user estimates them at these times, [num_drops, num_times, num_rx_ant, num_ports, num_prb].
        """
        e = world.experiment
        if self.predictor == "hold" or self.linear is not None:
            flat = torch.from_numpy(np.ascontiguousarray(history.swapaxes(1, 2).reshape(-1, *_without_layers(history))))
            found = hold_last(flat) if self.linear is None else self.linear(flat)
            return found.numpy().reshape(len(history), 1, history.shape[2], *history.shape[3:])
        return np.stack([precoders(h, e.band.units, e.num_layers)[0] for h in self._channels(world, known)], 1)

    def _channels(self, world: CsiWorld, known: np.ndarray) -> Iterator[np.ndarray]:
        """Predicted channels of one instant after the other."""
        e = world.experiment
        times = np.array(e.timing.times_s)
        observed, wanted = times[: e.timing.num_observed], times[e.timing.num_observed :]
        if self.predictor == "wiener":
            noise = max(_GUARD, 10 ** (-e.estimate.esn0_db / 10) if e.estimate.method != "ideal" else 0.0)
            for time in wanted if len(wanted) else times[-1:]:
                yield predicted_channel(known, doppler_weights(observed, float(time), world.doppler_hz, noise))
            return
        for _ in wanted:
            found = self._next(known, (e.panel.n1, e.panel.n2))
            yield found
            known = np.concatenate([known[:, 1:], found[:, None].astype(known.dtype)], 1)

    def _next(self, known: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The channel one period after those that are known."""
        if self.learned is not None:
            return self.learned(known)
        if self.predictor == "autoregressive-beams":
            return autoregressive_of_beams(known, shape)
        return autoregressive(known)


def _without_layers(history: np.ndarray) -> tuple[int, ...]:
    return (history.shape[1], *history.shape[3:])


def points(experiment: CsiExperiment) -> list[Point]:
    """All points of an experiment, in its order. `InputError` names the block, the option and what is allowed."""
    found = []
    for number, block in enumerate(experiment.feedback):
        path = f"feedback.{number}"
        if block.name not in FEEDBACK:
            raise unknown_name(f"{path}.name", block.name, FEEDBACK)
        found += _points_of(experiment, block, FEEDBACK[block.name], path)
    return found


def _points_of(experiment: CsiExperiment, block: FeedbackBlock, cls: type[Feedback], path: str) -> list[Point]:
    options = block.block()
    predictor = options.pop("predictor", "hold")
    if predictor not in PREDICTORS:
        raise unknown_name(f"{path}.predictor", str(predictor), PREDICTORS)
    if predictor != "hold" and experiment.timing.num_observed < 2:
        raise bad_value(f"{path}.predictor", predictor, "hold, or timing.num_observed of 2 or more")
    if predictor == "linear" and experiment.num_fit_drops < 2:
        raise bad_value("num_fit_drops", experiment.num_fit_drops, "2 or more with predictor linear, which is fitted")
    if predictor == "linear" and experiment.timing.num_ahead > 1:
        raise bad_value(
            "timing.num_ahead", experiment.timing.num_ahead, "1 with predictor linear, fitted to one instant"
        )
    reported = options.pop("reported", REPORTED[0])
    if reported not in REPORTED:
        raise unknown_name(f"{path}.reported", str(reported), REPORTED)
    learned = _learned(experiment, predictor, options, path)
    given = options.get(cls.varied) if cls.varied else None
    values = given if isinstance(given, list | tuple) else [given]
    found = []
    for value in values:
        own = dict(options) if value is None else {**options, str(cls.varied): value}
        feedback: Feedback = construct(cls, own, path, {"experiment": experiment})
        if reported != REPORTED[0] and feedback.of_instants:
            raise bad_value(f"{path}.reported", reported, f"each with {block.name}, whose report is on all instants")
        found.append(Point(block.title, value, own, feedback, predictor, learned=learned, reported=reported))
    return found


def _learned(experiment: CsiExperiment, predictor: str, options: dict[str, Any], path: str) -> LearnedPredictor | None:
    """The learned predictor of a block, whose option is taken out of `options`; None for other predictors."""
    weights = options.pop("predictor_weights", None)
    timing = experiment.timing
    if predictor in _ONE_PERIOD and timing.ahead_ms != timing.period_ms:
        raise bad_value("timing.ahead_ms", timing.ahead_ms, f"{timing.period_ms:g}, the period, with {predictor}")
    least = _LEAST_TIMES.get(predictor, 0)
    if timing.num_observed < least:
        raise bad_value("timing.num_observed", timing.num_observed, f"{least} or more with {predictor}")
    if predictor != "learned":
        if weights is not None:
            raise bad_value(f"{path}.predictor_weights", weights, "none, or predictor: learned")
        return None
    try:
        found = LearnedPredictor(str(weights or WEIGHTS))
    except ValueError as error:
        raise InputError(f"{path}.predictor_weights: {error}") from None
    panel = experiment.panel
    # the network sees how the correlation falls from one estimate to the next: at a shorter period a higher speed
    longest = found.card["timing"]["period_ms"]
    if timing.period_ms > longest:
        raise bad_value("timing.period_ms", timing.period_ms, f"up to {longest:g}, with {found.card['name']}")
    for what, given, made in (
        ("timing.num_observed", timing.num_observed, found.model.num_times),
        ("panel.n1, panel.n2", (panel.n1, panel.n2), found.model.shape),
    ):
        if given != made:
            raise bad_value(what, given, f"{made}, what the predictor {found.card['name']} was made for")
    return found


def _kept_as(world: CsiWorld) -> str:
    e = world.experiment
    about = {"drops": world.drops_id, "count": e.num_fit_drops, "observed": e.timing.num_observed}
    return f"csi-predictor-{digest({**about, 'version': 1})}"


def _fitted_predictor(world: CsiWorld, say: Say) -> LinearPredictor:
    e = world.experiment
    count = e.timing.num_observed
    predictor = LinearPredictor(count, (e.panel.n1, e.panel.n2))
    places = len(e.band.units) * e.panel.num_ports

    def compute() -> dict[str, np.ndarray]:
        say("fitting the linear predictor")
        drops = world.kept("train", e.num_fit_drops, say)
        history, future = drops.v[:, :count].swapaxes(1, 2), drops.true[:, -1]
        flat = torch.from_numpy(np.ascontiguousarray(history.reshape(-1, count, *history.shape[3:])))
        return {"weights": predictor.fit(flat, flat_of(future)).weights.numpy()}

    found = cached_arrays(_kept_as(world), {"weights": (places, count)}, compute)
    predictor.weights = torch.from_numpy(found["weights"])
    return predictor
