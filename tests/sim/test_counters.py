"""What a receiver or a link counts arrives in the store, adds up, and is in the tables."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from pathlib import Path

import fake_link
import numpy as np
import pytest
from in_process import run_here

import ran
from ran.contracts import check_class
from ran.errors import ReceiverRefused
from ran.link import Link
from ran.report import write_report
from ran.sim.experiment import Experiment
from ran.sim.outcomes import TaskOutcomes
from ran.sim.results import load_results
from ran.sim.segment import Segment
from ran.sim.simulation import Simulation, build_simulation
from ran.sim.store import Store
from ran.stats.counts import Counts
from receivers import Receiver

RECEIVER = """
import torch
from receivers import Lmmse


class Counting(Lmmse):
    name = "counting"
    counters = ("slots", "strong_antennas")

    def __call__(self, observation, truth=None):
        power = observation.y.abs().square().mean((2, 3))
        self._strong = (power > power.mean(1, keepdim=True)).sum(1)
        return super().__call__(observation, truth)

    def counted(self):
        return {"slots": torch.ones_like(self._strong), "strong_antennas": self._strong}
"""
LINK = {
    "name": "link",
    "carrier": {"num_prb": 6},
    "pusch": {"mcs_table": 1, "mcs_index": 4},
    "num_rx_ant": 2,
    "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10},
    "receivers": ["lmmse", "counting.py:Counting"],
    "esn0_db": [-4, 0],
    "stopping": {"min_block_errors": None, "max_slots": 160, "min_bler": None},
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("counting.py").write_text(RECEIVER)


def table(path: str) -> dict[tuple[str, str], dict[str, str]]:
    rows = list(csv.DictReader(Path(path).read_text().splitlines()))
    assert list(rows[0])[-2:] == ["count_slots", "count_strong_antennas"]
    return {(row["receiver"], row["esn0_db"]): row for row in rows}


def test_a_receiver_counts_over_retransmissions() -> None:
    """One that counts its slots has as many as there were transmissions of the one user's blocks."""
    values = {**LINK, "harq": {"max_transmissions": 3}}
    less = {**values, "stopping": {**LINK["stopping"], "max_slots": 16}}
    ran.simulate(less, out="first")
    ran.simulate(values, out="first")  # goes on
    found = table("first/results.csv")
    for (receiver, _), row in found.items():
        if receiver == "lmmse":
            assert row["count_slots"] == row["count_strong_antennas"] == ""
        else:
            assert row["count_slots"] == row["transmissions"]
            assert int(row["transmissions"]) > 160
            assert 0 < int(row["count_strong_antennas"]) <= int(row["count_slots"])
    # drop by drop in the store, in how many chunks they ever came
    whole = ran.simulate(values, out="second").runs[0]
    pairs = list(zip(load_results(Path("first")).points, whole.points, strict=True))
    assert len(pairs) == 4
    for one, other in pairs:
        assert one.counters_per_drop.keys() == other.counters_per_drop.keys()
        for name, counts in one.counters_per_drop.items():
            np.testing.assert_array_equal(counts, other.counters_per_drop[name])
            assert len(counts) == 160
        if one.counters_per_drop:
            np.testing.assert_array_equal(one.counters_per_drop["slots"], one.transmissions_per_drop)
    # sums stand beside the values of all drops, also of those that no point needed
    store = Store(Path("first/results.sqlite"))
    parts = [segment.counts for segments in store.content().segments.values() for segment in segments]
    counted = [counts.own_counters["slots"] for counts in parts if counts.own_counters]
    store.close()
    with sqlite3.connect("first/results.sqlite") as db:
        stored = [json.loads(text).get("slots", 0) for (text,) in db.execute("SELECT counters FROM outcomes")]
    assert sorted(filter(None, stored)) == sorted(int(values.sum()) for values in counted)
    assert len(counted) >= 4
    page = write_report([whole], Path("report")).read_text()
    assert "What receivers count" in page
    assert '<th class="num" scope="col">strong_antennas</th>' in page


