"""When a point is finished: the smallest number of drops at which a stopping rule holds, and nothing else."""

from __future__ import annotations

import numpy as np

from ran.sim.experiment import Stopping
from ran.stats import grouped_wilson_prefixes

#: Below so many block errors an interval's own width is too uncertain to stop by it.
_FEWEST_ERRORS_FOR_WIDTH = 10


def drops_used(rule: Stopping, block_errors: np.ndarray, blocks_per_drop: int) -> int | None:
    """Drops that count: the smallest n such that a rule holds after drop n, or None when it needs more drops.

    block_errors [drops]: errors of the drops 0, 1, 2, ... without a gap. Because the answer looks at one drop after
    the other, it is the same however many more drops happen to be known.
    """
    known = block_errors[: rule.max_slots]
    candidates = [rule.max_slots] if len(known) == rule.max_slots else []
    total = np.cumsum(known, dtype=np.int64)
    if rule.min_block_errors is not None and len(total) and total[-1] >= rule.min_block_errors:
        candidates.append(int(np.searchsorted(total, rule.min_block_errors)) + 1)
    if rule.relative_interval_width is not None and (n := _narrow_enough(rule, known, total, blocks_per_drop)):
        candidates.append(n)
    return min(candidates, default=None)


def _narrow_enough(rule: Stopping, known: np.ndarray, total: np.ndarray, blocks_per_drop: int) -> int | None:
    if not len(total) or total[-1] < _FEWEST_ERRORS_FOR_WIDTH:
        return None
    start = int(np.searchsorted(total, _FEWEST_ERRORS_FOR_WIDTH))
    low, high = grouped_wilson_prefixes(known, blocks_per_drop, first=start)
    bler = total[start:] / (np.arange(start + 1, len(total) + 1) * blocks_per_drop)
    narrow = np.flatnonzero(high - low <= (rule.relative_interval_width or 0) * bler)
    return start + int(narrow[0]) + 1 if len(narrow) else None


def drops_expected(rule: Stopping, block_errors: np.ndarray, blocks_per_drop: int) -> int:
    """A guess of the drops that the rule will use, from the drops known so far. Only for scheduling and progress."""
    drops, errors = len(block_errors), int(block_errors.sum())
    # Before anything is known every block is taken to fail, which makes the first chunks small.
    per_drop = (errors + 0.5) / drops if drops else blocks_per_drop
    guesses = [rule.max_slots]
    if rule.min_block_errors is not None:
        guesses.append(int(np.ceil(rule.min_block_errors / per_drop)))
    if rule.relative_interval_width is not None:
        bler = min(per_drop / blocks_per_drop, 0.99)
        blocks = (2 * 1.96 / rule.relative_interval_width) ** 2 * (1 - bler) / bler
        guesses.append(int(np.ceil(max(blocks, _FEWEST_ERRORS_FOR_WIDTH / bler) / blocks_per_drop)))
    return max(1, min(guesses))
