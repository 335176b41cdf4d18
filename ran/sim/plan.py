"""Which points a run consists of, and what each still needs: a pure function of the outcomes known so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from ran.sim.experiment import Experiment, Requirement, SnrSearch
from ran.sim.outcomes import TaskOutcomes
from ran.sim.stopping import drops_expected, drops_used
from ran.sim.throughput import drops_to_decide, fraction_of_maximum, looks
from ran.stats import grouped_wilson

#: A curve that has not halved over so many dB has met its error floor.
_FLOOR_SPAN_DB = 6.0

#: A searched curve ends at the first point whose interval at this level is below the lowest target: then the intervals
#: at the targets, which are at 95 %, end inside the curve.
_CLEAR_LEVEL = 0.97

#: How far above the BLER that ends a curve a running estimate must be to count on the next point being simulated.
_CLEARLY_ABOVE = 3.0

Outcomes = Mapping[tuple[str, float], TaskOutcomes]


@dataclass(frozen=True)
class Point:
    """A point of a receiver's curve and the drops of it that count so far; `finished` when these are all."""

    receiver: str
    esn0_db: float
    drops: int
    finished: bool


@dataclass(frozen=True)
class Need:
    """Drops that a receiver needs at a point: `expected` by a guess, `most` in the worst case.

    certain: the run cannot end without them; otherwise they are likely to be needed later.
    block_errors: no more drops are needed once so many blocks more are in error; None where errors do not decide.
    """

    receiver: str
    esn0_db: float
    expected: int
    most: int
    certain: bool
    block_errors: int | None = None


@dataclass(frozen=True)
class Curve:
    """The points of one receiver, ascending in SNR, and its open needs. Without certain needs it is complete."""

    points: tuple[Point, ...]
    needs: tuple[Need, ...]


