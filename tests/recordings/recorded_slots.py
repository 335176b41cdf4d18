"""Slots as a radio would record them: made from a configuration, through a channel, quantised."""

from dataclasses import dataclass

import numpy as np
import torch

from ran.phy.shared_grid import SharedGrid
from ran.recordings.config import DecodeConfig
from ran.recordings.grid_of_slot import grid_of


@dataclass(frozen=True)
class Made:
    """grids complex64 [slots, num_rx_ant, 14, subcarriers] of whole numbers; payloads uint8 [slots, tb_size]."""

    grids: np.ndarray
    payloads: np.ndarray
    layouts: list[SharedGrid]
    slot_numbers: list[int]


def make(
    config: DecodeConfig,
    num_slots: int = 2,
    num_rx_ant: int = 2,
    snr_db: float = 25.0,
    delay_s: float = 200e-9,
    cfo_hz: float = 0.0,
    level: float = 1000.0,
    seed: int = 1,
    slot_numbers: list[int] | None = None,
    rvs: list[int] | None = None,
) -> Made:
    """Slots over two paths per antenna and layer, noise of 1 / SNR per RE, rounded to whole numbers."""
    rng = np.random.default_rng(seed)
    carrier = config.carrier
    numbers = slot_numbers or [carrier.slot_number + i for i in range(num_slots)]
    grids, payloads, layouts = [], [], []
    for index, number in enumerate(numbers):
        grid = grid_of(config, number)
        block = rng.integers(0, 2, (1, len(grid.block_sizes), max(grid.block_sizes)), dtype=np.uint8)
        if rvs is not None:
            block = block if index == 0 else payloads[0][None]
            grid = grid_of(config, number, channel={"rv": rvs[index]})
        x = grid.to_grid(torch.from_numpy(grid.code(block)))[0].numpy().astype(complex)
        k, f = grid.placement.subcarriers, carrier.subcarrier_spacing_hz
        from ran.phy.numerology import symbol_times_s

        times = symbol_times_s(carrier.numerology, number)
        y = np.zeros((num_rx_ant, carrier.num_symbols, carrier.num_subcarriers), complex)
        for antenna in range(num_rx_ant):
            for layer in range(grid.num_layers):
                gains = (rng.standard_normal(2) + 1j * rng.standard_normal(2)) * np.sqrt([0.4, 0.1])
                h = sum(
                    g * np.exp(-2j * np.pi * f * k * (delay_s + d)) for g, d in zip(gains, (0, 150e-9), strict=True)
                )
                np.add.at(y[antenna], (np.arange(14)[:, None], k), h * x[layer])
        y *= np.exp(2j * np.pi * cfo_hz * times)[:, None]
        noise = rng.standard_normal(y.shape) + 1j * rng.standard_normal(y.shape)
        y += noise * np.sqrt(0.5 * 10 ** (-snr_db / 10))
        y = np.clip(np.rint(level * y.real), -32768, 32767) + 1j * np.clip(np.rint(level * y.imag), -32768, 32767)
        grids.append(y.astype(np.complex64))
        payloads.append(block[0])
        layouts.append(grid)
    return Made(np.stack(grids), np.stack(payloads)[:, 0], layouts, numbers)
