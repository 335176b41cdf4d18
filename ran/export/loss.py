"""What smaller numbers cost, in dB: both files on the same drops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from ran.report.crossing import Crossings
from ran.sim.experiment import Experiment, ReceiverBlock, Stopping
from ran.sim.run import run
from ran.stats import Estimate

#: BLER at which the loss is read.
TARGET_BLER = 0.1
#: How often the slots are doubled while a loss is undecided.
_MOST_DOUBLINGS = 3


def measured_loss(
    experiment: Experiment, before: Path, after: Path, contract: str, esn0_db: float, num_slots: int, folder: Path
) -> Estimate:
    """SNR loss of `after` against `before` at a BLER of 10 %, paired drop by drop, with its 95 % interval."""
    receivers = tuple(
        ReceiverBlock.model_validate({"name": str(path), "label": label, "contract": contract})
        for label, path in (("before", before), ("after", after))
    )
    middle = float(round(esn0_db))
    changed = experiment.model_copy(
        update={
            "name": "quantisation",
            "receivers": receivers,
            "esn0_db": tuple(middle + step for step in (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0)),
            "stopping": Stopping(min_block_errors=None, max_slots=num_slots, min_bler=None),
        }
    )
    return Crossings(run(changed, folder, workers=1)).gain("before", "after", TARGET_BLER)


def decided_loss(measure: Callable[[int], Estimate], num_slots: int, limit_db: float) -> Estimate:
    """A loss that is decided: `measure` is given twice as many slots until an end of the interval tells, at most
    three times.

    What is still undecided then is not within.
    """
    for more in range(_MOST_DOUBLINGS + 1):
        loss = measure(num_slots << more)
        # an end beyond the simulated SNRs tells nothing
        above = loss.is_above(limit_db) and not math.isinf(loss.low or 0.0)
        if above or is_within(loss, limit_db):
            break
    return loss


def is_within(loss: Estimate, limit_db: float) -> bool:
    """Whether a loss is known, and all of its interval is no larger than the limit."""
    return not unknown(loss) and loss.high is not None and loss.high <= limit_db


def unknown(loss: Estimate) -> str:
    """Why a loss is not known; empty where it is."""
    if not loss.is_known:
        return loss.reason
    if loss.is_open:
        return f"{loss} dB has no end within the simulated SNRs; take more --loss-slots, or another --esn0-db"
    return ""
