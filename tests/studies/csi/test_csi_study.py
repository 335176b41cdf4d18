"""`ran csi`: drops, figures, resuming, refusals and the page, over a small and fast channel."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from killed import killed, rows
from paper_folder import check as check_paper

from ran.cli.main import main
from ran.errors import InputError
from ran.stats import paired_difference
from ran.studies.csi.experiment import CsiExperiment, built_in_experiments, load
from ran.studies.csi.feedback_jobs import Block, CsiWorker
from ran.studies.csi.outcome import PointOutcome, at_payload, bits_for, paired_gain
from ran.studies.csi.point import points
from ran.studies.csi.run import CsiResults, run_experiment
from ran.studies.csi.throughput import one_user_sinr, served_together_sinr, spectral_efficiency, zero_forcing
from ran.studies.csi.world import BLOCK, CsiWorld, precoders

SMALL = {
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "band": {"num_prb": 24, "subband_size": 4},
    "feedback": ["ideal", "type-one", {"name": "enhanced-type-two", "combination": [1, 3, 5]}],
    "throughput": {"num_users": [1, 2], "snr_db": [10]},
    "num_drops": 40,
    "num_fit_drops": 64,
}


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ran.studies.csi.world._BLOCKS_PER_FILE", 1)
    Path("small.yaml").write_text(yaml.safe_dump(SMALL))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_precoders_are_eigenvectors_of_the_mean():
    rng = np.random.default_rng(1)
    h = (rng.standard_normal((3, 2, 8, 12, 2)) @ np.array([1, 1j])).astype(np.complex64)
    units = (range(4), range(4, 12))
    v, gains = precoders(h, units, 2)
    for unit, number in ((units[1], 1), (units[0], 0)):
        part = h[..., list(unit)].astype(complex)
        covariance = np.einsum("brpk,brqk->bpq", part.conj(), part) / len(unit)
        for layer in range(2):
            np.testing.assert_allclose(
                np.einsum("bpq,bq->bp", covariance, v[:, layer, number]),
                gains[:, layer, number, None] * v[:, layer, number],
                atol=2e-4,
            )


def test_a_drop_is_the_same_whatever_else_is_asked_for():
    world = CsiWorld(load("small.yaml"))
    again = CsiWorld(load("small.yaml", ["num_drops=3", "throughput.num_users=[1]", "feedback=[ideal]"]))
    assert world.drops_id == again.drops_id
    first = world.drops("test", 0)
    np.testing.assert_array_equal(first.v, again.drops("test", 0).v)
    kept = world.kept("test", 7)
    np.testing.assert_array_equal(kept.v, first.v[:7])
    assert not np.array_equal(world.drops("train", 0).v, first.v)


def test_results_resume_and_more_drops_go_on(monkeypatch):
    experiment = load("small.yaml")
    whole = run_experiment(experiment, Path("whole"), 1)
    once, worked = CsiWorker.work, []

    def killed(self, job):
        if isinstance(job.work, Block):
            if job.work.number == 1:
                raise KeyboardInterrupt
            worked.append(job.work)
        return once(self, job)

    monkeypatch.setattr(CsiWorker, "work", killed)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, Path("cut"), 1)
    assert len(rows(Path("cut"))) == 5  # the first block of every point
    monkeypatch.setattr(CsiWorker, "work", once)
    cut = run_experiment(experiment, Path("cut"), 1)
    same(cut, whole)
    assert rows(Path("cut")) == rows(Path("whole"))
    assert len(whole.outcomes[0].bits) == 40
    # 40 drops in blocks of 32: pairs do not span blocks
    assert len(whole.outcomes[0].figures["se_2_10"]) == BLOCK // 2 + 4
    # a feedback that joins is evaluated alone, and what is there already is not computed again
    monkeypatch.setattr(CsiWorker, "work", killed)
    worked.clear()
    more = load("small.yaml", ["num_drops=32", "feedback=[type-one, {name: sparse, num_coefficients: 4}, ideal]"])
    joined = run_experiment(more, Path("cut"), 1)
    assert [block.points for block in worked] == [(1,)]
    np.testing.assert_array_equal(joined.outcomes[2].figures["sgcs"], whole.outcomes[0].figures["sgcs"][:32])


def same(one: CsiResults, other: CsiResults) -> None:
    for a, b in zip(one.outcomes, other.outcomes, strict=True):
        assert (a.title, a.figures.keys(), a.cost) == (b.title, b.figures.keys(), b.cost)
        np.testing.assert_array_equal(a.bits, b.bits)
        for name in a.figures:
            np.testing.assert_array_equal(a.figures[name], b.figures[name])


@pytest.mark.slow
def test_killed_three_times_and_resumed():
    """Two workers, with something to fit, against one that was left alone."""
    feedback = "feedback=[ideal, {name: transform, num_bits: [16, 32], combination: 1}, {name: enhanced-type-two}]"
    changes = ["num_drops=1280", "throughput.num_users=[1]", feedback]
    command = ["csi", "small.yaml", *(part for change in changes for part in ("--set", change))]
    out = Path("killed")
    killed(["-m", "ran.cli.main", *command, "--out", str(out), "--workers", "2"], out, 3, 4)
    assert main([*command, "--out", str(out), "--workers", "2"]) == 0
    assert main([*command, "--out", "whole", "--workers", "1"]) == 0
    assert rows(out) == rows(Path("whole"))
    assert (out / "csi.csv").read_bytes() == Path("whole/csi.csv").read_bytes()


def test_what_is_fitted_needs_drops(capsys):
    timing = "timing={period_ms: 4, num_observed: 4, ahead_ms: 4}"
    for block, name in (("{name: transform}", "transform"), ("{name: ideal, predictor: linear}", "predictor linear")):
        changes = ["--set", timing, "--set", "num_fit_drops=0", "--set", f"feedback=[{block}]"]
        assert main(["csi", "small.yaml", "--out", "run", *changes]) == 2
        assert f"num_fit_drops: got 0; allowed: 2 or more with {name}" in capsys.readouterr().err
    assert not Path("run").exists()


def test_quantisers_of_the_transform(capsys):
    """Reports of the same length; the default is the scalar quantiser, whose identity is what it was."""
    blocks = [
        {"name": "transform", "num_bits": 24, **({"quantiser": name} if name else {}), "label": name or "default"}
        for name in ("", "scalar", "lattice", "entropy")
    ]
    changes = ["num_drops=8", "throughput.num_users=[1]", f"feedback={json.dumps(blocks)}"]
    experiment = load("small.yaml", changes)
    default, scalar, *younger = run_experiment(experiment, Path("run"), 1).outcomes
    assert "quantiser" not in points(experiment)[0].identity(experiment)
    np.testing.assert_array_equal(default.figures["sgcs"], scalar.figures["sgcs"])
    for outcome in younger:
        assert (outcome.bits == 24).all()
        assert not np.array_equal(outcome.figures["sgcs"], scalar.figures["sgcs"])
        assert outcome.value("sgcs").value > 0.3
    for block, message in (
        ("{name: transform, quantiser: latice}", "allowed: entropy, lattice, scalar; did you mean 'lattice'?"),
        ("{name: transform, quantiser: [scalar]}", "quantiser: got"),
        ("{name: transform, quantiser: entropy, num_bits: 3}", "num_bits: got 3; allowed: 4 or more"),
        ("{name: transform, quantiser: lattice, num_bits: -1}", "num_bits: got -1; allowed: 0 or more"),
    ):
        assert main(["csi", "small.yaml", "--out", "bad", "--set", f"feedback=[{block}]"]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not Path("bad").exists()


def test_figures_are_in_order():
    results = run_experiment(load("small.yaml"), Path("out"), 1)
    ideal, coarse, *enhanced = results.outcomes
    assert ideal.value("sgcs").value == pytest.approx(1, abs=1e-5)
    assert np.all(ideal.figures["se_1_10"] >= coarse.figures["se_1_10"] - 1e-6)
    assert enhanced[0].mean_bits < enhanced[1].mean_bits < enhanced[2].mean_bits
    assert coarse.value("sgcs").value < enhanced[0].value("sgcs").value < enhanced[2].value("sgcs").value
    for o in enhanced:
        assert o.value("gcs").value ** 2 <= o.value("sgcs").value + 1e-9  # Jensen
        assert o.value("nmse").value == pytest.approx(2 - 2 * o.value("gcs").value, abs=1e-6)
    # CSI-RS of 8 ports in every fifth slot of 12 x 14 elements
    np.testing.assert_allclose(ideal.figures["net_mbps_1_10"], ideal.figures["mbps_1_10"] * (1 - 8 / (5 * 168)))
    # zero forcing needs the channel more than one user does
    loss = [1 - enhanced[0].value(f"se_{users}_10").value / ideal.value(f"se_{users}_10").value for users in (1, 2)]
    assert 0 < loss[0] < loss[1]


def test_the_command_writes_page_table_and_values(capsys, monkeypatch):
    assert main(["csi", "small.yaml", "--out", "run", "--workers", "1", "--set", "num_drops=8"]) == 0
    assert "enhanced-type-two 5" in capsys.readouterr().out
    page = Path("run/csi.html").read_text()
    assert page.count("<svg") == 3
    assert "SGCS over payload" in page
    rows = list(csv.DictReader(Path("run/csi.csv").read_text().splitlines()))
    plain = json.loads(Path("run/csi.json").read_text())
    assert {row["point"] for row in rows} == {result["point"] for result in plain["results"]}
    value = next(r for r in rows if r["point"] == "type-one" and r["figure"] == "sgcs")
    shown = plain["results"][1]["values"]["sgcs"]
    assert float(value["value"]) == pytest.approx(shown["value"], rel=1e-5)
    assert shown["low"] < shown["value"] < shown["high"]
    # from the store alone: no channel and no drop
    monkeypatch.setattr("ran.studies.csi.world.build_channel", None)
    assert main(["report", "run", "--out", "again", "--paper"]) == 0
    figures = set(re.findall(r'data-png="([^"]+)"', Path("run/csi.html").read_text()))
    assert "sgcs" in figures
    check_paper(Path("again/paper"), figures, Path("run/csi.csv"))
    for name in ("csi.json", "csi.csv", "csi.html"):
        assert Path("again", name).read_bytes() == Path("run", name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("panel.n1=5", "n1, n2: got (5, 1)"),
        ("band.num_prb=20", "num_prb"),
        ("band.subband_size=16", "subband size: got 16; allowed: 4, 8 for 24 PRBs"),
        ("feedback=[enhanced-type-too]", "feedback.0.name: got 'enhanced-type-too'"),
        ("feedback=[{name: enhanced-type-two, combination: 9}]", "paramCombination-r16: got 9"),
        ("feedback=[{name: enhanced-type-two, combinations: 2}]", "did you mean 'combination'"),
        ("feedback=[{name: sparse, num_coefficients: 5000}]", "num_coefficients: got 5000"),
        ("feedback=[{name: ideal, predictor: linear}]", "timing.num_observed of 2 or more"),
        ("feedback=[{name: ideal, predictor: linea}]", "did you mean 'linear'"),
        ("feedback=[ideal, ideal]", "got 'ideal' twice"),
        ("feedback=[{name: neural, weights: nowhere}]", "weights: got 'nowhere'"),
        ("channel.name=awgn", "channel.name: got 'awgn'"),
        ("channel.direction=uplink", "channel.direction: follows from the rest"),
        ("num_layers=5", "num_layers"),
        ("throughput.num_users=[16]", "throughput.num_users: got 16; allowed: 1 to 8, the ports"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(change, message, capsys):
    assert main(["csi", "small.yaml", "--out", "run", "--set", change]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_a_folder_of_another_experiment_is_refused(capsys):
    few = ["--workers", "1", "--set", "num_drops=4", "--set", "feedback=[ideal]", "--set", "throughput.num_users=[1]"]
    assert main(["csi", "small.yaml", "--out", "run", *few]) == 0
    assert main(["csi", "small.yaml", "--out", "run", *few, "--set", "seed=2"]) == 2
    assert "holds a CSI study of a different experiment: drops is" in capsys.readouterr().err
    Path("other").mkdir()
    Path("other/file").write_text("")
    assert main(["csi", "small.yaml", "--out", "other", *few]) == 2


def test_noise_in_the_estimate_costs_and_lmmse_wins_some_back():
    found = {}
    for method in ("ideal", "ls", "lmmse"):
        changes = ["feedback=[ideal]", f"estimate.method={method}", "estimate.esn0_db=-5", "throughput.num_users=[1]"]
        results = run_experiment(load("small.yaml", changes), Path(method), 1)
        found[method] = results.outcomes[0].value("sgcs").value
    assert found["ls"] < found["lmmse"] < found["ideal"]


def test_prediction_that_knows_the_speed_beats_holding():
    timing = "timing={period_ms: 4, num_observed: 4, ahead_ms: 4}"
    feedback = "feedback=[{name: ideal, label: hold}, {name: ideal, predictor: linear, label: linear}, "
    feedback += "{name: ideal, predictor: wiener, label: wiener}]"
    changes = [timing, feedback, "speed_kmh=20", "num_fit_drops=256", "throughput.num_users=[1]"]
    hold, linear, wiener = run_experiment(load("small.yaml", changes), Path("out"), 1).outcomes
    assert hold.predictor == "hold"
    assert paired_difference(wiener.figures["sgcs"], hold.figures["sgcs"]).is_above(0.05)
    # a filter for all users sees as many come as go: it gains next to nothing, and loses nothing
    assert abs(paired_difference(linear.figures["sgcs"], hold.figures["sgcs"]).known) < 0.05


def test_zero_forcing_has_no_interference_for_what_was_reported():
    rng = np.random.default_rng(2)
    v = rng.standard_normal((5, 3, 8, 2)) @ np.array([1, 1j])
    v /= np.linalg.norm(v, axis=-1, keepdims=True)
    precoder = zero_forcing(v)
    np.testing.assert_allclose((np.abs(precoder) ** 2).sum((1, 2)), 1)
    received = v.conj() @ precoder
    off = received * (1 - np.eye(3))
    assert np.abs(off).max() < 5e-3
    # one antenna each and their own vectors as channels: no more than noise is left
    h = v.conj()[:, :, None, :, None].repeat(4, -1)
    sinr = served_together_sinr(h, v[:, :, None], (range(4),), 100.0)
    expected = 100 * np.abs(np.einsum("guu->gu", received)) ** 2
    np.testing.assert_allclose(sinr, expected[..., None].repeat(4, -1), rtol=0.01)


def test_the_sinr_of_one_layer_is_the_beamforming_gain():
    rng = np.random.default_rng(3)
    h = rng.standard_normal((6, 2, 8, 4, 2)) @ np.array([1, 1j])
    v, gains = precoders(h, tuple(range(i, i + 1) for i in range(4)), 1)
    sinr = one_user_sinr(h, v, tuple(range(i, i + 1) for i in range(4)), 10.0)
    np.testing.assert_allclose(sinr, 10 * gains, rtol=1e-4)
    assert spectral_efficiency(sinr).shape == (6, 1)


def outcome(curve: str, bits: float, values: list[float]) -> PointOutcome:
    return PointOutcome(curve, curve, "hold", np.full(3, bits), {"sgcs": np.array(values)}, {})


def test_curves_are_compared_at_equal_payload():
    curve = [outcome("a", 50, [0.5, 0.6, 0.7]), outcome("a", 60, [0.4, 0.5, 0.6]), outcome("a", 100, [0.7, 0.8, 0.9])]
    # the second is beaten by the first, with fewer bits: half way from 50 to 100
    np.testing.assert_allclose(at_payload(curve, "sgcs", 75), [0.6, 0.7, 0.8])
    assert at_payload(curve, "sgcs", 40) is None
    gain = paired_gain(outcome("b", 75, [0.65, 0.75, 0.85]), curve, "sgcs")
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.05, 0.05, 0.05))
    assert bits_for([curve[0], curve[2]], "sgcs", 0.7) == pytest.approx(75)
    assert bits_for(curve, "sgcs", 0.95) is None


@pytest.mark.parametrize("name", sorted(built_in_experiments()))
def test_shipped_experiments_are_sound(name):
    experiment = load(name)
    assert experiment.description
    assert CsiExperiment.model_validate(experiment.resolved()) == experiment
    assert points(experiment)
    CsiWorld(experiment)


def test_ports_of_two_units_per_subband_need_the_enhanced_codebook():
    with pytest.raises(InputError, match=r"band\.per_subband: got 2; allowed: 1 with type-one"):
        points(load("small.yaml", ["band.per_subband=2", "feedback=[type-one]"]))
    assert points(load("small.yaml", ["band.per_subband=2", "feedback=[enhanced-type-two]"]))


@pytest.mark.parametrize("name", ["out.h5", "out.mat"])
def test_a_data_set_holds_the_precoders_of_the_drops(name, capsys):
    assert main(["data", "csi", "small.yaml", "--out", name, "--drops", "10", "--set", "num_layers=2"]) == 0
    assert "precoders [20, 6, 8, 2]" in capsys.readouterr().out
    if name.endswith("h5"):
        import h5py

        with h5py.File(name) as file:
            arrays = {key: file[key][:] for key in file}
            assert "num_layers: 2" in file.attrs["experiment"]
    else:
        from scipy.io import loadmat

        arrays = {key: value for key, value in loadmat(name, squeeze_me=True).items() if not key.startswith("__")}
    world = CsiWorld(load("small.yaml", ["num_layers=2"]))
    v = arrays["precoders"][..., 0] + 1j * arrays["precoders"][..., 1]
    np.testing.assert_array_equal(v[:16], world.kept("train", 8).v[:, 0].reshape(16, 6, 8))
    np.testing.assert_array_equal(v[16:], world.kept("test", 2).v[:, 0].reshape(4, 6, 8))
    assert arrays["split"].tolist() == [0] * 16 + [1] * 4
    assert arrays["layer"].tolist() == [0, 1] * 10
    assert np.unique(arrays["drop"]).tolist() == list(range(10))
    assert np.all(arrays["gains"][0::2] >= arrays["gains"][1::2] - 1e-6)


def test_data_sets_that_cannot_be_are_refused(capsys):
    for arguments, message in (
        (["--out", "a.csv"], "--out: got 'a.csv'; allowed: a file in .h5, .hdf5, .mat"),
        (["--out", "a.h5", "--drops", "1"], "--drops: got 1; allowed: 2 or more"),
        (["--out", "a.h5", "--drops", "2", "--weights", "nowhere"], "--weights: weights: got 'nowhere'"),
    ):
        assert main(["data", "csi", "small.yaml", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_floating_point_operations_of_a_model_are_counted_whole():
    """At least two for every weight of the layers that every delay passes."""
    loaded = load("csi-uma-32ports", ["feedback=[{name: neural, num_values: 8}]"])
    (point,) = points(loaded)
    cost, model = point.feedback.cost(), point.feedback.coder.model
    for side in ("encoder", "decoder"):
        layers = sum(p.numel() for p in model.get_submodule(side).body.parameters() if p.ndim == 2)
        assert cost[f"{side}_flops"] >= 2 * 12 * layers
        assert cost[f"{side}_parameters"] == sum(p.numel() for p in model.get_submodule(side).parameters())
