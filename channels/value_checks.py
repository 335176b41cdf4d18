"""Checks of the numbers that another program wrote: finite, within their range, named by file and field."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Longest delay that is believed, seconds: 300 km of way. Delays in another unit than seconds are far beyond it.
MAX_DELAY_S = 1e-3


def check_values(
    source: str,
    field: str,
    values: ArrayLike,
    low: float = -np.inf,
    high: float = np.inf,
    allowed: str | None = None,
) -> NDArray[Any]:
    """`values` as an array; `ValueError` of one line unless all are finite numbers from `low` to `high`.

    source: the file, or what the numbers come from. allowed: what the message says instead of the range. The first
    value that is wrong is named with its place. Complex numbers are looked at for being finite alone.
    """
    array = np.asarray(values)
    good = np.isfinite(array)
    if array.dtype.kind != "c":
        good = good & (array >= low) & (array <= high)
    if good.all():
        return array
    place = tuple(int(index) for index in np.argwhere(~good)[0])
    where = f"[{', '.join(str(index) for index in place)}]" if place else ""
    bound = "finite numbers" if np.isinf(low) and np.isinf(high) else f"finite numbers from {low:g} to {high:g}"
    wrong = int(np.count_nonzero(~good))
    count = f", {wrong} of {array.size} are wrong" if array.size > 1 else ""
    raise ValueError(f"{source}: {field}{where}: got {array[place].item()!r}{count}; allowed: {allowed or bound}")


def check_delays(source: str, field: str, values: ArrayLike) -> NDArray[Any]:
    """Delays in seconds: finite, from 0 to `MAX_DELAY_S`; `ValueError` of one line names the unit."""
    unit = f"finite delays in seconds from 0 to {MAX_DELAY_S:g}, 300 km of way"
    return check_values(source, field, values, 0.0, MAX_DELAY_S, unit)
