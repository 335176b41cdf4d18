"""Statistics from the pilots of a slot against the truth, and the receiver that lives on them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import RECEIVERS, PerfectCsi, SlotObservation
from receivers.classical.blind import Blind
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.interference import residual_covariance, shrink
from receivers.classical.lmmse import WienerInterpolator
from receivers.classical.subbands import cut_band
from receivers.classical.time_statistics import mean_correlation

CPU = torch.device("cpu")
MCS = {2: 2, 4: 16, 6: 20, 8: 27}


def tdl(profile="TDLB100", max_doppler_hz=100.0):
    return {"name": "tdl", "profile": profile, "max_doppler_hz": max_doppler_hz}


def slots(
    esn0_db=10.0, batch=16, num_prb=24, scs=30, users=1, layers=1, rx=2, position=1, mcs=16, channel=None, groups=2
):
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb, subcarrier_spacing_khz=scs),
        pusch=Pusch(
            mcs_index=mcs,
            mcs_table=2 if mcs == 27 else 1,
            num_layers=layers,
            dmrs=Dmrs(additional_position=position, num_cdm_groups_without_data=groups),
        ),
        users=Users(num_users=users),
        num_rx_ant=rx,
        channel=channel or tdl(),
    )
    link = Link(config)
    return link, link.batch(range(batch), esn0_db, seed=7, scenario_id="blind")


def impaired(link, batch, delay_s=0.0, cfo_hz=0.0):
    """The same slots with a timing and a frequency offset: white noise stays white when its phases turn."""
    k = torch.arange(batch.observation.y.shape[-1]) - (batch.observation.y.shape[-1] - 1) / 2
    over_frequency = torch.exp(-2j * torch.pi * delay_s * batch.observation.subcarrier_spacing_hz * k.double())
    over_time = torch.exp(2j * torch.pi * cfo_hz * batch.observation.symbol_times_s)
    phase = (over_time[:, None] * over_frequency).to(torch.complex64)
    observation = replace(batch.observation, y=batch.observation.y * phase)
    return replace(batch, observation=observation, h=batch.truth.h * phase)


def mse(estimate, batch) -> float:
    return float(((estimate.h_hat - batch.truth.h).abs() ** 2).mean())


# 1 PRB leaves hardly a delay free of signal; its noise estimate rests on the empty comb and the fit
@pytest.mark.parametrize(
    ("num_prb", "esn0_db", "users", "layers", "rx", "position", "tolerance"),
    [
        (24, -6.0, 1, 1, 4, 1, 0.03),
        (24, 15.0, 1, 4, 4, 1, 0.09),
        (24, 20.0, 4, 1, 2, 1, 0.06),
        (24, 0.0, 1, 2, 2, 3, 0.05),
        (273, 20.0, 1, 1, 2, 1, 0.02),
        (273, 20.0, 1, 4, 4, 0, 0.04),
        (1, 10.0, 1, 1, 2, 1, 0.10),
        (2, 10.0, 1, 2, 2, 0, 0.25),
    ],
)
def test_noise_power_has_little_bias(num_prb, esn0_db, users, layers, rx, position, tolerance):
    batch = slots(esn0_db, 8, num_prb, users=users, layers=layers, rx=rx, position=position)[1]
    ratio = BlindEstimator()(batch.observation).noise_var / batch.observation.noise_var
    # the mean over 8 slots scatters too: each has at least 12 noise values per DM-RS symbol and PRB
    values = 8 * rx * (position + 1) * 6 * num_prb
    assert abs(float(ratio.mean()) - 1) < tolerance + 3 / np.sqrt(values)


@pytest.mark.parametrize(("profile", "spread_s"), [("TDLA30", 30e-9), ("TDLB100", 100e-9), ("TDLC300", 300e-9)])
@pytest.mark.parametrize("esn0_db", [0.0, 20.0])
def test_delay_spread_is_tracked(profile, spread_s, esn0_db):
    _, batch = slots(esn0_db, 32, num_prb=106, rx=4, channel=tdl(profile))
    spread = BlindEstimator()(batch.observation).delay_spread_s(0)
    # a band of 38 MHz resolves 26 ns; fading of 4 antennas scatters single slots
    assert abs(float(spread.mean()) - spread_s) < 0.15 * spread_s + 15e-9


@pytest.mark.parametrize("max_doppler_hz", [5.0, 400.0])
def test_doppler_is_told_from_the_pilots(max_doppler_hz):
    _, batch = slots(5.0, 32, num_prb=51, scs=15, rx=4, channel=tdl("TDLB100", max_doppler_hz))
    o = batch.observation
    first, last = o.layout.symbols
    estimate = BlindEstimator(max_cfo_hz=0.0)(o)
    groups = tuple((symbol,) for symbol in o.layout.symbols)
    correlation = mean_correlation(o, groups, estimate.time_posterior[0], 0.0)[:, last, 0].real
    truth = (batch.truth.h[..., last, :] * batch.truth.h[..., first, :].conj()).mean().real
    power = (batch.truth.h.abs() ** 2).mean()
    assert abs(float(correlation.mean() - truth / power)) < 0.12


def test_error_variance_is_that_of_the_error():
    for position, users, layers in ((1, 1, 1), (1, 1, 4), (2, 4, 1), (3, 1, 2)):
        _, batch = slots(3.0, 32, users=users, layers=layers, rx=4, position=position)
        estimate = BlindEstimator()(batch.observation)
        ratio = mse(estimate, batch) / float(estimate.err_var.mean())
        assert 0.75 < ratio < 1.35, (position, users, layers, ratio)


# what the filter of the true rms delay spread and Doppler reaches; its profile is an exponential
@pytest.mark.parametrize(
    ("profile", "doppler", "spread_ns", "esn0_db", "rx"),
    [("TDLB100", 400.0, 100.0, -6.0, 4), ("TDLC300", 100.0, 300.0, 10.0, 2), ("TDLA30", 10.0, 30.0, 12.0, 2)],
)
def test_blind_estimates_are_close_to_the_filter_with_true_statistics(profile, doppler, spread_ns, esn0_db, rx):
    _, batch = slots(esn0_db, 64, rx=rx, channel=tdl(profile, doppler))
    told, _ = WienerInterpolator(spread_ns * 1e-9, doppler)(batch.observation)
    told_mse = float(((told - batch.truth.h).abs() ** 2).mean())
    assert mse(BlindEstimator()(batch.observation), batch) < 10**0.1 * told_mse


@pytest.mark.parametrize("esn0_db", [-4.0, 10.0])
@pytest.mark.parametrize("profile", ["TDLB100", "TDLC300"])
@pytest.mark.parametrize(("delay_s", "cfo_hz"), [(0.5e-6, 0.0), (-0.5e-6, 0.0), (0.0, 200.0), (0.5e-6, -137.0)])
def test_timing_and_frequency_offsets_cost_nothing(esn0_db, profile, delay_s, cfo_hz):
    link, batch = slots(esn0_db, 64, rx=4, scs=15, num_prb=25, channel=tdl(profile))
    moved = impaired(link, batch, delay_s, cfo_hz)
    estimate = BlindEstimator()
    plain, offset = mse(estimate(batch.observation), batch), mse(estimate(moved.observation), moved)
    assert offset < 10**0.03 * plain + 1e-9
    # the test can fail: a filter that expects the channel at delay 0 and without rotation loses
    if profile == "TDLB100" and esn0_db > 0:
        fixed, _ = WienerInterpolator(100e-9, 100.0)(moved.observation)
        assert float(((fixed - moved.truth.h).abs() ** 2).mean()) > 1.5 * offset


@pytest.mark.parametrize("position", [0, 1, 2, 3])
@pytest.mark.parametrize(("users", "layers"), [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (4, 1)])
def test_every_pattern_and_number_of_layers(position, users, layers):
    # with one DM-RS symbol a Doppler of 20 Hz is not seen, and hardly matters
    channel = tdl("TDLA30", 20.0)
    _, batch = slots(25.0, 4, users=users, layers=layers, rx=4, position=position, mcs=5, channel=channel)
    estimate = BlindEstimator(max_cfo_hz=0.0)(batch.observation)
    assert mse(estimate, batch) < 0.02
    wrong = (Blind()(batch.observation) < 0) != batch.truth.coded_bits.bool()
    genie_wrong = (PerfectCsi()(batch.observation, batch.truth) < 0) != batch.truth.coded_bits.bool()
    assert float(wrong.float().mean()) < float(genie_wrong.float().mean()) + 0.02


@pytest.mark.parametrize("detector", ["lmmse", "ep", "ml", "k-best", "mmse-pic"])
@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6, 8])
def test_every_modulation_is_received_without_errors_at_high_snr(bits_per_symbol, detector):
    link, batch = slots(40.0, 4, layers=2, rx=4, mcs=MCS[bits_per_symbol], channel=tdl("TDLA30", 10.0))
    assert batch.observation.bits_per_symbol == bits_per_symbol
    llr = Blind(detector=detector)(batch.observation)
    assert llr.shape == batch.truth.coded_bits.shape
    assert llr.dtype == torch.float32
    assert int(link.count_errors(llr, batch).block_errors.sum()) == 0


@pytest.mark.parametrize("num_prb", [1, 2, 3, 64, 65, 106, 275])
def test_any_bandwidth(num_prb):
    _, batch = slots(20.0, 2, num_prb=num_prb, channel=tdl("TDLC300", 10.0))
    estimate = BlindEstimator()(batch.observation)
    assert mse(estimate, batch) < 0.02
    # no subband border is worse than the band's ends
    error = ((estimate.h_hat - batch.truth.h).abs() ** 2).mean((0, 1, 2, 3))
    assert float(error.max()) < 0.2


def test_subbands_cover_the_band():
    for num_prb in (65, 106, 200, 273, 275):
        for unit in (4, 6):
            subbands = cut_band(12 * num_prb, unit, None, CPU)
            subband, inside = subbands.owner // subbands.width, subbands.owner % subbands.width
            assert torch.equal(subbands.starts[subband] + inside, torch.arange(12 * num_prb))
            assert int(subbands.starts[-1]) + subbands.width == 12 * num_prb


def test_neither_noise_power_nor_truth_is_read():
    _, batch = slots(5.0, 2, layers=2)
    o = batch.observation
    for options in ({}, {"noise": "irc"}, {"detector": "ep"}, {"detector": "ml"}):
        receiver = Blind(**options)
        assert not receiver.needs_truth
        expected = receiver(o)
        poisoned = SlotObservation(**{**o.__dict__, "noise_var": torch.full_like(o.noise_var, torch.nan)})
        assert torch.equal(receiver(poisoned), expected)
    assert RECEIVERS["blind"] is Blind


def test_slots_of_a_batch_do_not_meet():
    _, batch = slots(0.0, 6, layers=2)
    for options in ({}, {"noise": "irc", "detector": "ep"}):
        receiver = Blind(**options)
        whole = receiver(batch.observation)
        part = receiver(batch.observation.part(4, 5))
        torch.testing.assert_close(part, whole[4:5], rtol=2e-2, atol=2e-2)


def test_the_level_of_the_signal_does_not_matter():
    _, batch = slots(10.0, 2)
    o = batch.observation
    expected = Blind()(o)
    for level in (1e-4, 1e4):
        torch.testing.assert_close(Blind()(replace(o, y=o.y * level)), expected, rtol=1e-2, atol=1e-2)
    assert torch.isfinite(Blind()(replace(o, y=torch.zeros_like(o.y)))).all()


def with_interferer(batch, inr_db):
    """A flat interferer from a random direction, unknown to the receiver."""
    generator = torch.Generator().manual_seed(1)
    o = batch.observation
    batch_size, num_rx_ant, num_symbols, num_subcarriers = o.y.shape
    direction = torch.randn(batch_size, num_rx_ant, 1, 1, dtype=torch.complex64, generator=generator)
    sent = torch.randn(batch_size, 1, num_symbols, num_subcarriers, dtype=torch.complex64, generator=generator)
    level = float(o.noise_var[0]) ** 0.5 * 10 ** (inr_db / 20)
    return replace(batch, observation=replace(o, y=o.y + level * direction * sent)), level * direction.flatten(1)


def test_interference_is_rejected():
    link, clean = slots(8.0, 16, rx=4, mcs=16)
    batch, _ = with_interferer(clean, 8.0)
    white = link.count_errors(Blind()(batch.observation), batch).block_errors.sum()
    irc = link.count_errors(Blind(noise="irc")(batch.observation), batch).block_errors.sum()
    assert white >= 12
    assert irc <= 4


def test_residual_covariance_is_that_of_noise_and_interference():
    _, clean = slots(8.0, 8, rx=4, num_prb=51)
    batch, direction = with_interferer(clean, 6.0)
    o = batch.observation
    estimate = BlindEstimator()(o)
    covariance, _ = residual_covariance(o, estimate.h_hat, estimate.noise_var, 51 * 12)
    noise = o.noise_var[:, None, None] * torch.eye(4)
    expected = noise + direction.unsqueeze(2) * direction.unsqueeze(1).conj()
    relative = torch.linalg.norm(covariance[:, 0] - expected, dim=(1, 2)) / torch.linalg.norm(expected, dim=(1, 2))
    assert float(relative.mean()) < 0.12


def test_white_noise_stays_white_under_shrinkage():
    torch.manual_seed(4)
    samples = torch.randn(200, 4, 48, dtype=torch.complex64)
    covariance = shrink(samples @ samples.mH / 48, 48)
    off = covariance - torch.diag_embed(torch.diagonal(covariance, dim1=1, dim2=2))
    raw = (samples @ samples.mH / 48)[:, 0, 1].abs().mean()
    assert float(off[:, 0, 1].abs().mean()) < 0.35 * float(raw)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_cfo_hz": -1.0}, "max_cfo_hz: got -1.0; allowed: 0 to 1000"),
        ({"num_iterations": -1}, "num_iterations: got -1; allowed"),
        ({"noise": "pink"}, "noise: got 'pink'; allowed: white, irc"),
        ({"irc_num_prb": 0}, "irc_num_prb: got 0; allowed"),
        ({"demapper": "soft"}, "demapper: got 'soft'; allowed: maxlog, exact"),
        ({"num_paths": 0}, "num_paths: got 0; allowed"),
        ({"num_turbo": 0}, "num_turbo: got 0; allowed"),
        ({"data_aided": True}, "data_aided: got true with detector 'ep'; allowed: with 'mmse-pic'"),
        ({"detector": "zf"}, "detector: got 'zf'; allowed: lmmse, ep, ml, k-best"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Blind(**options)


def test_ml_refuses_more_than_two_layers():
    Blind(detector="ml").check(4, 2, 2)
    with pytest.raises(ValueError, match="detector: got 'ml' for 3 layers; allowed: lmmse, ep, k-best, mmse-pic"):
        Blind(detector="ml").check(4, 3, 4)
