"""Receivers that failed while others went on: what the store remembers of them, and how a run ends."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ran.sim.executor import RunStopped

#: File beside the report with the tracebacks.
TRACEBACKS = "failures.txt"
_KEY = "failure "


@dataclass(frozen=True)
class ReceiverFailure:
    """Why a receiver failed, in one line; the traceback of an exception, else nothing."""

    line: str
    traceback: str = ""


class ReceiversFailed(RunStopped):
    """Some receivers failed, and all others are done. One line; what the others came to is in `results`."""

    def __init__(self, failures: Mapping[str, ReceiverFailure], results: Any) -> None:
        lines = "; ".join(f"receiver {title!r} failed: {failure.line}" for title, failure in failures.items())
        more = f" (traceback in {TRACEBACKS})" if any(failure.traceback for failure in failures.values()) else ""
        super().__init__(f"{lines}{more}; the others are done, the same command tries again")
        self.results = results
        self.failures = dict(failures)


def stored_failures(failures: Mapping[str, ReceiverFailure], experiment: str = "") -> dict[str, str]:
    """The store's text about failures by receiver title. experiment: names theirs in a store of several."""
    return {f"{_KEY}{experiment}\t{title}": json.dumps(asdict(failure)) for title, failure in failures.items()}


def forgotten(titles: Iterable[str], meta: Mapping[str, str], experiment: str = "") -> dict[str, str]:
    """The store's text that says of receivers that are tried again that they have not failed."""
    keys = [f"{_KEY}{experiment}\t{title}" for title in titles]
    return {key: "null" for key in keys if meta.get(key, "null") != "null"}


def failures_in(meta: Mapping[str, str], experiment: str = "") -> dict[str, ReceiverFailure]:
    """Failures by receiver title, as a store has them."""
    prefix = f"{_KEY}{experiment}\t"
    found = {key.removeprefix(prefix): json.loads(text) for key, text in meta.items() if key.startswith(prefix)}
    return {title: ReceiverFailure(**values) for title, values in found.items() if values is not None}


def tracebacks(failures: Mapping[str, ReceiverFailure]) -> str:
    """The content of `TRACEBACKS`."""
    return "\n".join(f"{title}: {failure.line}\n{failure.traceback}" for title, failure in failures.items())
