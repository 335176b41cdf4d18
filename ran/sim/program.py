"""What workers do, whatever it is: chunks of experiments, or jobs of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class RunStopped(Exception):
    """The run cannot go on, through no fault in the program. One line; what was simulated so far is stored."""


@dataclass(frozen=True)
class Refused:
    """A worker refused its input, in one line."""

    text: str


@dataclass(frozen=True)
class Stopped:
    """A worker cannot go on (`RunStopped`), in one line."""

    text: str


@dataclass(frozen=True)
class Crashed:
    """An exception that nobody expected, with its traceback."""

    text: str


@dataclass(frozen=True)
class Ready:
    """A worker is prepared: what happens to it from now on is the doing of its work."""


@dataclass(frozen=True)
class Lost:
    """What is said of work whose worker has gone.

    reason: what happened to the process, in words that go on from its name. timed_out: it was ended, as it gave no
    answer within the time that its work may take. killed: by a signal that nobody can catch, as the kernel sends it
    where memory runs out.
    """

    reason: str
    timed_out: bool = False
    killed: bool = False


class Station(Protocol):
    """What a worker process holds. A context is what work needs to be prepared: an experiment, a study's request."""

    def prepare(self, context: Any) -> None:
        """Build what work of a context needs."""

    def named(self, context: Any) -> Any:
        """What results of a context are named by here: versions, contents of files. Plain values."""

    def answer(self, work: Any) -> Any:
        """Do the work. May raise `InputError` and `RunStopped`."""


class Program(Protocol):
    """What the workers of a pool do. It is pickled to each of them."""

    @property
    def first(self) -> Any:
        """The context that workers prepare before any work arrives."""

    def start(self) -> Station:
        """What a worker holds, without any context yet."""

    def context_of(self, work: Any) -> Any:
        """The context of a piece of work."""

    def key(self, context: Any) -> str:
        """Tells contexts apart."""

    def check(self, node: str, there: Any, here: Any) -> None:
        """`InputError` where results of a worker on the machine `node` are not named as they are here (`named`)."""
