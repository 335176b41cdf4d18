"""Scores of windows and alarms, from records made by hand."""

import math

import pytest

from ran.studies.monitor.reference import bounds_of
from ran.studies.monitor.windows import DETECTORS, WINDOW, Bounds, scores, timeline
from receivers.monitoring.inputs import STATISTICS
from receivers.monitoring.monitored import SlotRecord

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
    lost = [*even, *[slot(arrived=False, reference=True)] * 3, slot(reference=False)]
    assert scores(lost, BOUNDS)["worse"] == 2
    # claims without ground decide between windows that are even, and no more
    claims = [slot(excess=0.05), slot(excess=0.15)]
    assert scores(claims, BOUNDS)["calibration"] == pytest.approx(0.1)
    assert scores(claims, BOUNDS)["worse"] == pytest.approx(0.1)
    assert scores([slot(excess=5.0)], BOUNDS)["worse"] == pytest.approx(0.2)
    assert scores([slot(excess=-5.0)], BOUNDS)["worse"] == 0
    assert set(scores([slot()], BOUNDS)) == set(DETECTORS)


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
