"""A link without physics, with the interface of `ran.link.Link`: outcomes follow from seed, scenario and drop alone.

The receiver's options steer it: `at_db` (Es/N0 of 50 % BLER), `floor` (lowest BLER), and for failures `crash_at`,
`die_at` (by `signal`, once if `die_once` names a file), `refuse_at`, `non_finite_at`, `exit_at`, `hang_at` (a drop
index each). The channel's option `slot_s` makes a slot take
time.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.simulation import NonFiniteNumbers, Simulation
from ran.stats.counts import Counts

BITS_PER_BLOCK = 1000


@dataclass(frozen=True)
class FakeReceiver:
    at_db: float = 0.0
    floor: float = 0.0
    crash_at: int = -1
    die_at: int = -1
    signal: int = signal.SIGKILL
    refuse_at: int = -1
    non_finite_at: int = -1
    exit_at: int = -1
    hang_at: int = -1
    die_once: str = ""

    def bler(self, esn0_db: float) -> float:
        return max(self.floor, 1 / (1 + np.exp(1.5 * (esn0_db - self.at_db))))

    def fail(self, drop: int) -> None:
        if drop == self.crash_at:
            raise ZeroDivisionError("the fake receiver divides by zero")
        if drop == self.die_at and not (self.die_once and Path(self.die_once).exists()):
            if self.die_once:
                Path(self.die_once).touch()
            os.kill(os.getpid(), self.signal)
        if drop == self.hang_at:
            time.sleep(600)
        if drop == self.refuse_at:
            raise InputError("the fake receiver: got this drop; allowed: others")
        if drop == self.exit_at:
            sys.exit(3)
        if drop == self.non_finite_at:
            error = NonFiniteNumbers("the LLRs of the fake receiver")
            error.stage, error.drop_index = "the LLRs of the fake receiver", drop
            raise error


class FakeLink:
    slot_duration_s = 1e-3
    receiver_seconds: dict[str, float] = {}  # noqa: RUF012  # nothing is measured

    def __init__(self, num_users: int = 1, batch_drops: int = 4, slot_s: float = 0.0, transmissions: int = 1) -> None:
        self._transmissions = transmissions
        self.blocks_per_drop = num_users
        self.bits_per_block = (BITS_PER_BLOCK,) * num_users
        self.batch_drops = batch_drops
        self.batch_bytes = 3 * 2**19
        self._slot_s = slot_s

    def simulate(self, receivers, drops, esn0_db, seed, scenario_id):  # type: ignore[no-untyped-def]
        if drops.start % self.batch_drops or drops.stop % self.batch_drops:
            raise InputError(f"drops: got {drops}; allowed: whole batches of {self.batch_drops}")
        if self._slot_s:
            time.sleep(self._slot_s * len(drops))
        found: dict[str, Counts] = {}
        for title, receiver in receivers.items():
            # a transmission fails half as often as the one before
            failed = np.zeros((self._transmissions, len(drops), self.blocks_per_drop), bool)
            for row, drop in enumerate(drops):
                receiver.fail(drop)
                # All receivers see the same uniform numbers, as they see the same noise in the real link.
                digest = hashlib.sha256(f"{seed}/{scenario_id}/{drop}".encode()).digest()
                uniform = np.frombuffer(digest, "<u4")[: self.blocks_per_drop] / 2**32
                for transmission in range(self._transmissions):
                    failed[transmission, row] = uniform < receiver.bler(esn0_db) / 2**transmission
            errors = failed.sum(-1).astype(np.int32)
            found[title] = Counts.of(errors[-1], errors[-1].astype(np.int64) * 7, errors[:-1].T)
        return found


def build(experiment: Experiment, device: str = "cpu") -> Simulation:
    """The fake link and receivers of an experiment whose channel is called `fake`."""
    options = {key: value for key, value in experiment.channel.block().items() if key != "name"}
    receivers = {
        block.title: FakeReceiver(**{k: v for k, v in block.block().items() if k != "name"})
        for block in experiment.receivers
    }
    link = FakeLink(experiment.users.num_users, **options, transmissions=experiment.max_transmissions)
    return Simulation(
        link, receivers, dict.fromkeys(receivers, ""), frozenset({"genie"} & set(receivers)), device=device
    )


def experiment(**changes: object) -> Experiment:
    """An experiment on the fake link."""
    fields: dict[str, object] = {
        "name": "fake",
        "channel": {"name": "fake"},
        "receivers": [{"name": "genie", "at_db": 0.0}, {"name": "one", "at_db": 1.0}, {"name": "two", "at_db": 2.5}],
        "esn0_db": {"start": -2, "stop": 6, "step": 1},
        "stopping": {"min_block_errors": 20, "max_slots": 300, "min_bler": 0.02},
    }
    return Experiment.model_validate({**fields, **changes})
