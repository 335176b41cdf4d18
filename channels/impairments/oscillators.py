"""Phase noise spectra of oscillators as 3GPP gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from channels.errors import bad_value
from channels.impairments.options import finite, positive

#: Power spectral density over offsets from the carrier in Hz, linear: L(f) in 1/Hz, so that of the phase, two-sided.
Spectrum = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PoleZeroSpectrum:
    """PSD0 prod(1 + (f / zero)^a) / prod(1 + (f / pole)^b), TR 38.803 §6.1.10.

    psd0_dbc_hz: at offset 0 of an oscillator at reference_hz; other carriers scale it by 20 log10(carrier / reference).
    zeros, poles: pairs of frequency in Hz and exponent.
    """

    reference_hz: float
    psd0_dbc_hz: float
    zeros: tuple[tuple[float, float], ...]
    poles: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        positive("reference_hz", self.reference_hz)
        finite("psd0_dbc_hz", self.psd0_dbc_hz)
        for what, pairs in (("zeros", self.zeros), ("poles", self.poles)):
            for pair in pairs:
                if len(pair) != 2 or not np.isfinite(pair).all() or min(pair) <= 0:
                    raise bad_value(what, pair, "pairs of a frequency in Hz and an exponent, both above 0")

    def at(self, carrier_hz: float) -> Spectrum:
        """The spectrum of an oscillator at this carrier."""
        level = 10 ** (self.psd0_dbc_hz / 10) * (carrier_hz / self.reference_hz) ** 2

        def spectrum(offset_hz: np.ndarray) -> np.ndarray:
            psd = np.full(np.shape(offset_hz), level)
            for pairs, sign in ((self.zeros, 1), (self.poles, -1)):
                for frequency, exponent in pairs:
                    psd = psd * (1 + (offset_hz / frequency) ** exponent) ** sign
            return psd

        return spectrum


@dataclass(frozen=True)
class LoopSpectrum:
    """A phase-locked loop, TR 38.803 §6.1.11: reference and loop within its bandwidth, the oscillator beyond it.

    within, beyond: parts that add up, each (figure of merit dB, zero Hz or infinity, power mW, exponent k), of density
    10^(PSD0/10) (1 + (f / zero)^k) / (1 + f^k), f in Hz, PSD0 = figure of merit + 20 log10(carrier) - 10 log10(power).
    """

    bandwidth_hz: float
    within: Sequence[tuple[float, float, float, float]]
    beyond: Sequence[tuple[float, float, float, float]]

    def at(self, carrier_hz: float) -> Spectrum:
        """The spectrum of an oscillator at this carrier."""

        def total(parts: Sequence[tuple[float, float, float, float]], offset_hz: np.ndarray) -> np.ndarray:
            psd = np.zeros(np.shape(offset_hz))
            for merit_db, zero, power_mw, k in parts:
                level = 10 ** (merit_db / 10) * carrier_hz**2 / power_mw
                psd = psd + level * (1 + (offset_hz / zero) ** k) / (1 + offset_hz**k)
            return psd

        def spectrum(offset_hz: np.ndarray) -> np.ndarray:
            offset_hz = np.asarray(offset_hz, np.float64)
            inside = offset_hz <= self.bandwidth_hz
            return np.where(inside, total(self.within, offset_hz), total(self.beyond, offset_hz))

        return spectrum


def _38803(reference_hz: float, psd0_dbc_hz: float, zeros: Sequence[float], poles: Sequence[float]) -> PoleZeroSpectrum:
    # the three tables of §6.1.10 share their exponents
    return PoleZeroSpectrum(
        reference_hz,
        psd0_dbc_hz,
        tuple(zip(zeros, (2.37, 2.7, 2.53), strict=True)),
        tuple(zip(poles, (3.3, 3.3, 1.0), strict=True)),
    )


#: Oscillators by the name that experiments use.
OSCILLATORS: dict[str, PoleZeroSpectrum | LoopSpectrum] = {
    # TR 38.803 Tables 6.1.10-1 to 6.1.10-3
    "tr38803-30ghz": _38803(29.55e9, 32.0, (3e3, 550e3, 280e6), (1.0, 1.6e6, 30e6)),
    "tr38803-45ghz": _38803(45e9, 35.65, (3e3, 451e3, 458e6), (1.0, 1.54e6, 30e6)),
    "tr38803-70ghz": _38803(70e9, 39.49, (3e3, 396e3, 754e6), (1.0, 1.55e6, 30e6)),
    # TR 38.803 §6.1.11, user equipment
    "tr38803-loop-ue": LoopSpectrum(
        187e3,
        within=((-215.0, np.inf, 10.0, 2.0), (-240.0, 1e4, 20.0, 1.0)),
        beyond=((-175.0, 50.3e6, 20.0, 2.0), (-130.0, np.inf, 20.0, 3.0)),
    ),
    # R1-163984, parameter sets A and B, which RAN1 compared PT-RS with
    "r1-163984-a": PoleZeroSpectrum(
        30e9, -79.4, ((1.8e6, 2.0), (2.2e6, 2.0), (40e6, 2.0)), ((0.1e6, 2.0), (0.2e6, 2.0), (8e6, 2.0))
    ),
    "r1-163984-b": PoleZeroSpectrum(
        60e9, -70.0, ((0.02e6, 2.0), (6e6, 2.0), (10e6, 2.0)), ((0.005e6, 2.0), (0.4e6, 2.0), (0.6e6, 2.0))
    ),
}


def band_powers(spectrum: Spectrum, edges_hz: np.ndarray) -> np.ndarray:
    """Integral of the spectrum between neighbouring edges, float64 [len(edges) - 1]; Gauss-Legendre, five points.

    For bands narrower than a factor of three in frequency better than 1 % on slopes up to 33 dB per decade.
    """
    points, weights = np.polynomial.legendre.leggauss(5)
    half = np.diff(edges_hz) / 2
    middle = edges_hz[:-1] + half
    # [point, band]
    return half * (weights[:, None] * spectrum(middle + points[:, None] * half)).sum(0)
