"""Power amplifiers without memory: Rapp and Saleh."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.interface import Impairment, mean_power, power
from channels.impairments.options import finite, positive


class PowerAmplifier(Impairment):
    """A gain that depends on the envelope, driven at a back-off from its saturation.

    The input amplitude at saturation lies `input_back_off_db` above the root of the mean input power. That power is
    `reference_power` where it is given, which is an amplifier whose saturation does not move with the signal; else it
    is measured per drop over all antennas, which have amplifiers alike. Small signals pass with gain 1, so that a large
    back-off changes nothing; with `restore_power` the output is scaled to the mean power of the input, as a power
    control around the amplifier would.

    Draws no random numbers.
    """

    def __init__(
        self, input_back_off_db: float, reference_power: float | None = None, restore_power: bool = False
    ) -> None:
        self.input_back_off_db = finite("input_back_off_db", input_back_off_db)
        self.reference_power = None if reference_power is None else positive("reference_power", reference_power)
        self.restore_power = restore_power

    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        input_power = mean_power(waveform)
        reference = input_power if self.reference_power is None else torch.full_like(input_power, self.reference_power)
        saturation = (reference * 10 ** (self.input_back_off_db / 10)).sqrt()
        amplified = self._amplify(waveform / saturation) * saturation
        if self.restore_power:
            amplified = amplified * (input_power / mean_power(amplified)).sqrt()
        return amplified

    @abstractmethod
    def _amplify(self, drive: Tensor) -> Tensor:
        """Output for an input in units of the amplitude at saturation, in the same units."""


class Rapp(PowerAmplifier):
    """Rapp's solid-state power amplifier: soft limiting of the amplitude, with a phase shift if given.

    Output amplitude r / (1 + r^2p)^(1/2p) of input amplitude r in units of saturation, p = smoothness: 2^(-1/2p) at
    r = 1, never above 1 (C. Rapp, "Effects of HPA-nonlinearity on a 4-DPSK/OFDM-signal", 2nd European Conference on
    Satellite Communications, 1991). The phase is shifted by am_pm_deg r^q /
    (1 + (r / am_pm_knee)^q) degrees with q = am_pm_exponent, the form known as the modified Rapp model.
    """

    name = "rapp"

    def __init__(
        self,
        input_back_off_db: float,
        smoothness: float = 2.0,
        am_pm_deg: float = 0.0,
        am_pm_knee: float = 1.0,
        am_pm_exponent: float = 4.0,
        reference_power: float | None = None,
        restore_power: bool = False,
    ) -> None:
        super().__init__(input_back_off_db, reference_power, restore_power)
        self.smoothness = positive("smoothness", smoothness)
        self.am_pm_deg = finite("am_pm_deg", am_pm_deg)
        self.am_pm_knee = positive("am_pm_knee", am_pm_knee)
        self.am_pm_exponent = positive("am_pm_exponent", am_pm_exponent)

    def _amplify(self, drive: Tensor) -> Tensor:
        # logarithms, because powers of 2p overflow on peaks; the drive is relative to saturation, and so is the floor
        log_power = power(drive).clamp_min(1e-30).log()
        gain = (-torch.nn.functional.softplus(self.smoothness * log_power) / (2 * self.smoothness)).exp()
        if self.am_pm_deg == 0:
            return drive * gain
        log_ratio = self.am_pm_exponent * (log_power / 2 - math.log(self.am_pm_knee))
        limit_rad = math.radians(self.am_pm_deg) * self.am_pm_knee**self.am_pm_exponent
        return drive * torch.polar(gain, limit_rad * log_ratio.sigmoid())


class Saleh(PowerAmplifier):
    """Saleh's travelling-wave tube amplifier, in amplitude and phase.

    Amplitude a r / (1 + b r^2) and phase shift c r^2 / (1 + d r^2) radians of input amplitude r; a to d in the
    order of the options.

    The defaults are those of A. A. M. Saleh, "Frequency-independent and frequency-dependent nonlinear models of TWT
    amplifiers", IEEE Trans. Commun. 29(11), 1981. The amplitude has its maximum a / (2 sqrt(b)) at r = 1 / sqrt(b),
    which is the saturation that the back-off counts from; beyond it the output falls. The output is divided by a.
    """

    name = "saleh"

    def __init__(
        self,
        input_back_off_db: float,
        amplitude_gain: float = 2.1587,
        amplitude_compression: float = 1.1517,
        phase_gain_rad: float = 4.0033,
        phase_compression: float = 9.1040,
        reference_power: float | None = None,
        restore_power: bool = False,
    ) -> None:
        super().__init__(input_back_off_db, reference_power, restore_power)
        self.amplitude_gain = positive("amplitude_gain", amplitude_gain)
        self.amplitude_compression = positive("amplitude_compression", amplitude_compression)
        self.phase_gain_rad = finite("phase_gain_rad", phase_gain_rad)
        if phase_compression < 0:
            raise bad_value("phase_compression", phase_compression, "a finite number from 0")
        self.phase_compression = finite("phase_compression", phase_compression)

    def _amplify(self, drive: Tensor) -> Tensor:
        squared = power(drive)
        r2 = squared / self.amplitude_compression
        phase = self.phase_gain_rad * r2 / (1 + self.phase_compression * r2)
        return drive * torch.polar(1 / (1 + squared), phase)
