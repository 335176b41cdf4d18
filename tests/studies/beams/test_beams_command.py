"""`ran beams` from the command line to its files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from beam_cases import UMA, experiment
from killed import killed, rows
from paper_folder import check as check_paper

from ran.cli.main import main
from ran.errors import InputError
from ran.studies.beams.experiment import built_in_experiments, load
from ran.studies.beams.page import compared, write_results
from ran.studies.beams.run import run_experiment
from ran.studies.folder import load_jobs
from ran.studies.kind import results_in, study_kind

CLASSICAL = ["genie", "sweep", "hierarchical", "best-of-set-b", "interpolation", "kalman", "fingerprint"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))


def test_a_run_writes_its_figures_and_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = experiment(
        predictors=CLASSICAL,
        evaluation={"top_k": [1, 2, 4], "set_b_sizes": [4, 8], "set_b_patterns": ["fixed", "wide"], "speeds_kmh": [30]},
    ).resolved()
    file, out = tmp_path / "case.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(values))
    assert main(["beams", str(file), "--workers", "1", "--out", str(out)]) == 0
    assert "hierarchical" in capsys.readouterr().out
    found = json.loads((out / "beams.json").read_text())
    own = {r["predictor"]: r for r in found["results"][: len(CLASSICAL)]}
    assert own["genie"]["values"]["top1"]["value"] == 1
    assert own["sweep"]["num_beams"] == 32
    assert own["hierarchical"]["num_beams"] == 4 + 2 * 3
    refused = [r for r in found["results"] if "refusal" in r]
    assert {(r["predictor"], r["set_b"]["pattern"]) for r in refused} == {("kalman", "wide")}
    page = (out / "beams.html").read_text()
    figures = 3 + 2 * 2 + 2 + 2  # over K; top-1 and loss for two patterns; top-1 and failures over speed; calibration
    assert page.count("data-png=") == figures + 1  # and the pattern; a map has nothing to save
    assert page.count("<svg") == figures + 1 + len(CLASSICAL)  # the truth, and what all but the genie said
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert len(page) < 2e6
    before = (out / "beams.json").read_bytes()
    assert main(["beams", str(file), "--workers", "1", "--out", str(out)]) == 0
    assert (out / "beams.json").read_bytes() == before
    # what sweeps compare: the experiment's own setting, drop by drop
    kind = study_kind("beam study")
    rows = {row.of["predictor"]: row for row in kind.rows(results_in(kind, load_jobs(out), out)) if row.paired}
    assert set(rows) == set(CLASSICAL)
    assert [name for name, row in rows.items() if row.is_genie] == ["genie"]
    one, other = (rows[name].paired.of_drops for name in ("interpolation", "best-of-set-b"))
    gain = kind.comparison.gain(one, other[:10])
    assert gain.value == pytest.approx((one[:10] - other[:10]).mean())
    assert gain.num_units == 10
    # and from the store alone: no channel, no predictor, no drop
    monkeypatch.setattr("ran.studies.beams.sources.build_channel", None)
    monkeypatch.setattr("ran.studies.beams.outcome_jobs.build_predictor", None)
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "empty"))
    assert main(["report", str(out), "--out", str(tmp_path / "again"), "--paper"]) == 0
    figures = set(re.findall(r'data-png="([^"]+)"', page))
    assert {"top-k", "pattern"} <= figures
    check_paper(tmp_path / "again/paper", figures, out / "beams.csv")
    for name in ("beams.json", "beams.csv", "beams.html"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    assert not (tmp_path / "empty").exists()


@pytest.mark.slow
def test_killed_three_times_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = {"top_k": [1, 2], "set_b_sizes": [4, 8], "set_b_patterns": ["fixed", "wide"], "speeds_kmh": [30]}
    values = experiment(predictors=CLASSICAL, channel=UMA, evaluation=evaluation, num_drops=70).resolved()
    file, out, whole = tmp_path / "case.yaml", tmp_path / "killed", tmp_path / "whole"
    file.write_text(yaml.safe_dump(values))
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    command = ["beams", str(file), "--workers", "2", "--out", str(out)]
    killed(["-m", "ran.cli.main", *command], out, more=3)
    assert main(command) == 0
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "another"))
    assert main(["beams", str(file), "--workers", "1", "--out", str(whole)]) == 0
    assert rows(out) == rows(whole)
    for name in ("beams.csv", "beams.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_other_predictors_and_settings_go_on_in_the_folder(tmp_path: Path) -> None:
    values = {"predictors": ["genie", "sweep"], "evaluation": {"top_k": [1, 2]}}
    run_experiment(experiment(**values), tmp_path, workers=1)
    before = dict(rows(tmp_path))
    values = {"predictors": ["fingerprint", "sweep"], "evaluation": {"top_k": [1, 2], "set_b_sizes": [4, 8]}}
    more = run_experiment(experiment(**values), tmp_path, workers=1)
    after = dict(rows(tmp_path))
    # the sweep in the experiment's own setting was there; the genie's stays
    assert before.items() < after.items()
    assert len(after) - len(before) == 3
    alone = run_experiment(experiment(**values))
    assert [r.values for r in more.results] == [r.values for r in alone.results]
    with pytest.raises(InputError, match="holds a beam study of a different experiment: seed is 1 there and 2 here"):
        run_experiment(experiment(**values, seed=2), tmp_path, workers=1)


def test_no_method_is_better_than_the_best_beam_and_the_sweep_is_close_to_it() -> None:
    results = run_experiment(experiment(predictors=CLASSICAL, radio={"quantised": False}))
    values = {r.predictor: r.values for r in results.results}
    for name, found in values.items():
        assert found["loss_db_k1"].value >= 0, name
        assert found["rate_mbps_k1"].value <= results.ideal_mbps + 1e-9, name
        assert values["sweep"]["loss_db_k1"].value <= found["loss_db_k1"].value + 1e-9 or name == "genie"
    assert values["genie"]["loss_db_k1"].value == 0
    assert values["sweep"]["loss_db_k1"].value < 0.02


def test_half_the_measurements_in_time_are_compared_over_the_same_drops(tmp_path: Path) -> None:
    timing = {"period_ms": 40.0, "num_observed": 4, "horizon_ms": [40.0, 80.0]}
    evaluation = {"top_k": [1, 2], "measured_every": [2, 3]}
    names = ["genie", "last-beam", "kalman"]
    results = run_experiment(experiment(predictors=names, timing=timing, evaluation=evaluation, speed_kmh=60))
    assert [setting.title for setting in results.settings] == [
        "8 fixed, 60 km/h", "8 fixed, 60 km/h, every 2nd measurement", "8 fixed, 60 km/h, every 3rd measurement",
    ]  # fmt: skip
    full, half = (results.of(setting)[1] for setting in results.settings[:2])
    # the last report of a fixed Set B decides: the same with half of them, for half the overhead
    assert half.against_own["top1"].value == half.against_own["loss_db_k1"].value == 0
    assert half.values["overhead_k1"].value == pytest.approx(full.values["overhead_k1"].value / 2)
    page = write_results(results, tmp_path).read_text()
    assert "Settings, on common random numbers" in page
    assert "8 fixed, every 120 ms" in page
    # two predictors, three settings: settings are rows; four predictors: columns
    top1 = compared(results)[0]
    assert top1["columns"] == ["last-beam", "kalman"]
    assert [row["title"] for row in top1["rows"]] == [f"8 fixed, every {every} ms" for every in (40, 80, 120)]
    assert top1["rows"][1]["cells"][0]["interval"] == "the same"
    more = ["best-of-set-b", "interpolation", *names]
    wide = run_experiment(experiment(predictors=more, timing=timing, evaluation=evaluation, speed_kmh=60))
    turned = compared(wide)[0]
    assert turned["columns"] == [row["title"] for row in top1["rows"]]
    assert [row["title"] for row in turned["rows"]] == ["best-of-set-b", "interpolation", "last-beam", "kalman"]
    assert turned["rows"][2]["cells"] == [row["cells"][0] for row in top1["rows"]]


def test_pairs_of_transmit_and_receive_beams_run_as_shipped() -> None:
    few = ["num_drops=4", "num_fit_drops=4", "evaluation.set_b_sizes=[16, 32]", "evaluation.top_k=[1, 4]"]
    shipped = load("beams-uma-30ghz-pairs", few)
    results = run_experiment(shipped)
    own = {result.predictor: result for result in results.of(results.settings[0])}
    assert own["sweep"].num_beams == 64 * 8
    assert own["sweep"].values["loss_db_k1"].value <= own["best-of-set-b"].values["loss_db_k1"].value
    assert own["genie"].values["top1"].value == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["beams-uma"], "did you mean 'beams-uma-30ghz', 'beams-uma-30ghz-half-rate'"),
        (["beams-uma-30ghz", "--set", "predictors=[hierarchicl]"], "did you mean 'hierarchical'?"),
        (["beams-uma-30ghz", "--set", "set_b.size=65"], "inside Set A"),
        (["beams-uma-30ghz", "--set", "predictors=[{name: hierarchical, num_wide: 5}]"], "num_wide: got 5"),
        (["beams-uma-30ghz", "--set", "predictors=[{name: sweep, depth: 2}]"], "unknown option of 'sweep'"),
    ],
)
def test_bad_input_is_one_line_and_status_two(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--set", "num_drops=2", "--set", "num_fit_drops=2", "--workers", "1", "--out", str(tmp_path / "out")]
    assert main(["beams", *arguments, *few]) == 2
    assert not (tmp_path / "out").exists()
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("ran: error: ")]
    assert len(lines) == 1
    assert words in lines[0]


def test_every_shipped_experiment_is_read() -> None:
    for name in built_in_experiments():
        assert load(name).description
