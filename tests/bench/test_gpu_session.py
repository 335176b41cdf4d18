"""`make gpu`: within its time, again from where it was, and a clear line where there is no GPU."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from ran.bench.catalogue import select
from ran.bench.gpu_session import Step, main, run_command, session, steps
from ran.errors import InputError
from ran.training.catalogue import load_recipe

TODO = (
    Step("tests", ("a",), 100.0, "tests.xml"),
    Step("bench", ("b",), 50.0, "bench"),
    Step("train", ("c",), None, "train"),
)


class Machine:
    """A clock, and commands that take so long; beyond their limit they are stopped."""

    def __init__(self, **takes: float) -> None:
        self.now, self.takes = 1000.0, takes
        self.ran: list[tuple[str, float]] = []
        self.status: dict[str, int] = {}

    def run(self, command: Sequence[str], log: Path, limit_s: float) -> int | None:
        (name,) = command
        self.ran.append((name, limit_s))
        self.now += min(self.takes[name], limit_s)
        log.write_text("one line\nthe last line\n\n")
        return self.status.get(name, 0) if self.takes[name] <= limit_s else None

    def session(self, out: Path, seconds: float = 540.0) -> dict[str, str]:
        found = session(out, TODO, seconds, self.run, lambda: self.now)
        return {outcome.name: outcome.state for outcome in found}


def test_training_has_the_time_that_is_left(tmp_path: Path) -> None:
    machine = Machine(a=80, b=30, c=1e6)
    assert machine.session(tmp_path) == {"tests": "done", "bench": "done", "train": "stopped"}
    assert machine.ran == [("a", 100.0), ("b", 50.0), ("c", 540 - 20 - 110)]
    assert machine.now <= 1000 + 540


def test_the_same_command_goes_on(tmp_path: Path) -> None:
    machine = Machine(a=80, b=60, c=1e6)
    assert machine.session(tmp_path) == {"tests": "done", "bench": "stopped", "train": "stopped"}
    again = Machine(a=80, b=40, c=100)
    assert again.session(tmp_path) == {"tests": "done", "bench": "done", "train": "done"}
    assert [name for name, _ in again.ran] == ["b", "c"]
    assert Machine().session(tmp_path) == dict.fromkeys(("tests", "bench", "train"), "done")


def test_a_step_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    machine = Machine(a=1, b=1, c=1)
    machine.status["a"] = 3
    assert machine.session(tmp_path) == {"tests": "failed", "bench": "done", "train": "done"}
    assert "exit status 3, see tests.log: the last line" in (tmp_path / "report.md").read_text()
    assert machine.session(tmp_path)["tests"] == "failed"
    assert [name for name, _ in machine.ran] == ["a", "b", "c", "a"]


def test_what_there_is_no_time_for_waits(tmp_path: Path) -> None:
    machine = Machine(a=80, b=30, c=10)
    assert machine.session(tmp_path, 90.0) == {"tests": "stopped", "bench": "waiting", "train": "waiting"}
    assert [row["state"] for row in json.loads((tmp_path / "steps.json").read_text())] == [
        "stopped",
        "waiting",
        "waiting",
    ]


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text("[{")
    with pytest.raises(InputError, match=r"steps.json: cannot be read"):
        Machine().session(tmp_path)


def test_commands_end_at_their_limit(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run_command([sys.executable, "-c", "print('said')"], log, 60.0) == 0
    assert run_command([sys.executable, "-c", "import sys; sys.exit(5)"], log, 60.0) == 5
    assert run_command([sys.executable, "-c", "import time; time.sleep(600)"], log, 0.05) is None
    assert "said" in log.read_text()


def test_the_steps_are_there(tmp_path: Path) -> None:
    names = [step.name for step in steps(tmp_path)]
    assert names == ["tests", "bench", "latency", "train"]
    rows, _ = select(["gpu"], has_cuda=True)
    assert rows
    assert load_recipe("pusch-large").name == "pusch-large"
    assert all(str(tmp_path) in " ".join(step.command) for step in steps(tmp_path))
    assert sum(step.limit_s or 0 for step in steps(tmp_path)) < 540
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "python -m ran.bench.gpu_session --out runs/gpu" in makefile


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_stops_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path / "gpu")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ran: error: --device: got 'cuda'")
    assert error.count("\n") == 1
    assert not (tmp_path / "gpu").exists()
