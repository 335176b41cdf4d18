"""A channel to one receive antenna alone, of random phase; in experiments `tests/link/own_antenna.py:OwnAntenna`."""

from pathlib import Path

import numpy as np
import torch

from channels import Channel

FILE = Path(__file__)


class OwnAntenna(Channel):
    name = "own-antenna"

    def __init__(self, antenna: int = 0):
        self.antenna = antenna

    def response(self, generators, num_rx_ant, num_tx_ant, symbol_times_s, subcarrier_frequencies_hz, device="cpu"):
        h = np.zeros((len(generators), num_rx_ant, num_tx_ant), np.complex64)
        h[:, self.antenna, 0] = [np.exp(2j * np.pi * g.random()) for g in generators]
        shape = (len(symbol_times_s), len(subcarrier_frequencies_hz))
        return torch.from_numpy(h).to(device)[..., None, None].expand(*h.shape, *shape).contiguous()


def own_antennas(count):
    """A channel for each of so many users."""
    return tuple({"name": f"{FILE}:OwnAntenna", "antenna": antenna} for antenna in range(count))
