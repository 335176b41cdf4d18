"""Drift of beam and CSI models: thresholds, scores, and the whole way from a data set to the page."""

import json

import numpy as np
import pytest
from scipy.stats import binom, chi2
from typer.testing import CliRunner

from ran.cli.main import app
from ran.errors import InputError
from ran.studies.monitor.drift import LEAST_SAMPLES, load_drift_reference, make_drift_reference
from ran.studies.monitor.drift_page import drift_in
from ran.studies.monitor.drift_sources import Reports
from ran.studies.monitor.reference import reference_path
from ran.studies.monitor.windows import WINDOW
from receivers.monitoring.outcomes import BEAM_STATISTICS, CSI_STATISTICS
from receivers.neural.weights import load_weights, shipped_weights, task_of

NAMES = ("gain", "a", "b")
#: Correlated statistics of a model that gains half a deviation.
MIXING = np.array([[1.0, 0, 0], [0.5, 2, 0], [0, 1, 0.1]])


def samples(number, seed, shift=(0, 0, 0)):
    return np.array([0.5, 3, -7]) + (np.random.default_rng(seed).normal(size=(number, 3)) + shift) @ MIXING.T


@pytest.fixture(scope="module")
def reference():
    return make_drift_reference("w", "0", {"ports": 8}, NAMES, samples(4000, 1), "here")


def test_inputs_are_chi_squared_where_statistics_are_normal(reference):
    found = np.array(
        [reference.scores(window)["inputs"] for window in samples(2000 * WINDOW, 2).reshape(2000, WINDOW, 3)]
    )
    assert found.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / 3 / 2000))
    assert reference.thresholds["inputs"] == pytest.approx(chi2(3).isf(1e-3) / 3, rel=0.15)


def test_false_alarms_are_rare_and_drift_is_found(reference):
    windows = samples(2000 * WINDOW, 3).reshape(2000, WINDOW, 3)
    alarms = sum(reference.scores(w)["inputs"] > reference.thresholds["inputs"] for w in windows)
    # the threshold is itself estimated: three of a thousand would be chance once in a million
    assert binom.sf(alarms - 1, 2000, 3e-3) > 1e-4
    shifted = samples(200 * WINDOW, 4, shift=(0, 0, 2)).reshape(200, WINDOW, 3)
    assert np.mean([reference.scores(w)["inputs"] > reference.thresholds["inputs"] for w in shifted]) > 0.99


def test_a_model_that_serves_worse_than_doing_without_is_told(reference):
    # a gain of half a deviation: the mean of 20 is below zero once in 80
    assert reference.thresholds["worse"] > 0
    worse = samples(200 * WINDOW, 5, shift=(-2, 0, 0)).reshape(200, WINDOW, 3)
    assert np.mean([reference.scores(w)["worse"] > reference.thresholds["worse"] for w in worse]) > 0.99
    better = make_drift_reference("w", "0", {}, NAMES, samples(400, 1) + np.array([100, 0, 0]), "here")
    assert better.thresholds["worse"] == 0


def test_the_time_line_is_the_scores_of_its_windows(reference):
    values = samples(60, 6)
    line = reference.timeline(values)
    assert [w.slot for w in line] == list(range(WINDOW - 1, 60))
    for window in line[::7]:
        part = values[window.slot - WINDOW + 1 : window.slot + 1]
        assert window.scores == pytest.approx(reference.scores(part))


def test_statistics_that_never_differ_count_for_nothing():
    values = np.concatenate([samples(400, 1), np.ones((400, 1))], 1)
    found = make_drift_reference("w", "0", {}, (*NAMES, "constant"), values, "here")
    assert len(found.whitening) == 3
    assert np.isfinite(found.scores(values[:WINDOW])["inputs"])


def test_what_does_not_fit_is_refused_in_a_line(reference, tmp_path):
    with pytest.raises(InputError, match=rf"got 199 reports; allowed: at least {LEAST_SAMPLES}"):
        make_drift_reference("w", "0", {}, NAMES, samples(199, 1), "here")
    few = Reports("x.h5", "0", {"ports": 8}, NAMES, samples(5, 1), ("a",) * 5)
    with pytest.raises(InputError, match=r"x.h5: got 5 reports; allowed: at least 20"):
        drift_in(few, reference)
    other = Reports("x.h5", "0", {"ports": 16}, NAMES, samples(50, 1), ("a",) * 50)
    with pytest.raises(InputError, match=r"got reports of ports 16; allowed: ports 8"):
        drift_in(other, reference)
    (tmp_path / "w.json").write_text("{}")
    (tmp_path / "monitor").mkdir()
    path = tmp_path / "monitor" / "w.json"
    weights = str(tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="without its reference"):
        load_drift_reference(weights, "0")
    reference.save(path)
    assert load_drift_reference(weights, "0") == reference
    with pytest.raises(InputError, match="reference of other weights"):
        load_drift_reference(weights, "1")
    path.write_text(json.dumps({**json.loads(path.read_text()), "mean": [1.0]}))
    with pytest.raises(InputError, match=r"w.json: damaged: ValueError"):
        load_drift_reference(weights, "0")


@pytest.mark.parametrize(
    "name", [name for task in ("beams", "csi") for name in shipped_weights(task) if reference_path(name).is_file()]
)
def test_shipped_references_are_of_the_shipped_weights(name):
    task = task_of(shipped_weights()[name])
    found = load_drift_reference(name, load_weights(name, task).sha256)
    assert found.names == tuple(BEAM_STATISTICS if task == "beams" else CSI_STATISTICS)
    assert found.num_samples >= 480
    assert found.source == f"ran monitor reference {name} --data {found.source.split()[-1]}"
    # what the model brings on its training, and what one of a thousand windows of it stays above
    assert found.mean[0] > 0
    assert 0 <= found.thresholds["worse"] < 10
    # of Hotelling's statistic of as many directions, were it chi-squared; it has longer tails
    exact = chi2(len(found.whitening)).isf(1e-3) / len(found.whitening)
    assert 0.85 * exact < found.thresholds["inputs"] < 2 * exact


def test_weights_of_another_task_are_refused_in_a_line(tmp_path):
    data = tmp_path / "x.h5"
    data.write_bytes(b"")
    for command, message in (
        (["monitor", str(data), "--weights", "csi-refined", "--receiver", "lmmse"], "--receiver: got one with weights"),
        (["monitor", str(data), "--weights", "csi-refind"], "weights: got 'csi-refind', which is not there"),
        (["monitor", "reference", "csi-refined"], "--data: got none; allowed: a data set"),
        (["monitor", "reference", "pusch-hybrid", "--data", str(data)], "allowed: none with weights of receivers"),
    ):
        error = CliRunner().invoke(app, command).exception
        assert isinstance(error, InputError), error
        assert message in str(error)
