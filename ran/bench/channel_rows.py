"""Responses of channels between antenna arrays: speed and peak memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from channels import Cdl, Umi
from ran.bench import cost, sionna_peer
from ran.bench.peak_memory import peak_text
from ran.bench.row import Effort, Match, Parity, Row, Side, Target, Work
from ran.phy.numerology import symbol_times_s

_SEED = 38901
_SPACING_HZ = 30e3
_CARRIER_HZ = 3.5e9
_PEER_BATCHES = (1, 4)


class CdlWork(Work):
    """Draws of CDL-C with 300 ns at 3 m/s on 14 symbols, from one antenna to crossed pairs on a panel, uplink."""

    def __init__(self, rows: int, columns: int, num_prb: int, parity_draws: int) -> None:
        self.num_rx_ant, self.parity_draws = 2 * rows * columns, parity_draws
        array = {"rows": rows, "columns": columns, "polarisation": "cross"}
        self.channel = Cdl("C", 300.0, _CARRIER_HZ, rx_array=array, speed_mps=3.0, wideband=False)
        self.times = symbol_times_s(1, 0)
        subcarriers = 12 * num_prb
        self.frequencies = (np.arange(subcarriers) - (subcarriers - 1) / 2) * _SPACING_HZ
        self.generators = [np.random.default_rng(_SEED)]
        self.side = Side(self.draw, 1, "batch 1")
        self.cost = cost.cdl_response(
            self.num_rx_ant, self.channel.clusters, self.times, self.channel.doppler_hz, subcarriers
        )

    def draw(self) -> torch.Tensor:
        """complex64 [1, num_rx_ant, 14, num_subcarriers]."""
        with torch.inference_mode():
            return self.channel.response(self.generators, self.num_rx_ant, 1, self.times, self.frequencies)[:, :, 0]

    def against_sionna(self, effort: Effort) -> Match:
        generate = sionna_peer.cdl_on_grid(self.channel, self.times, self.frequencies)
        candidates = [
            Side(partial(generate, batch), batch, f"CDL, cir_to_ofdm_channel, batch {batch}, eager", ("", batch))
            for batch in _PEER_BATCHES
        ]
        return Match(candidates, partial(self._parity, generate, effort))

    def _parity(self, generate: Any, effort: Effort, chosen: Side) -> Parity:
        """Mean power and frequency correlation of both against the profile, within four standard errors; memory."""
        draws = effort.blocks(self.parity_draws)
        lag = min(34, self.frequencies.size // 2)
        profile = self.channel.clusters
        turns = np.exp(-2j * np.pi * lag * _SPACING_HZ * profile.delays_s)
        expected = complex(profile.powers @ turns)
        # a slanted element takes half of a vertical wave and half of what is crossed
        share = (1 + 1 / profile.xpr) / 2
        parts, ok = [], True
        for name, draw, scale in (("ours", self.draw, 1.0), ("Sionna", partial(generate, 1), share)):
            found = np.array([_moments(draw(), lag) for _ in range(draws)]) / scale
            error = np.abs(found.mean(0) - [1, expected])
            ok &= bool(np.all(error < 4 * found.std(0) / draws**0.5))
            parts.append(f"{name} {error[0]:.3f} and {error[1]:.3f}")
        what = f"power and correlation at {lag * _SPACING_HZ / 1e6:.2g} MHz"
        text = f"deviation of {what} from the profile over {draws} draws: {', '.join(parts)}"
        return Parity(text + peak_text({"ours": self.draw, "Sionna": partial(generate, 1)}), ok)


class UmiWork(Work):
    """Users of a street canyon without a line of sight, each from one antenna to crossed pairs on a panel, uplink."""

    def __init__(self, rows: int, columns: int, num_users: int, num_prb: int, parity_draws: int) -> None:
        self.num_rx_ant, self.num_users, self.parity_draws = 2 * rows * columns, num_users, parity_draws
        array = {"rows": rows, "columns": columns, "polarisation": "cross"}
        self.channel = Umi(
            _CARRIER_HZ, rx_array=array, speed_mps=3.0, distance_m=[20.0, 150.0], condition="nlos", wideband=False
        )
        self.times = symbol_times_s(1, 0)
        subcarriers = 12 * num_prb
        self.frequencies = (np.arange(subcarriers) - (subcarriers - 1) / 2) * _SPACING_HZ
        self.generators = [np.random.default_rng([_SEED, user]) for user in range(num_users)]
        self.side = Side(self.draw, num_users, f"{num_users} users at once")
        num_paths = int(self.channel.parameters.num_clusters.max()) + 4
        one = cost.ray_response(self.num_rx_ant, num_paths, 20, self.times, self.channel.doppler_hz, subcarriers)
        self.cost = cost.Cost(flops=num_users * one.flops, bytes=num_users * one.bytes)

    def draw(self) -> torch.Tensor:
        """complex64 [num_users, num_rx_ant, 14, num_subcarriers]."""
        with torch.inference_mode():
            return self.channel.response(self.generators, self.num_rx_ant, 1, self.times, self.frequencies)[:, :, 0]

    def against_sionna(self, effort: Effort) -> Match:
        generate = sionna_peer.umi_on_grid(self.channel, self.num_users, self.times, self.frequencies)
        side = Side(generate, self.num_users, f"UMi, cir_to_ofdm_channel, {self.num_users} users, eager")
        return Match([side], partial(self._parity, generate, effort))

    def _parity(self, generate: Any, effort: Effort, chosen: Side) -> Parity:
        """Frequency correlation of both over their own power, within four standard errors of one another; memory."""
        draws = effort.blocks(self.parity_draws)
        lag = min(34, self.frequencies.size // 2)
        found = {}
        for name, draw in (("ours", self.draw), ("Sionna", generate)):
            users = [_moments(user, lag) for _ in range(draws) for user in draw()]
            found[name] = np.array([product.real / power.real for power, product in users])
        error = abs(found["ours"].mean() - found["Sionna"].mean())
        deviation = (sum(values.var() / len(values) for values in found.values())) ** 0.5
        means = ", ".join(f"{name} {values.mean():.3f}" for name, values in found.items())
        text = f"correlation at {lag * _SPACING_HZ / 1e6:.2g} MHz over {len(found['ours'])} users: {means}"
        return Parity(text + peak_text({"ours": self.draw, "Sionna": generate}), bool(error < 4 * deviation))


def _moments(h: torch.Tensor, lag: int) -> tuple[complex, complex]:
    """Mean power of a draw, and its mean product with itself `lag` subcarriers on."""
    return complex((h.abs() ** 2).mean()), complex((h[..., lag:] * h[..., :-lag].conj()).mean())


CHANNEL_ROWS = (
    Row(
        "cdl-4x8",
        "channels",
        "CDL-C response, 4x8 dual-polarised panel, 14 x 3276",
        "draws",
        Target(10),
        partial(CdlWork, 4, 8, 273, 200),
    ),
    Row(
        "umi-64x16",
        "channels",
        "UMi drops of 16 users, 4x8 dual-polarised panel, 14 x 612",
        "drops",
        Target(10),
        partial(UmiWork, 4, 8, 16, 51, 40),
    ),
)
