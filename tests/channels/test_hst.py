"""The high-speed train against its equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from channels import Hst


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng([3, n]) for n in range(count)]


def cos_theta(time_s: float, span: float, track: float, speed: float) -> float:
    """TS 38.104 eq. G.3-2 to G.3-4, as printed."""
    if time_s > 2 * span / speed:
        return cos_theta(time_s % (2 * span / speed), span, track, speed)
    way = span / 2 - speed * time_s if time_s <= span / speed else -1.5 * span + speed * time_s
    return float(way / np.sqrt(track**2 + way**2))


@pytest.mark.parametrize(
    ("scenario", "span", "track", "kmh"),
    [("1-NR350", 700, 150, 350), ("3-NR350", 300, 2, 350), ("1-NR500", 700, 150, 500), ("3-NR500", 300, 2, 500)],
)
def test_doppler_follows_the_trajectory(scenario: Any, span: float, track: float, kmh: float) -> None:
    model = Hst(scenario, max_doppler_hz=2334)
    times = np.linspace(0, 40, 977)
    expected = [2334 * cos_theta(t, span, track, kmh / 3.6) for t in times]
    np.testing.assert_allclose(model.doppler_hz(times), expected, atol=1e-6)
    assert model.period_s == pytest.approx(2 * span / (kmh / 3.6))


@pytest.mark.parametrize("scenario", ["1-NR350", "3-NR500"])
def test_phase_is_the_integral_of_the_doppler_shift(scenario: Any) -> None:
    model = Hst(scenario, max_doppler_hz=1340)
    times = np.linspace(0, 2.5 * model.period_s, 2_000_001)
    shift = model.doppler_hz(times)
    integral = np.concatenate([[0], np.cumsum((shift[1:] + shift[:-1]) / 2 * np.diff(times))])
    np.testing.assert_allclose(model.cycles(times), integral, atol=2e-3)


def test_a_draw_turns_at_the_shift_of_its_place() -> None:
    model = Hst("1-NR350", max_doppler_hz=2334, start_s=1.0)
    times = np.arange(14) * 35e-6
    h = model.response(generators(5), 4, 1, times, np.arange(12) * 30e3).numpy()
    np.testing.assert_allclose(np.abs(h), 1, atol=1e-6)
    assert np.all(h == h[:, :1, :, :, :1])
    shift = np.angle(h[:, 0, 0, 1:, 0] / h[:, 0, 0, :-1, 0]) / (2 * np.pi * 35e-6)
    np.testing.assert_allclose(shift, model.doppler_hz(np.array(1.0)) + 0 * shift, rtol=1e-3)


def test_draws_begin_anywhere_on_the_trajectory() -> None:
    model = Hst("1-NR350", max_doppler_hz=2334)
    times = np.array([0, 1e-5])
    h = model.response(generators(400), 1, 1, times, np.zeros(1)).numpy()[:, 0, 0, :, 0]
    shift = np.angle(h[:, 1] / h[:, 0]) / (2 * np.pi * 1e-5)
    assert shift.min() < -2000
    assert shift.max() > 2000
    assert np.abs(h.mean(0)).max() < 5 / np.sqrt(400)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenario": "2"}, r"scenario: got '2'; allowed: 1-NR350, 3-NR350, 1-NR500, 3-NR500"),
        ({"max_doppler_hz": -1}, r"max_doppler_hz: got -1; allowed: a finite number from 0"),
        ({"start_s": float("nan")}, r"start_s: got nan"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hst(**{"scenario": "1-NR350", "max_doppler_hz": 2334, **options})


def test_several_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="num_tx_ant: got 2; allowed: 1 with channel 'hst'"):
        Hst("1-NR350", 2334).check(2, 2)
