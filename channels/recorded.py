"""The channel of impulse responses that another program computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from channels.datasets.impulse_responses import read_impulse_responses
from channels.errors import bad_value, unknown_name
from channels.interface import Channel
from channels.paths import Paths
from channels.request import check_generators, checked_axis

_NORMALISATIONS = ("link", "set", "none")
#: Bytes of phases of taps that are held at once.
_STEP_BYTES = 16 << 20


class Recorded(Channel):
    """Impulse responses of another program, NVIDIA's AODT for instance: one of its links per drop.

    responses: a file that `ran data rays FOLDER` wrote of a folder of AODT's tables.
    direction: "uplink" from the user to the base station, or "downlink".
    normalise: "link" for unit mean power per antenna pair in every link; "set" for that on average over all links;
        "none" for the gains as they are.
    absolute_delays: keep the delay of a link's first tap; by default a base station has told the user to send earlier.

    A draw picks one of the links, all alike. Every antenna pair has taps of its own; they stand still within a drop.
    Fewer antennas than were recorded are the first of them; unit mean power is that of all.
    """

    name = "recorded"

    def __init__(
        self,
        responses: str,
        direction: Literal["uplink", "downlink"] = "uplink",
        normalise: Literal["link", "set", "none"] = "link",
        absolute_delays: bool = False,
    ) -> None:
        if direction not in ("uplink", "downlink"):
            raise unknown_name("direction", direction, ("uplink", "downlink"))
        if normalise not in _NORMALISATIONS:
            raise unknown_name("normalise", normalise, _NORMALISATIONS)
        self.direction, self.normalise, self.absolute_delays = direction, normalise, absolute_delays
        self.responses = read_impulse_responses(responses)
        gains, delays = self.responses.gains, self.responses.delays_s.astype(np.float64)
        there = gains != 0
        if not absolute_delays:
            delays = delays - np.where(there, delays, np.inf).min(axis=(1, 2, 3), keepdims=True)
        powers = np.square(np.abs(gains.astype(np.complex128))).sum(-1).mean((1, 2))
        scale = np.ones_like(powers)
        if normalise != "none":
            scale = (powers if normalise == "link" else np.full_like(powers, powers.mean())) ** -0.5
        gains = (gains * scale[:, None, None, None]).astype(np.complex64)
        if direction == "downlink":
            gains, delays = gains.swapaxes(1, 2), delays.swapaxes(1, 2)
        # [num_links, receive, transmit, num_taps]
        self._gains, self._delays_s = (
            gains,
            np.where(there if direction == "uplink" else there.swapaxes(1, 2), delays, 0),
        )

    def fingerprint(self) -> str:
        """SHA-256 of the responses: what an experiment depends on beside the options."""
        return self.responses.content_sha256

    def check(self, num_rx_ant: int, num_tx_ant: int) -> None:
        """As in the base class; a link has as many antennas as were recorded."""
        super().check(num_rx_ant, num_tx_ant)
        for what, asked, there in zip(("rx", "tx"), (num_rx_ant, num_tx_ant), self._gains.shape[1:3], strict=True):
            if asked > there:
                raise bad_value(f"num_{what}_ant", asked, f"up to {there}, the antennas of the recorded links")

    def sites(self, generators: Sequence[np.random.Generator]) -> np.ndarray:
        """Links of the draws, int64 [len(generators)]."""
        check_generators(generators)
        numbers = np.array([generator.random() for generator in generators])
        return (numbers * self.responses.num_links).astype(np.int64)

    def response(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        symbol_times_s: np.ndarray,
        subcarrier_frequencies_hz: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """The links of the draws, complex64 [batch, num_rx_ant, num_tx_ant, num_ofdm_symbols, num_subcarriers].

        Random numbers of a drop: one, uniform from 0 to 1, which chooses the link.
        """
        self.check(num_rx_ant, num_tx_ant)
        num_symbols = checked_axis("symbol_times_s", symbol_times_s).size
        frequencies = checked_axis("subcarrier_frequencies_hz", subcarrier_frequencies_hz)
        links = self.sites(generators)
        num_taps = self._gains.shape[-1]
        grid = np.empty((len(links), num_rx_ant, num_tx_ant, frequencies.size), np.complex64)
        step = max(1, _STEP_BYTES // (16 * num_taps * frequencies.size))
        for number, link in enumerate(links):
            flat = grid[number].reshape(-1, frequencies.size)
            gains = self._gains[link, :num_rx_ant, :num_tx_ant].reshape(-1, num_taps)
            delays = self._delays_s[link, :num_rx_ant, :num_tx_ant].reshape(-1, num_taps)
            for first in range(0, len(flat), step):
                pairs = slice(first, first + step)
                phases = np.exp(-2j * np.pi * (delays[pairs, :, None] * frequencies % 1))
                flat[pairs] = (gains[pairs, None, :] @ phases)[:, 0]
        whole = torch.from_numpy(grid).to(device)[:, :, :, None]
        return whole.expand(-1, -1, -1, num_symbols, -1).contiguous()

    def paths(
        self,
        generators: Sequence[np.random.Generator],
        num_rx_ant: int,
        num_tx_ant: int,
        times_s: np.ndarray,
        device: torch.device | str = "cpu",
    ) -> Paths:
        """As in the base class, for one antenna at each end: paths have the same delays at all antenna pairs."""
        self.check(num_rx_ant, num_tx_ant)
        if num_rx_ant * num_tx_ant > 1:
            raise bad_value("paths", f"{num_rx_ant} x {num_tx_ant} antennas", "1 x 1: delays differ between pairs")
        num_times = checked_axis("times_s", times_s).size
        links = self.sites(generators)
        gains = torch.from_numpy(self._gains[links, :1, :1])[..., None].expand(-1, -1, -1, -1, num_times).contiguous()
        return Paths(gains.to(device), torch.from_numpy(self._delays_s[links][:, 0, 0]).to(device))
