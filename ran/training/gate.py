"""Whether weights lose on held-out slots against those before: paired tests of bit cross-entropy and of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ran.stats import sign_test


@dataclass(frozen=True)
class SlotLosses:
    """What held-out slots lose, in their order: the same slots for every weights.

    entropies: bit cross-entropy in nat, float64 [num_slots]. lost: whether a block is, bool [num_blocks]; empty for
    slots of data sets, which need not tell how to decode.
    """

    entropies: NDArray[np.float64]
    lost: NDArray[np.bool_]


def rise_p_value(before: NDArray[np.float64], after: NDArray[np.float64], tolerance: float) -> float:
    """How likely entropies that fall so far would be, had their mean risen by more than the tolerance.

    before, after: of the same slots, [num_slots]. The mean of `after - (1 + tolerance) * before` is above zero where
    the relative rise of the mean is above the tolerance: one-sided t-test of it (Student, Biometrika 6, 1908; the
    ratio of two means as of E. C. Fieller, JRSS B 16, 1954). Small where a loss of more than the tolerance is excluded;
    1 for fewer than two slots.
    """
    if len(before) != len(after):
        raise ValueError(f"before, after: got {len(before)} and {len(after)} slots; allowed: as many of both")
    if len(before) < 2:
        return 1.0
    beyond = after - (1 + tolerance) * before
    mean, spread = float(beyond.mean()), float(beyond.std(ddof=1) / np.sqrt(len(beyond)))
    if spread == 0:
        return 0.0 if mean <= 0 else 1.0
    return float(stdtr(len(beyond) - 1, mean / spread))


def why_refused(
    before: Sequence[SlotLosses], after: Sequence[SlotLosses], tolerance: float, level: float
) -> str | None:
    """In what weights fail the gate, in words; None for those that pass it.

    before, after: by guard. Weights pass where on each guard a rise of bit cross-entropy by more than the tolerance is
    excluded at the level, and where all guards together do not lose significantly more blocks (exact test of Q.
    McNemar, Psychometrika 12, 1947). As every guard has to pass, weights that lose more than the tolerance on any of
    them pass with no more than the level's probability, however many guards there are (intersection-union test: R. L.
    Berger, Technometrics 24, 1982).
    """
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        p_value = rise_p_value(old.entropies, new.entropies, tolerance)
        if p_value > level:
            rise = float(new.entropies.mean() / old.entropies.mean() - 1)
            return (
                f"guard {number}: bit cross-entropy changes by {rise:+.2%} over {len(old.entropies)} slots; a rise by "
                f"more than {tolerance:.2%} is not excluded (p {p_value:.3g}, wanted: at most {level:.3g})"
            )
    if not before:
        return None
    lost_before, lost_after = (np.concatenate([part.lost for part in parts]) for parts in (before, after))
    more, fewer = int((lost_after & ~lost_before).sum()), int((lost_before & ~lost_after).sum())
    if more > fewer and sign_test(more, fewer) <= level:
        return f"guards: {more} blocks are lost that were not before, and {fewer} the other way round"
    return None
