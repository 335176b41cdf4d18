"""Which points a run consists of, and that nothing but the outcomes decides it."""

from __future__ import annotations

import random
from dataclasses import replace

import fake_link
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ran.sim.experiment import Experiment
from ran.sim.identity import scenario_id
from ran.sim.outcomes import TaskOutcomes
from ran.sim.plan import Plan, Point
from ran.sim.schedule import Schedule
from ran.sim.worker import Chunk, Done, simulate_chunk
from ran.stats import Counted, ReplicatedCurve, bootstrap_shares, grouped_wilson

Known = dict[tuple[str, float], TaskOutcomes]


class Simulator:
    """The driver's loop without processes: chunks are answered in random order, so many at a time are in flight."""

    def __init__(self, experiment: Experiment, workers: int = 1, chunk: int | None = None, order: int = 0) -> None:
        self.simulation = fake_link.build(experiment)
        self.link, self.receivers = self.simulation.link, self.simulation.receivers
        self.experiment = experiment
        self.plan = Plan(experiment, self.link.bits_per_block)
        self.schedule = Schedule(self.link.batch_drops, workers, lambda e: scenario_id(experiment, e), chunk)
        self.known: Known = {}
        self.in_flight: list[Chunk] = []
        self.workers = workers
        self.random = random.Random(order)
        self.simulated: set[tuple[str, float, int]] = set()

    def step(self) -> bool:
        needs = [need for curve in self.plan.curves(self.known) for need in curve.needs]
        if not any(need.certain for need in needs):
            return False
        while len(self.in_flight) < self.workers:
            chunk = self.schedule.next_chunk(needs, self.known, self.in_flight)
            if chunk is None:
                break
            self.in_flight.append(chunk)
        assert self.in_flight, "work is missing but nothing was handed out"
        self.finish(self.in_flight.pop(self.random.randrange(len(self.in_flight))))
        return True

    def finish(self, chunk: Chunk) -> None:
        answer = simulate_chunk(self.simulation, self.experiment, chunk)
        assert isinstance(answer, Done)
        for title, segment in answer.outcomes.items():
            task = {(title, chunk.esn0_db, drop) for drop in range(segment.first_drop, segment.last_drop + 1)}
            assert not task & self.simulated, "a drop was simulated twice"
            self.simulated |= task
            self.known.setdefault((title, chunk.esn0_db), TaskOutcomes()).add(segment)
        # any receiver may be the slow one, from one chunk to the next
        own = {title: len(chunk.drops) * 10 ** self.random.uniform(-6, -3) for title in answer.outcomes}
        self.schedule.took(replace(answer, seconds=sum(own.values()) + 1e-5 * len(chunk.drops), receiver_seconds=own))

    def points(self) -> list[tuple[Point, int]]:
        while self.step():
            pass
        points = [point for curve in self.plan.curves(self.known) for point in curve.points]
        return [(p, int(self.known[p.receiver, p.esn0_db].counts.block_errors[: p.drops].sum())) for p in points]


FIXED = fake_link.experiment()
SEARCH = fake_link.experiment(esn0_db={"auto": {"target_bler": (0.1, 0.05), "step_db": 0.5}}, users={"num_users": 2})
WIDTH = fake_link.experiment(
    stopping={"min_block_errors": None, "relative_interval_width": 0.5, "max_slots": 250, "min_bler": None}
)


@pytest.fixture(scope="module")
def references() -> dict[str, list[tuple[Point, int]]]:
    return {name: Simulator(e).points() for name, e in (("fixed", FIXED), ("search", SEARCH), ("width", WIDTH))}


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["fixed", "search", "width"]), st.integers(1, 7), st.none() | st.integers(1, 90), st.integers())
def test_workers_chunks_and_order_change_nothing(
    references: dict[str, list[tuple[Point, int]]], name: str, workers: int, chunk: int | None, order: int
) -> None:
    experiment = {"fixed": FIXED, "search": SEARCH, "width": WIDTH}[name]
    assert Simulator(experiment, workers, chunk, order).points() == references[name]


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(["fixed", "search"]), st.integers(), st.integers(1, 40))
def test_an_interruption_changes_nothing(
    references: dict[str, list[tuple[Point, int]]], name: str, order: int, steps: int
) -> None:
    """Chunks in flight are lost and gaps stay; the next session goes on with other workers and chunks."""
    experiment = FIXED if name == "fixed" else SEARCH
    first = Simulator(experiment, 5, 12, order)
    for _ in range(steps):
        first.step()
    second = Simulator(experiment, 3, 20, order + 1)
    second.known, second.simulated = first.known, first.simulated
    assert second.points() == references[name]


def test_a_receiver_is_not_simulated_above_its_waterfall() -> None:
    points = [p for p, _ in Simulator(FIXED).points()]
    last = {title: max(p.esn0_db for p in points if p.receiver == title) for title in ("genie", "one", "two")}
    assert last["genie"] < last["one"] < last["two"] <= 6
    assert all(p.finished for p in points)


def test_without_min_bler_every_point_is_simulated() -> None:
    points = [p for p, _ in Simulator(WIDTH).points()]
    assert [p.esn0_db for p in points if p.receiver == "genie"] == list(WIDTH.snr_grid)


