"""Channel estimation on every DM-RS pattern: types 1 and 2, single and double symbols, all ports at once."""

import numpy as np
import pytest
import torch
from scipy.special import j0

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import Lmmse, LsLinear, PerfectCsi
from receivers.classical.linear import interpolate_linear
from receivers.classical.lmmse import WienerInterpolator
from receivers.classical.pilots import pilot_estimates

PATTERNS = [(1, 1, 2, 4), (1, 2, 2, 8), (2, 1, 3, 6), (2, 2, 3, 12), (2, 1, 1, 2), (1, 2, 1, 4), (2, 1, 2, 4)]


def slots(config_type, length, groups, num_users, channel, esn0_db=200.0, num_prb=4, batch=2, **pusch):
    dmrs = Dmrs(config_type=config_type, length=length, num_cdm_groups_without_data=groups)
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(dmrs=dmrs, **pusch),
        users=Users(num_users=num_users),
        num_rx_ant=16,
        channel=channel,
    )
    return Link(config).batch(range(batch), esn0_db, seed=5, scenario_id="test")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_estimates_are_exact_on_a_flat_static_channel_without_noise(pattern):
    batch = slots(*pattern, {"name": "rayleigh-block"})
    h_hat, err_var = interpolate_linear(batch.observation)
    torch.testing.assert_close(h_hat, batch.truth.h, rtol=1e-4, atol=1e-4)
    assert err_var.shape == (2, pattern[3], 14, 48)
    for receiver in (PerfectCsi(), LsLinear(), Lmmse(prior_delay_spread_ns=1, prior_max_doppler_hz=0)):
        llr = receiver(batch.observation, batch.truth)
        assert torch.equal(llr < 0, batch.truth.coded_bits.bool()), receiver.name


@pytest.mark.parametrize("pattern", PATTERNS)
def test_error_variance_of_the_pilots_matches_the_error(pattern):
    batch = slots(*pattern, {"name": "rayleigh-block"}, esn0_db=0.0, num_prb=10, batch=16)
    pairs, err_var = pilot_estimates(batch.observation)
    error = (pairs - batch.truth.h[:, :, :, :1, :1]).abs() ** 2
    ratio = error.mean((0, 1, 3, 4)) / err_var
    # at least 16 slots x 16 antennas x 2 positions x 20 pairs: 10240 complex errors
    assert float((ratio - 1).abs().max()) < 5 / np.sqrt(10240)


@pytest.mark.parametrize(("config_type", "length"), [(1, 2), (2, 1), (2, 2)])
def test_wiener_interpolator_equals_the_joint_filter_solved_directly(config_type, length):
    groups = 1 + config_type
    batch = slots(config_type, length, groups, 2 * groups * length, {"name": "rayleigh-block"}, 10.0, num_prb=2)
    o = batch.observation
    tau, doppler = 150e-9, 400.0
    h_hat, err_var = WienerInterpolator(tau, doppler)(o)
    times, k = o.symbol_times_s.numpy(), np.arange(24)
    r_time = j0(2 * np.pi * doppler * (times[:, None] - times))
    r_frequency = 1 / (1 + 2j * np.pi * (k[:, None] - k) * o.subcarrier_spacing_hz * tau)
    starts = [2, 11] if length == 1 else [2, 10]
    over_time = np.zeros((2, 14))
    for row, start in enumerate(starts):
        over_time[row, start : start + length] = 1 / length
    pairs, pair_var = pilot_estimates(o)
    for layer, first in enumerate(o.layout.first_subcarrier):
        spacing, step = {1: (2, 4), 2: (1, 6)}[config_type]
        average = np.zeros((24 // step, 24))
        for row in range(24 // step):
            average[row, [first + step * row, first + step * row + spacing]] = 0.5
        noise = float(o.noise_var[0] * pair_var[layer])
        for slot in range(2):
            # the prior's power is twice that of the slot's own pilots without their noise
            power = 2 * float((pairs[slot].abs() ** 2).mean() - o.noise_var[0] * pair_var.mean())
            among = power * np.kron(over_time @ r_time @ over_time.T, average @ r_frequency @ average.T)
            cross = power * np.kron(r_time @ over_time.T, r_frequency @ average.T)
            w = np.linalg.solve((among + noise * np.eye(len(among))).T, cross.T).T
            expected = (pairs[slot, :, layer].reshape(16, -1).numpy() @ w.T).reshape(16, 14, 24)
            np.testing.assert_allclose(h_hat[slot, :, layer].numpy(), expected, atol=6e-4)
            mse = power - np.real((w * cross.conj()).sum(1)).reshape(14, 24)
            np.testing.assert_allclose(err_var[slot, layer].numpy(), mse, atol=6e-4)


@pytest.mark.parametrize("tpmi", range(6))
def test_a_precoder_is_part_of_the_channel(tpmi):
    pusch = {"num_antenna_ports": 2, "tpmi": tpmi}
    batch = slots(1, 1, 2, 1, {"name": "rayleigh-block"}, batch=64, **pusch)
    # antenna selection sends half the power, as without full-power transmission (TS 38.213 §7.1)
    expected = 0.5 if tpmi < 2 else 1.0
    power = float((batch.truth.h[:, :, :, 0, 0].abs() ** 2).mean())
    assert abs(power / expected - 1) < 5 / np.sqrt(64 * 16)
    llr = LsLinear()(batch.observation)
    assert torch.equal(llr < 0, batch.truth.coded_bits.bool())


def test_1024qam_through_the_link():
    batch = slots(1, 1, 2, 1, {"name": "rayleigh-block"}, esn0_db=60.0, mcs_table=4, mcs_index=26)
    llr = LsLinear()(batch.observation)
    assert llr.shape[-1] == 10
    assert torch.equal(llr < 0, batch.truth.coded_bits.bool())
