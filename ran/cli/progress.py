"""The progress of a run: one line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from ran.counted import counted
from ran.sim.run import Status
from ran.studies.jobs import JobStatus

#: Seconds between two lines when the output is no terminal.
_PLAIN_EVERY_S = 10.0


class ProgressLine:
    """Shows how a run goes (a `ran.sim.run.Listener`). A context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._spinner = Spinner("dots")
        self._text = ""
        self._live = Live(self, console=self._console, transient=True, refresh_per_second=8)
        self._last_plain = time.monotonic()

    def __enter__(self) -> ProgressLine:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._live.stop()

    def __rich__(self) -> Text:
        """The line as it is drawn: a turning sign and the text, cut to the width of the terminal."""
        sign = self._spinner.render(self._console.get_time())
        line = Text(no_wrap=True, overflow="ellipsis")
        return line.append(str(sign)).append(" ").append(self._text)

    @property
    def is_terminal(self) -> bool:
        """Whether a line can change; elsewhere every line stays."""
        return bool(self._console.is_terminal)

    def say(self, text: str) -> None:
        """Something that happens once. On a terminal it stands until the next news."""
        if self._console.is_terminal:
            self._text = text
        else:
            self._console.print(text, soft_wrap=True, markup=False)

    def update(self, status: Status | JobStatus) -> None:
        """How far the run is."""
        if self._console.is_terminal:
            self._text = _line(status)
        elif time.monotonic() - self._last_plain >= _PLAIN_EVERY_S:
            self._last_plain = time.monotonic()
            self._console.print(_line(status), soft_wrap=True, markup=False)


def _line(status: Status | JobStatus) -> str:
    return describe_jobs(status) if isinstance(status, JobStatus) else describe(status)


def describe_jobs(status: JobStatus) -> str:
    """How far a study of jobs is, in one line."""
    parts = [f"{counted(status.done, 'job')} done, at least {status.left} left", _clock(status.elapsed_s)]
    if status.least_left_s is not None:
        parts.append(f"at least {_clock(status.least_left_s)} left")
    return " · ".join([*parts, status.title] if status.title else parts)


def describe(status: Status) -> str:
    """A status in one line, most important first: point, time, speed, then errors and BLER of every receiver."""
    parts = []
    if status.experiment:
        parts.append(f"{status.experiments_finished} of {status.num_experiments} done, {status.experiment}")
    parts += [f"{status.axis[0]} {status.esn0_db:g} {status.axis[2]}", _clock(status.elapsed_s)]
    if status.least_left_s is not None:
        parts.append(f"at least {_clock(status.least_left_s)} left")
    if status.slots_per_s:
        parts.append(f"{status.slots_per_s:.3g} slots/s")
    parts.append(f"{counted(status.points_finished, 'point')} done")
    for point in status.receivers:
        so_far = f"BLER {point.bler:.2g} ({point.block_errors} errors)" if point.drops else "starting"
        parts.append(f"{point.receiver} {so_far}")
    return " · ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
