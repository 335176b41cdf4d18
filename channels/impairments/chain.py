"""Several impairments in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from channels.impairments.interface import Impairment


class Chain(Impairment):
    """Impairments one after the other, in the order in which the signal meets them.

    At a transmitter for instance IQ imbalance, DC offset, carrier frequency offset, phase noise, power amplifier; at
    a receiver interference, phase noise, sampling clock offset, IQ imbalance, converter. Without any, an ideal radio.

    Every drop's generator goes through the chain: the numbers of the first impairment come first.
    """

    name = "chain"

    def __init__(self, impairments: Sequence[Impairment]) -> None:
        self.impairments = tuple(impairments)

    def check(self, sample_rate_hz: float) -> None:
        """That of every impairment."""
        for impairment in self.impairments:
            impairment.check(sample_rate_hz)

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        for impairment in self.impairments:
            waveform = impairment(waveform, sample_rate_hz, generators)
        return waveform
