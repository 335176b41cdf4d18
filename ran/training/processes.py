"""Several processes that train one model, each on its share of a step's slots (torchrun)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ran.errors import InputError
from ran.sim.executor import RunStopped

#: Keys of the store: what a process says that failed, and how many others have read it.
_FAILED, _READ = "ran: failed", "ran: read"
#: How often others look there, and how long the process that failed waits for them to, seconds: it may hold the store.
_LOOK_EVERY_S, _READ_WITHIN_S = 0.1, 5.0
#: Between two questions whether a collective is complete, seconds: short beside a step.
_PAUSE_S = 2e-4


@dataclass(frozen=True)
class Processes:
    """Number of processes and which of them this is; a single one by default.

    store: through which they tell one another that they failed.
    """

    rank: int = 0
    count: int = 1
    store: distributed.Store | None = None

    @classmethod
    def started(cls, device: str) -> Processes:
        """Those that torchrun started, told by the environment, joined to one another; else this one alone."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if distributed.is_initialized():
            return cls(distributed.get_rank(), count)
        store, rank, count = next(distributed.rendezvous("env://"))
        backend = "nccl" if device.startswith("cuda") else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
        return cls(rank, count, store)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What all processes do. One that fails tells the others, which then stop too in place of waiting for it."""
        try:
            yield
        except BaseException as error:
            if self.store is not None:
                with suppress(RuntimeError):  # the store's process may be gone
                    self._tell(self.store, error)
                if distributed.is_initialized() and distributed.get_backend() == "gloo":
                    distributed.destroy_process_group()
            raise

    def _tell(self, store: distributed.Store, error: BaseException) -> None:
        """Say why this process ends, unless another did before."""
        if store.check([_FAILED]):
            return
        store.set(_FAILED, json.dumps([isinstance(error, InputError), str(error) or repr(error)]))
        end = time.monotonic() + _READ_WITHIN_S
        while store.add(_READ, 0) < self.count - 1 and time.monotonic() < end:
            time.sleep(_LOOK_EVERY_S)

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
        self._complete(lambda: distributed.all_reduce(flat, async_op=True))
        flat /= self.count
        for value, part in zip(values, flat.split([value.numel() for value in values]), strict=True):
            value.copy_(part.view_as(value))

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            self._complete(lambda: distributed.barrier(async_op=True))

    def _complete(self, begin: Callable[[], distributed.Work]) -> None:
        """A collective of all processes; `RunStopped`, or the `InputError` of another one, where one has failed."""
        try:
            work, looked = begin(), time.monotonic()
            while not work.is_completed():
                if self.store is not None and time.monotonic() - looked > _LOOK_EVERY_S:
                    looked = time.monotonic()
                    self._check()
                time.sleep(_PAUSE_S)
            work.wait()
        except RuntimeError as error:
            self._check()
            reason = " ".join(str(error).split()) or type(error).__name__
            raise RunStopped(f"another process of the training has ended ({reason})") from None

    def _check(self) -> None:
        told = None
        with suppress(RuntimeError):
            if self.store is not None and self.store.check([_FAILED]):
                told = json.loads(self.store.get(_FAILED))
                self.store.add(_READ, 1)
        if told is not None:
            is_input, text = told
            raise InputError(text) if is_input else RunStopped(f"another process of the training failed: {text}")


#: A single process.
ALONE = Processes()
