"""Several instants after the last estimate: what holds, what is predicted, and one report on all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ran.cli.main import main
from ran.phy.csi.codebooks import codebook, through_reports
from ran.stats import paired_difference
from ran.studies.csi.experiment import ReportTiming, load
from ran.studies.csi.point import points
from ran.studies.csi.run import run_experiment
from ran.studies.csi.world import CsiWorld, precoders
from receivers.csi import autoregressive, sgcs

SMALL = {
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9, "indoor_ratio": 0},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "band": {"num_prb": 24, "subband_size": 4},
    "speed_kmh": 40,
    "timing": {"period_ms": 2, "num_observed": 8, "ahead_ms": 2, "num_ahead": 4},
    "feedback": [
        {"name": "ideal", "label": "hold"},
        {"name": "ideal", "predictor": "autoregressive", "label": "ar"},
        {"name": "enhanced-type-two", "combination": 2},
        {"name": "enhanced-type-two", "combination": 2, "predictor": "autoregressive", "label": "each"},
        {
            "name": "enhanced-type-two",
            "combination": 2,
            "predictor": "autoregressive",
            "reported": "first",
            "label": "first",
        },
        {"name": "predicted-type-two", "combination": 2, "predictor": "autoregressive"},
    ],
    "throughput": {"num_users": [1], "snr_db": [10]},
    "num_drops": 32,
    "num_fit_drops": 0,
}


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(yaml.safe_dump(SMALL))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_instants_follow_the_last_estimate():
    timing = ReportTiming(period_ms=2, num_observed=3, ahead_ms=1, num_ahead=2)
    np.testing.assert_allclose(timing.times_s, [0, 2e-3, 4e-3, 5e-3, 6e-3])
    # what was before keeps its name
    assert "num_ahead" not in ReportTiming(ahead_ms=5).model_dump()


def test_one_report_on_several_instants(tmp_path):
    experiment = load("small.yaml")
    hold, ar, held, each, first, doppler = run_experiment(experiment, tmp_path / "out", 1).outcomes
    of_instants = [hold.value(f"sgcs_at{i}").known for i in (1, 2, 3, 4)]
    assert of_instants == sorted(of_instants, reverse=True)
    assert hold.value("sgcs").known == pytest.approx(np.mean(of_instants))
    assert paired_difference(ar.figures["sgcs"], hold.figures["sgcs"]).is_above(0.05)
    # a report on each instant, one on the first, and one that says all of them: worth and bits
    assert 3 < each.mean_bits / first.mean_bits < 5
    assert abs(first.mean_bits - held.mean_bits) < 5
    assert doppler.mean_bits < each.mean_bits / 2
    assert paired_difference(first.figures["sgcs"], held.figures["sgcs"]).is_above(0)
    assert paired_difference(doppler.figures["sgcs"], first.figures["sgcs"]).is_above(0.01)
    # the first instant of "each" is what a report on it alone says there
    np.testing.assert_array_equal(each.figures["sgcs_at1"], first.figures["sgcs_at1"])
    # the report through its bits, apart from the study
    world = CsiWorld(experiment)
    known = world.channels("test", 0)[:2]
    found, seen = [], known[:, :8]
    for _ in range(4):
        found.append(autoregressive(seen))
        seen = np.concatenate([seen[:, 1:], found[-1][:, None].astype(np.complex64)], 1)
    v = np.stack([precoders(h, experiment.band.units, 1)[0] for h in found], 2)
    config = codebook("predicted-type-two", 4, 1, 6, 1, combination=2, num_intervals=4, slots_per_interval=2)
    decoded, bits = through_reports(v, config)
    true = precoders(known[:, 8:].swapaxes(0, 1), experiment.band.units, 1)[0].transpose(1, 2, 0, 3, 4)
    worth = sgcs(torch.from_numpy(true.copy()), torch.from_numpy(decoded)).mean((1, 2, 3))
    np.testing.assert_allclose(doppler.figures["sgcs"][:2], worth, atol=1e-5)
    np.testing.assert_array_equal(doppler.bits[:2], bits)


def test_one_interval_is_what_csi_uma_prediction_asks_for():
    changes = ["feedback=[{name: predicted-type-two, combination: [2, 5], predictor: learned}]"]
    found = points(load("csi-uma-prediction", changes))
    assert [p.feedback.config.num_intervals for p in found] == [1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["timing.ahead_ms=5", "feedback=[predicted-type-two]"],
            "timing.ahead_ms: got 5.0; allowed: 1, 2 with predicted-type-two",
        ),
        (["timing.num_ahead=3"], "N4 (vectorLengthDD-r18): got 3; allowed: 1, 2, 4, 8"),
        (["timing.ahead_ms=0"], "num_ahead: got 4; allowed: 1, or ahead_ms above 0"),
        (["feedback=[{name: predicted-type-two, combination: 10}]"], "paramCombination-Doppler-r18: got 10"),
        (["feedback=[{name: predicted-type-two, reported: first}]"], "reported: got 'first'; allowed: each"),
        (["feedback=[{name: ideal, reported: firs}]"], "did you mean 'first'"),
        (
            ["feedback=[{name: ideal, predictor: linear}]", "num_fit_drops=64"],
            "timing.num_ahead: got 4; allowed: 1 with",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_2(changes, message, capsys):
    options = [part for change in changes for part in ("--set", change)]
    assert main(["csi", "small.yaml", "--out", "run", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_ports_of_several_resources(tmp_path):
    changes = ["panel={n1: 8, n2: 3}", "timing={period_ms: 5}", "estimate={method: lmmse, esn0_db: 10}", "speed_kmh=3"]
    changes += ["feedback=[ideal, {name: enhanced-type-two, combination: [2, 6]}, {name: sparse, num_coefficients: 8}]"]
    ideal, low, high, _ = run_experiment(load("small.yaml", changes), tmp_path / "out", 1).outcomes
    assert 0.5 < ideal.value("sgcs").known < 1
    assert paired_difference(high.figures["sgcs"], low.figures["sgcs"]).is_above(0)
    assert (
        main(["csi", "small.yaml", "--out", "run", "--set", "panel={n1: 8, n2: 3}", "--set", "feedback=[type-one]"])
        == 2
    )
