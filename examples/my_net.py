"""A receiver network of one's own: least squares at the pilots, then a small convolutional network to LLRs."""

import torch
from torch import Tensor, nn

from receivers import SlotObservation


class MyNet(nn.Module):
    """Convolutions over the received grid, the pilots, and their product; for one layer."""

    def __init__(self, num_channels: int = 16) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(7, num_channels, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(num_channels, num_channels, (3, 9), padding=(1, 4)),
            nn.ReLU(),
            nn.Conv2d(num_channels, 8, 1),
        )

    def forward(self, observation: SlotObservation) -> Tensor:
        """LLRs [batch, 1, num_data_re, bits_per_symbol], positive means bit 0."""
        y = observation.y[:, 0]  # the first antenna: [batch, num_ofdm_symbols, num_subcarriers]
        pilots = observation.pilots[0].expand_as(y)
        matched = y * pilots.conj()
        noise = observation.noise_var.log10().view(-1, 1, 1).expand(y.shape)
        features = torch.stack([y.real, y.imag, pilots.real, pilots.imag, matched.real, matched.imag, noise], 1)
        llr = self.network(features).movedim(1, -1)  # [batch, symbols, subcarriers, 8]
        return llr[:, observation.data_mask][:, None, :, : observation.bits_per_symbol]
