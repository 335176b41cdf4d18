"""`ran data measure`: errors of measurements by DM-RS over slots whose truth is known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_set import write_small

from ran.cli.main import main
from ran.datasets.measure import measurement_errors
from ran.datasets.request import DataRequest
from ran.datasets.write import write
from ran.sim.experiment import load

EXPERIMENT = {
    "name": "offsets",
    "carrier": {"num_prb": 24},
    "pusch": {"mcs_index": 10, "dmrs": {"additional_position": 1}},
    "users": {"num_users": 2},
    "num_rx_ant": 4,
    "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 20},
    "waveform": {"timing_offset_s": [100e-9, 300e-9], "cfo_hz": [100.0, -60.0]},
    "receivers": ["blind"],
    "esn0_db": [5, 20],
}


def slots(folder: Path, drops: int = 32, **changes: object) -> Path:
    (folder / "offsets.yaml").write_text(yaml.safe_dump({**EXPERIMENT, **changes}))
    write(load(folder / "offsets.yaml"), DataRequest(num_drops=drops), folder / "offsets.h5", 1)
    return folder / "offsets.h5"


def test_errors_against_the_truth_of_every_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = slots(tmp_path)
    rows = {(row.esn0_db, row.user, row.quantity): row for row in measurement_errors(file)}
    names = ("sinr_db", "rsrp_db", "first_path_ns", "mean_delay_ns", "delay_spread_ns", "cfo_hz", "doppler_spread_hz")
    assert set(rows) == {(point, user, name) for point in (5, 20) for user in (0, 1) for name in names}
    for user, late_ns, cfo_hz in ((0, 100, 100), (1, 300, -60)):
        assert rows[20, user, "first_path_ns"].truth == pytest.approx(late_ns)
        assert rows[20, user, "cfo_hz"].truth == cfo_hz
        assert rows[20, user, "doppler_spread_hz"].truth == pytest.approx(20 / np.sqrt(2))
        # TDL-A: its power is delayed by 1.07 times its spread, by the table; 16 draws of 4 antennas, spread 30 ns
        mean = rows[20, user, "mean_delay_ns"]
        delays, powers = tdl_a()
        assert abs(mean.truth - late_ns - 30 * (delays * powers).sum()) < 4 * 30 / np.sqrt(16 * 4)
        for point in (5, 20):
            # normal errors of 16 slots: the interval of 95 % is 2.13 deviations wide, and four are certain
            for name in ("rsrp_db", "cfo_hz"):
                bias = rows[point, user, name].bias
                assert abs(bias.value) < 4 / 2.13 * (bias.high - bias.value), (point, user, name)
        for name in ("sinr_db", "rsrp_db", "mean_delay_ns"):
            assert rows[20, user, name].rmse.value < max(0.35, 0.8 * rows[5, user, name].rmse.value), name
    assert main(["data", "measure", str(file), "--slots", "4", "--out", str(tmp_path / "errors.csv")]) == 0
    assert "delay_spread_ns" in capsys.readouterr().out
    with (tmp_path / "errors.csv").open() as text:
        table = list(csv.DictReader(text))
    assert len(table) == len(rows)
    assert {row["slots"] for row in table} == {"4"}


def test_the_example_is_an_experiment_whose_truth_is_stated() -> None:
    loaded = load(Path(__file__).resolve().parents[2] / "examples/measurements.yaml")
    assert loaded.waveform is not None
    assert loaded.waveform.cfo_hz == (150.0,)


def tdl_a() -> tuple[np.ndarray, np.ndarray]:
    from channels.tdl import Tdl

    profile = Tdl("A", 1e9, 0.0).power_delay_profile
    return np.asarray(profile.delays_s), np.asarray(profile.powers) / np.sum(profile.powers)


def test_what_is_drawn_at_random_is_left_out(tmp_path: Path) -> None:
    file = slots(
        tmp_path, 4, waveform={"timing_offset_max_s": 1e-7, "cfo_max_hz": 50}, channel={"name": "rayleigh-block"}
    )
    found = {row.quantity for row in measurement_errors(file)}
    assert found == {"sinr_db", "rsrp_db", "mean_delay_ns", "delay_spread_ns"}


def test_sets_without_truth_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_small(tmp_path / "y.h5", num_drops=8, with_channel=False)
    assert main(["data", "measure", str(tmp_path / "y.h5")]) == 2
    assert "allowed: simulated slots, written --with-channel" in capsys.readouterr().err
    write_small(tmp_path / "h.h5", num_drops=8, kind="channels")
    assert main(["data", "measure", str(tmp_path / "h.h5")]) == 2
    assert "got a data set of channels" in capsys.readouterr().err


def test_what_has_no_truth_is_left_out(tmp_path: Path) -> None:
    """The Doppler shift of a moving line of sight is no frequency offset of a radio."""
    moving = {"name": "tdl", "profile": "D", "delay_spread_ns": 30, "max_doppler_hz": 400}
    file = slots(tmp_path, 8, channel=moving, users={"num_users": 1}, waveform={"cfo_hz": 10.0}, esn0_db=[20])
    assert "cfo_hz" not in {row.quantity for row in measurement_errors(file)}


def test_what_some_slot_has_none_of_is_left_out_and_said(tmp_path: Path) -> None:
    weak = {"carrier": {"num_prb": 2}, "users": {"num_users": 1}, "waveform": None, "esn0_db": [-15]}
    said: list[str] = []
    rows = measurement_errors(slots(tmp_path, 16, **weak), say=said.append)
    assert "sinr_db" not in {row.quantity for row in rows}
    assert any("sinr_db is left out" in line for line in said)
    assert all(np.isfinite([row.truth, row.bias.value, row.rmse.value]).all() for row in rows)
