"""Channels between antenna arrays in a link: options of experiment files, agreement of antennas, parts of the band."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Pusch, Users
from ran.phy.waveform import Waveform
from receivers import LsLinear, PerfectCsi

CDL: dict[str, Any] = {
    "name": "cdl",
    "profile": "C",
    "delay_spread_ns": 100,
    "carrier_frequency_hz": 3.5e9,
    "speed_mps": 3,
    "rx_array": {"rows": 2, "columns": 2, "polarisation": "cross", "pattern": "38.901"},
}


def link(channel: Any, num_users: int = 1, num_rx_ant: int = 8, **pusch: Any) -> Link:
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=4),
            pusch=Pusch(**pusch),
            users=Users(num_users=num_users),
            num_rx_ant=num_rx_ant,
            channel=channel,
        )
    )


@pytest.mark.parametrize(
    ("channel", "num_layers"),
    [
        (CDL, 1),
        ({**CDL, "tx_array": {"num_elements": 1, "polarisation": "VH"}}, 2),
        ({**CDL, "profile": "D", "near_field": {"distance_m": 20, "visibility": {"probability": 0.5}}}, 1),
        ({"name": "tdl", "profile": "TDLA30", "max_doppler_hz": 10, "correlation": "medium"}, 2),
        ({"name": "hst", "scenario": "1-NR350", "max_doppler_hz": 300}, 1),
    ],
)
def test_receivers_decode_over_array_channels(channel: Any, num_layers: int) -> None:
    tested = link(channel, num_layers=num_layers, mcs_index=4)
    found = tested.simulate({"ls": LsLinear(), "genie": PerfectCsi()}, range(8), 20.0, 1, "arrays")
    assert found["genie"].block_errors.sum() <= 1
    assert found["ls"].block_errors.sum() <= 2


def test_drops_do_not_depend_on_the_batch() -> None:
    tested = link(CDL)
    alone, among = tested.batch([5], 5.0, 1, "s"), tested.batch(range(4, 8), 5.0, 1, "s")
    assert torch.equal(alone.observation.y[0], among.observation.y[1])


def test_users_with_own_channels_see_own_directions() -> None:
    channels = [{**CDL, "mean_angles_deg": {"aod": azimuth}} for azimuth in (-30, 30)]
    batch = link(channels, num_users=2).batch(range(8), 10.0, 1, "s")
    assert batch.truth.h.shape[1:3] == (8, 2)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (CDL, r"channel: num_rx_ant: got 4; allowed: 8, the ports of rx_array"),
        ({**CDL, "rx_array": {"row": 2}}, r"channel: rx_array: got 'row'; .*did you mean"),
        ({**CDL, "rx_array": 3}, r"channel\.rx_array: got 3; allowed: an object"),
        ({**CDL, "delay_spread": 3}, r"channel\.delay_spread: unknown option of 'cdl'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(channel: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        link(channel, num_rx_ant=4)
    assert "\n" not in str(error.value)


#: 64 elements at 28 GHz over 380 MHz: aperture x bandwidth / c is 0.43.
WIDE: dict[str, Any] = {"name": "cdl", "profile": "C", "delay_spread_ns": 30, "carrier_frequency_hz": 28e9}


def wide_link(num_prb: int = 264, **more: Any) -> Link:
    carrier = Carrier(num_prb=num_prb, subcarrier_spacing_khz=120)
    return Link(LinkConfig(carrier=carrier, pusch=Pusch(), num_rx_ant=64, **({"channel": WIDE} | more)))


def test_a_link_takes_true_delays_where_its_band_asks_for_it() -> None:
    assert wide_link().channels[0].wideband is True  # type: ignore[attr-defined]
    assert wide_link(24).channels[0].wideband is False  # type: ignore[attr-defined]
    assert wide_link(channel={**WIDE, "wideband": False}).channels[0].wideband is False  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"channel.wideband: .*'maybe'"):
        wide_link(channel={**WIDE, "wideband": "maybe"})


def test_the_time_domain_refuses_such_a_band_with_the_size_of_the_error() -> None:
    with pytest.raises(
        InputError, match=r"channel: wideband: got 'auto'; allowed: false, .* off by up to 38.* degrees"
    ):
        wide_link(waveform=Waveform())
    wide_link(24, waveform=Waveform())
    wide_link(channel={**WIDE, "wideband": False}, waveform=Waveform())
