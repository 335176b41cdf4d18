"""One row of the benchmark: what both sides do, what it costs at least, and how we know that they do the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from ran.bench.cost import Cost


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    rounds: samples of each side, taken alternately. sample_s: least duration of a sample in seconds.
    parity: share of a row's blocks that are decoded by both sides to compare their errors.
    compile_peer: try torch.compile on the peer as well, where it takes part; a minute or more per row.
    """

    rounds: int
    sample_s: float
    parity: float
    compile_peer: bool = False

    def blocks(self, full: int) -> int:
        """How many of a row's `full` number of blocks to compare; at least 2."""
        return max(2, round(full * self.parity))


FULL = Effort(rounds=7, sample_s=0.3, parity=1.0)
QUICK = Effort(rounds=3, sample_s=0.05, parity=0.15)


@dataclass(frozen=True)
class Side:
    """One way to do the work of a row.

    run: does it once. work: how much of the row's unit (slots, Mb, ...) that is. settings: what was chosen, in words.
    choice: the same for the program, where a peer offers several ways.
    """

    run: Callable[[], object]
    work: float
    settings: str
    choice: tuple[str, int] = ("", 1)


@dataclass(frozen=True)
class Parity:
    """Whether both sides compute the same thing, or ours errs no more than the peer.

    text: the finding with its numbers. ok: parity holds.
    """

    text: str
    ok: bool


@dataclass(frozen=True)
class Target:
    """What the row is to reach: a ratio to the peer, multiples of the floor and of the time of `lmmse` that are not
    exceeded, or some of these.

    No rate: that would be one of the machine on which it was written down.
    """

    ratio: float | None = None
    times_floor: float | None = None
    times_lmmse: float | None = None

    def text(self) -> str:
        parts = [] if self.times_floor is None else [f"{self.times_floor:g} × floor"]
        parts += [] if self.times_lmmse is None else [f"{self.times_lmmse:g} × lmmse"]
        parts += [] if self.ratio is None else [f"{self.ratio:g}×"]
        return " and ".join(parts)


@dataclass(frozen=True)
class Match:
    """A peer's part in a row.

    candidates: the peer's ways to do the work; the fastest counts. parity: compares ours with the candidate it is
    given. batches: the candidate it is given with other batch sizes. compiled: the same with torch.compile, where
    that is worth a try.
    """

    candidates: list[Side]
    parity: Callable[[Side], Parity]
    batches: Callable[[Side], list[Side]] | None = None
    compiled: Callable[[Side], Side] | None = None


class Work(ABC):
    """A row with its data made: ready to be timed."""

    #: Ours.
    side: Side
    #: The least that one call of `side.run` costs.
    cost: Cost
    #: The receiver `lmmse` with the same slots, for a row of a receiver.
    beside: Side | None = None

    @abstractmethod
    def against_sionna(self, effort: Effort) -> Match | None:
        """Sionna's part, None where it has none. Imports Sionna."""


@dataclass(frozen=True)
class Row:
    """A named row. `make` creates its data, which takes a while.

    unit: what is counted per second. cuda: the row needs a CUDA device.
    """

    name: str
    group: str
    title: str
    unit: str
    target: Target
    make: Callable[[], Work]
    cuda: bool = False
