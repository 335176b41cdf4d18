"""What is stored: the outcomes of consecutive drops of a task."""

from __future__ import annotations

from dataclasses import dataclass

from ran.stats.counts import Counts

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


@dataclass(frozen=True, eq=False)
class Segment:
    """Counts of consecutive drops of a task, from `first_drop` on.

    processor: the kind of processor that simulated them (`ran.sim.processor`).
    """

    first_drop: int
    counts: Counts
    processor: str = UNKNOWN_PROCESSOR

    @property
    def last_drop(self) -> int:
        return self.first_drop + self.counts.drops - 1


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
