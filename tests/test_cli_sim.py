"""`ran sim` on the real link, from the command line to the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from ran.cli.main import main
from ran.sim.experiment import load
from ran.sim.identity import replay_key
from ran.sim.results import load_results

EXPERIMENT = """\
description: four resource blocks, quick to simulate
carrier: {num_prb: 4}
pusch: {mcs_index: 4}
channel: rayleigh-block
receivers: [perfect-csi, ls-linear]
num_rx_ant: 2
esn0_db: [-2, 2]
stopping: {min_block_errors: 10, max_slots: 150}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "small.yaml").write_text(EXPERIMENT)
    assert main(["sim", str(folder / "small.yaml"), "--out", str(folder / "run"), "--workers", "1"]) == 0
    return folder


def test_run_folder(finished: Path) -> None:
    names = {path.name for path in (finished / "run").iterdir()}
    assert {"experiment.yaml", "results.sqlite", "results.csv", "report.html", "bler.png", "throughput.png"} <= names
    results = load_results(finished / "run")
    assert results.genie_receivers == {"perfect-csi"}
    bler = {(p.receiver, p.esn0_db): p.bler for p in results.points}
    assert 0 < bler["perfect-csi", 2.0] < bler["perfect-csi", -2.0] < 1
    assert bler["perfect-csi", -2.0] <= bler["ls-linear", -2.0]


def test_workers_and_chunks_change_nothing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sim", str(finished / "small.yaml"), "--out", str(finished / "other")]
    assert main([*arguments, "--workers", "2", "--chunk-slots", "64"]) == 0
    assert (finished / "other" / "results.csv").read_bytes() == (finished / "run" / "results.csv").read_bytes()
    out = capsys.readouterr().out
    assert "perfect-csi (genie)" in out
    assert f"report: {finished / 'other' / 'report.html'}" in out


def test_the_resolved_experiment_is_the_same_run(finished: Path) -> None:
    before = (finished / "run" / "results.csv").read_bytes()
    resolved = finished / "run" / "experiment.yaml"
    assert main(["sim", str(resolved), "--out", str(finished / "run"), "--workers", "1"]) == 0
    assert (finished / "run" / "results.csv").read_bytes() == before


def test_report_over_two_runs(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = finished / "both"
    assert main(["report", str(finished / "run"), str(finished / "run"), "--out", str(page)]) == 0
    assert (page / "report.html").is_file()
    assert f"report: {page / 'report.html'}" in capsys.readouterr().out


def test_replay(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = load(finished / "small.yaml")
    results = load_results(finished / "run")
    point = next(p for p in results.points if p.receiver == "ls-linear" and p.esn0_db == -2)
    drop = int(point.block_errors_per_drop.argmax())
    key = replay_key(experiment, -2.0, drop)
    assert main(["sim", str(finished / "small.yaml"), "--replay", key]) == 0
    out = capsys.readouterr().out
    assert f"drop {drop} at Es/N0 -2 dB" in out
    assert "ls-linear: 1 block errors" in out
