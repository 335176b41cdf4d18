"""Receivers side by side: each gets the drops it needs, fast ones do not wait for slow ones, and no count changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_link
import numpy as np
from in_process import Finished, run_here

from ran.sim.drop_costs import DropCosts
from ran.sim.experiment import Experiment
from ran.sim.segment import Segment
from ran.sim.simulation import Simulation
from ran.sim.worker import Chunk, Done, Enough, simulate_chunk
from ran.stats.counts import Counts

POINTS = [0, 2, 4]
STOPPING = {"min_block_errors": 20, "max_slots": 400, "min_bler": 0.01}
#: Processor seconds of a drop: what all share, and the three receivers. The last is a network among filters.
SHARED_S, OWN_S = 1e-4, {"genie": 1e-4, "one": 2e-4, "network": 1e-2}


def three(**changes: object) -> Experiment:
    receivers = [{"name": name, "at_db": at} for name, at in (("genie", 0.0), ("one", 1.0), ("network", 0.5))]
    return fake_link.experiment(**{"receivers": receivers, "esn0_db": POINTS, "stopping": STOPPING, **changes})


class CountedLink(fake_link.FakeLink):
    """Says what its receivers would take; counts what it was asked for."""

    made = 0
    received: dict[str, int]

    def simulate(self, receivers, drops, esn0_db, seed, scenario_id):  # type: ignore[no-untyped-def]
        found = super().simulate(receivers, drops, esn0_db, seed, scenario_id)
        self.made += len(drops)
        for title in receivers:
            self.received[title] = self.received.get(title, 0) + len(drops)
        self.receiver_seconds = {title: OWN_S[title] * len(drops) for title in receivers}
        return found


def run_counted(experiment: Experiment, out: Path, monkeypatch) -> tuple[Finished, CountedLink]:  # type: ignore[no-untyped-def]
    """A run whose clock shows the time that the drops and receivers above would have taken."""
    link = CountedLink(batch_drops=4)
    link.received = {}

    def build(of: Experiment) -> Simulation:
        return replace(fake_link.build(of), link=link)

    def now() -> float:
        return SHARED_S * link.made + sum(OWN_S[title] * count for title, count in link.received.items())

    monkeypatch.setattr("ran.sim.worker.time.perf_counter", now)
    return run_here(experiment, out, build, chunk=None), link


def test_fast_receivers_are_done_before_the_slow_one_goes_on(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    done, _ = run_counted(three(), tmp_path, monkeypatch)
    first, *later = done.chunks
    assert set(first.receivers) == set(OWN_S)  # nobody knows better yet
    slow = [place for place, chunk in enumerate(later) if "network" in chunk.receivers]
    fast = [place for place, chunk in enumerate(later) if "network" not in chunk.receivers]
    assert max(fast) < min(slow)
    assert all(later[place].receivers == ("network",) for place in slow)


def test_nobody_is_handed_more_than_a_batch_beyond_what_counts(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    done, link = run_counted(three(), tmp_path, monkeypatch)
    for title in OWN_S:
        used = [p.drops for p in done.results.points if p.receiver == title]
        assert sum(used) <= link.received[title] <= sum(drops + 3 for drops in used), title


def test_counts_are_those_of_receivers_in_step(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    apart, _ = run_counted(three(), tmp_path / "apart", monkeypatch)
    monkeypatch.undo()
    together = run_here(three(), tmp_path / "together", chunk=8)
    assert all(len(chunk.drops) == 8 for chunk in together.chunks)
    assert (tmp_path / "apart" / "results.csv").read_bytes() == (tmp_path / "together" / "results.csv").read_bytes()
    for mine, other in zip(apart.results.points, together.results.points, strict=True):
        assert mine.block_errors_per_drop.tolist() == other.block_errors_per_drop.tolist()


def test_an_interval_that_decides_gives_the_same_counts(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    stopping = {"min_block_errors": None, "relative_interval_width": 0.5, "max_slots": 250, "min_bler": None}
    done, link = run_counted(three(stopping=stopping), tmp_path / "apart", monkeypatch)
    monkeypatch.undo()
    run_here(three(stopping=stopping), tmp_path / "together", chunk=8)
    assert (tmp_path / "apart" / "results.csv").read_bytes() == (tmp_path / "together" / "results.csv").read_bytes()
    used = {t: sum(p.drops for p in done.results.points if p.receiver == t) for t in OWN_S}
    assert all(link.received[title] < 1.5 * used[title] for title in OWN_S)


def test_a_receiver_leaves_a_chunk_when_it_has_enough() -> None:
    experiment = three()
    enough = {"genie": Enough(drops=10), "one": Enough(drops=40, block_errors=5)}
    chunk = Chunk(0.0, "s", range(8, 48), ("genie", "one", "network"), enough=enough)
    answer = simulate_chunk(fake_link.build(experiment), experiment, chunk)
    whole = simulate_chunk(fake_link.build(experiment), experiment, replace(chunk, enough={}))
    assert isinstance(answer, Done)
    assert isinstance(whole, Done)
    counts = {title: segment.counts.block_errors for title, segment in answer.outcomes.items()}
    assert len(counts["genie"]) == 12  # whole batches of 4
    assert len(counts["network"]) == 40
    assert counts["one"].sum() >= 5 > counts["one"][:-4].sum()
    for title, errors in counts.items():
        assert errors.tolist() == whole.outcomes[title].counts.block_errors[: len(errors)].tolist()
        assert answer.outcomes[title].first_drop == 8


def test_without_receivers_a_chunk_is_asked_for_as_a_whole() -> None:
    """As data sets are written, whose link keeps the drops that it is asked for."""
    experiment, asked = three(), []
    simulation = fake_link.build(experiment)
    simulation.link.simulate = lambda receivers, drops, *rest: asked.append((receivers, drops)) or {}
    answer = simulate_chunk(simulation, experiment, Chunk(0.0, "s", range(8, 48), ()))
    assert asked == [({}, range(8, 48))]
    assert isinstance(answer, Done)
    assert answer.outcomes == {}


def done(seconds: float, **own: float) -> Done:
    return Done(
        {title: Segment(0, Counts.of(np.zeros(10), np.zeros(10))) for title in own}, seconds, receiver_seconds=own
    )


def test_costs_are_learned_apart_from_what_is_shared() -> None:
    costs = DropCosts()
    assert costs.seconds(["a"]) is None
    assert not costs.is_slow("a")
    costs.learn(done(1.3, a=0.2, b=1.0))
    assert abs(costs.seconds(["a"]) - 0.03) < 1e-12
    assert abs(costs.seconds(["a", "b"]) - 0.13) < 1e-12
    assert abs(costs.seconds(["new"]) - 0.11) < 1e-12  # as the slowest
    assert not costs.is_slow("b")
    costs.learn(done(30.1, b=30.0))
    assert costs.is_slow("b")
    assert not costs.is_slow("a")


def test_a_chunk_with_a_failure_teaches_nothing() -> None:
    costs = DropCosts()
    costs.learn(replace(done(5.0, a=1.0), failures={"b": object()}))  # type: ignore[dict-item]
    assert costs.seconds(["a"]) is None


def test_equal_receivers_are_simulated_once(tmp_path: Path) -> None:
    twins = [{"name": "one", "at_db": 1.0}, {"name": "one", "at_db": 1.0, "label": "uno"}]
    finished = run_here(three(receivers=twins), tmp_path)
    assert all(chunk.receivers == ("one",) for chunk in finished.chunks)
    by = {title: [p.block_errors for p in finished.results.points if p.receiver == title] for title in ("one", "uno")}
    assert by["one"] == by["uno"] != []
