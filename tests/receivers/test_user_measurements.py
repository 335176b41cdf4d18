"""Measurements of users from the DM-RS of a slot against closed forms: a delay, an offset, noise, a Jakes spectrum."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ran.link import Link
from ran.link.config import LinkConfig
from ran.phy.modulation import constellation
from receivers.classical.user_measurements import equalized, estimated, measure_users

NUM_SLOTS, NUM_RX, SNR = 48, 4, 10.0
DELAY_S, CFO_HZ = 350e-9, 420.0
#: What 24 PRBs of 30 kHz resolve. The delays that the estimate is made of are half of it apart, and the mean delay
#: leans to the nearest of them by up to a hundredth of that.
RESOLUTION_S = 1 / (288 * 30e3)
LEAN_S = 0.01 * RESOLUTION_S


def batch(num_slots=NUM_SLOTS, snr_db=10.0, channel=None, num_prb=24, **more):
    config = LinkConfig.model_validate(
        {
            "carrier": {"num_prb": num_prb},
            "pusch": {"mcs_index": 10, "dmrs": {"additional_position": 1}},
            "channel": channel or {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 5},
            "num_rx_ant": NUM_RX,
            **more,
        }
    )
    return Link(config).batch(range(num_slots), snr_db, 1, "measurements", with_channel=True)


def ideal(made, delays_s, cfos_hz, seed=3):
    """The slots over one path per user and antenna of unit power, in white noise."""
    o, rng = made.observation, np.random.default_rng(seed)
    k, times = np.arange(o.y.shape[-1]), o.symbol_times_s.numpy()
    phases = np.exp(2j * np.pi * rng.random((len(o.y), NUM_RX, o.num_layers)))
    turns = [cfos_hz[user] * times[:, None] - delays_s[user] * o.subcarrier_spacing_hz * k for user in o.layer_to_user]
    h = phases[..., None, None] * np.exp(2j * np.pi * np.array(turns))
    noise = rng.standard_normal((*o.y.shape, 2)) @ [1, 1j] / np.sqrt(2 * SNR)
    y = (h * made.x.numpy()[:, None]).sum(2) + noise
    return replace(o, y=torch.from_numpy(y), noise_var=torch.full((len(y),), 1 / SNR))


def pilot_energy(observation):
    """Energy over the noise, subcarriers and times of a layer's pilots, over all antennas."""
    power = observation.pilots[0].abs().numpy() ** 2 * NUM_RX * SNR
    symbols, k = np.nonzero(power)
    return power[symbols, k], k, observation.symbol_times_s.numpy()[symbols]


def test_a_delay_and_a_frequency_offset_come_close_to_the_cramer_rao_bound():
    observation = ideal(batch(), [DELAY_S], [CFO_HZ])
    found = measure_users(observation)
    energy, k, times = pilot_energy(observation)
    frequencies = k * observation.subcarrier_spacing_hz
    # S. M. Kay, Estimation theory, 1993, section 3.11: a linear phase whose start is not known, one per antenna
    for values, truth, places, lean in (
        (found.mean_delay_s, DELAY_S, frequencies, LEAN_S),
        (found.cfo_hz, CFO_HZ, times, 0.0),
    ):
        bound = 1 / np.sqrt(2 * (energy * (2 * np.pi * (places - places.mean())) ** 2).sum())
        assert abs(values.mean() - truth) < 4 * values.std() / np.sqrt(NUM_SLOTS) + lean
        # a standard deviation of n values is known to 1 / sqrt(2 n)
        assert 1 - 4 / np.sqrt(2 * NUM_SLOTS) < values.std() / bound < 1.5 + 4 / np.sqrt(2 * NUM_SLOTS)
    # the one path is the first
    assert np.abs(found.first_path_s - DELAY_S).max() < 0.05 * RESOLUTION_S
    assert found.delay_spread_s.max() < 0.1 * RESOLUTION_S


