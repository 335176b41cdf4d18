"""`ran train` finds out what is wrong with a recipe before anything is written or computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ran.errors import InputError
from ran.training.train import run


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("slots.esn0_db=abc", r"slots\.esn0_db: got 'abc'; allowed: a number or a distribution, -60 to 100 dB"),
        ("slots.esn0_db={uniform: [0, 1e300]}", r"slots\.esn0_db: got 1e\+300; allowed: "),
        ("slots.esn0_db={uniform: [0, .inf]}", r"slots\.esn0_db\.uniform: got \[0, inf\]"),
        ("slots.esn0_db={choice: [3, yes]}", r"slots\.esn0_db: got 'yes'"),
        ("schedule.batch_slots=1e9", r"schedule\.batch_slots: got 1000000000; allowed: a whole number, 1 to 65536"),
        ("schedule.learning_rate=1e300", r"schedule\.learning_rate: got 1e\+300"),
        ("schedule.steps=-1", r"schedule\.steps: got -1"),
        ("slots.channel.max_doppler_hz=1e300", r"slots: channel\.max_doppler_hz: got 1e\+300; allowed: 0 to 1e\+06"),
        ("slots.carrier.num_prb=yes", r"slots: carrier\.num_prb: got 'yes'; allowed: a whole number"),
        ("model.num_channels=1e9", r"model\.num_channels: got 1000000000\.0; allowed: 1 to 8192"),
        ("model.num_passes=1.5", r"model\.num_passes: got 1\.5"),
        ("model.num_pases=2", r"model\.num_pases: unknown option of 'hybrid'; .*did you mean 'num_passes'"),
        # one of many that a choice may be, which no draw at the start needs to have met
        ("slots.num_rx_ant={choice: [1, 2, 3, 4, 5, 6, 7, 8, 1e300]}", r"slots: num_rx_ant: got 1000"),
        ("slots.channel.max_doppler_hz={uniform: [-1e300, 3]}", r"slots: channel\.max_doppler_hz: got -"),
        (f"slots.channel.max_doppler_hz={{uniform: [0, {10**400}]}}", r"slots\.channel\.max_doppler_hz\.uniform: got"),
        (f"slots.num_rx_ant={10**400}", r"slots: num_rx_ant: got 1000"),
        (f"schedule.steps={10**400}", r"schedule\.steps: got 1000"),
        ("evaluate=[nothing]", r"evaluate\.0: experiment .*: got 'nothing'"),
        ('evaluate=["pusch-receivers carrier.num_prb=0"]', r"evaluate\.0: pusch-receivers: carrier\.num_prb: got 0"),
        (
            "validation=[{esn0_db: 3, slots: {channel: {name: tdl, profile: A, delay_spread_ns: 1e300}}}]",
            r"validation\.0\.slots: channel\.delay_spread_ns: got 1e\+300",
        ),
    ],
)
def test_recipes_are_refused_before_anything_is_written(tmp_path: Path, change: str, message: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match=message):
        run("pusch-hybrid", out, [change])
    assert not out.exists()


def test_draws_that_no_machine_holds_are_refused(tmp_path: Path) -> None:
    changes = ["schedule.batch_slots=60000", "slots.carrier.num_prb=273", "slots.num_rx_ant=64"]
    with pytest.raises(InputError, match=r"slots: schedule\.batch_slots: got 60000, whose grids and channels need"):
        run("pusch-hybrid", tmp_path / "out", changes)
    assert not (tmp_path / "out").exists()


def test_an_evaluation_of_beams_is_read_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"evaluate\.0: .*nothing"):
        run("beams-mlp", tmp_path / "out", ["evaluate=[{experiment: nothing}]"])
    assert not (tmp_path / "out").exists()


def test_slots_of_unlike_modulations_are_refused(tmp_path: Path) -> None:
    users = "slots.users={num_users: 2, mcs_index: [4, 16]}"
    changes = ["cases=[{pusch: {mcs_index: 14}, esn0_db: 9}]", users, "slots.num_rx_ant=4"]
    with pytest.raises(
        InputError, match=r"bits per symbol of the layers: got 2, 4 in one slot; allowed: one modulation"
    ):
        run("pusch-hybrid", tmp_path / "out", changes)
    assert not (tmp_path / "out").exists()
