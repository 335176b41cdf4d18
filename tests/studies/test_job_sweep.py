"""Sweeps over experiments of studies made of jobs, and reports that are made from the store alone."""

from __future__ import annotations

import csv
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import yaml
from killed import killed, rows
from scipy.stats import t

from ran.cli.main import main
from ran.errors import InputError
from ran.sim.in_process import InThisProcess
from ran.stats import student_half_widths
from ran.studies.csi import feedback_jobs
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.feedback_jobs import Block, CsiWorker
from ran.studies.csi.run import run_experiment
from ran.studies.folder import kind_of
from ran.studies.job import Job, Results
from ran.studies.job_sweep.page import as_csv
from ran.studies.job_sweep.run import JobSweep, load_any, results_of, study_of, widest_first
from ran.studies.jobs import Silent, run_jobs
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
    # in the frame of all pages, with its figure
    assert 'data-png="sweep"' in page
    assert "Command, machine and versions that wrote this page" in page
    for name in ("sweep.svg", "sweep.png"):
        assert Path("out", name).stat().st_size > 5000
    # in the frame of all pages, with its figure
    assert 'data-png="sweep"' in page
    assert "Command, machine and versions that wrote this page" in page
    for name in ("sweep.svg", "sweep.png"):
        assert Path("out", name).stat().st_size > 5000
    # another combination joins: of the rest nothing is computed again
    once, worked = CsiWorker.work, []
    monkeypatch.setattr(CsiWorker, "work", lambda self, job: worked.append(job.work) or once(self, job))
    file = written(grid={"speed_kmh": [3, 60, 120], "num_drops": [8]})
    assert main(["csi", file, "--out", "out", "--workers", "1"]) == 0
    assert worked == [Block(0, 8, (0, 1))]


def test_gains_are_paired_on_the_same_drops() -> None:
    """Within a combination over its first, and of combinations that share their drops over the first of all."""
    transform = {"name": "transform", "num_bits": 16}
    file = written(grid={"feedback": [["ideal", "type-one"], [transform]], "speed_kmh": [3, 60]})
    assert main(["csi", file, "--out", "out", "--workers", "1"]) == 0
    found = json.loads(Path("out/sweep.json").read_text())["rows"]
    assert len(found) == 2 * 2 + 2
    for speed in (3, 60):
        own = {row["feedback"]: row for row in found if row["values"]["speed_kmh"] == speed}
        assert own["type-one"]["reason"] == "reference"
        values = {**CSI, "speed_kmh": speed, "feedback": ["ideal", "type-one", transform]}
        together = run_experiment(CsiExperiment.model_validate(values), None)
        figures = {o.title: o.figures["sgcs"] for o in together.outcomes}
        for title in ("ideal", "transform 16"):
            assert own[title]["over"] == "type-one"
            difference = figures[title] - figures["type-one"]
            half = t.ppf(0.975, 31) * difference.std(ddof=1) / math.sqrt(32)
            expected = [difference.mean(), difference.mean() - half, difference.mean() + half]
            assert own[title]["gain"] == pytest.approx(expected, abs=2e-6)
    page = Path("out/sweep.html").read_text()
    assert "Gain in SGCS over type-one" in page
    assert "transform 16 against type-one, SGCS in 2 combinations" in page


def test_other_drops_are_not_compared() -> None:
    file = written(grid={"speed_kmh": [3, 60]})
    assert main(["csi", file, "--set", "feedback=[type-one]", "--out", "out", "--workers", "1"]) == 0
    found = json.loads(Path("out/sweep.json").read_text())["rows"]
    assert {row["reason"] for row in found} == {"nothing with common random numbers"}
    assert "Paired gains" not in Path("out/sweep.html").read_text()


def test_the_least_certain_combination_comes_first() -> None:
    jobs = {name: [Job((f"{name}{i}",), None) for i in range(3)] for name in "abcd"}
    found = widest_first([(1.5, jobs["a"]), (math.inf, jobs["b"][:2]), (4.0, jobs["c"]), (math.inf, jobs["d"])])
    assert [job.keys[0] for job in found] == ["b0", "d0", "b1", "d1", "d2", "c0", "c1", "c2", "a0", "a1", "a2"]


