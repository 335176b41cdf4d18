"""Blind channel estimation on every DM-RS pattern, on PRG bundles, and with offsets of every user's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from channels import Tdl
from ran.link import Link, LinkConfig
from ran.link.link import pilot_layout
from ran.phy.config import Carrier, Dmrs, Pdsch, Pusch, Users
from ran.phy.numerology import symbol_times_s
from ran.phy.pdsch import PdschGrid, num_prgs
from ran.phy.type_one_codebook import type_one_matrix
from receivers import Blind, SlotObservation
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.delay_grid import delay_grid
from receivers.classical.lmmse import WienerInterpolator
from receivers.classical.timing import coarse_delay, mean_delay

# DM-RS type, length, CDM groups without data, layers
PATTERNS = [(1, 2, 2, 8), (2, 1, 3, 6), (2, 2, 3, 12), (2, 1, 1, 2), (1, 2, 1, 4), (2, 1, 2, 4), (1, 1, 2, 4)]
TDLC = {"name": "tdl", "profile": "C", "delay_spread_ns": 300, "max_doppler_hz": 100}


def slots(pattern, num_prb, esn0_db, channel=TDLC, position=1, batch=4, layers=1, mcs=5, scs=30, rx=4):
    config_type, length, groups, total = pattern
    dmrs = Dmrs(
        config_type=config_type, length=length, num_cdm_groups_without_data=groups, additional_position=position
    )
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb, subcarrier_spacing_khz=scs),
        pusch=Pusch(num_layers=layers, mcs_index=mcs, dmrs=dmrs),
        users=Users(num_users=total // layers),
        num_rx_ant=rx,
        channel=channel,
    )
    link = Link(config)
    return link, link.batch(range(batch), esn0_db, seed=3, scenario_id="patterns")


def mse(h_hat, h) -> float:
    return float(((h_hat - h).abs() ** 2).mean())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_layers_are_told_apart_on_a_selective_channel(pattern):
    # despreading mixes the layers of a CDM group where the channel changes from pilot to pilot
    _, batch = slots(pattern, 24, 15.0)
    estimate = BlindEstimator()(batch.observation)
    despread, _ = WienerInterpolator(300e-9, 100.0)(batch.observation)
    ours = mse(estimate.h_hat, batch.truth.h)
    assert ours < 0.75 * mse(despread, batch.truth.h)
    assert 0.75 < ours / float(estimate.err_var.mean()) < 1.35
    assert 0.9 < float((estimate.noise_var / batch.observation.noise_var).mean()) < 1.15


# double symbols have at most one additional position (TS 38.211 table 6.4.1.1.3-4)
@pytest.mark.parametrize(("pattern", "position"), [(p, i) for p in PATTERNS for i in range(4 if p[1] == 1 else 2)])
@pytest.mark.parametrize("num_prb", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_every_pattern_and_position_with_few_prbs(pattern, position, num_prb):
    channel = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10}
    _, batch = slots(pattern, num_prb, 25.0, channel, position, rx=12)
    estimate = BlindEstimator(max_cfo_hz=0.0)(batch.observation)
    assert mse(estimate.h_hat, batch.truth.h) < 0.02
    wrong = (Blind()(batch.observation) < 0) != batch.truth.coded_bits.bool()
    assert float(wrong.float().mean()) < 0.01


def test_pilot_vectors_of_pairs_are_what_delays_look_like():
    grid = delay_grid(2, 1, 6, 48, None, torch.device("cpu"))
    for code in (1, -1):
        where = (grid.window + grid.place(code)).unsqueeze(0)
        phase = grid.phase(code)
        cover = torch.tensor([1.0, code]).repeat(8)
        on_pilots = phase * grid.pilots(grid.synthesis, [*range(len(grid.window))]) * cover
        gram = (on_pilots.conj() @ on_pilots.T).T
        torch.testing.assert_close(grid.inner_products(where)[0], gram.real, rtol=1e-3, atol=1e-3)
        assert float(gram.imag.abs().max()) < 1e-3
        z = on_pilots[3].expand(1, 1, 1, 1, -1)
        torch.testing.assert_close(grid.matched(z, where)[0, 0].real, gram.real[3], rtol=1e-3, atol=1e-3)


def precoded(num_prb, prg_size, num_layers, esn0_db, config_type=1, batch=8):
    """Slots of a PDSCH with another beam in every PRG, over TDL-C, and the layers' channel."""
    carrier = Carrier(num_prb=num_prb)
    pdsch = Pdsch(num_layers=num_layers, prg_size=prg_size, mcs_index=12, dmrs=Dmrs(config_type=config_type))
    rng = np.random.default_rng(0)
    beams = [
        type_one_matrix(4, 2, num_layers, i11=int(rng.integers(8)), i2=int(rng.integers(2)))
        for _ in range(num_prgs(carrier, pdsch))
    ]
    grid = PdschGrid.build(carrier, pdsch, np.stack(beams))
    blocks = [rng.integers(0, 2, (batch, c.transport_block.tb_size), dtype=np.uint8) for c in grid.codewords]
    x = grid.map_to_grid([torch.from_numpy(bits) for bits in grid.encode(blocks)])
    times = symbol_times_s(carrier.numerology)
    frequencies = np.arange(carrier.num_subcarriers) * carrier.subcarrier_spacing_hz
    generators = [np.random.default_rng([1, i]) for i in range(batch)]
    channel = Tdl("TDLC300", max_doppler_hz=100.0)
    h = channel.response(generators, 4, grid.num_antenna_ports, times, frequencies, torch.device("cpu"))
    h = grid.layer_channel(h)
    y = (h * x.unsqueeze(1)).sum(2)
    variance = 10 ** (-esn0_db / 10)
    noise = (rng.standard_normal((*y.shape, 2)) * np.sqrt(variance / 2)).astype(np.float32)
    observation = SlotObservation(
        y=y + torch.view_as_complex(torch.from_numpy(noise)),
        pilots=grid.pilots,
        layout=pilot_layout(grid.pdsch, grid.ports),
        data_mask=grid.data_mask,
        noise_var=torch.full((batch,), variance),
        bits_per_symbol=grid.codewords[0].bits_per_symbol,
        layer_amplitude=grid.layer_amplitude,
        layer_to_user=(0,) * num_layers,
        symbol_times_s=torch.from_numpy(times),
        subcarrier_spacing_hz=carrier.subcarrier_spacing_hz,
    )
    return observation, h


