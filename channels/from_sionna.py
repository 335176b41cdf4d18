"""Channel models of Sionna in links of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.interface import Channel
from channels.request import check_generators, checked_axis

#: Sionna samples its models at equal distances, OFDM symbols are not equally far apart: the nearest sample is taken.
#: At a Doppler of 1 kHz half a step turns the phase by 0.003 rad.
_STEP_S = 1e-6


class SionnaChannel(Channel):
    """A channel model of `sionna.phy.channel` (TDL, CDL, RayleighBlockFading, ...), one of its links per drop.

    model: called as Sionna's links call it, (batch_size, num_time_steps, sampling_frequency) -> (a, tau), with one
    receiver and one transmitter whose antennas are those of the link. For experiment files derive a class from this
    one, whose constructor has the options.

    Sionna has one seed for everything: it is set from the drop's own generator, so that a drop depends on that alone,
    and then set back, with which Sionna's generators begin anew.
    """

    name = "sionna"

    def __init__(self, model: Any) -> None:
        if not callable(model):
            raise bad_value("model", model, "a channel model of sionna.phy.channel")
        self.model = model

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Sum of the paths, complex64 [batch, num_rx_ant, num_tx_ant, num_ofdm_symbols, num_subcarriers]."""
        self.check(num_rx_ant, num_tx_ant)
        check_generators(generators)
        times = checked_axis("symbol_times_s", symbol_times_s)
        if times.min() < 0:
            raise bad_value("symbol_times_s", float(times.min()), "0 or more")
        steps = torch.from_numpy(np.rint(times / _STEP_S).astype(np.int64))
        frequencies = torch.from_numpy(checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz))
        parts = []
        for generator in generators:
            gains, delays = self._draw(int(generator.integers(2**31)), int(steps.max()) + 1)
            if gains.shape[:2] != (num_rx_ant, num_tx_ant):
                allowed = f"{num_rx_ant} receive and {num_tx_ant} transmit antennas"
                raise bad_value("antennas of the Sionna model", tuple(gains.shape[:2]), allowed)
            steady = gains.shape[-1] == 1  # block fading: one sample stands for all times
            taken = gains.expand(*gains.shape[:-1], len(steps)) if steady else gains[..., steps]
            turn = torch.exp(-2j * torch.pi * delays.double()[:, None] * frequencies)
            parts.append(torch.einsum("rtpn,pf->rtnf", taken.to(torch.complex128), turn).to(torch.complex64))
        return torch.stack(parts).contiguous().to(device)

    def _draw(self, seed: int, num_steps: int) -> tuple[Tensor, Tensor]:
        """Gains [num_rx_ant, num_tx_ant, num_paths, num_steps] and delays [num_paths] in seconds of one link."""
        from sionna.phy import config

        before = config.seed
        config.seed = seed
        try:
            a, tau = self.model(1, num_steps, 1 / _STEP_S)
        finally:
            config.seed = before
        return a[0, 0, :, 0].cpu(), tau[0, 0, 0].cpu()
