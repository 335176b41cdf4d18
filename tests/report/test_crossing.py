"""Crossings and gains against curves of known truth."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic_runs as synthetic

from ran.errors import InputError
from ran.report.crossing import Crossings, reference_receiver

GRID = tuple(np.arange(2.0, 8.1, 0.5))


def _bound(probability: float, runs: int) -> float:
    """Four standard deviations of a share that is measured on so many runs."""
    return 4 * np.sqrt(probability * (1 - probability) / runs)


@pytest.mark.parametrize("blocks_per_drop", [1, 4])
def test_crossing_interval_covers_the_truth_as_often_as_it_says(blocks_per_drop):
    # Blocks of a drop fail together: an interval that counted blocks as independent would be half as wide with 4 of
    # them and cover about 67 %.
    runs, generator = 300, np.random.default_rng(11)
    truth = synthetic.true_crossing_db(5.0, 0.1)
    covered, widths, values = 0, [], []
    for _ in range(runs):
        run = synthetic.run({"a": 5.0}, GRID, 400, generator, blocks_per_drop=blocks_per_drop)
        estimate = Crossings(run, num_replicates=400).crossing("a", 0.1)
        covered += estimate.low <= truth <= estimate.high
        widths.append(estimate.high - estimate.low)
        values.append(estimate.value)
    assert abs(covered / runs - 0.95) < _bound(0.95, runs)
    # The width is that of the scatter of the estimate; the bound is four standard errors of a standard deviation.
    assert np.mean(widths) / (2 * 1.96 * np.std(values)) == pytest.approx(1, abs=4 / np.sqrt(2 * runs))
    assert np.mean(values) == pytest.approx(truth, abs=0.02)


def test_gain_is_paired():
    # Almost equal receivers on the same drops nearly always fail together: pairing makes the interval much narrower.
    generator = np.random.default_rng(5)
    runs, covered, paired, separate = 60, 0, [], []
    for _ in range(runs):
        for shared, widths in ((True, paired), (False, separate)):
            run = synthetic.run({"a": 5.0, "b": 4.9}, GRID, 400, generator, shared=shared)
            gain = Crossings(run, num_replicates=400).gain("b", "a", 0.1)
            widths.append(gain.high - gain.low)
            covered += shared and gain.low <= 0.1 <= gain.high
    assert np.mean(paired) < 0.6 * np.mean(separate)
    assert covered / runs > 0.95 - _bound(0.95, runs)


@pytest.mark.parametrize(
    ("centre_db", "grid", "reason"),
    [
        (5.0, (1.0, 2.0, 3.0), "still above 10 % at the highest simulated Es/N0, 3 dB (BLER"),
        (-20.0, (1.0, 2.0), "already at or below 10 % at the lowest simulated Es/N0, 1 dB (no error in 300 blocks)"),
        (5.0, (5.0,), "still above 10 % at the highest simulated Es/N0, 5 dB (BLER"),
        (-20.0, (5.0,), "already at or below 10 %"),
    ],
)
def test_without_a_crossing_there_is_a_reason_and_no_number(centre_db, grid, reason):
    run = synthetic.run({"a": centre_db, "b": 2.0}, grid, 300, np.random.default_rng(1))
    crossings = Crossings(run, num_replicates=50)
    estimate = crossings.crossing("a", 0.1)
    assert estimate.value is None
    assert reason in estimate.reason
    assert str(estimate) == "—"
    gain = crossings.gain("b", "a", 0.1)
    assert gain.value is None
    assert f"a is {estimate.reason}" in gain.reason


def _points(run, errors_by_snr):
    points = tuple(synthetic.point("a", snr, np.array(errors)) for snr, errors in errors_by_snr.items())
    return type(run)(run.experiment, points, frozenset(), 1, {})


def test_a_curve_that_rises_again_has_no_crossing():
    run = synthetic.run({"a": 5.0}, GRID, 1, np.random.default_rng(0))
    some = lambda n: np.arange(400) < n  # noqa: E731
    rising = _points(run, {0.0: some(300), 2.0: some(20), 4.0: some(120)})
    assert Crossings(rising).crossing("a", 0.1).reason == "above 10 % again at 4 dB (BLER 30 %)"
    wobbling = _points(run, {0.0: some(300), 2.0: some(38), 4.0: some(42), 6.0: some(2)})
    assert 0 < Crossings(wobbling).crossing("a", 0.1).value < 2


def test_few_drops_without_errors_decide_nothing():
    run = synthetic.run({"a": 5.0}, GRID, 1, np.random.default_rng(0))
    few = _points(run, {0.0: np.arange(400) < 300, 2.0: np.zeros(4)})
    assert "too few drops to tell at 2 dB (no error in 4 blocks)" in Crossings(few).crossing("a", 0.1).reason
    # A short probe far up the curve must not move a crossing that is well measured further down.
    curve = {0.0: np.arange(400) < 300, 2.0: np.arange(4000) < 20, 4.0: np.arange(4000) < 4}
    assert str(Crossings(_points(run, curve | {30.0: np.zeros(8)})).crossing("a", 0.01))[:4] == "1.85"


def test_an_interval_that_leaves_the_simulated_range_is_open():
    run = synthetic.run({"a": 5.0}, GRID, 1, np.random.default_rng(0))
    barely = _points(run, {0.0: np.arange(400) < 300, 2.0: np.arange(400) < 39})
    estimate = Crossings(barely).crossing("a", 0.1)
    assert estimate.high == np.inf
    assert str(estimate).endswith(", ∞]")
    assert estimate.reason == "the interval reaches beyond the simulated Es/N0"
    assert not estimate.why_missing


def test_equal_runs_give_equal_intervals():
    run = synthetic.run({"a": 5.0}, GRID, 300, np.random.default_rng(1))
    assert Crossings(run).crossing("a", 0.1) == Crossings(run).crossing("a", 0.1)


def test_reference_is_the_first_receiver_that_is_no_genie():
    run = synthetic.run({"g": 4.0, "a": 5.0, "b": 4.5}, GRID, 50, np.random.default_rng(1), genies=["g"])
    assert reference_receiver(run) == "a"
    only = synthetic.run({"g": 4.0}, GRID, 50, np.random.default_rng(1), genies=["g"])
    assert reference_receiver(only) is None


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0])
def test_impossible_targets_are_refused(target):
    run = synthetic.run({"a": 5.0}, GRID, 50, np.random.default_rng(1))
    with pytest.raises(InputError, match="target BLER: got"):
        Crossings(run).crossing("a", target)


def test_points_that_lack_their_drops_are_refused():
    run = synthetic.run({"a": 5.0}, GRID, 50, np.random.default_rng(1))
    broken = tuple(type(p)(**{**vars(p), "block_errors_per_drop": p.block_errors_per_drop[:-1]}) for p in run.points)
    with pytest.raises(InputError, match=r"drops of a at 2 dB: got 49; allowed: one entry per drop, 50"):
        Crossings(type(run)(run.experiment, broken, frozenset(), 1, {}))
