"""Measure rows: ours and the peer's in turns, floors from the same run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ran.bench.machine import Limits
from ran.bench.row import Effort, Match, Parity, Row, Side
from ran.bench.timing import alternate, fastest
from ran.stats import Estimate, quartiles


@dataclass(frozen=True)
class Measured:
    """A row's result. Rates are in the row's unit per second; ratios are of rates taken one after the other. Each is
    the median of its samples with their quartiles (`ran.stats.quartiles`).

    floor: rate at the floor; None on a GPU, whose limits are not measured. floor_text: what a unit costs at least.
    times_lmmse: how many times as long as `lmmse` ours takes, of a receiver.
    again: ours once more, after all other rows. notes: what went otherwise than planned.
    """

    row: Row
    ours: Estimate
    settings: str
    floor: float | None
    floor_text: str
    peer: Estimate | None = None
    peer_settings: str = ""
    ratio: Estimate | None = None
    parity: Parity | None = None
    times_lmmse: Estimate | None = None
    again: Estimate | None = None
    notes: tuple[str, ...] = ()

    @property
    def above_floor(self) -> float | None:
        """How many times longer than the floor ours takes."""
        return None if self.floor is None else self.floor / self.ours.known

    @property
    def drift(self) -> float | None:
        """How much faster (above 0) or slower the same was at the end of the run: what the machine did by itself."""
        return None if self.again is None else self.again.known / self.ours.known - 1

    @property
    def keeps_floor(self) -> bool | None:
        """Whether the target's multiple of the floor is kept; None where none is asked for or no floor is known."""
        wanted = self.row.target.times_floor
        return None if wanted is None or self.above_floor is None else self.above_floor <= wanted

    @property
    def keeps_ratio(self) -> bool | None:
        """Whether the target's ratio to the peer is reached; None where none is asked for or no peer was measured."""
        wanted = self.row.target.ratio
        return None if wanted is None or self.ratio is None else self.ratio.known >= wanted

    @property
    def keeps_lmmse(self) -> bool | None:
        """Whether the target's multiple of the time of `lmmse` is kept; None where none is asked for."""
        wanted = self.row.target.times_lmmse
        return None if wanted is None or self.times_lmmse is None else self.times_lmmse.known <= wanted

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None when a part of it could not be measured and no other is missed."""
        target = self.row.target
        parts = [
            (target.times_floor, self.keeps_floor),
            (target.ratio, self.keeps_ratio),
            (target.times_lmmse, self.keeps_lmmse),
        ]
        asked = [kept for wanted, kept in parts if wanted is not None]
        if False in asked:
            return False
        return None if None in asked else True


def measure(row: Row, effort: Effort, limits: Limits, peer: str | None) -> Measured:
    """Measure a row, against Sionna where `peer` says so."""
    with one_thread():
        work = row.make()
        seconds = work.cost.seconds(limits)
        measured = Measured(
            row,
            ours=Estimate.missing("not measured yet"),
            settings=work.side.settings,
            floor=None if row.cuda else work.side.work / seconds,
            floor_text="" if row.cuda else (work.cost * (1 / work.side.work)).text(limits),
        )
        if work.beside is not None:
            ours, lmmse = alternate([work.side, work.beside], effort.rounds, effort.sample_s)
            times = quartiles([b / a for a, b in zip(ours, lmmse, strict=True)])
            return replace(measured, ours=quartiles(ours), times_lmmse=times)
        match = None if peer is None else work.against_sionna(effort)
        if match is None:
            (ours,) = alternate([work.side], effort.rounds, effort.sample_s)
            return replace(measured, ours=quartiles(ours))
        with torch.no_grad():
            other, notes = _best_of_peer(match, effort)
            ours, theirs = alternate([work.side, other], effort.rounds, effort.sample_s)
            return replace(
                measured,
                ours=quartiles(ours),
                peer=quartiles(theirs),
                peer_settings=other.settings,
                ratio=quartiles([a / b for a, b in zip(ours, theirs, strict=True)]),
                parity=match.parity(other),
                notes=notes,
            )


def _best_of_peer(match: Match, effort: Effort) -> tuple[Side, tuple[str, ...]]:
    """The peer's fastest candidate, and what there is to say about the choice."""
    best = fastest(match.candidates)
    if match.batches is not None:
        best = fastest([best, *match.batches(best)])
    if not effort.compile_peer or match.compiled is None:
        return best, ()
    compiled = match.compiled(best)
    try:
        return fastest([best, compiled]), ()
    except Exception as error:  # whatever the peer's compiler raises; the eager form stands, and the table says so
        return best, (f"torch.compile failed on the peer: {type(error).__name__}",)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
