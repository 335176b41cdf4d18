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


@pytest.mark.parametrize("num_subcarriers", [24, 1200])
def test_modes_over_time_give_the_grid_of_the_whole_channel(num_subcarriers: int) -> None:
    rng = np.random.default_rng(1)

    def complex64(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((*shape, 2)).astype(np.float32).view(np.complex64)[..., 0])

    # two channels: one of two layers as three modes, one of one layer symbol by symbol
    modes, over_time = complex64(2, 4, 2, 3, num_subcarriers), torch.from_numpy(rng.standard_normal((14, 3))).float()
    other, x = complex64(2, 4, 1, 14, num_subcarriers), complex64(2, 3, 14, num_subcarriers)
    h = torch.cat([torch.einsum("tm,brlmk->brltk", over_time.to(modes.dtype), modes), other], 2)
    memory = SlotMemory(
        num_prb=num_subcarriers // 12, num_rx_ant=4, num_layers=3, num_pilot_symbols=1, num_coded_bits=100,
        num_tx_ant=3, num_soft_bits=0, transmitter_knows=False,
    )  # fmt: skip
    keys = rng.integers(0, 2**32, (2, 4), dtype=np.uint32)

    def as_modes(drops: slice, subcarriers: slice) -> list[GridModes]:
        return [GridModes(modes[drops, ..., subcarriers], over_time), GridModes(other[drops, ..., subcarriers])]

    y, kept = received_grid(x, as_modes, keys, 0.1, memory, True)
    whole, same = received_grid(x, lambda d, s: [GridModes(h[d, ..., s])], keys, 0.1, memory, True)
    assert kept is not None
    assert same is not None
    assert torch.equal(same, h)
    assert (kept - h).abs().max() < 1e-5
    assert (y - whole).abs().max() < 1e-4
    silent, _ = received_grid(0 * x, as_modes, keys, 0.1, memory, False)
    assert (y - silent - (h * x[:, None]).sum(2)).abs().max() < 1e-4
