"""Studies of jobs: the same results whatever the workers, the order, interruptions and damage."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import counting_jobs
import numpy as np
import pytest
from counting_jobs import Counter, Request, run
from killed import killed, rows

from ran.cli.main import main
from ran.errors import InputError
from ran.sim.executor import Pool, RunStopped, WorkerCrashed
from ran.sim.in_process import InThisProcess
from ran.sim.store import Store
from ran.studies.job import Arrays, Job, Results
from ran.studies.jobs import JobStatus, Plan, run_jobs

PROGRAM = Path(counting_jobs.__file__)


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.status: list[JobStatus] = []

    def say(self, text: str) -> None:
        self.texts.append(text)

    def update(self, status: JobStatus) -> None:
        self.status.append(status)


class Disorder(InThisProcess[Job, Results]):
    """Several jobs at a time, answered in any order. jobs: what it was asked for."""

    workers = 3

    def __init__(self, request: Request) -> None:
        super().__init__(Counter(request).work)
        self.jobs: list[Job] = []
        self._random = random.Random(1)

    def submit(self, work: Job) -> None:
        self.jobs.append(work)
        super().submit(work)

    def wait(self, timeout_s: float | None) -> list[tuple[Job, Results]]:
        self._random.shuffle(self._waiting)
        return super().wait(timeout_s)


def same(found: dict[str, Arrays], expected: dict[str, Arrays]) -> bool:
    return found.keys() == expected.keys() and all(
        found[key].keys() == expected[key].keys()
        and all(
            found[key][name].dtype == values.dtype and np.array_equal(found[key][name], values)
            for name, values in expected[key].items()
        )
        for key in expected
    )


def test_workers_and_order_change_nothing(tmp_path: Path) -> None:
    alone = run(None)
    assert any(key.startswith("small") for key in alone)
    assert len(alone) > 16
    executor, heard = Disorder(Request()), Heard()
    assert same(run(tmp_path / "here"), alone)
    assert same(run(tmp_path / "disorder", executor=executor, listener=heard), alone)
    assert rows(tmp_path / "here") == rows(tmp_path / "disorder")
    assert len(executor.jobs) == len({job.keys for job in executor.jobs})
    assert heard.status[0].done == 0
    assert max(status.done for status in heard.status) == len(executor.jobs) - 1
    # nothing is done twice, and what is stored is what was made
    again = Disorder(Request())
    assert same(run(tmp_path / "here", executor=again), alone)
    assert again.jobs == []


def test_more_of_the_same_study_goes_on(tmp_path: Path) -> None:
    run(tmp_path, Request(count=4))
    more = Disorder(Request())
    assert same(run(tmp_path, executor=more), run(None))
    assert {job.work for job in more.jobs if job.work < 1000} == {4, 5, 6, 7}


@pytest.mark.parametrize(("workers", "times"), [(1, 1), pytest.param(2, 3, marks=pytest.mark.slow)])
def test_killed_and_resumed(tmp_path: Path, workers: int, times: int) -> None:
    whole = run(tmp_path / "whole")
    out = tmp_path / "killed"
    stored = killed([str(PROGRAM), str(out), str(workers), "0.2"], out, times)
    executor = Disorder(Request())
    assert same(run(out, executor=executor), whole)
    assert rows(out) == rows(tmp_path / "whole")
    assert len(executor.jobs) <= len(whole) - stored


def test_damaged_rows_are_named_and_made_again(tmp_path: Path) -> None:
    whole = run(tmp_path)
    before = rows(tmp_path)
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("UPDATE jobs SET result = substr(result, 1, 40) || x'ff' || substr(result, 42) WHERE rowid = 3")
        db.execute("UPDATE jobs SET key = 'other' WHERE rowid = 5")
    heard, executor = Heard(), Disorder(Request())
    assert same(run(tmp_path, listener=heard, executor=executor), whole)
    assert rows(tmp_path) == before
    assert [job.work for job in executor.jobs] == [1, 2]
    assert (
        sum("damaged: row 3 of jobs" in text or "damaged: row 5 of jobs (other)" in text for text in heard.texts) == 2
    )
    assert (tmp_path / "results.damaged-1.sqlite").exists()


def test_status_says_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopping = Request(fail=(3, "stop"))
    with pytest.raises(RunStopped):
        run(tmp_path, stopping)
    assert main(["status", str(tmp_path)]) == 0
    assert "counting study: 6 results stored, at least 5 jobs left" in capsys.readouterr().out
    run(tmp_path)
    assert main(["status", str(tmp_path)]) == 0
    assert f"counting study: {len(rows(tmp_path))} results stored, complete" in capsys.readouterr().out
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    whole = run(tmp_path)
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("ALTER TABLE jobs RENAME TO jobz")
    heard = Heard()
    assert same(run(tmp_path, listener=heard), whole)
    assert any("the table of jobs is missing" in text for text in heard.texts)


def test_lost_identity_mixes_nothing(tmp_path: Path) -> None:
    """Keys name it as well."""
    run(tmp_path, Request(seed=2))
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("DELETE FROM meta WHERE key = 'jobs_identity'")
    assert same(run(tmp_path), run(None))


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "a")
    before = (tmp_path / "a" / "results.sqlite").read_bytes()
    with pytest.raises(InputError, match="a counting study of a different experiment: seed is 1 there and 2 here"):
        run(tmp_path / "a", Request(seed=2))
    assert (tmp_path / "a" / "results.sqlite").read_bytes() == before
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "page.html").write_text("of an earlier version")
    run(tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thesis.txt").write_text("keep me")
    with pytest.raises(InputError, match=r"holds 'thesis\.txt'"):
        run(tmp_path / "c")
    store = Store.create(tmp_path / "d.sqlite", {"study": "sweep"})
    store.close()
    (tmp_path / "d").mkdir()
    (tmp_path / "d.sqlite").rename(tmp_path / "d" / "results.sqlite")
    with pytest.raises(InputError, match="holds a sweep"):
        run(tmp_path / "d")


@pytest.mark.parametrize(
    ("what", "error", "text"),
    [
        ("stop", RunStopped, "non-finite numbers in job 3"),
        pytest.param("refuse", InputError, "job: got 3; allowed: others", marks=pytest.mark.slow),
        pytest.param("crash", WorkerCrashed, "ZeroDivisionError: a bug", marks=pytest.mark.slow),
    ],
)
def test_failures_of_a_process_reach_the_caller(
    tmp_path: Path, what: str, error: type[Exception], text: str, request: pytest.FixtureRequest
) -> None:
    failing = Request(fail=(3, what))
    program = counting_jobs.study(failing).program
    with Pool[Job, Results](program, 1) as pool, pytest.raises(error, match=text):
        run(tmp_path, failing, executor=pool)
    # what was done before is stored
    executor = Disorder(Request())
    run(tmp_path, executor=executor)
    assert {job.work for job in executor.jobs if job.work < 1000} == set(range(3, 8))


def test_many_jobs_are_not_looked_through_after_each(tmp_path: Path) -> None:
    study, asked = counting_jobs.study(Request(count=60)), [0, 0]

    def counted(number: int) -> Plan:
        def plan(known: Results) -> Iterable[Job]:
            asked[number] += 1
            return study.stages[number](known)

        return plan

    executor = Disorder(Request(count=60))
    run_jobs(replace(study, stages=(counted(0), counted(1))), tmp_path, executor=executor)
    assert len(executor.jobs) > 60
    assert max(asked) < 10


def other_seed(request: Request) -> dict[str, int]:
    return {"seed": 7}


@pytest.mark.cluster
def test_a_cluster_brings_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    # workers find the study, as those of a real cluster find what is installed there
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PROGRAM.parent), os.environ.get("PYTHONPATH", "")]))
    from ran.sim.cluster import ClusterPool

    program = counting_jobs.study(Request()).program
    with ClusterPool[Job, Results](program, 2, "local") as pool:
        assert same(run(tmp_path / "there", executor=pool), run(None))
        assert rows(tmp_path / "there") == rows_of_a_run_here(tmp_path)
    with ClusterPool[Job, Results](program, 1, "local") as pool:
        pool._program = replace(program, named=other_seed)  # what this machine expects
        with pytest.raises(InputError, match="has other files or another version: seed is 1 there and 7 here"):
            run(tmp_path / "differs", executor=pool)


def rows_of_a_run_here(tmp_path: Path) -> list[tuple[str, bytes]]:
    run(tmp_path / "here")
    return rows(tmp_path / "here")
