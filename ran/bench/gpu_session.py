"""Everything that needs a GPU, in one go and within minutes: `make gpu` where a GPU is at hand for a short time.

Tests with the mark `gpu`, the rows of the bench for a GPU, latency of models, and for the time that is left the
training of the large receiver. Steps that are done are not done again, training goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ran.errors import InputError
from ran.sim.device import checked_device
from ran.sim.files import write_text

#: All steps together, on one call.
SECONDS = 540.0
#: Kept for writing what came out, and for a step that is stopped to end by itself.
_MARGIN_S = 20.0
_GRACE_S = 10.0


@dataclass(frozen=True)
class Step:
    """A command with a limit in seconds; None for all that is left. folder: what it writes, within the session's."""

    name: str
    command: tuple[str, ...]
    limit_s: float | None
    folder: str


@dataclass(frozen=True)
class Outcome:
    """How a step ended. state: done, failed, stopped (by its limit) or waiting (there was no time)."""

    name: str
    state: str
    seconds: float
    detail: str = ""


def steps(out: Path) -> tuple[Step, ...]:
    """In the order in which they are worth most."""
    python = sys.executable
    ran = (python, "-m", "ran.cli.main")
    tests = (python, "-m", "pytest", "-n", "0", "-m", "gpu", "-q", "--color=no", f"--junitxml={out / 'tests.xml'}")
    models = ("lmmse", "blind", "pusch-realtime", "pusch-large")
    sizes = ("--num-prb", "51", "--num-prb", "273")
    latency = (*ran, "bench", "latency", *models, *sizes, "--slots", "500", "--device", "cuda")
    return (
        Step("tests", tests, 150.0, "tests.xml"),
        Step("bench", (*ran, "bench", "gpu", "--quick", "--out", str(out / "bench")), 120.0, "bench"),
        Step("latency", (*latency, "--out", str(out / "latency")), 90.0, "latency"),
        Step("train", (*ran, "train", "pusch-large", "--device", "cuda", "--out", str(out / "train")), None, "train"),
    )


#: Runs a command with its output in a file, for so many seconds at most; its exit status, None where it was stopped.
Run = Callable[[Sequence[str], Path, float], int | None]


def run_command(command: Sequence[str], log: Path, limit_s: float) -> int | None:
    """Interrupt it at its limit, as Ctrl-C would; it is killed when that does not end it."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            return None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def session(
    out: Path,
    todo: Sequence[Step],
    seconds: float,
    run: Run = run_command,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = lambda text: None,
) -> list[Outcome]:
    """Do what is not done yet, in order, within `seconds`; what came out is in steps.json and report.md of `out`."""
    out.mkdir(parents=True, exist_ok=True)
    until = clock() + seconds - _MARGIN_S
    before = {outcome.name: outcome for outcome in earlier(out)}
    outcomes: list[Outcome] = []
    for number, step in enumerate(todo):
        known = before.get(step.name)
        left = until - clock()
        if known is not None and known.state == "done":
            outcome = known
        elif left <= 0:
            outcome = known or Outcome(step.name, "waiting", 0.0, "no time was left")
        else:
            limit = left if step.limit_s is None else min(step.limit_s, left)
            say(f"{step.name}: at most {limit:.0f} s")
            began = clock()
            status = run(step.command, out / f"{step.name}.log", limit)
            outcome = _outcome(step, status, clock() - began, out)
        say(f"{step.name}: {outcome.state}" + (f" ({outcome.detail})" if outcome.detail else ""))
        outcomes.append(outcome)
        rest = [before.get(s.name, Outcome(s.name, "waiting", 0.0)) for s in todo[number + 1 :]]
        _write(out, [*outcomes, *rest])
    return outcomes


def earlier(out: Path) -> list[Outcome]:
    """What an earlier call left in `out`."""
    file = out / "steps.json"
    try:
        return [Outcome(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error}; allowed: what an earlier call wrote, or none") from None


def _outcome(step: Step, status: int | None, seconds: float, out: Path) -> Outcome:
    if status is None:
        return Outcome(step.name, "stopped", seconds, f"after {seconds:.0f} s; the same command goes on")
    if status == 0:
        return Outcome(step.name, "done", seconds, step.folder)
    return Outcome(step.name, "failed", seconds, f"exit status {status}, see {step.name}.log: {_last_line(out, step)}")


def _last_line(out: Path, step: Step) -> str:
    log = out / f"{step.name}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was printed")[:200]


def _write(out: Path, outcomes: Sequence[Outcome]) -> None:
    write_text(out / "steps.json", json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    rows = [f"| {o.name} | {o.state} | {o.seconds:.0f} | {o.detail} |" for o in outcomes]
    table = ["| step | state | seconds | |", "|---|---|---:|---|", *rows]
    write_text(out / "report.md", "\n".join(["# What was run on the GPU", "", *table]) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nothing failed, 1 when a step did, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m ran.bench.gpu_session", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder for everything that comes out")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all steps together")
    given = parser.parse_args(arguments)
    try:
        checked_device("cuda")
        found = session(given.out, steps(given.out), given.seconds, say=lambda text: print(text, flush=True))
    except InputError as error:
        print(f"ran: error: {error}", file=sys.stderr)
        return 2
    print(f"written: {given.out / 'report.md'}")
    return int(any(outcome.state == "failed" for outcome in found))


if __name__ == "__main__":
    sys.exit(main())
