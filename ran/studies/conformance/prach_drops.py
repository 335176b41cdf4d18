"""Drops of a PRACH row of TS 38.104 §8.4: one occasion each, with the preambles of table A.6-1.

Format 0: N_CS 13, logical root 22, preamble 32, delays of half N_CS and 0 to 0.9 us more in turn; short formats: N_CS
23 (15 kHz) and 46 (30 kHz), root 0, preamble 0, delays of 0 to 0.8 us. AWGN has a phase of its own per antenna,
TDLC300-100 a frequency offset of 400 Hz. Signals are in the time domain: the offset and the fading leak between
subcarriers; delays are within the cyclic prefix, so a repetition is cyclic.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from channels.tdl import Tdl
from ran.link.prach import prach_detector
from ran.link.streams import stream
from ran.phy.config import Prach
from ran.phy.prach import num_cyclic_shifts, num_repetitions, preamble
from ran.studies.conformance.control import ControlRow
from receivers.control.preamble_detector import PreambleDetector

_MAX_DOPPLER_HZ, _CFO_HZ, _STEP_S = 100.0, 400.0, 1e-7
#: Rate at which gains are drawn; between them they are interpolated, which is exact to -60 dB.
_GAIN_RATE_HZ = 8e3


def preamble_of(row: ControlRow) -> Prach:
    """The preamble of a row."""
    if row.format == "0":
        return Prach(format="0", root_sequence_index=22, zero_correlation_zone=1, preamble_index=32)
    zone = 11 if row.scs_khz == 15 else 14
    spacing = int(row.scs_khz)
    return Prach(format=row.format, subcarrier_spacing_khz=spacing, zero_correlation_zone=zone)  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def _detector(prach: Prach) -> PreambleDetector:
    return prach_detector(prach)


def delays_s(prach: Prach, drops: range) -> npt.NDArray[np.float64]:
    """When the preamble of each drop arrives."""
    number = np.array(drops)
    if prach.is_long:
        half = num_cyclic_shifts(prach) / 2 / prach.sequence_length / prach.spacing_hz
        return half + number % 10 * _STEP_S
    return number % 9 * _STEP_S


def received(row: ControlRow, prach: Prach, drops: range, seed: int) -> npt.NDArray[np.complex64]:
    """Subcarriers of the PRACH, complex64 [drops, num_rx, num_repetitions, L_RA], noise of unit power."""
    length, repetitions = prach.sequence_length, num_repetitions(prach)
    shape = (len(drops), row.num_rx, repetitions, length)
    y = np.empty(shape, np.complex64)
    for n, drop in enumerate(drops):
        noise = stream(seed, row.name, drop, "noise").standard_normal((*shape[1:], 2), np.float32)
        y[n] = noise.view(np.complex64)[..., 0] * np.float32(np.sqrt(0.5))
    if row.required_snr_db is not None:
        y += _signal(row, prach, drops, seed) * np.float32(10 ** (row.required_snr_db / 20))
    return y


def _signal(row: ControlRow, prach: Prach, drops: range, seed: int) -> npt.NDArray[np.complex64]:
    """The preambles through the channel, without noise."""
    length, repetitions = prach.sequence_length, num_repetitions(prach)
    size = 1 << int(np.ceil(np.log2(1.1 * length)))
    subcarriers = np.arange(length) - length // 2
    times_s = np.arange(repetitions * size) / (size * prach.spacing_hz)
    generators = [stream(seed, row.name, drop, "channel") for drop in drops]
    if row.channel == "AWGN":
        phases = np.stack([generator.random(row.num_rx) for generator in generators])
        gains, taps_s, cfo_hz = np.exp(2j * np.pi * phases)[:, :, None, None], np.zeros(1), 0.0
        at_s = np.zeros(1)
    else:
        at_s = np.linspace(0, times_s[-1], int(np.ceil(times_s[-1] * _GAIN_RATE_HZ)) + 1)
        paths = Tdl("TDLC300", max_doppler_hz=_MAX_DOPPLER_HZ).paths(generators, row.num_rx, 1, at_s)
        gains, taps_s, cfo_hz = paths.gains.numpy()[:, :, 0], paths.delays_s.numpy()[0], _CFO_HZ
    turns = subcarriers * prach.spacing_hz * (delays_s(prach, drops)[:, None, None] + taps_s[:, None])
    spectrum = np.zeros((*turns.shape[:2], size), np.complex64)
    spectrum[..., subcarriers % size] = preamble(prach) * np.exp(-2j * np.pi * turns)
    # one repetition of every tap, complex64 [drops, taps, size]
    sent = np.fft.ifft(spectrum, norm="ortho")
    gains = gains.astype(np.complex64)
    out = np.empty((len(drops), row.num_rx, len(times_s)), np.complex64)
    position = np.interp(times_s, at_s, np.arange(len(at_s)))
    knots = np.minimum(position.astype(int), max(len(at_s) - 2, 0))
    for knot in range(knots[-1] + 1):
        inside = np.flatnonzero(knots == knot)
        part, weight = sent[..., inside % size], (position[inside] - knot).astype(np.float32)
        out[..., inside] = (gains[..., knot] @ part) * (1 - weight)
        out[..., inside] += (gains[..., min(knot + 1, len(at_s) - 1)] @ part) * weight
    out *= np.exp(2j * np.pi * cfo_hz * times_s)
    windows = np.fft.fft(out.reshape(*out.shape[:2], repetitions, size), norm="ortho")
    return np.asarray(windows[..., subcarriers % size], np.complex64)


def count(row: ControlRow, drops: range, seed: int) -> tuple[int, int]:
    """Errors and trials in these drops: a preamble missed or with a timing error above the tolerance; a false alarm.

    Another preamble that is detected beside the one that was sent is no error in the standard.
    """
    prach = preamble_of(row)
    found = _detector(prach)(received(row, prach, drops, seed))
    if row.required_snr_db is None or row.tolerance_us is None:
        return int(found.detected.any(1).sum()), len(drops)
    sent = prach.preamble_index
    off_s = np.abs(found.delay_s[:, sent] - delays_s(prach, drops))
    right = found.detected[:, sent] & (off_s <= row.tolerance_us * 1e-6)
    return int((~right).sum()), len(drops)
