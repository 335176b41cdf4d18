"""When enough was evaluated: the interval of a mean over a growing number of drops.

Only whole parts count, from the first on, so that what is reported does not depend on who did how many of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ran.stats import student_half_widths

#: Parts from which on an interval is looked at.
LEAST_PARTS = 2


def is_narrow(parts: Sequence[NDArray[np.floating]], half_width: float) -> NDArray[np.bool_]:
    """Whether the mean over the first 1, 2, ... parts has an interval of at most +- `half_width` by Student's t.

    parts: independent values [n] each. False below `LEAST_PARTS`. The rule looks again and again at growing data, so
    the interval at which it stops covers a little less often than it says (Chow and Robbins, Ann. Math. Stat. 1965).
    """
    return np.asarray((np.arange(1, len(parts) + 1) >= LEAST_PARTS) & (student_half_widths(parts) <= half_width))


def widest(of_each: Sequence[Sequence[NDArray[np.floating]]], half_width: float) -> float:
    """The widest interval of several means, with `half_width` as its unit; infinite below `LEAST_PARTS` parts.

    of_each: of every mean its parts, as of `is_narrow`.
    """
    if any(len(parts) < LEAST_PARTS for parts in of_each):
        return np.inf
    return max(float(student_half_widths(parts)[-1]) for parts in of_each) / half_width


def parts_used(narrow: Sequence[NDArray[np.bool_]], total: int) -> int | None:
    """The number of parts that count: the fewest at which all of `narrow` hold, or `total`; None where more parts have
    to be evaluated to tell. narrow: of everything that is compared, over the parts that are there of all."""
    known = min(len(one) for one in narrow)
    together = np.logical_and.reduce([one[:known] for one in narrow])
    if together.any():
        return int(together.argmax()) + 1
    return total if known >= total else None


def parts_ahead(known: int, total: int) -> int:
    """Parts to have evaluated next while the rule does not tell: by half as many again, but some for every worker."""
    return min(total, known + max(4, known // 2))
