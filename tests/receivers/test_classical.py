"""Classical receivers against Sionna, brute force and closed forms."""

import numpy as np
import pytest
import torch
from scipy.special import j0, ndtr
from sionna.phy.mapping import Constellation, Demapper
from sionna.phy.mimo import lmmse_equalizer as sionna_lmmse
from sionna.phy.nr import PUSCHLSChannelEstimator

from ran.bench import sionna_peer
from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from ran.phy.modulation import constellation, modulate
from receivers import Lmmse, LsLinear, PerfectCsi
from receivers.classical.equalizer import lmmse_equalize
from receivers.classical.linear import interpolate_linear
from receivers.classical.lmmse import WienerInterpolator
from receivers.classical.pilots import pilot_estimates
from receivers.classical.qam import demap_maxlog, soft_symbols

TDL = {"name": "tdl", "profile": "C", "delay_spread_ns": 200, "max_doppler_hz": 200}


def slots(num_users=1, groups=2, position=1, num_prb=5, esn0_db=10.0, batch=3, channel=TDL, **pusch):
    dmrs = Dmrs(additional_position=position, num_cdm_groups_without_data=groups)
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(dmrs=dmrs, **pusch),
        users=Users(num_users=num_users),
        num_rx_ant=4,
        channel=channel,
    )
    link = Link(config)
    return link, link.batch(range(batch), esn0_db, seed=3, scenario_id="test")


@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6, 8, 10])
def test_maxlog_equals_sionna(bits_per_symbol):
    torch.manual_seed(1)
    bits = torch.randint(0, 2, (500 * bits_per_symbol,), dtype=torch.uint8)
    noise_var = 0.02 + torch.rand(500) * 0.3
    x = modulate(bits, bits_per_symbol) + noise_var.sqrt() * torch.randn(500, dtype=torch.complex64)
    demapper = Demapper("maxlog", constellation=Constellation("qam", bits_per_symbol))
    theirs = -demapper(x, noise_var).reshape(500, bits_per_symbol)  # Sionna: positive means bit 1
    torch.testing.assert_close(demap_maxlog(x, noise_var, bits_per_symbol), theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6, 8, 10])