class Watched(InThisProcess[Job, Results]):
    """Does jobs one by one; remembers the combination of each, and what was known of all before it."""

    def __init__(self, study_work, parts: int) -> None:  # type: ignore[no-untyped-def]
        super().__init__(study_work)
        self.sgcs: list[list[np.ndarray]] = [[] for _ in range(parts)]
        self.done: list[tuple[int, list[np.ndarray]]] = []

    def wait(self, timeout_s: float | None) -> list[tuple[Job, Results]]:
        found = super().wait(timeout_s)
        for job, results in found:
            assert job.work.job.work.number == len(self.sgcs[job.work.part])  # in order
            self.done.append((job.work.part, [student_half_widths(parts) for parts in self.sgcs]))
            self.sgcs[job.work.part].append(next(iter(results.values()))["sgcs"])
        return found


class Shuffled(InThisProcess[Job, Results]):
    """Several jobs at a time, done in any order."""

    workers = 3

    def wait(self, timeout_s: float | None) -> list[tuple[Job, Results]]:
        random.Random(len(self._waiting)).shuffle(self._waiting)
        return super().wait(timeout_s)


def test_jobs_go_where_the_interval_is_widest() -> None:
    """And the same drops count, whoever did how many."""
    goal = 0.016
    more = {"num_drops": 640, "feedback": ["type-one"], "stopping": {"sgcs_half_width": goal}}
    Path("case.yaml").write_text(yaml.safe_dump({**CSI, **more, "sweep": {"grid": {"num_layers": [1, 2]}}}))
    kind, sweep = study_kind("CSI study"), load_any("CSI study", "case.yaml")
    assert kind is not None
    study = study_of(kind, sweep, Silent())
    watched = Watched(study.worker().work, 2)
    known = run_jobs(study, Path("out"), executor=watched)
    assert len(watched.done) < 2 * 20  # the rule stopped it
    told = 0
    for number, (part, widths) in enumerate(watched.done):
        if min(map(len, widths)) < 2 or any((own[1:] <= goal).any() for own in widths):
            continue  # without an interval they take turns; of one that is done there is nothing left
        looks = [widths, watched.done[number - 1][1]]  # the order is made anew for every second job
        assert part in {int(np.argmax([own[-1] for own in look])) for look in looks}
        told += part != watched.done[number - 1][0]
    assert told  # they were not done one after the other
    again = run_jobs(study, Path("shuffled"), executor=Shuffled(study.worker().work))
    tables = [as_csv(results_of(kind, study.described, results)) for results in (known, again)]
    assert tables[0] == tables[1]


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


@pytest.mark.cluster
def test_a_cluster_brings_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """`ran csi` and a sweep of it with a stopping rule, by its jobs on Ray's workers, and in this process."""
    Path("one.yaml").write_text(yaml.safe_dump({**CSI, "num_drops": 96}))
    more = ["--set", "num_drops=256", "--set", "stopping.sgcs_half_width=0.04"]
    sweep = written(grid={"speed_kmh": [3, 60], "num_layers": [1, 2]})
    for name, command in (("one", ["csi", "one.yaml"]), ("sweep", ["csi", sweep, *more])):
        assert main([*command, "--cluster", "local", "--workers", "2", "--out", f"{name}-there"]) == 0
        assert main([*command, "--workers", "1", "--out", f"{name}-here"]) == 0
        for file in ("csi.csv",) if name == "one" else ("sweep.csv", "sweep.json"):
            assert Path(f"{name}-there", file).read_bytes() == Path(f"{name}-here", file).read_bytes()
    assert rows(Path("one-there")) == rows(Path("one-here"))
    # what is stored by both is the same, whichever of it the rule needed
    here, there = dict(rows(Path("sweep-here"))), dict(rows(Path("sweep-there")))
    shared = here.keys() & there.keys()
    assert len(shared) >= 4 * 2 * 2
    assert all(here[key] == there[key] for key in shared)
    capsys.readouterr()
