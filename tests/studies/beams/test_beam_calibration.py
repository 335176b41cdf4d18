"""Shipped weights say what is true: stated confidence is the share that is right, predicted powers are the true ones.

Every model is judged over what its card says that it was made for: drops of the tested half of its first world of spots
(those of beams-uma-30ghz), which no training sees, shared out among the Sets B of its training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom, t

from ran.studies.beams.experiment import SetB, load
from ran.studies.beams.measurement import decide
from ran.studies.beams.metrics import Outcomes, outcomes_of, reliability, rsrp_calibration
from ran.studies.beams.world import BeamDrops, BeamWorld
from receivers.beams import NeuralBeams
from receivers.neural.weights import shipped_weights

_NUM_DROPS = 768
#: Chance that a comparison fails by the choice of drops.
_FALSE_ALARM = 1e-6
#: Confidence has a single temperature for all Sets B and worlds of a training, fitted on as few as 256 drops: these
#: alone leave a share uncertain by sqrt(0.25 / 256) = 3 points, three times of which are allowed, and one for rounding.
_SHARE_ALLOWANCE = 0.10
#: Reports come in steps of 1 and 2 dB, and the loss counts large errors by their size, not their square: predictions
#: are between the mean and the median of powers, whose distribution is skewed.
_POWER_ALLOWANCE_DB = 1.5
#: Intervals of predicted powers, and how many drops one must have for its spread to be known.
_STEP_DB, _FEWEST = 10.0, 20


def wrong_shares(outcomes: Outcomes, num_bins: int = 5) -> list[str]:
    """Where the share that was right is not the stated confidence: in intervals of it, and over all predictions."""
    whole = reliability(replace(outcomes, confidence=np.full(outcomes.confidence.shape, outcomes.confidence.mean())))
    found = []
    for entry in [*reliability(outcomes, num_bins), *whole]:
        count, given = int(entry["count"]), entry["given"]
        low, high = max(given - _SHARE_ALLOWANCE, 0.0), min(given + _SHARE_ALLOWANCE, 1.0)
        least, most = binom.ppf(_FALSE_ALARM / 2, count, low), binom.isf(_FALSE_ALARM / 2, count, high)
        if not least <= round(entry["share"] * count) <= most:
            found.append(f"stated {given:.2f}, right {entry['share']:.2f} of {count}")
    return found


def wrong_powers(outcomes: Outcomes) -> list[str]:
    """Where the mean of the true powers of chosen beams is not that of the predicted ones."""
    predicted = outcomes.predicted_dbm.reshape(-1)
    error = predicted - outcomes.chosen_dbm[..., 0].reshape(-1)
    intervals = np.floor(predicted / _STEP_DB)
    found = []
    for entry in rsrp_calibration(outcomes, _STEP_DB):
        count = int(entry["count"])
        if count < _FEWEST:
            continue
        spread = error[intervals == np.floor(entry["predicted_dbm"] / _STEP_DB)].std(ddof=1)
        allowed = t.isf(_FALSE_ALARM / 2, count - 1) * spread / np.sqrt(count) + _POWER_ALLOWANCE_DB
        if abs(entry["predicted_dbm"] - entry["true_dbm"]) > allowed:
            found.append(f"predicted {entry['predicted_dbm']:.1f}, true {entry['true_dbm']:.1f} dBm, of {count}")
    return found


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def drops_of() -> Callable[[BeamWorld], BeamDrops]:
    """Drops of a world; worlds of one scenario share them."""
    kept: dict[str, BeamDrops] = {}

    def drops(world: BeamWorld) -> BeamDrops:
        if world.scenario_id not in kept:
            kept[world.scenario_id] = world.drops("test", 0, _NUM_DROPS)
        return kept[world.scenario_id]

    return drops


def _outcomes(weights: str, drops_of: Callable[[BeamWorld], BeamDrops]) -> Outcomes:
    predictor = NeuralBeams(weights)
    training = predictor.card["training"]
    experiments = (load(world["experiment"], world["changes"]) for world in training["worlds"])
    world = BeamWorld(next(experiment for experiment in experiments if experiment.timing.num_observed == 1))
    drops = drops_of(world)
    sets = [SetB(**values) for values in training["set_b"]]
    parts = []
    for set_b, rows in zip(sets, np.array_split(np.arange(_NUM_DROPS), len(sets)), strict=True):
        mine = slice(rows[0], rows[-1] + 1)
        part = replace(drops, rsrp_dbm=drops.rsrp_dbm[mine], users_m=drops.users_m[mine], first=int(rows[0]))
        decision = decide(world, part, 0, set_b)
        found = predictor(decision.observation)
        parts.append((found.log_probability, found.rsrp_dbm, decision.truth.rsrp_dbm, decision.measured_dbm))
    log, predicted, true, again = (
        np.concatenate([np.asarray(value) for value in kind]) for kind in zip(*parts, strict=True)
    )
    return outcomes_of(log, predicted, true, again, (1,), 0.9)


@pytest.mark.parametrize("weights", sorted(shipped_weights("beams")))
def test_shipped_weights_say_what_is_true(weights: str, drops_of: Callable[[BeamWorld], BeamDrops]) -> None:
    outcomes = _outcomes(weights, drops_of)
    assert wrong_shares(outcomes) == []
    assert wrong_powers(outcomes) == []


def test_such_a_test_finds_what_is_not_true() -> None:
    """Honest predictions pass; twice as sure, half as sure, 3 dB too strong do not."""
    rng = np.random.default_rng(1)
    scores = 1.7 * rng.standard_normal((_NUM_DROPS, 64))
    true = -80 + 10 * rng.standard_normal((_NUM_DROPS, 64))
    best = torch.distributions.Categorical(logits=torch.from_numpy(scores))
    torch.manual_seed(1)
    places = best.sample().numpy()
    rows = np.arange(_NUM_DROPS)
    true[rows, true.argmax(-1)], true[rows, places] = true[rows, places], true.max(-1)
    predicted = true + 3 * rng.standard_normal(true.shape)

    def outcomes(sharper: float, stronger_db: float) -> Outcomes:
        log = torch.log_softmax(torch.from_numpy(sharper * scores), -1).numpy()
        return outcomes_of(log, predicted + stronger_db, true, true, (1,), 0.9)

    assert wrong_shares(outcomes(1, 0)) == wrong_powers(outcomes(1, 0)) == []
    assert wrong_shares(outcomes(2, 0))
    assert wrong_shares(outcomes(0.5, 0))
    assert wrong_powers(outcomes(1, 3))
    assert wrong_powers(outcomes(1, -3))
