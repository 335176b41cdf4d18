"""Es/N0 from a link budget: closed forms, the level of the grid, users of their own, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from channels import Umi
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.catalogue import build_receiver
from ran.link.link_budget import LinkBudget, noise_dbm, tx_powers_dbm
from ran.phy.config import Carrier

UMI = {"name": "umi", "carrier_frequency_hz": 3.5e9, "pathloss": True}


def link(channel: Any = None, budget: dict[str, Any] | None = None, **more: Any) -> Link:
    budget = {"tx_power_dbm": 23.0} if budget is None else budget
    config = {"carrier": {"num_prb": 4}, "num_rx_ant": 2, "channel": channel or UMI, "link_budget": budget, **more}
    return Link(LinkConfig.model_validate(config))


def test_noise_of_a_resource_element() -> None:
    # 10 log10(1.380649e-23 * 290 * 1000) = -173.975 dBm/Hz
    found = noise_dbm(LinkBudget(tx_power_dbm=(23.0,), noise_figure_db=7.0), 30e3)
    assert found == pytest.approx(-173.975 + 44.771 + 7, abs=2e-3)


def test_received_snr_is_power_plus_gain_less_noise() -> None:
    state = link(budget={"tx_power_dbm": 20.0, "noise_figure_db": 3.0, "temperature_k": 300.0}).received(
        range(8), 20.0, 1, "x"
    )
    assert state is not None
    noise = 10 * np.log10(1.380649e-23 * 300 * 1e3 * 30e3) + 3
    np.testing.assert_allclose(state.esn0_db, 20 - 10 * np.log10(48) + state.path_gain_db - noise, atol=1e-9)
    wide = link(budget={"tx_power_dbm": 20.0, "bandwidth_hz": 48 * 30e3 * 10})
    other = wide.received(range(8), 20.0, 1, "x")
    assert other is not None
    np.testing.assert_allclose(other.path_gain_db, state.path_gain_db)
    np.testing.assert_allclose(other.esn0_db - state.esn0_db, -10 + 3 - 5 + 10 * np.log10(300 / 290), atol=1e-9)


@pytest.mark.parametrize("mobile", [False, True])
def test_the_path_gain_is_the_mean_power_of_the_channel(mobile: bool) -> None:
    more = {"speed_mps": 3.0, "mobility": True} if mobile else {}
    model = Umi(3.5e9, pathloss=True, condition="nlos", **more)
    draws = [np.random.Generator(np.random.Philox(key=[7, i])) for i in range(200)]
    gains = model.path_gains(draws, 4, 1)
    again = [np.random.Generator(np.random.Philox(key=[7, i])) for i in range(200)]
    frequencies = np.linspace(-10e6, 10e6, 24)
    h = model.response(again, 4, 1, np.zeros(1), frequencies)
    power = h.abs().double().square().mean((1, 2, 3, 4)).numpy()
    ratio = power / 10 ** (gains.path_gain_db / 10)
    # per drop the power fades around the mean: sd of the mean of 200, from the sample
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(200)
    assert ratio.std() < 1
    assert (gains.condition == 1).all()


def test_the_strongest_user_has_unit_power_and_noise_follows() -> None:
    slots = link().batch(range(64), -20.0, 3, "level")
    assert slots.received is not None
    assert slots.h is not None
    expected = 10 ** (-slots.received.esn0_db[:, 0] / 10)
    np.testing.assert_allclose(slots.observation.noise_var.numpy(), expected, rtol=1e-5)
    assert 0.7 < float(slots.h.abs().square().mean()) < 1.4
    quiet = slots.observation.noise_var > 1e3
    assert quiet.any()
    noise = slots.observation.y - (slots.h * slots.x[:, None]).sum(2)
    measured = noise[quiet].abs().square().mean((1, 2, 3)) / slots.observation.noise_var[quiet]
    # 2 x 14 x 48 complex samples per drop
    assert float((measured - 1).abs().max()) < 5 / np.sqrt(2 * 14 * 48)


def test_gains_of_minus_130_db_decode_like_those_near_the_site() -> None:
    """16QAM at the same received Es/N0, near the site and 130 dB down: powers make up for the distance."""
    errors = {}
    for where, distance in (("near", [10, 12]), ("far", [1500, 1600])):
        channel = {**UMI, "distance_m": distance, "condition": "nlos", "indoor_ratio": 0.0}
        here = link(channel, carrier={"num_prb": 4}, pusch={"mcs_index": 12}, num_rx_ant=4)
        receiver = build_receiver({"name": "ls-linear"})
        state = here.received(range(64), 0.0, 1, where)
        assert state is not None
        if where == "far":
            assert np.median(state.path_gain_db) < -125
        # every drop at 25 dB: its own power
        found = 0
        for drop in range(64):
            power = 25 - float(state.esn0_db[drop, 0])
            batch = here.batch([drop], power, 1, where)
            found += int(here.count_errors(here.receive(receiver, batch), batch).block_errors.sum())
        errors[where] = found
    assert errors["near"] < 16
    assert errors["far"] < 16


def test_users_have_places_and_powers_of_their_own() -> None:
    here = link([UMI, UMI], users={"num_users": 2}, num_rx_ant=4)
    slots = here.batch(range(32), 23.0, 1, "two")
    assert slots.received is not None
    assert slots.h is not None
    assert slots.received.path_gain_db.shape == (32, 2)
    assert (slots.received.distance_2d_m[:, 0] != slots.received.distance_2d_m[:, 1]).all()
    power = slots.h.abs().square().mean((1, 3, 4)).double().numpy()
    wanted = 10 ** ((slots.received.esn0_db - slots.received.esn0_db.max(1, keepdims=True)) / 10)
    ratio = power / wanted
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(64)
    # the second user's state is that of the draw that the channel makes, not of another
    assert np.corrcoef(np.log(power[:, 1]), np.log(wanted[:, 1]))[0, 1] > 0.9


def test_power_control_follows_the_standard() -> None:
    budget = LinkBudget.model_validate({"tx_power_dbm": 23.0, "power_control": {"p0_dbm": -90.0, "alpha": 0.8}})
    carrier = Carrier(num_prb=24, subcarrier_spacing_khz=30)
    sent = tx_powers_dbm(budget, 23.0, np.array([-100.0, -140.0]), carrier)
    # TS 38.213 7.1.1: P0 + 10 log10(2^1 * 24) + 0.8 * 100
    np.testing.assert_allclose(sent, [-90 + 10 * np.log10(48) + 80, 23.0])


def test_outcomes_carry_the_state_and_add_up() -> None:
    here = link()
    receivers = {"ls-linear": build_receiver({"name": "ls-linear"})}
    found = here.simulate(receivers, range(64), 23.0, 1, "x")["ls-linear"]
    assert found.received.shape == (64, 1, 5)
    np.testing.assert_array_equal(found.received[..., -1].sum(1), found.block_errors)
    again = here.simulate(receivers, range(32), 23.0, 1, "x")["ls-linear"]
    np.testing.assert_array_equal(again.received, found.received[:32])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"link_budget": None},
            "esn0_db: got Es/N0 for a channel whose gains hold path loss (umi); allowed: link_budget",
        ),
        ({"channel": "rayleigh-block"}, "link_budget: got one with channel 'rayleigh-block', whose gains hold no"),
        ({"users": {"num_users": 2}}, "channel: got one channel for 2 users with link_budget; allowed: a list"),
        ({"waveform": {}}, "waveform: got one with link_budget; allowed: none"),
        ({"channel": {**UMI, "pathloss": False}}, "allowed: pathloss: true in a scenario"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], words: str) -> None:
    config = {
        "carrier": {"num_prb": 4},
        "num_rx_ant": 4,
        "channel": UMI,
        "link_budget": {"tx_power_dbm": 23.0},
        **given,
    }
    with pytest.raises(InputError) as refused:
        Link(LinkConfig.model_validate(config))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_path_loss_on_tracks_says_that_the_gain_has_steps() -> None:
    assert "steps of up to 7.5 dB every 5 cm" in " ".join(link({**UMI, "mobility": True, "speed_mps": 1.0}).notes)
    assert link({**UMI, "mobility": True}).notes == ()
    assert link({**UMI, "speed_mps": 1.0}).notes == ()


def test_a_traced_site_knows_gain_distance_and_line_of_sight() -> None:
    here = link({"name": "ray-traced", "rays": "munich-street", "normalise": "none"})
    slots = here.batch(range(32), 23.0, 1, "site")
    assert slots.received is not None
    assert slots.h is not None
    assert np.isfinite(slots.received.distance_2d_m).all()
    assert set(slots.received.condition.ravel().tolist()) <= {0, 1}
    ratio = slots.h.abs().square().mean((1, 2, 3, 4)).numpy()
    assert 0.3 < np.median(ratio) < 3
    assert torch.isfinite(slots.observation.y.abs()).all()
