"""A file in smaller numbers against its float32 file, from weak to strong signals and on the smallest slots.

The loss in dB is measured in the waterfall. What leaves the range of float16 or int8 shows elsewhere: at strong
signals, whose noise variance is 0 in float16, and on slots that are hardly larger than a network's kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ran.export.parity import decoded
from ran.export.slots import SCENARIO, link_of
from ran.link import Link
from ran.sim.experiment import Experiment
from receivers import Receiver

#: -10 to 80 dB.
SWEEP_ESN0_DB = (-10.0, 10.0, 30.0, 40.0, 60.0, 80.0)
#: Slots at each SNR.
SWEEP_SLOTS = 8
#: So far above the SNR where BLER is compared, a block that float32 decodes is decoded: what is lost there is a floor.
_ABOVE_WATERFALL_DB = 15.0


@dataclass(frozen=True)
class SweepPoint:
    """Blocks in error at one SNR, the same drops for both files.

    finite: all LLRs of the smaller file are. lost: blocks in error with the smaller file alone. beyond_waterfall:
    the SNR is so high that there may be none of those.
    """

    slots: str
    esn0_db: float
    num_blocks: int
    float32: int
    smaller: int
    lost: int
    finite: bool
    beyond_waterfall: bool

    @property
    def problem(self) -> str:
        """Why the file is rejected; empty where it is not."""
        where = f"at {self.esn0_db:g} dB ({self.slots})"
        if not self.finite:
            return f"LLRs are not finite {where}"
        if self.beyond_waterfall and self.lost:
            return f"{self.lost} of {self.num_blocks} blocks that float32 decodes are lost {where}"
        return ""


def sweep_problems(points: Sequence[SweepPoint]) -> list[str]:
    """Why a file is rejected; nothing where it is not."""
    return [point.problem for point in points if point.problem]


def smallest_slots(experiment: Experiment) -> list[tuple[str, Link]]:
    """One PRB with as few antennas as its layers need, and with one more; for files that leave their sizes open."""
    least = link_of(experiment).grid.num_layers
    return [
        (f"1 PRB, {n} {'antenna' if n == 1 else 'antennas'}", link_of(experiment, 1, n)) for n in (least, least + 1)
    ]


def sweep(
    links: Sequence[tuple[str, Link]], float32: Receiver, smaller: Receiver, waterfall_db: float, seed: int
) -> list[SweepPoint]:
    """Both files at every SNR of `SWEEP_ESN0_DB` on the slots of every link. waterfall_db: where BLER is compared."""
    return [
        _point(slots, link, esn0_db, (float32, smaller), waterfall_db, seed)
        for slots, link in links
        for esn0_db in SWEEP_ESN0_DB
    ]


def _point(
    slots: str, link: Link, esn0_db: float, files: tuple[Receiver, Receiver], waterfall_db: float, seed: int
) -> SweepPoint:
    batch = link.batch(range(SWEEP_SLOTS), esn0_db, seed, SCENARIO, False)
    llrs = [link.receive(file, batch) for file in files]
    before, after = (decoded(link, llr, batch) for llr in llrs)
    return SweepPoint(
        slots,
        esn0_db,
        SWEEP_SLOTS * link.blocks_per_drop,
        int(before.sum()),
        int(after.sum()),
        int(np.maximum(after - before, 0).sum()),
        bool(torch.isfinite(llrs[1]).all()),
        esn0_db >= waterfall_db + _ABOVE_WATERFALL_DB,
    )
