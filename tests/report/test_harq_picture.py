"""The bound of the HARQ picture, and that simulated BLERs stay above it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ran.errors import InputError
from ran.report import write_report
from ran.report.curves import curves
from ran.report.harq import bound_after, harq_plot, normal_approximation
from ran.sim.experiment import load
from ran.sim.run import run


def test_bound_has_its_known_shape() -> None:
    # at capacity half of the blocks fail, but for the logarithmic term
    n, snr = 4000, 3.0
    assert normal_approximation(2 * n, n, snr) == pytest.approx(0.5, abs=0.05)
    # twice the blocklength at the same rate: the distance to capacity counts sqrt(2) times more
    low, high = (normal_approximation(int(1.9 * m), m, snr) for m in (n, 2 * n))
    assert high < low < 0.5


def test_simulated_harq_stays_above_the_bound(tmp_path: Path) -> None:
    changes = ["esn0_db=[-1, 1, 3, 5]", "stopping.max_slots=128"]
    runs = [run(load(f"harq-{kind}", changes), tmp_path / kind, workers=1) for kind in ("incremental", "chase")]
    for results in runs:
        for point in results.points:
            for count, bler in enumerate(point.bler_after):
                bound = bound_after(results, count + 1, point.esn0_db)
                assert bler >= bound - 4 * math.sqrt(max(bound * (1 - bound), 1e-3) / point.drops)
    (axes,) = harq_plot(runs).axes
    drawn = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
    for results in runs:
        for count in range(4):
            known = [(p.esn0_db, p.bler_after[count]) for p in results.points if p.bler_after[count] > 0]
            assert drawn[f"{results.title}, after {count + 1}"].tolist() == [list(pair) for pair in known]
    for curve, results in zip(curves(runs), runs, strict=True):
        # a block in every slot at best, and the line goes through the points
        block = results.points[0].bits / results.points[0].blocks
        assert curve.peak_mbps == pytest.approx(block / results.experiment.carrier.slot_duration_s / 1e6)
        fractions = [point.throughput_fraction for point in results.points]
        assert (curve.throughput_mbps / curve.peak_mbps).tolist() == pytest.approx(fractions)
        line, low, high = curve.throughput_band
        assert (low <= line + 1e-9).all()
        assert (line <= high + 1e-9).all()
    page = write_report(runs, tmp_path / "report")
    assert (page.parent / "harq.png").read_bytes().startswith(b"\x89PNG")
    text = page.read_text()
    for phrase in (
        "<h2>HARQ</h2>",
        "BLER after 3",
        "residual",
        f"{100 * runs[0].points[-1].throughput_fraction:.1f} %",
    ):
        assert phrase in text
    plain = run(load("harq-chase", [*changes, "harq=null"]), tmp_path / "plain", workers=1)
    with pytest.raises(InputError, match="without harq"):
        harq_plot([plain])
