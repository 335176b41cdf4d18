"""Common phase from PT-RS under phase noise and frequency offsets."""

from dataclasses import replace

import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Ptrs, Pusch
from receivers import RECEIVERS
from receivers.classical.phase_tracking import common_phase


def slots(position=1, density=1, layers=1, esn0_db=12.0, batch=16, mcs=16, ptrs=True):
    pusch = Pusch(
        num_layers=layers,
        mcs_index=mcs,
        dmrs=Dmrs(additional_position=position),
        ptrs=Ptrs(time_density=density) if ptrs else None,
    )
    config = LinkConfig(
        carrier=Carrier(num_prb=24, subcarrier_spacing_khz=120),
        pusch=pusch,
        channel={"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 100},
    )
    link = Link(config)
    return link, link.batch(range(batch), esn0_db, seed=5, scenario_id="phase")


def turned(batch, phase):
    """The slots with a phase [batch, symbol] on every symbol."""
    factor = torch.polar(torch.ones_like(phase), phase)
    o = batch.observation
    y, h = o.y * factor[:, None, :, None], batch.truth.h * factor[:, None, None, :, None]
    return replace(batch, observation=replace(o, y=y), h=h)


def walk(batch, step_rad):
    generator = torch.Generator().manual_seed(3)
    return (step_rad * torch.randn(batch, 14, generator=generator)).cumsum(1)


@pytest.mark.parametrize("density", [1, 2, 4])
def test_the_phase_that_the_estimate_does_not_know_is_found(density):
    _, batch = slots(density=density, esn0_db=25.0)
    phase = walk(16, 0.2)
    phase = phase - phase[:, 2:3]
    o = batch.observation
    # an estimate that knows the channel but not the phase; at DM-RS symbols it is taken to be right
    dmrs = list(o.layout.symbols)
    line = torch.lerp(phase[:, dmrs[0] : dmrs[0] + 1], phase[:, dmrs[1] : dmrs[1] + 1], torch.arange(14.0) / 9 - 2 / 9)
    moved = turned(batch, phase)
    h_hat = turned(batch, line).truth.h
    found = common_phase(moved.observation, h_hat, o.noise_var)[:, 0].angle()
    expected = phase - line
    known = [s for s in range(14) if o.pilots[0, s].abs().max() > 0]
    # 12 REs x 4 antennas at 25 dB: below 0.02 rad; between known symbols the walk goes its way
    assert float((found - expected)[:, known].std()) < 0.02
    between = (found - expected)[:, dmrs[0] : dmrs[1]].std()
    assert float(between) < 0.2 * density**0.5


@pytest.mark.parametrize("name", ["ls-linear", "lmmse", "blind"])
def test_receivers_hold_under_phase_noise(name):
    receiver = RECEIVERS[name]()
    errors = {}
    for ptrs in (False, True):
        link, batch = slots(ptrs=ptrs, esn0_db=14.0)
        moved = turned(batch, walk(16, 0.3))
        errors[ptrs] = int(link.count_errors(receiver(moved.observation), moved).block_errors.sum())
    assert errors[False] >= 12
    assert errors[True] <= 4


def test_a_frequency_offset_is_seen_with_one_dmrs_symbol():
    link, batch = slots(position=0, esn0_db=15.0)
    o = batch.observation
    # 2 kHz at 120 kHz: as far off as 250 Hz at 15 kHz
    moved = turned(batch, 2 * torch.pi * 2000.0 * o.symbol_times_s.float().expand(16, -1))
    receiver = RECEIVERS["blind"]()
    assert int(link.count_errors(receiver(moved.observation), moved).block_errors.sum()) == 0


def test_users_without_ptrs_are_left_alone():
    _, batch = slots(layers=2, mcs=5)
    batch = replace(batch, observation=replace(batch.observation, layer_to_user=(0, 1)))
    moved = turned(batch, walk(16, 0.2))
    phase = common_phase(moved.observation, batch.truth.h, batch.observation.noise_var)
    assert torch.equal(phase[:, 1], torch.ones_like(phase[:, 1]))
    assert float(phase[:, 0].angle().std()) > 0.05
    _, plain = slots(ptrs=False)
    assert common_phase(plain.observation, plain.truth.h, plain.observation.noise_var) is None
