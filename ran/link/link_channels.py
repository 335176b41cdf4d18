"""The channels of a link: one for all users or one per user, from their antennas to the receiver's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from channels import Awgn, Channel
from channels.interface import GridModes
from channels.paths import Paths
from ran.errors import InputError
from ran.link.catalogue import build_channel
from ran.link.config import LinkConfig
from ran.link.link_budget import Received, check_link_budget, received
from ran.link.streams import stream
from ran.link.transmitter import Transmitter


class LinkChannels:
    """The channels of a link. times_s float64 [n]: of the process that the channel of a drop is."""

    def __init__(self, config: LinkConfig, transmitter: Transmitter, device: torch.device) -> None:
        """`InputError` for channels that do not fit the link."""
        self._config, self._transmitter, self._device = config, transmitter, device
        self.channels = _built(config, transmitter)
        self.times_s = np.zeros(0)

    def prepare(self, times_s: np.ndarray, half_band_hz: float, as_paths: bool) -> None:
        """Make the channels ready for the times of a drop and the carrier's whole band, parts of which are asked for
        one by one. as_paths: for the time domain."""
        self.times_s = times_s
        try:
            self.channels = tuple(c.for_band(*self._antennas, half_band_hz, as_paths=as_paths) for c in self.channels)
        except ValueError as error:
            raise InputError(f"channel: {error}") from None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the results should know of the channels, a sentence each."""
        return tuple(dict.fromkeys(note for channel in self.channels for note in channel.notes))

    @property
    def _antennas(self) -> tuple[int, int]:
        """Receive antennas, and transmit antennas of each channel: of all users, or of one."""
        sender = self._transmitter
        of_channel = sender.num_tx_ant if len(self.channels) == 1 else sender.antennas_per_user
        return self._config.num_rx_ant, of_channel

    def received(self, drops: Sequence[int], tx_power_dbm: float, seed: int, scenario_id: str) -> Received | None:
        """Large-scale state of the users of drops at a transmit power; None without a link budget."""
        if self._config.link_budget is None:
            return None
        generators = [stream(seed, scenario_id, drop, "channel") for drop in drops]
        parts = []
        for index, channel in enumerate(self.channels):
            states = [generator.bit_generator.state for generator in generators]
            parts.append(channel.path_gains(generators, *self._antennas))
            if index + 1 < len(self.channels):
                # on to where the next user's numbers begin, which is where the channel's own draw ends
                for generator, state in zip(generators, states, strict=True):
                    generator.bit_generator.state = state
                channel.response_within(
                    generators, *self._antennas, self.times_s, slice(0, 1), np.zeros(1), self._device
                )
        arrays = [
            np.stack([getattr(part, name) for part in parts], 1)
            for name in ("path_gain_db", "distance_2d_m", "condition")
        ]
        num_prb = self._transmitter.grids[0].num_prb_of_users
        return received(self._config.link_budget, tx_power_dbm, self._config.carrier, num_prb, *arrays)

    def response(
        self,
        generators: Sequence[np.random.Generator],
        frequencies_hz: np.ndarray,
        part: slice,
        amplitudes: Tensor | None = None,
    ) -> Tensor:
        """Response of all antennas at some times of the drop, complex64 [batch, num_rx_ant, num_tx_ant, times, n].

        amplitudes float32 [batch, num_channels]: by which each channel is multiplied.
        """
        parts = [
            channel.response_within(generators, *self._antennas, self.times_s, part, frequencies_hz, self._device)
            for channel in self.channels
        ]
        if amplitudes is not None:
            parts = [h * amplitudes[:, i].view(-1, 1, 1, 1, 1) for i, h in enumerate(parts)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)

    def grid_modes(
        self, generators: Sequence[np.random.Generator], frequencies_hz: np.ndarray, part: slice
    ) -> list[GridModes]:
        """What `response` without amplitudes is made of on a CPU, channel by channel."""
        return [
            channel.grid_modes(generators, *self._antennas, self.times_s, part, frequencies_hz)
            for channel in self.channels
        ]

    def paths(self, generators: Sequence[np.random.Generator], times_s: np.ndarray) -> list[Paths]:
        """Paths of every channel at some times of the drop."""
        return [c.paths(generators, *self._antennas, times_s, self._device) for c in self.channels]


def _built(config: LinkConfig, transmitter: Transmitter) -> tuple[Channel, ...]:
    """One channel for all users, or one per user."""
    block, num_users = config.channel, config.users.num_users
    blocks = (block,) if isinstance(block, Mapping) else block
    if len(blocks) not in (1, num_users):
        raise InputError(
            f"channel: got a list of {len(blocks)} channels; allowed: one channel or {num_users}, one per user"
        )
    # a list of one channel for one user is a channel; a single channel carries the layers of all users
    paths = ["channel"] if len(blocks) == 1 else [f"channel[{i}]" for i in range(num_users)]
    channels = tuple(build_channel(b, path) for b, path in zip(blocks, paths, strict=True))
    num_tx_ant = transmitter.num_tx_ant if len(channels) == 1 else transmitter.antennas_per_user
    for path, channel in zip(paths, channels, strict=True):
        try:
            channel.check(config.num_rx_ant, num_tx_ant)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
    if sum(isinstance(channel, Awgn) for channel in channels) > 1:
        raise InputError("channel: got awgn for several users, whose channels are then the same; allowed: one user")
    check_link_budget(config.link_budget, channels, num_users, config.waveform is not None)
    return channels
