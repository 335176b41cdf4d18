"""Channel estimation from DM-RS of which every so many pairs are sent."""

from __future__ import annotations

import pytest
import torch

from ran.errors import ReceiverRefused
from ran.link import Link, LinkConfig
from receivers.classical.blind import Blind
from receivers.classical.linear import LsLinear, interpolate_linear
from receivers.classical.lmmse import Lmmse, WienerInterpolator
from receivers.classical.perfect import PerfectCsi
from receivers.classical.timing import coarse_delay

SLOTS, SPREAD_NS = 16, 50.0


def link(density: int, **channel: float) -> Link:
    """Two users on the same pairs, told apart by the cover code over frequency."""
    return Link(
        LinkConfig.model_validate(
            {
                "carrier": {"subcarrier_spacing_khz": 30, "num_prb": 16},
                "pusch": {"mcs_index": 9, "dmrs": {"frequency_density": density, "num_cdm_groups_without_data": 1}},
                "users": {"num_users": 2},
                "num_rx_ant": 4,
                "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": SPREAD_NS, "max_doppler_hz": 5} | channel,
            }
        )
    )


def error(h: torch.Tensor, true: torch.Tensor) -> float:
    return float(((h - true).abs() ** 2).mean() / (true.abs() ** 2).mean())


@pytest.mark.parametrize("density", [1, 2, 4, 8])
def test_blind_is_close_to_a_filter_that_is_told_the_statistics(density: int) -> None:
    """The Wiener filter knows the rms delay spread and the Doppler, but not the form of the profile.

    The profile ends at 480 ns, inside of what every eighth pair can tell.
    """
    batch = link(density).batch(range(SLOTS), 12.0, 1, "sparse")
    estimate = Blind().estimate(batch.observation)
    found = error(estimate.h_hat, batch.truth.h)
    told = error(WienerInterpolator(SPREAD_NS * 1e-9, 5.0)(batch.observation)[0], batch.truth.h)
    # 0.2 to 1.2 dB behind in 64 slots; with delays that pairs so far apart cannot tell there was no solution
    assert found < 1.4 * told
    assert found < 0.5 * error(interpolate_linear(batch.observation)[0], batch.truth.h)
    # what it states of its error is what it makes: at most 13 % more in 64 slots, and the 16 here are 1024 channels
    stated = float(estimate.err_var.mean() / (batch.truth.h.abs() ** 2).mean())
    assert 0.8 < found / stated < 1.25


@pytest.mark.parametrize(("density", "known"), [(1, True), (2, False), (4, False), (8, False)])
def test_timing_is_not_corrected_where_the_pairs_cannot_tell_it(density: int, known: bool) -> None:
    """Pairs 8 subcarriers apart tell delays up to a sixteenth of a symbol, less than the window of delays: a channel
    that fills the window would be taken for an early one and moved out of it."""
    batch = link(density, delay_spread_ns=1000).batch(range(SLOTS), 20.0, 1, "timing")
    observation = batch.observation
    k = torch.arange(observation.y.shape[-1])
    late = torch.polar(torch.ones(len(k)), -2 * torch.pi * 30e3 * 4e-6 * k)
    moved = observation.__class__(**{**vars(observation), "y": observation.y * late})
    assert (coarse_delay(moved) is not None) == known


def test_every_receiver_decodes_with_every_eighth_pair() -> None:
    receivers = {
        "ls-linear": LsLinear(),
        "lmmse": Lmmse(100, 100),
        "blind": Blind(),
        "semi-blind": Blind(num_reestimations=2),
        "turbo": Blind(detector="mmse-pic", data_aided=True),
        "perfect-csi": PerfectCsi(),
    }
    sparse = link(8, delay_spread_ns=30)
    for name, receiver in receivers.items():
        sparse.check_receiver(name, receiver)
    found = sparse.simulate(receivers, range(SLOTS), 16.0, 1, "sparse")
    for name, outcome in found.items():
        assert outcome.block_errors.sum() == 0, name


def test_interference_rejection_needs_pilots_in_every_part_of_the_band() -> None:
    sparse = link(8)
    wide = {"wide": Blind(noise="irc", irc_num_prb=4)}
    sparse.check_receiver("wide", wide["wide"])
    assert sparse.simulate(wide, range(2), 30.0, 1, "sparse")["wide"].block_errors.sum() == 0
    # 16 PRBs in parts of 3 leave one, between two pairs of pilots
    with pytest.raises(ReceiverRefused, match="irc_num_prb: got 3 with 16 PRBs, which leaves part 6 of the band"):
        sparse.check_receiver("rest", Blind(noise="irc", irc_num_prb=3))
    with pytest.raises(ReceiverRefused, match=r"irc_num_prb: got 1 with pairs of pilots 32 .* allowed: 3 or more"):
        sparse.check_receiver("narrow", Blind(noise="irc", irc_num_prb=1))
