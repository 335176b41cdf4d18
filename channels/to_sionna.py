"""Our channel models in links of Sionna."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from channels.interface import Channel

try:
    from sionna.phy.channel import ChannelModel
except ImportError:
    raise ValueError("sionna: not installed; allowed: after pip install 'ran6g[sionna]'") from None


class AsSionnaModel(ChannelModel):
    """A channel of ours as a `sionna.phy.channel.ChannelModel`, for `OFDMChannel`, `TimeChannel` and their like.

    channel: any model of `channels`. num_rx_ant, num_tx_ant: of the one receiver and the one transmitter.
    seed: of its draws; the next call goes on with the drops after those of the last.
    """

    def __init__(self, channel: Channel, num_rx_ant: int = 1, num_tx_ant: int = 1, seed: int = 1) -> None:
        super().__init__()
        channel.check(num_rx_ant, num_tx_ant)
        self.channel, self.num_rx_ant, self.num_tx_ant, self.seed = channel, num_rx_ant, num_tx_ant, seed
        self.next_drop = 0

    def __call__(self, batch_size: int, num_time_steps: int, sampling_frequency: float) -> tuple[Tensor, Tensor]:
        """Gains a complex64 [batch_size, 1, num_rx_ant, 1, num_tx_ant, num_paths, num_time_steps] and delays tau
        float32 [batch_size, 1, 1, num_paths] in seconds."""
        drops = range(self.next_drop, self.next_drop + batch_size)
        self.next_drop = drops.stop
        generators = [np.random.Generator(np.random.Philox(key=[self.seed, drop])) for drop in drops]
        times_s = np.arange(num_time_steps) / sampling_frequency
        paths = self.channel.paths(generators, self.num_rx_ant, self.num_tx_ant, times_s)
        delays = torch.as_tensor(paths.delays_s).float()
        delays = delays.expand(batch_size, delays.shape[-1])
        return paths.gains[:, None, :, None], delays[:, None, None]
