"""The progress line: what it says, and how it behaves where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ran.cli import progress
from ran.sim.run import PointStatus, Status

STATUS = Status(
    esn0_db=4.0,
    receivers=(PointStatus("neural", 120, 12, 0.1), PointStatus("[b]odd[/b]", 0, 0, float("nan"))),
    points_finished=7,
    slots_per_s=85.3,
    elapsed_s=75.0,
    least_left_s=3725.0,
)


def test_a_status_in_words() -> None:
    assert progress.describe(STATUS) == (
        "Es/N0 4 dB · 1:15 · at least 1:02:05 left · 85.3 slots/s · 7 points done · neural BLER 0.1 (12 errors) · "
        "[b]odd[/b] starting"
    )


def test_plain_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    output = io.StringIO()
    with progress.ProgressLine(Console(file=output)) as line:
        line.say("starting")
        for _ in range(100):
            now[0] += 0.25
            line.update(STATUS)
    assert output.getvalue().splitlines() == ["starting", progress.describe(STATUS), progress.describe(STATUS)]


def test_a_terminal_gets_one_line_that_goes_away() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=60)
    with progress.ProgressLine(console) as line:
        line.say("starting")
        line.update(STATUS)
    text = output.getvalue()
    assert "Es/N0 4 dB" in text
    assert "…" in text, "cut to the width, not wrapped"
    assert text.rstrip().endswith("\x1b[?25h") or "\x1b[2K" in text