# 25 and 51 PRBs leave a bundle that is narrower than the others
@pytest.mark.parametrize(
    ("num_prb", "prg_size", "num_layers", "config_type"),
    [(24, 2, 1, 1), (24, 4, 2, 1), (51, 4, 2, 1), (25, 2, 2, 1), (26, 4, 2, 2)],
)
def test_bundles_share_their_statistics(num_prb, prg_size, num_layers, config_type):
    observation, h = precoded(num_prb, prg_size, num_layers, 15.0, config_type)
    estimate = BlindEstimator()(observation)
    told, _ = WienerInterpolator(300e-9, 100.0)(observation)
    assert mse(estimate.h_hat, h) < 10**0.05 * mse(told, h)
    assert 0.75 < mse(estimate.h_hat, h) / float(estimate.err_var.mean()) < 1.35
    assert 0.85 < float((estimate.noise_var / observation.noise_var).mean()) < 1.15
    # the narrow end too; the filter that is told the spread knows the slot's power from the whole band besides
    assert mse(estimate.h_hat[..., -12:], h[..., -12:]) < 10**0.17 * mse(told[..., -12:], h[..., -12:])


def offset(batch, delays_s, cfos_hz):
    """The same slots with a timing and a frequency offset per user."""
    o = batch.observation
    k = torch.arange(o.y.shape[-1], dtype=torch.float64)
    turns = torch.stack(
        [
            torch.exp(2j * torch.pi * (cfo * o.symbol_times_s[:, None] - delay * o.subcarrier_spacing_hz * k))
            for delay, cfo in zip(delays_s, cfos_hz, strict=True)
        ]
    )
    h = batch.truth.h * turns[list(o.layer_to_user)].to(torch.complex64)
    return replace(batch, observation=replace(o, y=o.y + ((h - batch.truth.h) * batch.x.unsqueeze(1)).sum(2)), h=h)


@pytest.mark.parametrize(("pattern", "layers"), [((1, 1, 2, 4), 2), ((1, 2, 2, 4), 1), ((2, 1, 2, 4), 2)])
def test_users_on_the_same_pilots_may_have_their_own_offsets(pattern, layers):
    _, batch = slots(pattern, 25, 10.0, batch=16, layers=layers, scs=15)
    num_users = 4 // layers
    delays, cfos = [1e-6, -1e-6, 0.5e-6, 0.0][:num_users], [200.0, -200.0, 0.0, 100.0][:num_users]
    moved = offset(batch, delays, cfos)
    plain = mse(BlindEstimator()(batch.observation).h_hat, batch.truth.h)
    assert mse(BlindEstimator()(moved.observation).h_hat, moved.truth.h) < 10**0.08 * plain


@pytest.mark.parametrize("pattern", [(1, 1, 2, 1), (1, 1, 2, 4), (2, 1, 3, 6), (1, 2, 2, 8)])
@pytest.mark.parametrize("delay_us", [-2.5, 5.0])
def test_the_window_of_delays_follows_the_mean_delay(pattern, delay_us):
    # at 15 kHz the window without that is -2.1 to 8.3 us; TDL-C of 300 ns is 2.6 us long
    _, batch = slots(pattern, 25, 10.0, batch=8, scs=15)
    users = max(batch.observation.layer_to_user) + 1
    assert coarse_delay(batch.observation) is None
    moved = offset(batch, [delay_us * 1e-6] * users, [0.0] * users)
    mean, certainty = mean_delay(moved.observation)
    assert float(certainty.min()) > 10
    assert float((mean / 15e3 - mean_delay(batch.observation)[0] / 15e3 - delay_us * 1e-6).abs().max()) < 0.15e-6
    plain = mse(BlindEstimator()(batch.observation).h_hat, batch.truth.h)
    estimate = BlindEstimator()(moved.observation)
    assert mse(estimate.h_hat, moved.truth.h) < 10**0.05 * plain
    assert abs(float(estimate.delays_s[0].mean()) - delay_us * 1e-6) < 4e-6
