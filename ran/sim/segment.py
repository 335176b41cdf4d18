"""What is stored: the outcomes of consecutive drops of a task."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: Columns of `Segment.received`.
NUM_RECEIVED = 5
#: Kind of processor of drops that were stored before it was.
UNKNOWN_PROCESSOR = "unknown"


@dataclass(frozen=True)
class Task:
    """One receiver at one SNR point, by the names of `ran.sim.identity`.

    receiver: its title when the task was stored. receiver_id: the digest of its `receiver_identity`.
    """

    task_id: str
    scenario_id: str
    receiver: str
    esn0_db: float
    receiver_id: str = ""


@dataclass(frozen=True)
class Segment:
    """Outcomes of consecutive drops of a task: block_errors and bit_errors int64 [drops], of all users or codewords.

    earlier_errors int64 [drops, transmissions - 1]: with HARQ, blocks in error after every transmission but the last.
    second_errors int64 [drops, transmissions]: with two codewords, the second's part in the errors after each.
    received float32 [drops, users, 5]: with a link budget, of every user the received Es/N0 in dB, path gain in dB,
    horizontal distance in m (NaN: unknown), condition (0 LOS, 1 NLOS, 2 O2I, -1 unknown) and blocks in error.
    processor: the kind of processor that simulated them (`ran.sim.processor`).
    """

    first_drop: int
    block_errors: np.ndarray
    bit_errors: np.ndarray
    earlier_errors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    second_errors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    received: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, NUM_RECEIVED), np.float32))
    processor: str = UNKNOWN_PROCESSOR

    def __post_init__(self) -> None:
        for name in ("earlier_errors", "second_errors"):
            if getattr(self, name).size == 0:
                object.__setattr__(self, name, np.zeros((len(self.block_errors), 0), np.int64))
        if self.received.size == 0:
            object.__setattr__(self, "received", np.zeros((len(self.block_errors), 0, NUM_RECEIVED), np.float32))

    @property
    def last_drop(self) -> int:
        return self.first_drop + len(self.block_errors) - 1


@dataclass(frozen=True)
class Content:
    """Everything that a store holds and that is intact.

    tasks, segments: by task_id, segments ascending in `first_drop`. damage: what is not, a line each. jobs: results of
    a study's jobs by key, as bytes; None for a store that is not of such a study.
    """

    meta: dict[str, str]
    tasks: dict[str, Task]
    segments: dict[str, list[Segment]]
    damage: tuple[str, ...] = ()
    jobs: dict[str, bytes] | None = None
