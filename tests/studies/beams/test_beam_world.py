"""Drops and measurements: geometry, independence of the batch, noise."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from beam_cases import UMA, world

from channels.wide_band import size_of_error
from ran.cli.main import main
from ran.errors import InputError
from ran.studies.beams.experiment import SetB, load
from ran.studies.beams.measurement import decide, even_cover, noise_floor_dbm, with_noise
from ran.studies.beams.world import BLOCK, BeamWorld


def test_in_free_space_the_best_beam_is_the_one_that_geometry_says() -> None:
    one = {"pattern": "omni", "faces_deg": [0], "columns": 1, "num_beams": 1}
    here = world(panel={"downtilt_deg": 12.0, "pattern": "omni"}, terminal=one)
    drops = here.drops("test", 0, 64)
    places = drops.users_m[:, 0].astype(np.float64)
    unit = places / np.linalg.norm(places, axis=1, keepdims=True)
    tilt = math.radians(12.0)
    # local coordinates of a panel turned about y
    z = unit[:, 2] * math.cos(tilt) + unit[:, 0] * math.sin(tilt)
    gains = here.set_a.gains(here.positions, np.stack([unit[:, 1], z], -1))
    power = drops.rsrp_dbm[:, 0, :, :32].max(1)
    # within the sums' single precision
    best = gains.argmax(1)
    assert (power.max(1) - power[np.arange(64), best] < 1e-3).all()
    distance = np.linalg.norm(places, axis=1)
    loss = 20 * np.log10(4 * np.pi * distance / here.arrays.wavelength_m)
    # two ports share the power; whatever the slants, both receive polarisations together get all of it
    expected = here.epre_dbm - loss + 10 * np.log10(gains.max(1))
    np.testing.assert_allclose(power.max(1), expected, atol=0.01)


def test_a_drop_does_not_depend_on_what_else_is_asked_for() -> None:
    here = world(channel=UMA)
    several = here.drops("test", 0, BLOCK + 3)
    one = here.drops("test", BLOCK + 1, 1)
    np.testing.assert_array_equal(one.rsrp_dbm[0], several.rsrp_dbm[BLOCK + 1])
    assert not np.array_equal(here.drops("train", 0, 1).rsrp_dbm[0], several.rsrp_dbm[0])
    first, second = decide(here, several), decide(here, one)
    torch.testing.assert_close(first.observation.rsrp_dbm[BLOCK + 1], second.observation.rsrp_dbm[0], rtol=0, atol=0)


def test_measured_power_is_unbiased_and_its_noise_is_as_stated() -> None:
    here = world(radio={"quantised": False, "tx_power_dbm": -3.0})
    drops = here.drops("test", 0, 1)
    signal = 10 ** (drops.rsrp_dbm[0, 0].astype(np.float64) / 10)
    draws = np.stack([10 ** (with_noise(here, drops.rsrp_dbm[0, 0], np.random.default_rng(i)).astype(np.float64) / 10)
                      for i in range(400)])  # fmt: skip
    strong = signal > 10 ** (noise_floor_dbm(here) / 10) * 3
    assert strong.sum() > 20
    error = draws[:, strong].std(0) / np.sqrt(400)
    assert (np.abs(draws[:, strong].mean(0) - signal[strong]) < 5.5 * error).all()
    noise = 10 ** (noise_floor_dbm(here) / 10)
    nothing = np.full(8000, -200.0, np.float32)
    silent = 10 ** (with_noise(here, nothing, np.random.default_rng(1)).astype(np.float64) / 10)
    # half of the estimates are below the noise's mean and cut off: the upper half of a normal law
    assert np.sqrt((silent**2).mean() * 2) == pytest.approx(noise, rel=0.1)


def test_a_walking_user_changes_little_between_close_times() -> None:
    here = world(channel=UMA, timing={"period_ms": 1.0, "num_observed": 3, "horizon_ms": [1000.0]}, speed_kmh=3.6)
    rsrp = here.drops("test", 0, 8).rsrp_dbm
    assert rsrp.shape[1] == 4
    near, far = np.abs(rsrp[:, 1] - rsrp[:, 0]).max((1, 2)), np.abs(rsrp[:, 3] - rsrp[:, 0]).max((1, 2))
    assert np.median(near) < np.median(far)
    best = rsrp.max((2, 3))
    assert np.abs(best[:, 1] - best[:, 0]).max() < 1.5


def test_decisions_of_a_track_see_their_own_times() -> None:
    timing = {"period_ms": 20.0, "num_observed": 2, "horizon_ms": [20.0], "num_decisions": 3}
    here = world(timing=timing, speed_kmh=30.0)
    np.testing.assert_allclose(here.times_s, [0, 0.02, 0.04, 0.06, 0.08])
    for decision in range(3):
        seen, ahead = here.places(decision)
        assert (seen.tolist(), ahead.tolist()) == ([decision, decision + 1], [decision + 2])


def test_training_and_testing_positions_of_a_site_differ() -> None:
    here = world(channel={"name": "ray-traced", "rays": "munich-street"}, set_a={"beams": [4, 8]})
    tested, trained = here.drops("test", 0, 64).users_m[:, 0], here.drops("train", 0, 64).users_m[:, 0]
    apart = np.linalg.norm(tested[:, None] - trained, axis=-1)
    assert apart.min() > 0.01


@pytest.mark.parametrize(("size", "most"), [(4, 2), (8, 1), (16, 1)])
def test_fixed_patterns_leave_no_beam_alone(size: int, most: int) -> None:
    beams = even_cover(4, 16, size)
    assert len(set(beams.tolist())) == size
    rows, columns = np.divmod(np.arange(64), 16)
    apart = np.abs(columns[:, None] - columns[beams]) + np.abs(rows[:, None] - rows[beams])
    assert apart.min(1).mean() < 64 / size / 2 + most


def test_set_b_decides_what_is_seen_but_not_its_noise() -> None:
    here = world(radio={"quantised": False})
    drops = here.drops("test", 0, 4)
    full = decide(here, drops, 0, SetB(pattern="all")).observation
    for pattern, size in (("fixed", 8), ("random", 8)):
        part = decide(here, drops, 0, SetB(pattern=pattern, size=size)).observation
        torch.testing.assert_close(part.rsrp_dbm, full.rsrp_dbm.gather(2, part.measured), rtol=0, atol=0)
    wide = decide(here, drops, 0, SetB(pattern="wide", size=8)).observation
    assert wide.is_wide
    assert wide.measured_weights.shape == (4, 1, 8, 32)


def test_pairs_of_beams_are_entries_of_set_a() -> None:
    here = world(task="pairs", set_b={"size": 16}, terminal={"num_beams": 2})
    drops = here.drops("test", 0, 3)
    found = decide(here, drops)
    assert found.observation.num_set_a == 4 * 32
    np.testing.assert_array_equal(found.truth.rsrp_dbm[:, 0].reshape(3, 4, 32).numpy(), drops.rsrp_dbm[:, 0, :, :32])
    assert (found.observation.measured_rx == found.observation.measured // 32).all()


def test_every_second_measurement_is_the_same_with_the_others_left_out() -> None:
    here = world(timing={"period_ms": 40.0, "num_observed": 6, "horizon_ms": [40.0]}, position_error_m=1.0)
    drops = here.drops("test", 0, 3)
    full, half = decide(here, drops).observation, decide(here, drops, every=2).observation
    np.testing.assert_allclose(half.times_s, [-0.16, -0.08, 0])
    torch.testing.assert_close(half.rsrp_dbm, full.rsrp_dbm[:, 1::2], rtol=0, atol=0)
    torch.testing.assert_close(half.measured, full.measured[:, 1::2], rtol=0, atol=0)
    assert half.users_m is not None
    assert full.users_m is not None
    torch.testing.assert_close(half.users_m, full.users_m[:, 1::2], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("set_b.size=65", "Set B is inside Set A"),
        ("evaluation.top_k=[1, 65]", "1 to 64, the beams of Set A"),
        ("set_a.beams=[4, 60]", "1 to 27 horizontal beams"),
        ("set_b={pattern: wide, size: 7}", "set_b.size: got 7; allowed: 32, 16, 8, 4, 2, 1"),
        ("channel=tdl", "channel"),
        ("channel.pathloss=true", "follows from panel"),
        ("timing.horizon_ms=[20, 0]", "times that ascend"),
        ("evaluation.measured_every=[2]", "got 2; allowed: none with timing.num_observed 1"),
        ("task=pairs", "got 'wide' with task 'pairs'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(override: str, words: str) -> None:
    def build() -> BeamWorld:
        return BeamWorld(load("beams-uma-30ghz", [override]))

    with pytest.raises(InputError) as caught:
        build()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


CASES = {
    "free-space": {"name": "free-space", "zenith_deg": [80, 120]},
    "uma": UMA,
    "cdl": {"name": "cdl", "profile": "C", "delay_spread_ns": 30, "carrier_frequency_hz": 30e9},
    "ray-traced": {"name": "ray-traced", "rays": "munich-street"},
}


@pytest.mark.parametrize("name", CASES)
def test_a_band_over_which_beams_squint_is_refused_with_the_size_of_the_error(name: str) -> None:
    """400 MHz and 32 x 32 places: 0.2 m across the diagonal at 30 GHz, 1.9 m at the 3.5 GHz of the rays."""
    panel: dict[str, Any] = {"rows": 32, "columns": 32}
    radio: dict[str, Any] = {"num_prb": 275, "subcarrier_spacing_khz": 120}
    if name == "cdl":
        radio["path_loss_db"] = 100.0
    with pytest.raises(InputError, match=r"radio: got '396 MHz'; allowed: a narrower band or .*degrees") as caught:
        world(panel=panel, radio=radio, channel=CASES[name]).arrays  # noqa: B018 - is built when it is asked for
    assert "\n" not in str(caught.value)
    # the size of the error, from the places of the elements alone
    narrow = world(panel=panel, radio={**radio, "num_prb": 1}, channel=CASES[name]).arrays
    ways = sum(
        max(float(np.linalg.norm(array.positions_m, axis=1).max()) for array in arrays)
        for arrays in ((narrow.base,), narrow.faces)
    )
    half_hz = 275 * 12 * 120e3 / 2
    phase_deg = 360 * half_hz * ways / 299_792_458.0
    assert f"off by up to {phase_deg:.3g} degrees" in str(caught.value)
    assert phase_deg > 22.5


def test_the_error_told_is_that_of_a_line_towards_its_end() -> None:
    """A sum over the elements at the band's edge, steered at the carrier: the loss that the message tells."""
    delays_s = np.linspace(-1, 1, 4001) * 0.75e-9
    for half_hz in (100e6, 198e6, 400e6):
        loss_db = -20 * math.log10(abs(np.exp(2j * np.pi * half_hz * delays_s).mean()))
        told = re.search(r"gain by up to ([\d.]+) dB", size_of_error(0.75e-9, half_hz))
        assert told is not None
        assert float(told[1]) == pytest.approx(loss_db, rel=0.06)  # two digits are told


def test_the_command_refuses_it_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    wide = ["panel.rows=32", "panel.columns=32", "radio.num_prb=275", "radio.subcarrier_spacing_khz=120"]
    changes = [part for change in wide for part in ("--set", change)]
    assert main(["beams", "beams-uma-30ghz", *changes, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert "radio: got '396 MHz'; allowed: a narrower band or a smaller panel" in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
