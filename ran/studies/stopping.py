"""When enough was evaluated: the interval of a mean over a growing number of drops.

Only whole parts count, from the first on, so that what is reported does not depend on who did how many of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ran.stats import LEVEL

#: Parts from which on an interval is looked at.
LEAST_PARTS = 2


def is_narrow(parts: Sequence[NDArray[np.floating]], half_width: float) -> NDArray[np.bool_]:
    """Whether the mean over the first 1, 2, ... parts has an interval of at most +- `half_width` by Student's t.

    parts: independent values [n] each. False below `LEAST_PARTS`. The rule looks again and again at growing data, so
    the interval at which it stops covers a little less often than it says (Chow and Robbins, Ann. Math. Stat. 1965).
    """
    counts = np.cumsum([len(part) for part in parts])
    first = np.cumsum([part.sum(dtype=float) for part in parts])
    second = np.cumsum([(part.astype(float) ** 2).sum() for part in parts])
    freedom = np.maximum(counts - 1, 1)
    variance = np.maximum(second - first**2 / counts, 0) / freedom
    from scipy.stats import t as student  # takes a while to import, and a refusal needs none of it

    widths = student.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance / counts)
    return np.asarray((np.arange(1, len(parts) + 1) >= LEAST_PARTS) & (widths <= half_width))


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
