"""Imbalance between the in-phase and the quadrature branch."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from channels.impairments.interface import Impairment
from channels.impairments.options import finite


class IqImbalance(Impairment):
    """IQ imbalance in gain and phase, the same at all frequencies.

    y = a x + b conj(x): the image of the band falls upon the band.

    gain_db: of the quadrature over the in-phase branch; phase_deg: how far they are from a right angle. With the gain g
    and the phase p, a = (1 + g exp(-jp)) / 2 and b = (1 - g exp(jp)) / 2: the in-phase branch is untouched, the
    quadrature branch is g (im(x) cos p - re(x) sin p). The same for all antennas. Draws no random numbers.
    """

    name = "iq-imbalance"

    def __init__(self, gain_db: float = 0.0, phase_deg: float = 0.0) -> None:
        self.gain_db = finite("gain_db", gain_db)
        self.phase_deg = finite("phase_deg", phase_deg)

    @property
    def weights(self) -> tuple[complex, complex]:
        """Gain of the signal and of its image."""
        gain, phase = 10 ** (self.gain_db / 20), math.radians(self.phase_deg)
        return (1 + cmath.rect(gain, -phase)) / 2, (1 - cmath.rect(gain, phase)) / 2

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        direct, image = self.weights
        return direct * waveform + image * waveform.conj()
