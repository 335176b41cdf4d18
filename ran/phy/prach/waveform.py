"""A preamble as samples, and samples as subcarriers of the PRACH (TS 38.211 §5.3.2, Rel-18)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.config import Carrier, Prach
from ran.phy.prach.preamble import preamble
from ran.phy.prach.tables import num_repetitions, place, prefix_s

# The half subframe, and what the cyclic prefix of short formats grows by where one begins
_HALF_SUBFRAME_S, _EXTRA_S = 0.5e-3, 16 / 30.72e6


def first_subcarrier(carrier: Carrier, prach: Prach) -> int:
    """Of the preamble, in subcarriers of the PRACH from the carrier's centre.

    `InputError` where the occasion is not within the carrier.
    """
    num_prb, k_bar = place(carrier, prach)
    if prach.first_prb + num_prb > carrier.num_prb:
        raise bad_value(
            "first_prb of the PRACH",
            prach.first_prb,
            f"up to {carrier.num_prb - num_prb}: it takes {num_prb} of {carrier.num_prb} PRBs (TS 38.211 §5.3.2)",
        )
    from_centre = 12 * prach.first_prb - 6 * carrier.num_prb
    return round(from_centre * carrier.subcarrier_spacing_hz / prach.spacing_hz) + k_bar


def num_prefix_samples(prach: Prach, sample_rate_hz: float, start_s: float = _HALF_SUBFRAME_S / 4) -> int:
    """Samples of the cyclic prefix. start_s: of the preamble in the subframe, which matters for short formats.

    They have 16 kappa T_c more for each start of a half subframe that the preamble overlaps.
    """
    length = prefix_s(prach)
    if not prach.is_long:
        end = start_s + length + num_repetitions(prach) / prach.spacing_hz
        starts = np.arange(0, 4) * _HALF_SUBFRAME_S
        length += _EXTRA_S * int(np.sum((starts >= start_s - 1e-9) & (starts < end - 1e-9)))
    samples = length * sample_rate_hz
    if abs(samples - round(samples)) > 1e-6:
        raise bad_value(
            "sample_rate_hz", sample_rate_hz, f"rates at which the cyclic prefix of {length * 1e6:.4f} us is whole"
        )
    return round(samples)


def _fft_size(prach: Prach, sample_rate_hz: float, carrier: Carrier) -> int:
    size = sample_rate_hz / prach.spacing_hz
    least = carrier.num_subcarriers * carrier.subcarrier_spacing_hz
    if abs(size - round(size)) > 1e-9 or sample_rate_hz < least:
        raise bad_value(
            "sample_rate_hz", sample_rate_hz, f"multiples of {prach.spacing_hz:g} Hz from {least:g} Hz on, the carrier"
        )
    return round(size)


def prach_waveform(
    carrier: Carrier, prach: Prach, sample_rate_hz: float, start_s: float = _HALF_SUBFRAME_S / 4
) -> npt.NDArray[np.complex64]:
    """Cyclic prefix and repetitions, complex64 [samples].

    Transforms are unitary: unit power on a subcarrier of the PRACH, noise of equal variance on samples and subcarriers.
    sample_rate_hz: a multiple of the PRACH's subcarrier spacing. start_s: see `num_prefix_samples`.
    """
    size = _fft_size(prach, sample_rate_hz, carrier)
    spectrum = np.zeros(size, np.complex128)
    spectrum[(first_subcarrier(carrier, prach) + np.arange(prach.sequence_length)) % size] = preamble(prach)
    useful = np.fft.ifft(spectrum, norm="ortho")
    prefix = num_prefix_samples(prach, sample_rate_hz, start_s)
    repeated = np.arange(-prefix, size * num_repetitions(prach)) % size
    return np.asarray(useful[repeated], np.complex64)


def prach_demodulate(
    carrier: Carrier,
    prach: Prach,
    samples: npt.NDArray[np.complex64],
    sample_rate_hz: float,
    start_s: float = _HALF_SUBFRAME_S / 4,
) -> npt.NDArray[np.complex64]:
    """Samples [..., n] from the start of the prefix to subcarriers [..., num_repetitions, L_RA] complex64."""
    size = _fft_size(prach, sample_rate_hz, carrier)
    prefix, count = num_prefix_samples(prach, sample_rate_hz, start_s), num_repetitions(prach)
    if samples.shape[-1] < prefix + count * size:
        raise bad_value("samples of the PRACH", samples.shape[-1], f"{prefix + count * size} or more")
    windows = samples[..., prefix : prefix + count * size].reshape(*samples.shape[:-1], count, size)
    bins = (first_subcarrier(carrier, prach) + np.arange(prach.sequence_length)) % size
    return np.asarray(np.fft.fft(windows, norm="ortho")[..., bins], np.complex64)
