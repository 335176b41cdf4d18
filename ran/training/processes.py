"""Several processes that train one model, each on its share of a step's slots (torchrun)."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ran.errors import InputError


@dataclass(frozen=True)
class Processes:
    """Number of processes and which of them this is; a single one by default."""

    rank: int = 0
    count: int = 1

    @classmethod
    def started(cls, device: str) -> Processes:
        """Those that torchrun started, told by the environment, joined to one another; else this one alone."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return cls(distributed.get_rank(), count)

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Device of this process: with "cuda" every process of a machine has its own GPU."""
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" and self.count > 1 else name

    def share(self, items: range) -> range:
        """This one's part of a step's slots."""
        if len(items) % self.count:
            raise InputError(
                f"schedule.batch_slots: got {len(items)} for {self.count} processes; allowed: a multiple of them"
            )
        size = len(items) // self.count
        return items[self.rank * size : (self.rank + 1) * size]

    def average(self, values: list[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        if self.count == 1:
            return
        flat = torch.cat([value.flatten() for value in values])
        distributed.all_reduce(flat)
        flat /= self.count
        for value, part in zip(values, flat.split([value.numel() for value in values]), strict=True):
            value.copy_(part.view_as(value))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()


#: A single process.
ALONE = Processes()
