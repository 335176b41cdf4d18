"""Impairments in the time domain of a link."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Users
from ran.phy.waveform import Waveform
from ran.sim.experiment import built_in_experiments, load

STATIC = {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 0}
QUIET_DB = 150.0


def link(num_users: int = 1, **waveform: Any) -> Link:
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=6),
            users=Users(num_users=num_users),
            num_rx_ant=2,
            channel=STATIC,
            waveform=Waveform(**waveform),
        )
    )


def grid(of: Link, esn0_db: float = QUIET_DB, drops: range = range(2)) -> torch.Tensor:
    return of.batch(drops, esn0_db, 1, "s").observation.y


def test_an_ideal_radio_changes_nothing() -> None:
    plain = grid(link())
    ideal = [{"name": "iq-imbalance"}, {"name": "rapp", "input_back_off_db": 60}]
    torch.testing.assert_close(grid(link(transmit_impairments=ideal)), plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(grid(link(receive_impairments=ideal)), plain, rtol=0, atol=1e-5)


def test_a_converter_adds_the_noise_of_its_step() -> None:
    plain = grid(link())
    bits, clip_db = 8, 12.0
    found = grid(link(receive_impairments=[{"name": "converter", "bits": bits, "clip_db": clip_db}]))
    # the grid fills 72 of the FFT's bins: a sample has less power than a resource element, of noise it has the same
    domain = link()._time_domain
    assert domain is not None
    fft_size = domain.sample_rate_hz / 30e3
    expected = plain.abs().square().mean() * 72 / fft_size * 10 ** (clip_db / 10) / 3 * 2 ** (-2 * bits)
    # the gain control goes by the waveform of each antenna, the mean of the grid by that of both
    assert (found - plain).abs().square().mean() == pytest.approx(expected.item(), rel=0.1)


def test_a_frequency_offset_of_the_impairment_is_that_of_the_waveform() -> None:
    found = grid(link(transmit_impairments=[{"name": "carrier-frequency-offset", "offset_hz": 300.0}]))
    expected = grid(link(cfo_hz=300.0))
    # time zero of the one is the first sample sent, of the other the start of the slot: a phase between them
    phase = (expected * found.conj()).sum()
    torch.testing.assert_close(found * phase / phase.abs(), expected, rtol=0, atol=1e-3)


def test_drops_depend_on_themselves_alone_and_users_have_radios_of_their_own() -> None:
    impaired = link(
        2,
        transmit_impairments=[
            {"name": "wiener-phase-noise", "linewidth_hz": 500},
            {"name": "dc-offset", "level_db": -30},
        ],
        receive_impairments=[{"name": "phase-noise", "carrier_hz": 3.5e9}, {"name": "converter", "bits": 10}],
    )
    whole = grid(impaired, 20.0, range(3))
    assert torch.equal(grid(impaired, 20.0, range(2, 3)), whole[2:])
    assert not torch.equal(whole, grid(link(2), 20.0, range(3)))


def test_phase_noise_costs_what_its_variance_says() -> None:
    growth, drops = 280.0, range(24)
    plain = grid(link(), drops=drops)
    noise = {"name": "wiener-phase-noise", "variance_rad2_per_s": growth}
    found = grid(link(receive_impairments=[noise]), drops=drops)
    # one rotation of every symbol, and the rest between its subcarriers
    power = plain.abs().square().sum((1, 3))
    common = (found * plain.conj()).sum((1, 3)) / power
    turns = (common[:, 1:] * common[:, :-1].conj()).angle()
    # means over neighbouring symbols of a random walk differ by growth (symbol - useful / 3), 24 x 13 of them
    symbol, useful = 0.5e-3 / 14, 1 / 30e3
    expected = growth * (symbol - useful / 3)
    low, high = (stats.chi2(24 * 13).ppf(p) / (24 * 13) for p in (5e-7, 1 - 5e-7))
    assert low < turns.square().mean().item() / expected < high
    # and vary within one by growth useful / 6, of which the edges of the band lose some
    rest = ((found - common[:, None, :, None] * plain).abs().square().sum((1, 3)) / power).mean().item()
    assert 0.7 < rest / (growth * useful / 6) < 1.15


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transmit_impairments": ["rap"]}, "waveform.transmit_impairments[0].name: got 'rap'; allowed: "),
        ({"transmit_impairments": ["rapp"]}, "waveform.transmit_impairments[0].input_back_off_db: missing; 'rapp'"),
        (
            {"receive_impairments": ["iq-imbalance", {"name": "jammer", "level_db": 0, "frequency_hz": 1e8}]},
            "waveform.receive_impairments[1]: band of the interference: got '0 Hz around 1e+08 Hz'; allowed: within",
        ),
        ({"receive_impairments": [{"name": "converter", "bits": 0}]}, "waveform.receive_impairments[0].bits: got 0;"),
    ],
)
def test_bad_impairments_are_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        link(**options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_built_in_experiment_with_impairments() -> None:
    experiment = load(built_in_experiments()["pusch-impaired-radios"])
    assert experiment.waveform is not None
    assert [block["name"] for block in experiment.waveform.receive_impairments] == ["phase-noise", "converter"]
    resolved = experiment.resolved()["waveform"]
    assert math.isclose(resolved["transmit_impairments"][2]["input_back_off_db"], 5)
    assert "transmit_impairments" not in Waveform().model_dump()
