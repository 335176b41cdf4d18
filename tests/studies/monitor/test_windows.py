"""Scores of windows and alarms, from records made by hand."""

import math

import numpy as np
import pytest

from ran.studies.monitor.reference import bounds_of
from ran.studies.monitor.windows import DETECTORS, HISTORY, WINDOW, Bounds, lost_more, scores, timeline
from receivers import Lmmse
from receivers.monitoring.inputs import STATISTICS
from receivers.monitoring.monitored import Monitored, SlotRecord

CONFIGURATION = {"bits per symbol": 4, "layers": 1, "antennas": 4, "DM-RS symbols": 2}
NOTHING = (math.nan,) * len(STATISTICS)
BOUNDS = Bounds(
    {4: ((-5.0, 25.0), (0.0, 10.0), (0.0, 3.0), (0.5, 1e9), (0.3, 1e9))},
    {"bits per symbol": (4,), "layers": (1, 2), "antennas": (4,), "DM-RS symbols": (2,)},
)
USUAL = (10.0, 3.0, 0.5, 0.9, 0.9)
LIMITS = {"inputs": 0.5, "calibration": 0.1, "worse": 1.5}


def slot(statistics=NOTHING, arrived=True, excess=math.nan, reference=None, configuration=CONFIGURATION):
    compared = reference is not None
    return SlotRecord(statistics, configuration, arrived, excess, compared, bool(reference))


def test_inputs_outside_the_training_are_counted_and_named():
    burst = (10.0, 3.0, 12.0, 0.9, math.nan)
    window = [slot(USUAL), slot(burst), slot(), slot(burst), slot(USUAL)]
    assert scores(window, BOUNDS)["inputs"] == 0.5
    assert BOUNDS.unlike(slot(burst)) == ("symbol spread 12 dB, trained 0 to 3",)
    assert BOUNDS.unlike(slot(USUAL)) == ()
    assert BOUNDS.unlike(slot((10.0, 3.0, 0.5, 0.1, 0.9))) == ("frequency correlation 0.1, trained 0.5 or more",)
    one_pilot = {**CONFIGURATION, "DM-RS symbols": 1}
    assert BOUNDS.unlike(slot(USUAL, configuration=one_pilot)) == ("DM-RS symbols 1, trained 2",)


def test_slots_that_only_the_reference_receives_count():
    even = [slot(arrived=False, reference=False), slot(reference=True), slot()]
    assert scores(even, BOUNDS)["worse"] == 0
    # half of the four lost slots that were compared were received by the reference, so two and a half of five
    lost = [*[slot(arrived=False, reference=ok) for ok in (True, True, False, False)], slot(arrived=False)]
    assert scores(lost, BOUNDS)["worse"] == 2.5
    # and one received slot of two that were compared was lost by it, with four counted in: a sixth of six
    assert scores([*lost, *[slot()] * 4, slot(reference=True), slot(reference=False)], BOUNDS)["worse"] == 1.5
    assert scores([*lost, *[slot()] * 6], BOUNDS, [slot(reference=True), slot(reference=False)])["worse"] == 1.5
    # claims without ground decide between windows that are even, and no more
    claims = [slot(excess=0.05), slot(excess=0.15)]
    assert scores(claims, BOUNDS)["calibration"] == pytest.approx(0.1)
    assert scores(claims, BOUNDS)["worse"] == pytest.approx(0.1)
    assert scores([slot(excess=5.0)], BOUNDS)["worse"] == pytest.approx(0.2)
    assert scores([slot(excess=-5.0)], BOUNDS)["worse"] == 0
    assert set(scores([slot()], BOUNDS)) == set(DETECTORS)


@pytest.mark.parametrize("bler", [0.05, 0.2, 0.5, 0.8])
def test_equal_receivers_score_nothing_at_any_bler(bler):
    """Lost slots are compared far more often than received ones; that may not count as being worse."""
    generator = np.random.default_rng(1)
    shadow, num = Monitored(Lmmse(), Lmmse())._shadow, 40_000
    alone = 0.3 * bler * (1 - bler)
    # both receivers lose slots with the same probability, partly the same slots
    outcomes = generator.choice(4, num, p=[1 - bler - alone, alone, alone, bler - alone])
    records = []
    for outcome in outcomes:
        arrived, other = outcome in (0, 1), outcome in (0, 2)
        records.append(slot(arrived=arrived, reference=other if shadow.wants(arrived) else None))
    found = np.array(
        [lost_more(records[i : i + WINDOW], records[max(0, i - HISTORY) : i]) for i in range(HISTORY, num, WINDOW)]
    )
    # few comparisons of received slots make the estimate uncertain, and correlated over as many windows as they last
    spread = 4 * found.std() * np.sqrt((HISTORY / WINDOW + 1) / len(found))
    counted_in = 0.5 * WINDOW * alone
    assert -spread < found.mean() < spread + counted_in
    # what a plain sum over the compared slots says
    plain = [sum(int(r.reference_arrived) - int(r.arrived) for r in records if r.compared) / num * WINDOW]
    assert found.mean() < max(plain[0], spread)


def test_the_timeline_has_an_alarm_once_enough_slots_are_bad():
    good, bad = slot(USUAL, reference=True), slot(USUAL, arrived=False, reference=True)
    line = timeline([*[good] * WINDOW, *[bad] * 3, *[good] * WINDOW], BOUNDS, LIMITS)
    assert [window.slot for window in line] == list(range(WINDOW - 1, 2 * WINDOW + 3))
    alarms = [window.slot for window in line if "worse" in window.alarms]
    # the second bad slot is one too many, until only one is left in the window
    assert alarms == list(range(WINDOW + 1, 2 * WINDOW + 1))
    assert timeline([good] * (WINDOW - 1), BOUNDS, LIMITS) == []


def test_bounds_hold_what_they_were_made_of_with_a_margin():
    low, high = (0.0, 1.0, 0.0, 0.4, math.nan), (20.0, 5.0, 2.0, 0.9, math.nan)
    bounds = bounds_of([slot(low), slot(high), slot()])
    assert bounds.ranges[4][0] == (-5.0, 25.0)
    assert bounds.ranges[4][3][0] == pytest.approx(0.275)
    assert bounds.configurations["antennas"] == (4,)
    assert bounds.unlike(slot(low)) == bounds.unlike(slot(high)) == ()
    # a statistic that was never known has no bounds, a higher correlation is no fault
    assert bounds.unlike(slot((10.0, 3.0, 1.0, 2.0, 0.0))) == ()
    assert bounds.unlike(slot((25.1, 3.0, 1.0, 0.2, 0.0))) != ()
