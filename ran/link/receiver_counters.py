"""What a receiver counts beside its LLRs, summed per drop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ran.stats.counts import Integers
from receivers import Receiver


class ReceiverCounters:
    """Sums of a receiver's counters over the drops of a batch. values: by name, int64 [drops] each."""

    def __init__(self, label: str, receiver: Receiver, num_drops: int) -> None:
        self._label, self._receiver = label, receiver
        self.values: dict[str, Integers] = {name: np.zeros(num_drops, np.int64) for name in receiver.counters}

    def add(self, places: Sequence[int] | Integers | slice = slice(None)) -> None:
        """Take what the last call of the receiver counted. places: of its slots among the drops, each once.

        ValueError where it is not what the receiver declares.
        """
        if not self.values:
            return
        found = self._receiver.counted()
        if set(found) != set(self.values):
            raise ValueError(f"counted of {self._label}: got {sorted(found)}; allowed: {sorted(self.values)}")
        for name, sums in self.values.items():
            values = torch.as_tensor(found[name]).cpu().numpy()
            wanted = sums[places].shape
            if values.shape != wanted or values.dtype.kind not in "iu" or (values < 0).any():
                raise ValueError(
                    f"counted of {self._label}: {name}: got {values.dtype} {list(values.shape)} from "
                    f"{values.min() if values.size else 'nothing'}; allowed: integers of 0 or more {list(wanted)}"
                )
            sums[places] += values
