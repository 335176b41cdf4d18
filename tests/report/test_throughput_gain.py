"""Throughput of runs side by side: the gain against its closed form, and how it is shown."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic_runs as synthetic
from scipy.special import expit

from ran.cli.table import print_throughput_gains
from ran.report import write_report
from ran.report.throughput_gain import best_of_runs, throughput_gains

GRID = (4.0, 6.0, 12.0)


def runs_of(drops=400, seed=1, more=1.2):
    """A run with two receivers and one that sends more bits per slot; and a genie in each."""
    first = synthetic.run(
        {"perfect-csi": 3.0, "poor": 6.0, "good": 4.5}, GRID, drops, np.random.default_rng(seed), genies=["perfect-csi"]
    )
    second = synthetic.run({"other": 5.0}, GRID, drops, np.random.default_rng(seed + 10**6))
    points = tuple(replace(p, bits=int(more * p.bits)) for p in second.points)
    return first, replace(second, points=points)


def bler(centre, snr):
    return float(expit(-synthetic.SLOPE_PER_DB * (snr - centre)))


def test_the_reference_is_the_best_of_the_first_run_without_the_genie():
    rows = throughput_gains(runs_of())
    assert {row.esn0_db for row in rows} == set(GRID)
    for snr in GRID:
        at = [row for row in rows if row.esn0_db == snr]
        assert len(at) == 4
        reference = [row for row in at if row.is_reference]
        assert [row.receiver for row in reference] == ["good"] if snr < 12 else len(reference) == 1
        assert reference[0].gain.why_missing == "compared with itself"
    at_peak = next(row for row in rows if row.receiver == "other" and row.esn0_db == 12)
    assert at_peak.gain.value == pytest.approx(0.2, abs=0.02)


def test_intervals_hold_the_truth_as_often_as_they_say():
    wanted = {}
    for snr in GRID[:2]:
        good, other = (1 - bler(4.5, snr)), 1.2 * (1 - bler(5.0, snr))
        wanted[snr] = (other * synthetic.BITS_PER_BLOCK, other / good - 1)
    trials, held = 120, 0
    for seed in range(trials):
        for row in throughput_gains(runs_of(drops=200, seed=seed)):
            if row.receiver == "other" and row.esn0_db in wanted:
                bits, gain = wanted[row.esn0_db]
                held += row.bits_per_slot.low <= bits <= row.bits_per_slot.high
                held += row.gain.low <= gain <= row.gain.high
    total = 4 * trials
    # at least 95 %, but for chance: pairs of answers of a trial are not independent, so twice the deviation of 1e-6
    assert held / total > 0.95 - 2 * 4.75 * np.sqrt(0.05 * 0.95 / total)


def test_nothing_to_compare():
    first, second = runs_of()
    assert throughput_gains([first]) == []
    elsewhere = replace(second, points=tuple(replace(p, esn0_db=p.esn0_db + 0.5) for p in second.points))
    assert throughput_gains([first, elsewhere]) == []


def test_page_and_terminal_show_the_gains(tmp_path, capsys):
    runs = runs_of()
    page = write_report(runs, tmp_path).read_text()
    print_throughput_gains(runs)
    shown = capsys.readouterr().out
    rows = throughput_gains(runs)
    assert all(row.gain_text in page for row in rows)
    best = best_of_runs(rows)
    assert [(row.esn0_db, row.receiver) for row in best[:2]] == [(4.0, "good"), (4.0, "other")]
    assert len(best) == 2 * len(GRID)
    assert all(row.gain_text in shown for row in best)
    assert "genie" not in shown
