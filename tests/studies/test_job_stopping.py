"""Stopping rules of studies made of jobs: the same drops count, whoever did how many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from beam_cases import experiment as beam_experiment

from ran.stats import student_mean
from ran.studies.adaptation.experiment import load
from ran.studies.adaptation.outcome import outcomes
from ran.studies.adaptation.run import run_tables
from ran.studies.beams import outcome_jobs
from ran.studies.beams.run import run_experiment as run_beams
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.run import run_experiment as run_csi
from ran.studies.stopping import is_narrow, parts_ahead, parts_used


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))


def test_widths_are_those_of_student() -> None:
    rng = np.random.default_rng(1)
    parts = [rng.random(n).astype(np.float32) for n in (3, 40, 7, 400)]
    widths = [student_mean(np.concatenate(parts[: i + 1]).astype(float)).half_width for i in range(len(parts))]
    for limit in (*(w * 1.0001 for w in widths if w), *(w * 0.9999 for w in widths if w)):
        expected = [i > 0 and w is not None and w <= limit for i, w in enumerate(widths)]
        assert is_narrow(parts, limit).tolist() == expected


def test_the_fewest_parts_that_are_enough_for_all_count() -> None:
    yes, no = np.array([False, True, False, True, True]), np.array([False, False, True, True, False])
    assert parts_used([yes], 9) == 2
    assert parts_used([yes, no], 9) == 4
    assert parts_used([no[:2], yes], 9) is None
    assert parts_used([no[:2], yes[:2]], 2) == 2
    assert [parts_ahead(known, 20) for known in (0, 4, 8, 16)] == [4, 8, 12, 20]


def test_csi_feedback_stops(tmp_path: Path) -> None:
    values = {
        "name": "small",
        "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
        "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
        "band": {"num_prb": 24, "subband_size": 4},
        "feedback": ["type-one"],
        "throughput": {"num_users": [1], "snr_db": [10]},
        "num_drops": 400,
    }
    whole = run_csi(CsiExperiment.model_validate(values), tmp_path / "whole", 1)
    half = 1.05 * (whole.outcomes[0].value("sgcs").high - whole.outcomes[0].value("sgcs").value) * np.sqrt(4)
    stopping = CsiExperiment.model_validate({**values, "stopping": {"sgcs_half_width": float(half)}})
    stopped = run_csi(stopping, tmp_path / "stopped", 1)
    count = stopped.num_drops
    assert 64 <= count < 400
    assert count % 32 == 0
    assert stopped.outcomes[0].value("sgcs").high - stopped.outcomes[0].value("sgcs").value <= half
    np.testing.assert_array_equal(stopped.outcomes[0].figures["sgcs"], whole.outcomes[0].figures["sgcs"][:count])
    # one block less is not enough, and a folder that holds more than is needed says the same
    fewer = whole.outcomes[0].figures["sgcs"][: count - 32]
    assert count == 64 or (student_mean(fewer).half_width or 0) > half
    again = run_csi(stopping, tmp_path / "whole", 1)
    assert again.num_drops == count


def test_beams_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_jobs, "_DROPS", 16)
    values = {"predictors": ["interpolation", "genie"], "evaluation": {"top_k": [1], "set_b_sizes": [4]}}
    wide = run_beams(beam_experiment(**values, num_drops=128, stopping={"top1_half_width": 0.16}), tmp_path, workers=1)
    assert 32 <= wide.num_drops < 128
    assert wide.num_drops % 16 == 0
    alone = run_beams(beam_experiment(**values, num_drops=wide.num_drops))
    assert [r.values for r in wide.results] == [r.values for r in alone.results]
    top1 = wide.results[0].values["top1"]
    assert (top1.half_width or 1) <= 0.17  # the reported interval is the normal one


def test_link_adaptation_stops(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(
        "name: small\ncarrier: {num_prb: 2}\npusch: {mcs_table: 1}\nnum_rx_ant: 2\n"
        "channel: {name: tdl, profile: A, delay_spread_ns: 100, max_doppler_hz: 20}\n"
        "receivers: [ls-linear]\nesn0_db: [12]\n"
        "adaptation: {num_series: 32, num_slots: 6, warm_up_slots: 2, delay_slots: 1}\n"
    )
    found = {}
    for width in (1.0, 0.001):
        experiment = load(str(file), [f"adaptation.relative_half_width={width}"])
        series, points = run_tables(experiment, tmp_path / "out", workers=1)
        found[width] = {o.mode: o.delivered_bits for o in outcomes(experiment, series, points)}
    assert {len(bits) for bits in found[1.0].values()} == {16}
    assert {len(bits) for bits in found[0.001].values()} == {32}
    shared = [mode for mode in found[1.0] if mode.startswith("fixed") and mode in found[0.001]]
    assert len(shared) > 2
    for mode in shared:
        np.testing.assert_array_equal(found[0.001][mode][:16], found[1.0][mode])
