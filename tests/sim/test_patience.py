"""How long workers may take, by a clock that the test turns."""

from __future__ import annotations

from ran.sim.patience import Patience


def test_workers_are_overdue_by_what_they_took() -> None:
    now = [100.0]
    patience = Patience(lambda: now[0])
    patience.start("quick", 0.8)
    patience.start("slow", 2.0)
    patience.start("any", None)
    assert patience.overdue() == []
    now[0] += 0.7
    assert patience.overdue() == []
    now[0] += 0.2
    assert patience.overdue() == ["quick"]
    patience.stop("quick")
    now[0] += 0.9
    assert patience.overdue() == []
    now[0] += 0.3
    assert patience.overdue() == ["slow"]
    patience.stop("slow")
    patience.stop("slow")
    now[0] += 1e6
    assert patience.overdue() == []


def test_a_driver_that_was_suspended_did_not_wait() -> None:
    now = [0.0]
    patience = Patience(lambda: now[0])
    patience.start("worker", 5.0)
    assert patience.overdue() == []
    for _ in range(4):
        now[0] += 3600  # an hour, of which one second counts
        assert patience.overdue() == []
    now[0] += 3600
    assert patience.overdue() == ["worker"]