def test_the_search_brackets_the_targets() -> None:
    for title, at_db in (("genie", 0.0), ("one", 1.0), ("two", 2.5)):
        simulator = Simulator(SEARCH)
        points = [(p, e) for p, e in simulator.points() if p.receiver == title]
        curve = [(p.esn0_db, e / (2 * p.drops)) for p, e in points]
        assert curve[0][1] > 0.1
        assert curve[-1][1] < 0.05
        counts = [simulator.known[title, p.esn0_db].counts.block_errors[: p.drops] for p, _ in points]
        # the first that is below by more than chance ends it
        assert [grouped_wilson(c, 2, 0.97).is_below(0.05) for c in counts] == [False] * (len(counts) - 1) + [True]
        assert abs(curve[0][0] - at_db) < 1.5, "starts near the waterfall, not at the low end of the grid"
        assert np.allclose(np.diff([e for e, _ in curve]), 0.5)


def test_a_search_that_starts_close_to_the_target_encloses_it() -> None:
    """Whatever eight slots of a probe said: where they promised too much, lower points are simulated."""
    search = {"target_bler": (0.1,), "step_db": 0.5, "probe_slots": 8, "start_bler": 0.15}
    lengths = []
    for at_db in np.arange(0.0, 4.0, 0.25):
        experiment = fake_link.experiment(
            receivers=[{"name": "one", "at_db": float(at_db)}],
            esn0_db={"auto": search},
            stopping={"min_block_errors": 60, "max_slots": 600},
        )
        points = Simulator(experiment).points()
        blers = [errors / point.drops for point, errors in points]
        assert blers[0] > np.sqrt(0.1 * 0.15)
        assert blers[-1] < 0.1
        assert np.allclose(np.diff([point.esn0_db for point, _ in points]), 0.5)
        lengths.append(len(points))
    assert np.mean(lengths) < 4


def test_a_search_goes_so_far_beyond_its_target_that_the_interval_there_ends_inside_the_curve() -> None:
    """A last point at 8 % with a target of 10 % would leave the interval of the crossing open."""
    lengths = set()
    for at_db in np.arange(0.0, 2.0, 0.25):
        simulator = Simulator(
            fake_link.experiment(
                receivers=[{"name": "one", "at_db": float(at_db)}],
                esn0_db={"auto": {"target_bler": (0.1,), "step_db": 0.5, "probe_slots": 8, "start_bler": 0.15}},
                stopping={"min_block_errors": 40, "max_slots": 400},
            ),
            chunk=100,
        )
        points = [point for point, _ in simulator.points()]
        counts = [simulator.known["one", p.esn0_db].counts.block_errors[: p.drops] for p in points]
        rates = np.array([count.mean() for count in counts])
        replicates = bootstrap_shares([Counted(count, 1) for count in counts], 2000, np.random.default_rng(1))
        curve = ReplicatedCurve(np.array([p.esn0_db for p in points]), rates, replicates)
        assert not curve.crossing(0.1).is_open
        lengths.add(int(np.sum(rates < 0.1)))
        assert not any(grouped_wilson(count, 1, 0.99).is_below(0.1) for count in counts[:-1]), "and no further"
    assert lengths >= {1, 2}


def test_the_search_ends_at_an_error_floor() -> None:
    experiment = fake_link.experiment(
        receivers=[{"name": "one", "at_db": 1.0, "floor": 0.2}], esn0_db="auto", stopping={"max_slots": 400}
    )
    points = Simulator(experiment).points()
    assert points[-1][0].esn0_db < 15
    assert points[-1][1] / points[-1][0].drops == pytest.approx(0.2, abs=0.06)


def test_the_search_stays_on_its_grid() -> None:
    for at_db in (-100.0, 100.0):
        experiment = fake_link.experiment(receivers=[{"name": "one", "at_db": at_db}], esn0_db="auto")
        points = Simulator(experiment).points()
        assert [p.esn0_db for p, _ in points] == [-10.0 if at_db < 0 else 40.0]


def test_what_is_not_needed_is_not_reported() -> None:
    """Outcomes beyond the last drop or point that counts leave the results as they are."""
    simulator = Simulator(FIXED)
    points = simulator.points()
    for title in simulator.receivers:
        for esn0_db in FIXED.snr_grid:
            first = simulator.known.setdefault((title, esn0_db), TaskOutcomes()).prefix
            simulator.finish(Chunk(esn0_db, scenario_id(FIXED, esn0_db), range(first, first + 40), (title,)))
    assert simulator.points() == points


def test_receivers_of_a_point_share_chunks() -> None:
    simulator = Simulator(FIXED)
    needs = [need for curve in simulator.plan.curves({}) for need in curve.needs]
    chunk = simulator.schedule.next_chunk(needs, {}, [])
    assert chunk is not None
    assert chunk.receivers == ("genie", "one", "two")
    assert chunk.drops == range(4)


def test_fixed_chunks_are_whole_batches() -> None:
    simulator = Simulator(FIXED, chunk=9)
    needs = [need for curve in simulator.plan.curves({}) for need in curve.needs]
    chunk = simulator.schedule.next_chunk(needs, {}, [])
    assert chunk is not None
    assert chunk.drops == range(12)