def test_soft_symbols_equal_the_sum_over_the_constellation(bits_per_symbol):
    torch.manual_seed(2)
    llr = 3 * torch.randn(50, bits_per_symbol, dtype=torch.float64)
    points = torch.from_numpy(constellation(bits_per_symbol)).to(torch.complex128)
    labels = (torch.arange(len(points))[:, None] >> torch.arange(bits_per_symbol - 1, -1, -1)) & 1
    # p(point) is the product of its bits' probabilities; p(0) = sigmoid(llr)
    probability = torch.sigmoid(llr.unsqueeze(1) * (1 - 2 * labels)).prod(-1)
    mean = (probability * points).sum(1)
    variance = (probability * points.abs() ** 2).sum(1) - mean.abs() ** 2
    ours, our_variance = soft_symbols(llr)
    torch.testing.assert_close(ours, mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(our_variance, variance, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_equalizer_equals_sionna(num_layers):
    torch.manual_seed(3)
    h = torch.randn(2, 4, num_layers, 50, dtype=torch.complex64)
    y = torch.randn(2, 4, 50, dtype=torch.complex64)
    noise_var = torch.tensor([[0.1], [0.5]])
    x_hat, x_noise = lmmse_equalize(y, h, noise_var)
    s = noise_var[:, :, None, None] * torch.eye(4)
    theirs, their_noise = sionna_lmmse(
        y.permute(0, 2, 1), h.permute(0, 3, 1, 2), s.to(torch.complex64).expand(2, 50, 4, 4)
    )
    torch.testing.assert_close(x_hat.permute(0, 2, 1), theirs, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(x_noise.permute(0, 2, 1), their_noise, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("num_users", "groups", "position"), [(1, 2, 1), (2, 2, 2), (4, 2, 3), (1, 1, 0), (2, 1, 1)])
def test_ls_linear_equals_sionna(num_users, groups, position):
    link, batch = slots(num_users, groups, position)
    h_hat, _ = interpolate_linear(batch.observation)
    transmitter = sionna_peer.transmitter(link.config.carrier, link.config.pusch, link.config.users)
    estimator = PUSCHLSChannelEstimator(transmitter.resource_grid, 1, position, groups, interpolation_type="lin")
    noise_var = batch.observation.noise_var
    theirs, _ = estimator(batch.observation.y.unsqueeze(1), noise_var[:, None, None])
    # theirs: [batch, rx, rx antenna, user, stream, symbol, subcarrier]
    torch.testing.assert_close(h_hat, theirs[:, 0, :, :, 0], rtol=1e-3, atol=1e-4)


def test_ls_error_variance_matches_the_error_on_a_flat_static_channel():
    _, batch = slots(batch=64, channel={"name": "rayleigh-block"})
    h_hat, err_var = interpolate_linear(batch.observation)
    error = (h_hat - batch.truth.h).abs() ** 2
    # complex Gaussian errors: per RE the mean over 64 slots x 4 antennas has a relative deviation of 1/sqrt(256)
    ratio = error.mean((0, 1)) / err_var.mean(0)
    assert abs(float(ratio.mean()) - 1) < 0.05
    assert float((ratio - 1).abs().max()) < 6 / np.sqrt(256)


def test_wiener_interpolator_equals_the_joint_filter_solved_directly():
    _, batch = slots(num_users=2, num_prb=3, position=2)
    o = batch.observation
    tau, doppler = 150e-9, 250.0
    h_hat, err_var = WienerInterpolator(tau, doppler)(o)
    pairs, pair_var = pilot_estimates(o)
    times = o.symbol_times_s.numpy()
    known = times[list(o.layout.symbols)]
    r_t, r_tt = j0(2 * np.pi * doppler * (times[:, None] - known)), j0(2 * np.pi * doppler * (known[:, None] - known))
    k = np.arange(36)
    for layer, first in enumerate(o.layout.first_subcarrier):
        average = np.zeros((9, 36))
        for pair in range(9):
            average[pair, [first + 4 * pair, first + 4 * pair + 2]] = 0.5
        r = 1 / (1 + 2j * np.pi * (k[:, None] - k) * o.subcarrier_spacing_hz * tau)
        noise = float(o.noise_var[0] * pair_var[layer])
        for slot in range(3):
            seen = pairs[slot, :, layer].numpy()
            # the prior's power is twice that of the slot's own pilots without their noise
            power = 2 * (float((pairs[slot].abs() ** 2).mean()) - float(o.noise_var[0] * pair_var.mean()))
            among = power * np.kron(r_tt, average @ r @ average.T)
            cross = power * np.kron(r_t, r @ average.T)
            w = np.linalg.solve((among + noise * np.eye(len(among))).T, cross.T).T
            expected = (seen.reshape(4, -1) @ w.T).reshape(4, 14, 36)
            np.testing.assert_allclose(h_hat[slot, :, layer].numpy(), expected, atol=4e-4)
            mse = power - np.real((w * cross.conj()).sum(1)).reshape(14, 36)
            np.testing.assert_allclose(err_var[slot, layer].numpy(), mse, atol=4e-4)


def test_lmmse_beats_ls_when_its_prior_fits():
    _, batch = slots(batch=32, esn0_db=0.0)
    truth = batch.truth.h
    ls, _ = interpolate_linear(batch.observation)
    lmmse, err_var = WienerInterpolator(200e-9, 200.0)(batch.observation)
    ls_mse, mse = ((ls - truth).abs() ** 2).mean(), ((lmmse - truth).abs() ** 2).mean()
    assert mse < 0.5 * ls_mse
    # the profile is TDL-C, the prior an exponential of the same spread: its own error estimate is near the truth
    assert 0.5 < float(mse / err_var.mean()) < 2


def test_uncoded_bit_errors_in_awgn_match_the_closed_form():
    esn0_db = 4.0
    _, batch = slots(batch=8, esn0_db=esn0_db, num_prb=20, channel={"name": "awgn"}, mcs_index=4)
    llr = PerfectCsi()(batch.observation, batch.truth)
    wrong = (llr < 0) != batch.truth.coded_bits.bool()
    # QPSK on 4 antennas: Q(sqrt(4 Es/N0))
    p = 1 - ndtr(np.sqrt(4 * 10 ** (esn0_db / 10)))
    n = wrong.numel()
    assert abs(float(wrong.float().mean()) - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-9


def test_receivers_agree_without_noise():
    _, batch = slots(esn0_db=60.0, channel={"name": "rayleigh-block"})
    for receiver in (PerfectCsi(), LsLinear(), Lmmse()):
        llr = receiver(batch.observation, batch.truth)
        assert llr.shape == batch.truth.coded_bits.shape
        assert torch.equal(llr < 0, batch.truth.coded_bits.bool()), receiver.name


def test_genie_without_truth_is_refused():
    _, batch = slots()
    with pytest.raises(ValueError, match="perfect-csi needs"):
        PerfectCsi()(batch.observation)


@pytest.mark.parametrize("options", [{"prior_delay_spread_ns": 0.0}, {"prior_max_doppler_hz": -1.0}])
def test_lmmse_refuses_impossible_priors(options):
    with pytest.raises(ValueError, match="allowed"):
        Lmmse(**options)
