"""Sweeps over experiments of studies made of jobs, and reports that are made from the store alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from killed import killed, rows

from ran.cli.main import main
from ran.errors import InputError
from ran.studies.csi import feedback_jobs
from ran.studies.csi.feedback_jobs import Block, CsiWorker
from ran.studies.folder import kind_of
from ran.studies.job_sweep.run import JobSweep, load_any
from ran.studies.kind import kinds, study_kind

CSI = {
    "name": "small",
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "band": {"num_prb": 24, "subband_size": 4},
    "feedback": ["ideal", "type-one"],
    "throughput": {"num_users": [1], "snr_db": [10]},
    "num_drops": 32,
    "num_fit_drops": 64,
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("ran.studies.csi.world._BLOCKS_PER_FILE", 1)
    monkeypatch.chdir(tmp_path)


def written(**sweep: object) -> str:
    Path("case.yaml").write_text(yaml.safe_dump({**CSI, "sweep": sweep}, sort_keys=False))
    return "case.yaml"


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_kind_is_found_by_its_name() -> None:
    for name in kinds():
        kind = study_kind(name)
        assert kind is not None
        assert kind.name == name
    assert study_kind("counting study") is None


def test_a_sweep_is_one_folder_with_a_report_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(grid={"speed_kmh": [3, 60], "num_drops": [8, 40]})
    assert main(["csi", file, "--out", "out", "--workers", "1"]) == 0
    assert "4 of 4 combinations" in capsys.readouterr().out
    assert kind_of(Path("out")) == "sweep of a CSI study"
    found = table(Path("out/sweep.csv"))
    assert {(row["speed_kmh"], row["num_drops"]) for row in found} == {
        (speed, drops) for speed in ("3", "60") for drops in ("8", "40")
    }
    # each is what it is alone, down to its page
    Path("alone.yaml").write_text(yaml.safe_dump({**CSI, "speed_kmh": 60, "num_drops": 40}))
    assert main(["csi", "alone.yaml", "--out", "alone", "--workers", "1"]) == 0
    own = Path("out/speed_kmh=60_num_drops=40")
    assert (own / "csi.csv").read_bytes() == Path("alone/csi.csv").read_bytes()
    assert (own / "csi.html").read_bytes() == Path("alone/csi.html").read_bytes()
    page = Path("out/sweep.html").read_text()
    assert 'href="speed_kmh=60_num_drops=40/csi.html"' in page
    assert "SGCS" in page
    # another combination joins: of the rest nothing is computed again
    once, worked = CsiWorker.work, []
    monkeypatch.setattr(CsiWorker, "work", lambda self, job: worked.append(job.work) or once(self, job))
    file = written(grid={"speed_kmh": [3, 60, 120], "num_drops": [8]})
    assert main(["csi", file, "--out", "out", "--workers", "1"]) == 0
    assert worked == [Block(0, 8, (0, 1))]


def test_what_combinations_share_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    transform = [{"name": "transform", "label": f"transform {bits}", "num_bits": bits} for bits in (8, 16)]
    file = written(grid={"feedback": [["ideal", transform[0]], [transform[0], transform[1]]]})
    once, worked = CsiWorker.work, []
    monkeypatch.setattr(CsiWorker, "work", lambda self, job: worked.append(job.work) or once(self, job))
    assert main(["csi", file, "--out", "out", "--workers", "1"]) == 0
    assert sum(isinstance(work, feedback_jobs.TrainingDrops) for work in worked) == 2
    stored = len(rows(Path("out")))
    assert stored == 3  # three points, each of one block
    found = table(Path("out/sweep.csv"))
    shared = [row["value"] for row in found if row["feedback"] == "transform 8 8" and row["figure"] == "sgcs"]
    assert len(shared) == 2
    assert len(set(shared)) == 1


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"grid": {"panel.n1": [4, 5]}}, "sweep, n1 5: panel"),
        ({"grid": {"panel.n3": [4]}}, "panel.n3: unknown"),
        ({"grid": {"feedback": [["ideal"], ["type-too"]]}}, "feedback type-too: feedback.0.name: got 'type-too'"),
        ({"grid": {"num_drops": [8, 8]}}, "sweep: got 'num_drops 8' twice"),
    ],
)
def test_bad_sweeps_are_one_line(sweep: dict[str, object], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["csi", written(**sweep), "--out", "out", "--workers", "1"]) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]
    assert not Path("out").exists()


def test_other_kinds_take_sweeps() -> None:
    Path("adapt.yaml").write_text(
        "name: small\nchannel: {name: tdl, profile: A}\nreceivers: [ls-linear]\nesn0_db: [4]\n"
        "sweep: {grid: {channel.max_doppler_hz: [20, 100], num_rx_ant: [2, 4]}}\n"
    )
    sweep = load_any("link adaptation study", "adapt.yaml")
    assert isinstance(sweep, JobSweep)
    assert [(p.experiment.num_rx_ant, p.experiment.channel.block()["max_doppler_hz"]) for p in sweep.parts] == [
        (2, 20), (4, 20), (2, 100), (4, 100),
    ]  # fmt: skip
    sizes = load_any("beam study", "beams-uma-30ghz", ["sweep={grid: {set_b.size: [4, 8]}}"])
    assert [part.experiment.set_b.size for part in sizes.parts] == [4, 8]
    with pytest.raises(InputError, match=r"set_b\.size"):
        load_any("beam study", "beams-uma-30ghz", ["sweep={grid: {set_b.size: [4, 4000]}}"])


def test_reports_of_unfinished_studies(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    once = CsiWorker.work

    def killed_in_the_second(self: CsiWorker, job: object) -> object:
        if self.world.experiment.speed_kmh == 60:
            raise KeyboardInterrupt
        return once(self, job)

    monkeypatch.setattr(CsiWorker, "work", killed_in_the_second)
    file = written(grid={"speed_kmh": [3, 60]})
    assert main(["csi", file, "--out", "out", "--workers", "1"]) != 0
    assert main(["csi", file, "--out", "one", "--workers", "1", "--set", "sweep={list: [{speed_kmh: 60}]}"]) != 0
    capsys.readouterr()
    assert main(["report", "out"]) == 0
    assert "1 of 2 combinations" in capsys.readouterr().out
    assert "speed_kmh 60: not complete" in Path("out/sweep.html").read_text()
    Path("alone.yaml").write_text(yaml.safe_dump({**CSI, "speed_kmh": 60}))
    assert main(["csi", "alone.yaml", "--out", "alone", "--workers", "1"]) != 0
    capsys.readouterr()
    assert main(["report", "alone"]) == 2
    assert "alone: the CSI study is not complete" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_is_killed_three_times_and_resumed() -> None:
    """Three predictors' options by three speeds, two workers, against one worker that was left alone."""
    feedback = [["ideal"], ["type-one"], [{"name": "transform", "num_bits": 16}]]
    file = written(grid={"feedback": feedback, "speed_kmh": [3, 30, 120]})
    command = ["csi", file, "--set", "num_drops=192", "--workers"]
    killed(["-m", "ran.cli.main", *command, "2", "--out", "out"], Path("out"), 3, 4)
    assert main([*command, "2", "--out", "out"]) == 0
    assert main([*command, "1", "--out", "whole"]) == 0
    assert rows(Path("out")) == rows(Path("whole"))
    for name in ("sweep.csv", "sweep.html"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
    assert np.unique([row["speed_kmh"] for row in table(Path("out/sweep.csv"))]).tolist() == ["120", "3", "30"]
