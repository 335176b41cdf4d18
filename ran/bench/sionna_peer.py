"""Sionna's blocks, set up to do the work of our rows. Sionna is imported when a function is called: that is slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from channels import Cdl, Tdl, Umi
from ran.phy.config import Carrier, Pusch, Users
from ran.phy.sionna_pusch import pusch_configs

#: Check node updates to choose the fastest from: the exact sum-product in two forms, and two min-sum forms.
CHECK_NODE_UPDATES = ("boxplus", "boxplus-phi", "minsum", "offset-minsum")
_CARRIER_FREQUENCY_HZ = 3.5e9
_SPEED_OF_LIGHT_MPS = 299_792_458.0


def transmitter(carrier: Carrier, pusch: Pusch, users: Users, device: str = "cpu") -> Any:
    """Sionna's `PUSCHTransmitter` for our configuration, one transmitter per user."""
    from sionna.phy.nr import PUSCHTransmitter

    return PUSCHTransmitter(pusch_configs(carrier, pusch, users), device=device)


def receiver(sender: Any, num_iterations: int, check_node_update: str, device: str = "cpu") -> Any:
    """Sionna's `PUSCHReceiver`: LS, linear interpolation, LMMSE, max-log, and its decoder.

    Called with y [batch, 1, num_rx_ant, 14, num_subcarriers] and the noise variance, it returns the blocks
    [batch, num_users, tb_size] and whether their CRC holds [batch, num_users].
    """
    from sionna.phy.nr import PUSCHReceiver, TBDecoder

    decoder = TBDecoder(sender._tb_encoder, num_bp_iter=num_iterations, cn_update=check_node_update, device=device)
    return PUSCHReceiver(sender, tb_decoder=decoder, return_tb_crc_status=True, device=device)


def tdl_on_grid(channel: Tdl, num_rx_ant: int, num_tx_ant: int, resource_grid: Any, device: str = "cpu") -> Any:
    """Sionna's channel generator for our `channel`; called with a batch size it returns the response on the grid."""
    from sionna.phy.channel import GenerateOFDMChannel
    from sionna.phy.channel.tr38901 import TDL

    speed = channel.doppler_hz * _SPEED_OF_LIGHT_MPS / _CARRIER_FREQUENCY_HZ
    spread = {} if channel.delay_spread_ns is None else {"delay_spread": channel.delay_spread_ns * 1e-9}
    model = TDL(
        channel.profile,
        carrier_frequency=_CARRIER_FREQUENCY_HZ,
        min_speed=speed,
        max_speed=speed,
        num_rx_ant=num_rx_ant,
        num_tx_ant=num_tx_ant,
        device=device,
        **spread,
    )
    return GenerateOFDMChannel(model, resource_grid, device=device)


def cdl_on_grid(channel: Cdl, times_s: np.ndarray, frequencies_hz: np.ndarray) -> Any:
    """Sionna's CDL for our uplink `channel` from one vertical antenna to a panel of crossed omnidirectional elements.

    Called with a batch size it returns the response on the grid [batch, num_rx_ant, num_times, num_subcarriers].
    """
    from sionna.phy.channel import cir_to_ofdm_channel
    from sionna.phy.channel.tr38901 import CDL

    block = channel.rx_array or {}
    model = CDL(
        channel.profile,
        channel.delay_spread_ns * 1e-9,
        channel.carrier_frequency_hz,
        _panel(channel, 1, 1, "V"),
        _panel(channel, block["rows"], block["columns"], "cross"),
        "uplink",
        min_speed=channel.speed_mps,
        max_speed=channel.speed_mps,
        device="cpu",
    )
    frequencies = torch.from_numpy(frequencies_hz.astype(np.float32))
    rate = (len(times_s) - 1) / float(times_s[-1] - times_s[0])

    def generate(batch: int) -> torch.Tensor:
        with torch.no_grad():
            response: torch.Tensor = cir_to_ofdm_channel(frequencies, *model(batch, len(times_s), rate))
        return response[:, 0, :, 0, 0]

    return generate


def _panel(channel: Cdl | Umi, rows: int, columns: int, polarisation: str) -> Any:
    from sionna.phy.channel.tr38901 import PanelArray

    return PanelArray(
        num_rows_per_panel=rows,
        num_cols_per_panel=columns,
        polarization="single" if polarisation == "V" else "dual",
        polarization_type=polarisation,
        antenna_pattern="omni",
        carrier_frequency=channel.carrier_frequency_hz,
        device="cpu",
    )


def umi_on_grid(channel: Umi, num_users: int, times_s: np.ndarray, frequencies_hz: np.ndarray) -> Any:
    """Sionna's UMi for our uplink `channel` of outdoor users without a line of sight, from one vertical antenna each.

    Every call drops new users; it returns the response on the grid [num_users, num_rx_ant, num_times, num_subcarriers].
    """
    from sionna.phy.channel import cir_to_ofdm_channel
    from sionna.phy.channel.tr38901 import UMi

    block = channel.rx_array or {}
    model = UMi(
        channel.carrier_frequency_hz,
        "low",
        _panel(channel, 1, 1, "V"),
        _panel(channel, block["rows"], block["columns"], "cross"),
        "uplink",
        enable_pathloss=False,
        enable_shadow_fading=False,
        device="cpu",
    )
    frequencies = torch.from_numpy(frequencies_hz.astype(np.float32))
    rate = (len(times_s) - 1) / float(times_s[-1] - times_s[0])
    seeds = np.random.default_rng(0)
    none = torch.zeros(1, num_users, 3)

    def generate() -> torch.Tensor:
        links = channel.drops([np.random.default_rng(int(seeds.integers(1 << 62))) for _ in range(num_users)])
        distance, azimuth = links.links.distance_2d_m, links.azimuth_rad
        places = np.stack([distance * np.cos(azimuth), distance * np.sin(azimuth), links.links.user_height_m], -1)
        travel = links.travel_azimuth_rad
        velocity = channel.speed_mps * np.stack([np.cos(travel), np.sin(travel), 0 * travel], -1)
        model.set_topology(
            ut_loc=torch.from_numpy(places).float()[None],
            bs_loc=torch.tensor([[[0.0, 0.0, 10.0]]]),
            ut_orientations=none,
            bs_orientations=none[:, :1],
            ut_velocities=torch.from_numpy(velocity).float()[None],
            in_state=torch.zeros(1, num_users, dtype=torch.bool),
            los=False,
        )
        with torch.no_grad():
            response: torch.Tensor = cir_to_ofdm_channel(frequencies, *model(len(times_s), rate))
        # [1, 1, num_rx_ant, num_users, 1, num_times, num_subcarriers]
        return response[0, 0, :, :, 0].transpose(0, 1)

    return generate


def slots(sender: Any, channel: Any, receive: Any, esn0_db: float, device: str = "cpu") -> Any:
    """A function that simulates a number of whole slots with Sionna: send, fade, add noise, receive."""
    from sionna.phy.channel import ApplyOFDMChannel

    apply = ApplyOFDMChannel(add_awgn=True, device=device)
    noise_var = torch.tensor(10 ** (-esn0_db / 10), dtype=torch.float32, device=device)

    def simulate(num_slots: int) -> Any:
        x, bits = sender(num_slots)
        y = apply(x, channel(num_slots), noise_var)
        decided, crc_ok = receive(y, noise_var)
        # the host needs the counts: this also waits for a GPU
        return int((decided != bits).sum()), int((~crc_ok).sum())

    return simulate
