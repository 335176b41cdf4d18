"""The received grid off the CPU; a device without numbers stands for a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from channels.interface import GridModes
from ran.link.grid import received_grid
from ran.link.memory import SlotMemory


@pytest.mark.parametrize("with_channel", [False, True])
def test_the_channel_is_kept_only_where_it_is_asked_for(with_channel: bool) -> None:
    memory = SlotMemory(
        num_prb=1, num_rx_ant=2, num_layers=1, num_pilot_symbols=1, num_coded_bits=100, num_tx_ant=1, num_soft_bits=0,
        transmitter_knows=False,
    )  # fmt: skip
    x = torch.zeros(3, 1, 14, 12, dtype=torch.complex64, device="meta")
    h = torch.zeros(3, 2, 1, 14, 12, dtype=torch.complex64, device="meta")
    y, kept = received_grid(
        x, lambda drops, subcarriers: [GridModes(h)], np.zeros((3, 4), np.uint32), 1.0, memory, with_channel
    )
    assert y.shape == (3, 2, 14, 12)
    assert (kept is not None) == with_channel
