"""An exported file, run in its own runtime, against the module that it was made from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.export.slots import SCENARIO
from ran.link import Link
from ran.link.batch import SlotBatch
from receivers import Receiver

#: Largest difference of LLRs between runtimes that add up float32 in other orders, and its part of the largest LLR.
LLR_TOLERANCE, LLR_RELATIVE = 2e-3, 1e-4
#: Least correlation of LLRs by the numbers that a file is kept in.
LEAST_CORRELATION = {"f32": 0.99999, "bf16": 0.9999, "f16": 0.99, "int8": 0.95}
#: Share of slots whose decoding may come out otherwise because of differences within the tolerance.
MOST_OTHER_DECISIONS = 0.01
_SLOTS_AT_ONCE = 16


@dataclass(frozen=True)
class LlrParity:
    """LLRs of a file against its twin's on some slots."""

    slots: str
    max_difference: float
    max_llr: float
    correlation: float

    def ok(self, dtype: str) -> bool:
        """Whether a file in these numbers may differ so much."""
        close = self.max_difference <= LLR_TOLERANCE + LLR_RELATIVE * self.max_llr
        return bool(self.correlation >= LEAST_CORRELATION[dtype]) and (close or dtype != "f32")


@dataclass(frozen=True)
class BlerParity:
    """Blocks in error on the same drops: the receiver before export, the exported module in torch, the file.

    other_decisions: slots that the file decodes otherwise than the module.
    """

    esn0_db: float
    num_slots: int
    num_blocks: int
    before: int
    module: int
    after: int
    other_decisions: int

    @property
    def ok(self) -> bool:
        return self.other_decisions <= MOST_OTHER_DECISIONS * self.num_slots + 1e-9


def compare_llrs(
    link: Link, module: Receiver, file: Receiver, esn0_db: float | None, seed: int, what: str
) -> LlrParity:
    """LLRs on two slots: simulated ones, or with `esn0_db` None random numbers in the place of what was received."""
    observation = link.batch(range(2), 10.0 if esn0_db is None else esn0_db, seed, SCENARIO, False).observation
    if esn0_db is None:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.view_as_complex(torch.randn(*observation.y.shape, 2, generator=generator))
        observation = replace(observation, y=noise)
    return parity_of(module(observation), file(observation), what)


def parity_of(expected: Tensor, found: Tensor, what: str) -> LlrParity:
    """Difference and correlation of LLRs."""
    a, b = expected.flatten().double().numpy(), found.flatten().double().numpy()
    finite = bool(np.isfinite(a).all() and np.isfinite(b).all())
    spread = a.std() * b.std()
    correlation = float(((a - a.mean()) * (b - b.mean())).mean() / spread) if finite and spread > 0 else float(finite)
    return LlrParity(what, float(np.abs(a - b).max()) if finite else np.inf, float(np.abs(a).max()), correlation)


def decoded(link: Link, llr: Tensor, batch: SlotBatch) -> NDArray[np.int32]:
    """Block errors per drop. Where LLRs are not finite nothing is known of a bit: a file that gives such loses blocks
    and is rejected, while its export goes on."""
    return np.asarray(link.count_errors(torch.nan_to_num(llr, 0.0, 0.0, 0.0), batch).block_errors)


def compare_bler(
    link: Link, before: Receiver, module: Receiver, file: Receiver, esn0_db: float, num_slots: int, seed: int
) -> BlerParity:
    """Decode the same drops with all three."""
    receivers = {"before": before, "module": module, "after": file}
    parts: dict[str, list[np.ndarray]] = {label: [] for label in receivers}
    for start in range(0, num_slots, _SLOTS_AT_ONCE):
        batch = link.batch(range(start, min(start + _SLOTS_AT_ONCE, num_slots)), esn0_db, seed, SCENARIO, False)
        for label, receiver in receivers.items():
            parts[label].append(decoded(link, link.receive(receiver, batch), batch))
    errors = {label: np.concatenate(part) for label, part in parts.items()}
    return BlerParity(
        esn0_db,
        num_slots,
        num_slots * link.blocks_per_drop,
        int(errors["before"].sum()),
        int(errors["module"].sum()),
        int(errors["after"].sum()),
        int((errors["module"] != errors["after"]).sum()),
    )
