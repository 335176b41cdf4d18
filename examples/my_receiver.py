"""A receiver of one's own: least squares per pilot symbol, one channel for a PRB, matched filter."""

import torch
from torch import Tensor

from receivers import Receiver, SlotObservation, Truth


class PrbAverage(Receiver):
    """Mean of the pilots of each PRB as the channel of its REs, for one layer and QPSK."""

    name = "prb-average"

    def __init__(self, prbs_per_bundle: int = 1) -> None:
        self.prbs_per_bundle = prbs_per_bundle

    def check(self, bits_per_symbol: int, num_layers: int, num_rx_ant: int) -> None:
        if num_layers != 1 or bits_per_symbol != 2:
            raise ValueError(f"slots: got {num_layers} layers, {bits_per_symbol} bits per symbol; allowed: 1 and 2")

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        """LLRs [batch, 1, num_data_re, 2] float32, positive means bit 0."""
        pilots = observation.pilots[0]
        size = 12 * self.prbs_per_bundle
        product = (observation.y * pilots.conj()).sum(2).unfold(-1, size, size).sum(-1)
        power = pilots.abs().square().sum(0).unfold(-1, size, size).sum(-1)
        h = (product / power).repeat_interleave(size, -1).unsqueeze(2)  # [batch, antenna, 1, subcarrier]
        matched = (h.conj() * observation.y).sum(1)[:, observation.data_mask]
        # Gray-mapped QPSK of TS 38.211 §5.1.3: the bits are the signs of real and imaginary part
        scale = 2 * 2**0.5 * observation.layer_amplitude / observation.noise_var.view(-1, 1, 1)
        llr = torch.stack([matched.real, matched.imag], -1) * scale
        return llr.unsqueeze(1).float()
