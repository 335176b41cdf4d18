"""Recordings of samples: where slots begin, at which frequency, and their grids."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import oaconvolve, resample_poly
from scipy.stats import gamma

from ran.datasets.sigmf import read_with_problems
from ran.errors import InputError, bad_value
from ran.phy.config import Carrier
from ran.phy.ofdm import Ofdm, default_fft_size
from ran.recordings.config import DecodeConfig
from ran.recordings.grid_of_slot import grid_of
from ran.recordings.slot import RecordedSlot, Recording

#: Factors of resampling up to here; rates of radios are simple fractions of one another.
_LARGEST_FACTOR = 4096
#: Probability that the best of all places in noise or other signals is taken for the slot.
_FALSE_ALARM = 1e-4


@dataclass(frozen=True)
class _Found:
    """Start of the first slot in samples, its number, and the share of energy that its DM-RS explain there.

    least: the share that the best place reaches where there is no such slot, but for one case in ten thousand.
    """

    start: int
    slot_number: int
    correlation: float
    least: float = 0.0


def read_samples(path: Path, config: DecodeConfig) -> Recording:
    """Slots of a SigMF recording: synchronised to the DM-RS, freed of the frequency offset, demodulated."""
    recorded, problems = read_with_problems(path)
    samples = np.atleast_2d(recorded.samples)
    if config.conjugate:
        samples = samples.conj()
    rate = config.samples.sample_rate_hz or recorded.sample_rate_hz
    f0 = config.samples.carrier_frequency_hz
    f0 = float(recorded.frequency_hz if f0 is None else f0)
    samples, fft_size, notes = _at_whole_prefixes(samples, rate, config.carrier)
    rate = fft_size * config.carrier.subcarrier_spacing_hz
    if config.samples.frequency_shift_hz:
        samples = _shifted(samples, -config.samples.frequency_shift_hz, rate)
    ofdms = {number: _ofdm(config.carrier, fft_size, number, f0) for number in range(10 * 2**config.carrier.numerology)}
    shortest = min(ofdm.num_samples for ofdm in ofdms.values())
    if samples.shape[1] < shortest:
        raise InputError(
            f"{path}: got {samples.shape[1]} samples per antenna at {rate / 1e6:g} MHz; allowed: {shortest} or more, "
            "a slot"
        )
    found = _start(path, samples, config, ofdms)
    cfo_hz = config.samples.cfo_hz
    if cfo_hz is None:
        cfo_hz = _offset_hz(samples, found, ofdms, config)
    samples = _shifted(samples, -cfo_hz, rate, found.start)
    notes += [
        f"first slot at sample {found.start}, slot number {found.slot_number}",
        f"carrier frequency offset {cfo_hz:.1f} Hz taken off",
        f"phase compensation of TS 38.211 5.4 for {f0 / 1e6:g} MHz" if f0 else "no phase compensation of TS 38.211 5.4",
    ]
    slots: list[RecordedSlot] = []
    at, number = found.start, found.slot_number
    while config.samples.num_slots is None or len(slots) < config.samples.num_slots:
        ofdm = ofdms[number]
        if at + ofdm.num_samples > samples.shape[1]:
            break
        part = torch.from_numpy(np.ascontiguousarray(samples[:, at : at + ofdm.num_samples], np.complex64))
        grid = ofdm.demodulate(part, min(ofdm.prefixes) // 2).numpy()
        measured = {"first_sample": float(at), "sync_correlation": found.correlation, "coarse_cfo_hz": cfo_hz}
        slots.append(RecordedSlot(f"slot {len(slots)}", number, grid, measured=measured))
        at, number = at + ofdm.num_samples, (number + 1) % len(ofdms)
    rest = samples.shape[1] - at
    if rest and config.samples.num_slots is None:
        problems.append(f"{path.name}: the last {rest} samples are no whole slot and are left out")
    return Recording("sigmf", slots, problems, notes)


def _ofdm(carrier: Carrier, fft_size: int, number: int, f0: float) -> Ofdm:
    of_slot = carrier.model_copy(update={"slot_number": number})
    # filters of a recorder need less room than the interpolation of delays in a simulation: any FFT that holds the band
    return Ofdm(carrier.numerology, number, of_slot.num_subcarriers, fft_size, carrier.cyclic_prefix == "extended", f0)


def _at_whole_prefixes(
    samples: NDArray[np.complexfloating], rate: float, carrier: Carrier
) -> tuple[NDArray[np.complexfloating], int, list[str]]:
    """Samples at a rate where every cyclic prefix is a whole number of them, their FFT size, and what was done."""
    needed = carrier.num_subcarriers * carrier.subcarrier_spacing_hz
    if rate < needed:
        raise bad_value("sample rate", f"{rate / 1e6:g} MHz", f"{needed / 1e6:g} MHz or more, the carrier's band")
    size = rate / carrier.subcarrier_spacing_hz
    if abs(size - round(size)) < 1e-6 and round(size) % 128 == 0:
        return samples, round(size), []
    fft_size = default_fft_size(carrier.num_subcarriers)
    ratio = Fraction(fft_size * carrier.subcarrier_spacing_hz / rate).limit_denominator(_LARGEST_FACTOR)
    wanted = fft_size * carrier.subcarrier_spacing_hz
    if max(ratio.numerator, ratio.denominator) > _LARGEST_FACTOR or abs(float(ratio) * rate / wanted - 1) > 1e-9:
        raise bad_value(
            "sample rate",
            f"{rate / 1e6:g} MHz",
            f"multiples of {0.128 * carrier.subcarrier_spacing_khz:g} MHz, or simple fractions of them",
        )
    resampled = resample_poly(samples, ratio.numerator, ratio.denominator, axis=1, window=("kaiser", 9.0))
    return resampled, fft_size, [f"resampled from {rate / 1e6:g} to {wanted / 1e6:g} MHz"]


def _shifted(
    samples: NDArray[np.complexfloating], by_hz: float, rate: float, origin: int = 0
) -> NDArray[np.complexfloating]:
    """Samples moved in frequency, with the phase 0 at `origin`."""
    if not by_hz:
        return samples
    cycles = by_hz * (np.arange(samples.shape[1]) - origin) / rate % 1
    return samples * np.exp(2j * np.pi * cycles)


def _start(path: Path, samples: NDArray[np.complexfloating], config: DecodeConfig, ofdms: dict[int, Ofdm]) -> _Found:
    """Where the first slot begins: at the place where its DM-RS symbols fit best."""
    if config.samples.first_sample is not None:
        if config.samples.first_sample >= samples.shape[1]:
            raise bad_value("samples.first_sample", config.samples.first_sample, f"below {samples.shape[1]}")
        return _Found(config.samples.first_sample, config.carrier.slot_number, math.nan)
    numbers = range(len(ofdms)) if config.samples.search == "frame" else [config.carrier.slot_number]
    span = max(ofdm.num_samples for ofdm in ofdms.values())
    # the configured slot may be any of a frame, so a frame and a slot are looked at
    window = samples[:, : (len(ofdms) + 2) * span]
    found = [_correlated(window, config, ofdms[number], number) for number in numbers]
    best = max(found, key=lambda place: place.correlation)
    if best.correlation < best.least:
        raise InputError(
            f"{path}: got no place where the DM-RS of {'any slot' if len(found) > 1 else f'slot {numbers[0]}'} fit "
            f"(best correlation {best.correlation:.4f}); allowed: recordings of the configured carrier and channel, or "
            "samples.first_sample"
        )
    # back to the first whole slot of the recording
    at, number = best.start, best.slot_number
    while at - ofdms[(number - 1) % len(ofdms)].num_samples >= 0:
        number = (number - 1) % len(ofdms)
        at -= ofdms[number].num_samples
    return _Found(at, number, best.correlation)


def _correlated(window: NDArray[np.complexfloating], config: DecodeConfig, ofdm: Ofdm, number: int) -> _Found:
    """Best place of a slot by the DM-RS of all layers, symbol by symbol without their phases."""
    grid = grid_of(config, number)
    pilots = grid.placement.put(grid.pilots)
    symbols = grid.dmrs_symbols
    length = window.shape[1] - ofdm.num_samples + 1
    power = np.zeros(length)
    energy = np.zeros(length)
    cumulated = np.concatenate([np.zeros((len(window), 1)), np.cumsum(np.abs(window) ** 2, axis=1)], axis=1)
    for symbol in symbols:
        only = torch.zeros_like(pilots)
        only[:, symbol] = pilots[:, symbol]
        start = ofdm.starts[symbol]
        waves = ofdm.modulate(only).numpy()[:, start : start + ofdm.fft_size]
        part = window[:, start : start + length + ofdm.fft_size - 1]
        for wave in waves:
            reference = wave.conj()[::-1] / np.linalg.norm(wave)
            power += (np.abs(oaconvolve(part, reference[None], mode="valid", axes=1)) ** 2).sum(0)
        ends = cumulated[:, start + ofdm.fft_size :][:, :length]
        energy += (ends - cumulated[:, start:][:, :length]).sum(0)
    # places without any signal explain nothing
    share = power / np.maximum(energy, 1e-6 * energy.max()) if energy.any() else np.zeros_like(power)
    place = int(share.argmax())
    # of what is not the reference, each antenna and symbol explains an exponential share of mean 1 / pilots
    looks = len(window) * len(symbols)
    pilots_of_layer = int((pilots[0, symbols[0]] != 0).sum())
    least = gamma.isf(_FALSE_ALARM / length, looks) / (looks * pilots_of_layer)
    return _Found(place, number, float(share[place]), min(float(least), 0.9))


def _offset_hz(
    samples: NDArray[np.complexfloating], found: _Found, ofdms: dict[int, Ofdm], config: DecodeConfig
) -> float:
    """Carrier frequency offset from the cyclic prefixes of the first slots that hold signal."""
    total, at, number = 0j, found.start, found.slot_number
    for _ in range(len(ofdms)):
        ofdm = ofdms[number]
        if at + ofdm.num_samples > samples.shape[1]:
            break
        for prefix, start in zip(ofdm.prefixes, ofdm.starts, strict=True):
            # the latter half of a prefix is free of the symbol before, and its end may already belong to the symbol
            first, count = at + start - prefix // 2, prefix // 2 - prefix // 8
            a, b = samples[:, first : first + count], samples[:, first + ofdm.fft_size : first + ofdm.fft_size + count]
            total += complex((a.conj() * b).sum())
        at, number = at + ofdm.num_samples, (number + 1) % len(ofdms)
    return float(np.angle(total) / (2 * np.pi) * config.carrier.subcarrier_spacing_hz)
