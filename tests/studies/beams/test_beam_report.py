"""Quantised L1-RSRP against the tables of TS 38.133 §10.1.6."""

from __future__ import annotations

import numpy as np
import pytest

from ran.studies.beams.report import absolute_value, differential_value, reported_dbm


@pytest.mark.parametrize(
    ("rsrp_dbm", "value"),
    [
        (-150, 16),
        (-140.01, 16),
        (-140, 17),
        (-139.01, 17),
        (-139, 18),
        (-90, 67),
        (-44.01, 112),
        (-44, 113),
        (-20, 113),
    ],
)
def test_absolute_values_are_those_of_table_10_1_6_1_1(rsrp_dbm: float, value: int) -> None:
    assert absolute_value(np.array([rsrp_dbm]))[0] == value


@pytest.mark.parametrize(
    ("below_db", "value"), [(0, 0), (1.99, 0), (2, 1), (3.9, 1), (27.9, 13), (28, 14), (29.9, 14), (30, 15), (70, 15)]
)
def test_differential_values_are_those_of_table_10_1_6_1_2(below_db: float, value: int) -> None:
    assert differential_value(np.array([below_db]))[0] == value


def test_reports_are_off_by_half_a_step_at_most_within_range() -> None:
    rsrp = np.random.default_rng(1).uniform(-100, -72, (200, 8))
    reported = reported_dbm(rsrp)
    strongest = rsrp.argmax(1)
    np.testing.assert_array_equal(reported.argmax(1), strongest)
    assert np.abs(reported - rsrp).max() <= 0.5 + 1.0 + 1e-9
    rows = np.arange(200)
    assert np.abs(reported[rows, strongest] - rsrp[rows, strongest]).max() <= 0.5 + 1e-9