def built(receiver: str, **changes: object) -> tuple[Link, Receiver]:
    """A link, and the receiver of a file with this text."""
    Path("counting.py").write_text(receiver)
    simulation = build_simulation(
        Experiment.model_validate({**LINK, "receivers": [f"{Path.cwd()}/counting.py:Counting"], **changes})
    )
    assert isinstance(simulation.link, Link)
    return simulation.link, simulation.receivers["Counting"]


def test_parts_of_a_slot_with_gaps_add_up() -> None:
    pusch = {"mcs_table": 1, "mcs_index": 4, "allocation": {"prbs": [0, 1, 4, 5]}}
    link, receiver = built(RECEIVER, pusch=pusch)
    counts = link.simulate({"own": receiver}, range(link.batch_drops + 3), 0.0, 1, "gaps")["own"]
    assert counts.own_counters["slots"].tolist() == [2] * (link.batch_drops + 3)


DECLARED, COUNTED = '"slots", "strong_antennas"', "torch.ones_like(self._strong)"


@pytest.mark.parametrize("name", ["Slots", "bit_errors", "", "a b", "9lives"])
def test_names_are_checked_before_a_run(name: str) -> None:
    with pytest.raises(ReceiverRefused, match=f"counters: got '{name}'; allowed: names of up to 63"):
        built(RECEIVER.replace(DECLARED, f'"{name}",'))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (DECLARED, '"slots",', "got ['slots', 'strong_antennas']; allowed: ['slots']"),
        (COUNTED, "-1 - self._strong", "slots: got int64"),
        (COUNTED, "self._strong / 2", "slots: got float32"),
        (COUNTED, "self._strong.sum()", "slots: got int64 []"),
    ],
)
def test_what_is_counted_is_checked(old: str, new: str, message: str) -> None:
    assert old in RECEIVER
    link, receiver = built(RECEIVER.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(message)):
        link.simulate({"own": receiver}, range(8), 0.0, 1, "counters")


def test_the_contract_of_a_class_includes_its_counters() -> None:
    def problems() -> list[str]:
        return [f.problem for f in check_class("counting.py:Counting", base_dir=Path.cwd())[1] if f.problem]

    assert problems() == []
    Path("counting.py").write_text(RECEIVER.replace(COUNTED, "self._strong / 2"))
    assert len(problems()) == 1


class CountingLink(fake_link.FakeLink):
    """As a study that brings its own link may have it: it counts what it likes."""

    def simulate(self, receivers, drops, esn0_db, seed, scenario_id):  # type: ignore[no-untyped-def]
        found = super().simulate(receivers, drops, esn0_db, seed, scenario_id)
        return {
            title: counts.counting({"drop_numbers": np.arange(drops.start, drops.stop)})
            for title, counts in found.items()
        }


def test_a_link_counts_what_it_likes(tmp_path: Path) -> None:
    small = {"esn0_db": [0, 2], "stopping": {"min_block_errors": 20, "max_slots": 120, "min_bler": 0.01}}

    def build(experiment, device: str = "cpu") -> Simulation:  # type: ignore[no-untyped-def]
        simulation = fake_link.build(experiment, device)
        simulation.link.__class__ = CountingLink
        return simulation

    results = run_here(fake_link.experiment(**small), tmp_path / "out", build=build).results
    for point in results.points:
        assert point.counters == {"drop_numbers": sum(range(point.drops))}


def test_a_counter_that_only_later_drops_have_is_not_known() -> None:
    """Such as of a run that an older version began."""
    first = Counts.of([1, 0], [5, 0])
    later = Counts.of([0, 1], [0, 3]).counting({"iterations": np.array([4, 5])})
    outcomes = TaskOutcomes([Segment(0, first), Segment(2, later)])
    assert outcomes.counts.own_counters == {}
    assert outcomes.counts.bit_errors.tolist() == [5, 0, 0, 3]
    assert (later + later).own_counters["iterations"].tolist() == [4, 5, 4, 5]