class Plan:
    """The points of an experiment. Everything here follows from the experiment and the outcomes alone."""

    def __init__(self, experiment: Experiment, bits_per_block: Sequence[int]) -> None:
        """bits_per_block: transport block sizes of a drop."""
        self._rule = experiment.stopping
        self._grid = experiment.snr_grid
        self._search = experiment.snr_search
        self._requirement = experiment.requirement
        self._max_transmissions = experiment.max_transmissions
        self._bits_per_block = tuple(bits_per_block)
        self._blocks_per_drop = len(self._bits_per_block)
        self._decided: WeakKeyDictionary[TaskOutcomes, tuple[int, int | None]] = WeakKeyDictionary()
        self.receivers = tuple(receiver.title for receiver in experiment.receivers)

    def curves(self, outcomes: Outcomes) -> tuple[Curve, ...]:
        """The curve of every receiver, in the order of the experiment."""
        return tuple(self.curve(receiver, outcomes) for receiver in self.receivers)

    def curve(self, receiver: str, outcomes: Outcomes) -> Curve:
        """The curve of one receiver as far as it is known."""
        if self._requirement is not None:
            return self._around(receiver, outcomes, self._requirement)
        if self._search is None:
            return self._walk(receiver, outcomes, 0)
        start = self._first_point(receiver, outcomes, self._search)
        if isinstance(start, Need):
            return Curve((), (start,))
        curve = self._walk(receiver, outcomes, start)
        while start > 0 and self._starts_too_high(curve, outcomes, self._search.least_first_bler):
            start -= 1
            curve = self._walk(receiver, outcomes, start)
        return curve

    def _starts_too_high(self, curve: Curve, outcomes: Outcomes, bler: float) -> bool:
        """Whether a curve's first point is finished and at or below a BLER already, for all that its probe said."""
        if not curve.points or not curve.points[0].finished:
            return False
        first = curve.points[0]
        errors = outcomes[first.receiver, first.esn0_db].counts.block_errors[: first.drops].sum()
        return bool(errors <= bler * first.drops * self._blocks_per_drop)

    def _walk(self, receiver: str, outcomes: Outcomes, first: int) -> Curve:
        """Go up the grid from its point number `first` until the curve ends or a point decides that is not finished.

        Beyond such a point the walk goes on only over points that are likely to be needed.
        """
        points: list[Point] = []
        needs: list[Need] = []
        blers: list[tuple[float, float]] = []
        certain = True
        for esn0_db in self._grid[first:]:
            known = outcomes.get((receiver, esn0_db)) or TaskOutcomes()
            used = self._drops_used(known)
            drops = known.prefix if used is None else used
            errors = int(known.counts.block_errors[:drops].sum())
            bler = errors / (drops * self._blocks_per_drop) if drops else 1.0
            if certain and drops:
                points.append(Point(receiver, esn0_db, drops, used is not None))
            if used is None:
                expected = drops_expected(self._rule, known.counts.block_errors, self._blocks_per_drop)
                wanted = self._rule.min_block_errors
                left = None if wanted is None else wanted - errors
                needs.append(Need(receiver, esn0_db, expected, self._rule.max_slots, certain, left))
                if self._end_bler > 0:
                    certain = False
                    if not drops or bler < _CLEARLY_ABOVE * self._end_bler:
                        break
            blers.append((esn0_db, bler))
            if used is not None and self._ends(blers, known, drops):
                break
        return Curve(tuple(points), tuple(needs))

    def _around(self, receiver: str, outcomes: Outcomes, requirement: Requirement) -> Curve:
        """The required point until it is decided, then its neighbours until the throughput crosses the requirement."""
        points: list[Point] = []
        direction, offset = 0, 0
        while offset in requirement.offsets:
            esn0_db = requirement.point(offset)
            known = outcomes.get((receiver, esn0_db)) or TaskOutcomes()
            limit = self._rule.max_slots if offset == 0 else requirement.curve_slots
            used = self._drops_at_requirement(known, limit, requirement.throughput, decides=offset == 0)
            if used is None:
                if known.prefix:
                    points.append(Point(receiver, esn0_db, known.prefix, False))
                expected = next(look for look in looks(limit) if look > known.prefix) if offset == 0 else limit
                need = Need(receiver, esn0_db, expected, limit, certain=True)
                return Curve(tuple(sorted(points, key=lambda point: point.esn0_db)), (need,))
            points.append(Point(receiver, esn0_db, used, True))
            enough = self._is_enough(known, used, requirement.throughput)
            if direction == 0:
                direction = -1 if enough else 1
            elif enough == (direction > 0):
                break
            offset += direction
        return Curve(tuple(sorted(points, key=lambda point: point.esn0_db)), ())

    def _is_enough(self, known: TaskOutcomes, drops: int, threshold: float) -> bool:
        """Whether the throughput over so many drops is at the threshold or above."""
        streams = known.streams(self._bits_per_block, drops)
        if len(streams) == 1:
            return bool(streams[0].delivered.sum() >= threshold * streams[0].transmissions.sum())
        return (fraction_of_maximum(streams, self._max_transmissions).value or 0.0) >= threshold

    def _drops_at_requirement(self, known: TaskOutcomes, limit: int, threshold: float, decides: bool) -> int | None:
        """Drops that count at a point: `limit`, or at the required point as few as decide about it."""
        if not decides:
            return limit if known.prefix >= limit else None
        prefix, used = self._decided.get(known, (-1, None))
        if used is None and prefix != known.prefix:
            streams = known.streams(self._bits_per_block)
            used = drops_to_decide(streams, self._max_transmissions, threshold, limit)
            self._decided[known] = (known.prefix, used)
        return used

    def _drops_used(self, known: TaskOutcomes) -> int | None:
        """`drops_used`, computed again only when more drops became known."""
        prefix, used = self._decided.get(known, (-1, None))
        if used is None and prefix != known.prefix:
            used = drops_used(self._rule, known.counts.block_errors, self._blocks_per_drop)
            self._decided[known] = (known.prefix, used)
        return used

    @property
    def _end_bler(self) -> float:
        """BLER below which a receiver's curve ends; 0 when it never does."""
        searched = min(self._search.target_bler) if self._search else 0.0
        return max(searched, self._rule.min_bler or 0.0)

    def _ends(self, blers: list[tuple[float, float]], known: TaskOutcomes, drops: int) -> bool:
        """Whether the last finished point, with so many drops of `known`, ends the curve: low enough (searching, by
        more than chance), or (searching only) at an error floor."""
        esn0_db, bler = blers[-1]
        if bler < self._end_bler and (self._is_ended_by_rule or self._is_clear(known, drops)):
            return True
        earlier = [b for e, b in blers if e <= esn0_db - _FLOOR_SPAN_DB]
        return self._search is not None and bool(earlier) and bler > earlier[-1] / 2

    @property
    def _is_ended_by_rule(self) -> bool:
        """Whether the stopping rule's `min_bler` ends curves, and not a target that is searched."""
        return self._search is None or (self._rule.min_bler or 0.0) > min(self._search.target_bler)

    def _is_clear(self, known: TaskOutcomes, drops: int) -> bool:
        """Whether the interval of a point's BLER is below what ends the curve, or no point can be lower."""
        errors = known.counts.block_errors[:drops]
        interval = grouped_wilson(errors, self._blocks_per_drop, _CLEAR_LEVEL)
        return not errors.any() or interval.is_below(self._end_bler)

    def _first_point(self, receiver: str, outcomes: Outcomes, search: SnrSearch) -> int | Need:
        """Number of the highest grid point where a probe fails as often as the search's threshold or more.

        Bisection on the first `probe_slots` slots of grid points. Returns a Need when a probe is missing.
        """
        slots = min(search.probe_slots, self._rule.max_slots)
        low, high = 0, len(self._grid)  # the answer is at or above low and below high
        while high - low > 1:
            middle = (low + high) // 2
            known = outcomes.get((receiver, self._grid[middle])) or TaskOutcomes()
            if known.prefix < slots:
                return Need(receiver, self._grid[middle], slots, slots, certain=True)
            bler = known.counts.block_errors[:slots].sum() / (slots * self._blocks_per_drop)
            low, high = (middle, high) if bler >= search.threshold else (low, middle)
        return low
