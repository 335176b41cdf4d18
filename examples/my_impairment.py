"""An impairment of one's own: clipping of samples, as a transmitter does to spare its amplifier."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.impairments import Impairment


class Clipping(Impairment):
    """Clipping of the magnitude of the samples, their phase kept."""

    name = "clipping"

    def __init__(self, clipping_db: float = 6.0) -> None:
        """clipping_db: largest magnitude over the root mean square of an antenna's signal, dB."""
        self.clipping_db = clipping_db

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        """waveform complex64 [batch, num_antennas, num_samples]."""
        power = waveform.real**2 + waveform.imag**2
        most = 10 ** (self.clipping_db / 10) * power.mean(-1, keepdim=True)
        return waveform * (most / power.clamp_min(torch.finfo(power.dtype).tiny)).clamp(max=1).sqrt()
