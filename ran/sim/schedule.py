"""Cut what the plan needs into chunks: short enough to lose, long enough to be worth handing out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ran.sim.drop_costs import DropCosts
from ran.sim.outcomes import TaskOutcomes
from ran.sim.plan import Need, Outcomes
from ran.sim.worker import Chunk, Done, Enough

#: Wall time that a chunk should take.
_TARGET_S = 1.5
#: Workers for whom chunks of that length are handed out in a fraction of it; for more workers chunks are longer.
_FEW_WORKERS = 150


def target_s(workers: int) -> float:
    """Wall time that a chunk should take: one process hands out the chunks of all workers, some milliseconds each."""
    return _TARGET_S * max(1.0, workers / _FEW_WORKERS)


@dataclass(frozen=True)
class _Gap:
    """The first drops that a need misses, [start, limit), and how many more drops it probably takes in all."""

    need: Need
    start: int
    limit: int
    missing: int


class Schedule:
    """Chooses chunks. Nothing it decides can change a result: only what is simulated first, and what in vain."""

    def __init__(
        self, batch_drops: int, workers: int, name_scenario: Callable[[float], str], chunk_drops: int | None = None
    ) -> None:
        """chunk_drops: fixed chunk size, rounded up to whole batches; by default chosen by measured speed."""
        self._batch = batch_drops
        self._workers = workers
        self._scenario = name_scenario
        self._fixed = chunk_drops
        self._costs = DropCosts()

    def took(self, answer: Done) -> None:
        """Learn from a finished chunk."""
        self._costs.learn(answer)

    def expected_s(self, chunk: Chunk) -> float | None:
        """How long a chunk probably takes; None before anything is known."""
        per_drop = self._costs.seconds(chunk.receivers)
        return None if per_drop is None else per_drop * len(chunk.drops)

    def next_chunk(
        self, needs: Iterable[Need], outcomes: Outcomes, in_flight: Sequence[Chunk], smallest: bool = False
    ) -> Chunk | None:
        """The most useful chunk now, or None when nothing is missing that could be needed. smallest: of one batch.

        First what the run certainly needs and probably takes, then what later points probably need, then more of the
        former. At equal rank fast receivers come first, so that they do not wait for those that are many times slower,
        and then the lowest SNR, where errors are quick to collect.
        """
        taken: dict[tuple[str, float], list[range]] = {}
        for chunk in in_flight:
            for receiver in chunk.receivers:
                taken.setdefault((receiver, chunk.esn0_db), []).append(chunk.drops)
        gaps = [self._gap(need, outcomes, taken.get((need.receiver, need.esn0_db), [])) for need in needs]
        gaps = [gap for gap in gaps if gap.start < gap.limit]
        for group in (
            [gap for gap in gaps if gap.need.certain and gap.missing > 0],
            [gap for gap in gaps if gap.missing > 0],
            [gap for gap in gaps if gap.need.certain],
        ):
            if group:
                return self._chunk(group, smallest)
        return None

    def _chunk(self, gaps: list[_Gap], smallest: bool) -> Chunk:
        """A chunk for the first of `gaps` and for all others of the same point that miss the same drops and are as
        fast."""
        of_speed = [gap for gap in gaps if not self._costs.is_slow(gap.need.receiver)] or gaps
        first = min(of_speed, key=lambda gap: (gap.need.esn0_db, gap.start))
        here = [gap for gap in of_speed if gap.need.esn0_db == first.need.esn0_db]
        together = [gap for gap in here if gap.start == first.start]
        stop = first.start + (self._batch if smallest else self._length(together))
        # Stop where another receiver continues, so that it can join.
        later = [gap.start for gap in here if gap.start > first.start]
        stop = min([stop, *later, *(gap.limit for gap in together)])
        drops = range(first.start, stop)
        titles = tuple(gap.need.receiver for gap in together)
        enough = {gap.need.receiver: self._enough(gap, len(drops)) for gap in together}
        return Chunk(first.need.esn0_db, self._scenario(first.need.esn0_db), drops, titles, enough=enough)

    def _enough(self, gap: _Gap, drops: int) -> Enough:
        """What a receiver needs of a chunk: where errors decide they tell, else as many drops as it probably takes."""
        errors = gap.need.block_errors
        probably = drops if errors is not None or self._fixed is not None else max(gap.missing, 1)
        return Enough(min(drops, probably), errors)

    def _length(self, gaps: list[_Gap]) -> int:
        if self._fixed is not None:
            return self._whole_batches(self._fixed)
        seconds = self._costs.seconds([gap.need.receiver for gap in gaps])
        if not seconds:
            return self._batch
        in_time = int(target_s(self._workers) / seconds)
        share = -(-max(gap.missing for gap in gaps) // self._workers)
        return max(self._batch, min(in_time // self._batch * self._batch, self._whole_batches(share)))

    def _whole_batches(self, drops: int) -> int:
        return max(1, -(-drops // self._batch)) * self._batch

    def _gap(self, need: Need, outcomes: Outcomes, in_flight: Sequence[range]) -> _Gap:
        """in_flight: drops of the need that are being simulated."""
        known = outcomes.get((need.receiver, need.esn0_db)) or TaskOutcomes()
        taken = [range(known.prefix), *known.ranges_beyond]
        taken += in_flight
        start = 0
        limit = self._whole_batches(need.most)
        for drops in sorted(taken, key=lambda drops: drops.start):
            if drops.start > start:
                limit = min(limit, drops.start)
                break
            start = max(start, drops.stop)
        return _Gap(need, start, limit, need.expected - sum(len(drops) for drops in taken))