def test_powers_in_white_noise():
    observation = ideal(batch(), [DELAY_S], [0.0])
    found = measure_users(observation)
    energy, _, _ = pilot_energy(observation)
    power = float(observation.pilots.abs().max()) ** 2
    # 2 Re(noise) over all pilots of all antennas: relative variance 2 / energy
    assert abs(found.rsrp.mean(2).mean() / power - 1) < 4 * np.sqrt(2 / energy.sum() / NUM_SLOTS)
    num_free = 2 * energy.size * NUM_RX / 2
    assert abs(found.noise_var.mean() * SNR - 1) < 4 / np.sqrt(num_free / 2 * NUM_SLOTS)
    # antennas add up, less what the estimate of the channel costs: a few delays of each antenna from all pilots
    loss = found.sinr.mean() / (NUM_RX * SNR)
    assert 0.9 < loss < 1 + 4 / np.sqrt(num_free / 2 * NUM_SLOTS)


@pytest.mark.parametrize("more", [{}, {"pusch": {"mcs_index": 5, "transform_precoding": True}}])
def test_sinr_is_that_of_the_equalised_symbols(more):
    made = batch(24, 12.0, **more)
    with torch.inference_mode():
        still, estimate, _ = estimated(made.observation)
        x_hat = equalized(still, estimate)[0].numpy()
        found = measure_users(made.observation)
    bits = made.coded_bits.numpy()
    sent = constellation(bits.shape[-1])[(bits << np.arange(bits.shape[-1])[::-1]).sum(-1)]
    error = (np.abs(x_hat - sent) ** 2).mean((1, 2))
    stated = 1 / (1 + found.sinr[:, 0])
    ratio = stated / error
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(24) + 0.03


def test_users_are_measured_one_by_one():
    made = batch(users={"num_users": 2})
    delays, cfos = [100e-9, 500e-9], [60.0, -90.0]
    found = measure_users(ideal(made, delays, cfos))
    for user in range(2):
        for values, truth, lean in ((found.mean_delay_s, delays[user], LEAN_S), (found.cfo_hz, cfos[user], 0.0)):
            of_user = values[:, user]
            assert abs(of_user.mean() - truth) < 4 * of_user.std() / np.sqrt(NUM_SLOTS) + lean
    assert np.abs(10 * np.log10(found.rsrp.mean((0, 2)) / found.rsrp.mean())).max() < 0.1


@pytest.mark.parametrize("level", [1e-9, 1e9])
def test_level_moves_the_power_alone(level):
    observation = ideal(batch(4), [DELAY_S], [CFO_HZ])
    found = measure_users(observation)
    scaled = measure_users(
        replace(observation, y=observation.y * level, noise_var=(observation.noise_var.double() * level**2).float())
    )
    for name in ("sinr", "mean_delay_s", "first_path_s", "cfo_hz", "doppler_spread_hz"):
        assert np.allclose(getattr(scaled, name), getattr(found, name), rtol=1e-3, atol=1e-12), name
    assert np.allclose(scaled.rsrp / level**2, found.rsrp, rtol=1e-4)


def test_one_dmrs_symbol_tells_no_frequency_offset():
    made = batch(2, pusch={"mcs_index": 10, "dmrs": {"additional_position": 0}})
    found = measure_users(made.observation)
    assert np.isnan(found.cfo_hz).all()
    assert np.isnan(found.doppler_spread_hz).all()
    assert np.isfinite(found.sinr).all()
    without = replace(made.observation, layout=replace(made.observation.layout, symbols=()))
    with pytest.raises(ValueError, match="pilots: got a slot without any; allowed: slots with DM-RS"):
        measure_users(without)


def test_doppler_and_delay_spread_of_a_fading_channel():
    channel = {"name": "tdl", "profile": "A", "delay_spread_ns": 100, "max_doppler_hz": 400}
    dmrs = {"mcs_index": 10, "dmrs": {"additional_position": 2}}
    made = batch(36, 20.0, channel=channel, num_prb=51, pusch=dmrs)
    found = measure_users(made.observation)
    doppler = found.doppler_spread_hz[:, 0]
    # the hypotheses are 100 to 150 Hz apart there, and the prior's mean is below
    assert abs(doppler.mean() - 400 / np.sqrt(2)) < 4 * doppler.std() / 6 + 0.5 * 100 / np.sqrt(2)
    spread = found.delay_spread_s[:, 0]
    # the curvature is read where the frequency correlation is 0.98: within a few per cent for any profile
    assert abs(spread.mean() - 100e-9) < 4 * spread.std() / 6 + 0.05 * 100e-9
