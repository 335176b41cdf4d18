"""How long a receiver takes for one slot."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from receivers import Receiver, SlotObservation


@dataclass(frozen=True)
class Latency:
    """Quantiles over slots, seconds.

    core_s: median of the time for which the process had a core: what the median would be were there nobody else.
    """

    median_s: float
    p99_s: float
    p999_s: float
    num_slots: int
    core_s: float | None = None

    def text(self) -> str:
        """In milliseconds: median, p99 and p99.9."""
        return f"{self.median_s * 1e3:.3g} / {self.p99_s * 1e3:.3g} / {self.p999_s * 1e3:.3g} ms"


def slot_latency(receiver: Receiver, observation: SlotObservation, num_slots: int, num_warm_up: int = 10) -> Latency:
    """Time from a received slot to its LLRs, batch 1, over the slots of `observation` in turns."""
    slots = [observation.part(i, i + 1) for i in range(len(observation.y))]
    on_gpu = observation.y.is_cuda
    seconds, core = np.empty(num_slots), np.empty(num_slots)
    with torch.inference_mode():
        for i in range(-num_warm_up, num_slots):
            slot = slots[i % len(slots)]
            busy, started = time.process_time(), time.perf_counter()
            receiver(slot)
            if on_gpu:
                torch.cuda.synchronize()
            if i >= 0:
                seconds[i] = time.perf_counter() - started
                core[i] = time.process_time() - busy
    median, p99, p999 = np.quantile(seconds, (0.5, 0.99, 0.999))
    return Latency(float(median), float(p99), float(p999), num_slots, None if on_gpu else float(np.median(core)))
