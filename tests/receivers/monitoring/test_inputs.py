"""Input statistics of slots whose statistics are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers.monitoring.inputs import STATISTICS, configuration, input_statistics

SNR, ANTENNAS, SYMBOLS, FREQUENCY, TIME = range(len(STATISTICS))


def observed(esn0_db=10.0, num_prb=24, batch=32, position=1, num_users=1, **channel):
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(mcs_index=14, dmrs=Dmrs(additional_position=position)),
        users=Users(num_users=num_users),
        channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 10, **channel},
    )
    return Link(config).batch(range(batch), esn0_db, seed=5, scenario_id="inputs").observation


def test_the_snr_is_that_of_the_link():
    # 64 drops of 4 antennas: the mean power is known to about a dB (TDL-B has many paths)
    for esn0_db in (0.0, 20.0, 60.0):
        found = input_statistics(observed(esn0_db, batch=64))[:, SNR]
        assert float(10 * torch.log10((10 ** (found / 10)).mean())) == pytest.approx(esn0_db, abs=1.0)


def test_correlation_over_frequency_falls_with_the_delay_spread():
    # pairs are 4 subcarriers of 30 kHz apart: of an exponential-like profile |R| = 1 / sqrt(1 + (2 pi f s)^2)
    means = []
    for spread_ns in (30, 300, 1000):
        found = input_statistics(observed(20.0, delay_spread_ns=spread_ns))[:, FREQUENCY]
        means.append(float(found.mean()))
        expected = 1 / np.sqrt(1 + (2 * np.pi * 120e3 * spread_ns * 1e-9) ** 2)
        assert means[-1] == pytest.approx(expected, abs=0.12)
    assert means[0] > means[1] > means[2]


def test_correlation_over_time_falls_with_the_doppler():
    slow = input_statistics(observed(20.0, max_doppler_hz=10))[:, TIME]
    fast = input_statistics(observed(20.0, max_doppler_hz=900))[:, TIME]
    assert float(slow.mean()) > 0.97
    # J0 of 900 Hz over 9 symbols of 35.7 us is 0.4
    assert 0.1 < float(fast.mean()) < 0.75


def test_noise_does_not_lower_the_correlations():
    weak, strong = (input_statistics(observed(esn0_db))[:, [FREQUENCY, TIME]].mean(0) for esn0_db in (3.0, 30.0))
    torch.testing.assert_close(weak, strong, atol=0.06, rtol=0)


def test_a_weak_antenna_and_a_burst_are_seen():
    seen = observed()
    before = input_statistics(seen)
    y = seen.y.clone()
    y[:, 3] *= 1e-2
    after = input_statistics(replace(seen, y=y))
    assert (after[:, ANTENNAS] > 25).all()
    y = seen.y.clone()
    y[:, :, 5] *= 10
    burst = input_statistics(replace(seen, y=y))
    assert (burst[:, SYMBOLS] > before[:, SYMBOLS] + 15).all()
    silent = input_statistics(replace(seen, y=torch.zeros_like(seen.y)))
    assert torch.isfinite(silent).all()


def test_the_level_does_not_matter_and_few_pilots_are_said():
    seen = observed(position=0, num_users=2)
    found = input_statistics(seen)
    assert found[:, TIME].isnan().all()
    assert torch.isfinite(found[:, :TIME]).all()
    for factor in (1e-8, 1e8):
        scaled = replace(seen, y=seen.y * factor, noise_var=seen.noise_var * factor**2)
        torch.testing.assert_close(input_statistics(scaled), found, rtol=1e-4, atol=1e-4, equal_nan=True)
    assert configuration(seen) == {"bits per symbol": 4, "layers": 2, "antennas": 4, "DM-RS symbols": 1}
