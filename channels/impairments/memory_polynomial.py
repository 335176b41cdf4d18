"""Power amplifiers as polynomials: with memory and given coefficients, and the measured ones of 3GPP."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.interface import power
from channels.impairments.options import one_of
from channels.impairments.power_amplifier import PowerAmplifier

#: Coefficients of orders 1, 3, 5, ... for input amplitudes up to 1: the fits without memory of 3GPP R4-165901, which
#: TR 38.803 (Rel-14) has as its example amplifiers.
NR_POWER_AMPLIFIERS: dict[str, tuple[complex, ...]] = {
    "gaas-2.1ghz": (
        -0.618347 - 0.785905j,
        2.0831 - 1.69506j,
        -14.7229 + 16.8335j,
        61.6423 - 76.9171j,
        -145.139 + 184.765j,
        190.61 - 239.371j,
        -130.184 + 158.957j,
        36.0047 - 42.5192j,
    ),
    "gan-2.1ghz": (
        0.999952 - 0.00981788j,
        -0.0618171 + 0.118845j,
        -1.69917 - 0.464933j,
        3.27962 + 0.829737j,
        -1.80821 - 0.454331j,
    ),
    "cmos-28ghz": (
        0.491576 + 0.870835j,
        -1.26213 + 0.242689j,
        7.11693 + 5.14105j,
        -30.7048 - 53.4924j,
        73.8814 + 169.146j,
        -96.7955 - 253.635j,
        65.0665 + 185.434j,
        -17.5838 - 53.1786j,
    ),
    "gan-28ghz": (
        -0.334697 - 0.942326j,
        0.89015 - 0.72633j,
        -2.58056 + 4.81215j,
        4.81548 - 9.54837j,
        -4.41452 + 8.63164j,
        1.54271 - 2.94034j,
    ),
}


class MemoryPolynomial(PowerAmplifier):
    """Memory polynomial: an amplifier by complex coefficients over delays and odd orders.

    The sum over delays q and k of coefficients[q][k] x[n - q] |x[n - q]|^2k.

    coefficients: one row per delay from 0 samples on, each with the coefficients of orders 1, 3, 5, ..., complex
    numbers or pairs of real and imaginary part; they hold for the sample rate that they were fitted at. Amplitudes are
    in units of saturation; those above 1, where a polynomial is worth nothing, are clipped to 1 first. Samples before
    the waveform are 0. The gain of small signals is what the coefficients say (L. Ding et al., "A robust digital
    baseband predistorter constructed using memory polynomials", IEEE Trans. Commun. 52(1), 2004).
    """

    name = "memory-polynomial"

    def __init__(
        self,
        input_back_off_db: float,
        coefficients: Sequence[Sequence[complex | tuple[float, float]]],
        reference_power: float | None = None,
        restore_power: bool = False,
    ) -> None:
        super().__init__(input_back_off_db, reference_power, restore_power)
        rows = [[complex(*c) if isinstance(c, (tuple, list)) else complex(c) for c in row] for row in coefficients]
        if not rows or not all(rows) or not all(np.isfinite(row).all() for row in rows):
            raise bad_value("coefficients", coefficients, "finite numbers, at least one delay with at least one order")
        self.coefficients = rows

    def _amplify(self, drive: Tensor) -> Tensor:
        squared = power(drive)
        drive = drive * squared.clamp_min(1).rsqrt()
        squared = squared.clamp_max(1)
        out = torch.zeros_like(drive)
        for delay, row in enumerate(self.coefficients):
            gain = torch.full_like(drive, row[-1])
            for coefficient in row[-2::-1]:
                gain = gain * squared + coefficient
            term = gain * drive
            out = out + torch.nn.functional.pad(term, (delay, 0))[..., : term.shape[-1]]
        return out


class NrPowerAmplifier(MemoryPolynomial):
    """Example power amplifiers of TR 38.803: GaAs and GaN at 2.1 GHz, CMOS and GaN at 28 GHz.

    Polynomials without memory of orders up to 9, 11 or 15 (R4-165901). The back-off counts from the end of their
    validity, input amplitude 1. Divided by the first coefficient, whose magnitude is 1 to 5 digits: small signals pass
    unturned.
    """

    name = "nr-power-amplifier"

    def __init__(
        self,
        input_back_off_db: float,
        model: str = "gan-2.1ghz",
        reference_power: float | None = None,
        restore_power: bool = False,
    ) -> None:
        self.model = one_of("model", model, NR_POWER_AMPLIFIERS)
        linear, *_ = coefficients = NR_POWER_AMPLIFIERS[model]
        super().__init__(input_back_off_db, [[c / linear for c in coefficients]], reference_power, restore_power)
