"""How far one experiment is, and what of it is to be simulated next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ran.sim.experiment import Experiment
from ran.sim.failures import ReceiverFailure
from ran.sim.identity import replay_key
from ran.sim.outcomes import TaskOutcomes
from ran.sim.plan import Curve, Need, Plan
from ran.sim.program import Lost
from ran.sim.schedule import Schedule
from ran.sim.segment import Segment, Task
from ran.sim.simulation import Simulation
from ran.sim.worker import Chunk, Done, Failure, NonFinite
from ran.stats import grouped_wilson

#: A chunk may take so many times as long as its receivers took before.
_TIMES_AS_LONG = 20.0

#: A receiver whose worker was lost so often while it worked for it alone has failed: the first time may be chance, as
#: when another process took the memory.
_LOSSES = 2

#: What is known, by `task_id`.
Known = dict[str, TaskOutcomes]


class Session:
    """An experiment while it is simulated: its outcomes so far, its open needs, its next chunk.

    tasks: of every receiver at every point, by title and Es/N0 in dB. Experiments that share tasks, because
    they have the same link and the same receiver, share what is known of them.
    """

    def __init__(
        self,
        experiment: Experiment,
        simulation: Simulation,
        tasks: Mapping[tuple[str, float], Task],
        known: Known,
        workers: int,
        chunk_drops: int | None = None,
        title: str = "",
        key: str = "",
    ) -> None:
        """tasks: `ran.sim.run_folder.named_tasks`. known: what is known already, of any experiment; tasks of this one
        are added. workers: how many share the drops. chunk_drops: as of `Schedule`. title: names the experiment among
        several; key: the same in their store.
        """
        self.experiment = experiment
        self.title = title
        self.key = key
        self.tasks = dict(tasks)
        self.processor = simulation.processor
        scenarios = {esn0_db: task.scenario_id for (_, esn0_db), task in tasks.items()}
        self._outcomes = {place: known.setdefault(task.task_id, TaskOutcomes()) for place, task in tasks.items()}
        self._blocks_per_drop = simulation.link.blocks_per_drop
        self._plan = Plan(experiment, simulation.link.bits_per_block)
        self._schedule = Schedule(simulation.link.batch_drops, workers, scenarios.__getitem__, chunk_drops=chunk_drops)
        self._curves: tuple[Curve, ...] | None = None
        self._failed: set[str] = set()
        self._translated: dict[int, tuple[Chunk, Chunk]] = {}
        #: Receivers that were being simulated when a worker was lost, each is tried apart from the others from then on;
        #: and how often it was lost with one of them alone, which then gets the smallest chunks.
        self._apart: dict[str, int] = {}
        self._batch_drops = simulation.link.batch_drops
        self._batch_bytes = simulation.link.batch_bytes

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The curve of every receiver, as far as it is known."""
        if self._curves is None:
            self._curves = self._plan.curves(self._outcomes)
        return self._curves

    @property
    def needs(self) -> list[Need]:
        """What is certainly or probably missing, of receivers that have not failed."""
        return [need for curve in self.curves for need in curve.needs if need.receiver not in self._failed]

    @property
    def missing(self) -> list[Need]:
        """What the experiment cannot end without; empty when it is done."""
        return [need for need in self.needs if need.certain]

    def next_chunk(self, in_flight: Sequence[tuple[Chunk, frozenset[str]]]) -> Chunk | None:
        """The most useful chunk now, or None when nothing more is to be handed out.

        in_flight: chunks of any experiment that are being simulated, each with its tasks.
        """
        # a chunk is translated once: there may be thousands, looked at for every chunk that is handed out
        before, self._translated = self._translated, {}
        for each, tasks in in_flight:
            self._translated[id(each)] = before.get(id(each)) or (each, self._as_own(each, tasks))
        flying = [own for _, own in self._translated.values()]
        needs = self._different(self.needs)
        together = [need for need in needs if need.receiver not in self._apart]
        apart = [([n for n in needs if n.receiver == title], losses > 0) for title, losses in self._apart.items()]
        for group, smallest in ((together, False), *apart):
            chunk = self._schedule.next_chunk(group, self._outcomes, flying, smallest)
            if chunk is not None:
                expected_s = self._schedule.expected_s(chunk) or 0.0
                limit_s = max(self.experiment.stopping.receiver_timeout_s, _TIMES_AS_LONG * expected_s)
                return replace(chunk, experiment=self.experiment, limit_s=limit_s)
        return None

    def tasks_of(self, chunk: Chunk) -> frozenset[str]:
        """The tasks that a chunk of this experiment works on."""
        return frozenset(self.tasks[title, chunk.esn0_db].task_id for title in chunk.receivers)

    def _as_own(self, chunk: Chunk, tasks: frozenset[str]) -> Chunk:
        """A chunk of any experiment with the receivers of this one that it works on."""
        own = [
            title for (title, esn0_db), task in self.tasks.items() if esn0_db == chunk.esn0_db and task.task_id in tasks
        ]
        return replace(chunk, receivers=tuple(own))

    def stored_as(self, chunk: Chunk, answer: Done) -> dict[Task, Segment]:
        """The outcomes of a chunk by the name that the store has for them."""
        return {
            self.tasks[title, chunk.esn0_db]: answer.outcomes[title]
            for title in chunk.receivers
            if title in answer.outcomes
        }

    def take(self, chunk: Chunk, answer: Done) -> None:
        """Count the outcomes of a chunk; a receiver that failed gets no more drops."""
        for title in chunk.receivers:
            if title in answer.outcomes:
                self._outcomes[title, chunk.esn0_db].add(answer.outcomes[title])
        self._failed |= set(answer.failures)
        self._schedule.took(answer)

    def without_worker(self, chunk: Chunk, lost: Lost) -> Done:
        """What a chunk comes to whose worker has gone: nothing yet, or its receiver has failed.

        Nobody knows which of several receivers it was: each gets chunks of its own from now on.
        """
        alone = len(chunk.receivers) == 1
        for title in chunk.receivers:
            self._apart[title] = self._apart.get(title, 0) + alone
        smallest = len(chunk.drops) <= self._batch_drops
        if alone and (lost.timed_out or (smallest and self._apart[chunk.receivers[0]] >= _LOSSES)):
            drop = chunk.drops.start if smallest else None
            why = f"its worker process {lost.reason}"
            if lost.killed:
                why += (
                    f", {len(chunk.drops)} drops at once (by estimate a classical receiver takes "
                    f"{self._batch_bytes / 2**20:.1f} MiB for {self._batch_drops})"
                )
            return Done({}, 0.0, {chunk.receivers[0]: Failure(why, "", drop)})
        return Done({}, 0.0)

    def reason(self, chunk: Chunk, failure: NonFinite | Failure) -> ReceiverFailure:
        """Why a receiver of a chunk failed, for the store and for people."""
        first, last, unit = chunk.drops.start, chunk.drops.stop - 1, self.experiment.point_axis[2]
        if isinstance(failure, Failure):
            where = f"{failure.line}, at {chunk.esn0_db:g} {unit}, drops {first} to {last}"
            if failure.drop is not None:
                key = replay_key(self.experiment, chunk.esn0_db, failure.drop)
                where += f"; the same command with --replay {key} shows it again"
            return ReceiverFailure(where, failure.traceback)
        key = replay_key(self.experiment, chunk.esn0_db, failure.drop)
        return ReceiverFailure(
            f"non-finite numbers in {failure.stage}, drop {failure.drop} at {chunk.esn0_db:g} {unit}; "
            f"the same command with --replay {key} shows it again"
        )

    def news(self) -> None:
        """Look again at what is known: something was counted, here or in an experiment that shares tasks."""
        self._curves = None

    def _different(self, needs: Sequence[Need]) -> list[Need]:
        """The needs without those of a receiver that is another's equal under a second title."""
        first: dict[str, Need] = {}
        for need in needs:
            first.setdefault(self.tasks[need.receiver, need.esn0_db].task_id, need)
        return list(first.values())

    def so_far(self, need: Need) -> tuple[int, int, int]:
        """Drops, blocks and blocks in error that are known of a receiver at a point."""
        known = self._outcomes[need.receiver, need.esn0_db]
        return known.prefix, known.prefix * self._blocks_per_drop, int(known.counts.block_errors.sum())

    def drops_left(self) -> int:
        """A guess of the drops that are still to be simulated."""
        left: dict[float, int] = {}
        for need in self.needs:
            left[need.esn0_db] = max(left.get(need.esn0_db, 0), need.expected - self.so_far(need)[0])
        return sum(left.values())

    def widest_interval(self) -> float:
        """Largest width of a BLER's 95 % interval over its value, of the points that are open; infinite before any
        block was in error, 0 when the experiment is done."""
        widest = 0.0
        for need in self.missing:
            known = self._outcomes[need.receiver, need.esn0_db]
            errors = int(known.counts.block_errors.sum())
            if not errors:
                return float("inf")
            bler = grouped_wilson(known.counts.block_errors, self._blocks_per_drop)
            widest = max(widest, 2 * (bler.half_width or 0) / bler.known)
        return widest
