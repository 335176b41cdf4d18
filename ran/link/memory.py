"""What a batch of slots needs in memory, the budget for it, and how drops are grouped to stay within."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ran.errors import InputError
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT
from receivers.classical.equalizer import STEP_BYTES

#: Budget of a process for the arrays of a batch, on top of about 0.5 GiB of program and libraries.
BUDGET_BYTES = 2**30
_MAX_BATCH_DROPS = 64
#: A batch's channel, if it were all stored.
_BATCH_BYTES = 32 * 2**20
#: Channel computed at once when it is used up at once: small enough for the last-level cache.
_STEP_BYTES = 4 * 2**20
#: Copies of a part of the channel estimate on the grid that a classical receiver makes while it solves for the layers.
_ESTIMATE_COPIES = 8


@dataclass(frozen=True)
class SlotMemory:
    """Sizes of one drop, and what follows from them. All numbers are pure functions of a link's configuration.

    num_tx_ant: antennas from which the layers are sent; by default one per layer.
    transmitter_knows: whether the transmitter looks at the channel of all its antennas.
    num_soft_bits: what a receiver's HARQ soft buffers hold of a drop; 0 without HARQ.
    """

    num_prb: int
    num_rx_ant: int
    num_layers: int
    num_pilot_symbols: int
    num_coded_bits: int
    num_tx_ant: int | None = None
    num_soft_bits: int = 0
    transmitter_knows: bool = False

    @property
    def num_subcarriers(self) -> int:
        return 12 * self.num_prb

    @property
    def channel_bytes(self) -> int:
        """The channel of a drop on the whole grid, from all transmit antennas, complex64."""
        columns = max(self.num_layers, self.num_tx_ant or 0)
        return 8 * self.num_rx_ant * columns * NUM_SYMBOLS_PER_SLOT * self.num_subcarriers

    @property
    def layer_channel_bytes(self) -> int:
        """The same as the layers see it."""
        return 8 * self.num_rx_ant * self.num_layers * NUM_SYMBOLS_PER_SLOT * self.num_subcarriers

    @property
    def batch_drops(self) -> int:
        """Drops simulated together: a power of two up to 64 that keeps a batch's channel near 32 MiB."""
        return int(2 ** np.clip(np.floor(np.log2(_BATCH_BYTES / self.channel_bytes)), 0, np.log2(_MAX_BATCH_DROPS)))

    @property
    def step_drops(self) -> int:
        """Drops whose channel is computed together."""
        return max(1, _STEP_BYTES // self.channel_bytes)

    @property
    def step_subcarriers(self) -> int:
        """Subcarriers (an even number) whose channel is computed together: all, or what fits into 16 steps."""
        per_subcarrier = self.channel_bytes // self.num_subcarriers
        return min(self.num_subcarriers, max(2, 16 * _STEP_BYTES // per_subcarrier // 2 * 2))

    def peak_bytes(self, with_channel: bool, num_receivers: int = 1) -> int:
        """Upper estimate of what a batch and a classical receiver hold at once.

        with_channel: the whole channel is stored, as genies and training need.
        num_receivers: each keeps soft buffers of its own between the transmissions of HARQ.
        """
        drops = self.batch_drops
        symbols = NUM_SYMBOLS_PER_SLOT * self.num_subcarriers
        grids = 8 * symbols * (self.num_rx_ant + self.num_layers)
        # bits, LLRs as float32, in code word order and dematched, and what decoding adds
        coded = self.num_coded_bits * (2 + 4 * 4)
        # despread pilots and functions over frequency, in a receiver that keeps them and their products
        modes = 3 * 8 * self.num_rx_ant * self.num_layers * self.num_pilot_symbols * self.num_subcarriers
        on_grid = _ESTIMATE_COPIES * min(STEP_BYTES, drops * self.layer_channel_bytes)
        step = min(self.step_drops, drops) * self.channel_bytes * self.step_subcarriers // self.num_subcarriers
        # what the transmitter knows of the channel: one symbol, an error beside it, and their sum
        known = 3 * drops * self.channel_bytes // NUM_SYMBOLS_PER_SLOT if self.transmitter_knows else 0
        channel = drops * self.layer_channel_bytes if with_channel else 0
        # float32; the drops that go on are copied
        soft = 2 * 4 * self.num_soft_bits * num_receivers
        return drops * (grids + coded + modes + soft) + on_grid + known + 2 * step + channel

    @cached_property
    def _fits(self) -> set[tuple[bool, int]]:
        """What has been found to fit: the same is asked with every batch."""
        return set()

    def check(self, with_channel: bool, num_receivers: int = 1) -> None:
        """`InputError` when a batch does not fit into the budget; says what to change."""
        if (with_channel, num_receivers) in self._fits:
            return
        needed = self.peak_bytes(with_channel, num_receivers)
        if needed > BUDGET_BYTES:
            why = ", whole channel included," if with_channel else ""
            raise InputError(
                f"memory: got {self.num_rx_ant} antennas x {self.num_layers} layers x {self.num_prb} PRB, whose slot"
                f"{why} needs {needed / 2**30:.1f} GiB; allowed: {BUDGET_BYTES / 2**30:.1f} GiB; reduce num_rx_ant or "
                f"carrier.num_prb {needed / BUDGET_BYTES:.1f} times"
                + (", or leave out receivers that are told the channel" if with_channel else "")
                + (", or simulate the receivers apart" if self.num_soft_bits and num_receivers > 1 else "")
            )
        self._fits.add((with_channel, num_receivers))
