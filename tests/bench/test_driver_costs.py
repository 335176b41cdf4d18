"""The model of a large cluster drives a real run, whose workers do nothing."""

from __future__ import annotations

from ran.bench.driver_costs import driver_cost
from ran.sim.experiment import load
from ran.sim.schedule import target_s


def test_every_drop_is_stored_once_by_few_chunks() -> None:
    cost = driver_cost(load("pusch-receivers", ["esn0_db=[0]", "receivers=[ls-linear]"]), 20, chunks_per_worker=2)
    # two chunks a worker, and those of a single batch before the speed is known
    assert 40 <= cost.chunks < 400
    assert cost.seconds > 0
    assert 0 < cost.message_bytes < 20_000


def test_chunks_are_longer_for_many_workers() -> None:
    assert target_s(1) == target_s(150) == 1.5
    assert target_s(1000) == 10.0
