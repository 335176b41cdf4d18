"""What the DM-RS of a slot tell: timing, frequency offset, noise and signal power, and whether there was a signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from receivers import SlotObservation
from receivers.classical.pilots import pilot_estimates

#: Differences of this order take a channel off that is smooth over neighbouring pairs of pilots, and leave noise.
_ORDER = 4
#: Probability that noise alone is taken for a signal.
_FALSE_ALARM = 1e-3
#: A delay counts as the first where its power is within this of the strongest, dB.
_FIRST_PATH_DB = 15.0
#: Antennas whose noise is known from so many differences or more are brought to equal noise.
_LEAST_DIFFERENCES = 24


@dataclass(frozen=True)
class Measurement:
    """Of one slot, over all its rectangles.

    timing_s: mean delay of the channel; cfo_hz: carrier frequency offset, NaN with DM-RS in one symbol alone;
    noise_var [num_rx_ant]: per RE, in units of the recording, 0 for an antenna that received nothing.
    signal_power [num_rx_ant]: of a data RE, over all layers, by the DM-RS. snr_db: the same over noise, all antennas.
    delay_spread_s: rms, in the resolution of the band. has_signal: whether neighbouring pilots agree more than noise
    does in one of a thousand slots. coherence: how far, 0 to 1.
    """

    timing_s: float
    cfo_hz: float
    noise_var: np.ndarray
    signal_power: np.ndarray
    snr_db: float
    delay_spread_s: float
    coherence: float
    has_signal: bool

    @property
    def live_antennas(self) -> np.ndarray:
        """Antennas that received anything, int [n]."""
        return np.flatnonzero((self.noise_var > 0) | (self.signal_power > 0))


def measure(parts: Sequence[SlotObservation]) -> Measurement:
    """Measure one slot from its rectangles without gaps, each of batch 1. Offsets are those of all users together."""
    neighbours, over_time = 0j, 0j
    power, pairs_seen, gaps = 0.0, 0, []
    estimates = []
    for part in parts:
        pairs, pair_var = pilot_estimates(part)
        found = pairs[0].numpy().astype(complex)  # [rx, layer, group, pair]
        estimates.append((part, found, pair_var.numpy()))
        step = (part.layout.pair_spacing or 2 * part.layout.spacing) * part.subcarrier_spacing_hz
        neighbours += complex((found[..., :-1].conj() * found[..., 1:]).sum())
        power += float((np.abs(found[..., 1:]) * np.abs(found[..., :-1])).sum())
        pairs_seen += found[..., 1:].size
        gaps.append(step)
    timing = -float(np.angle(neighbours)) / (2 * np.pi * gaps[0]) if neighbours else 0.0
    spacing = 0.0
    for part, found, _ in estimates:
        times = part.symbol_times_s.numpy()
        middles = np.array([times[list(group)].mean() for group in part.layout.symbol_groups])
        if len(middles) > 1:
            spacing = float(np.diff(middles).min())
            close = np.flatnonzero(np.isclose(np.diff(middles), spacing))
            over_time += complex((found[:, :, close].conj() * found[:, :, close + 1]).sum())
    cfo = float(np.angle(over_time)) / (2 * np.pi * spacing) if spacing else math.nan
    noise = _noise(estimates, timing)
    signal_power = _power(estimates, noise)
    live = noise > 0
    snr = float((signal_power[live] / noise[live]).sum()) if live.any() else 0.0
    coherence = abs(neighbours) / power if power else 0.0
    return Measurement(
        timing_s=timing,
        cfo_hz=cfo,
        noise_var=noise,
        signal_power=signal_power,
        snr_db=10 * math.log10(snr) if snr > 0 else -math.inf,
        delay_spread_s=_delay_spread(estimates, timing),
        coherence=coherence,
        has_signal=coherence > math.sqrt(-math.log(_FALSE_ALARM) / max(pairs_seen, 1)),
    )


def _noise(estimates: Sequence[tuple[SlotObservation, np.ndarray, np.ndarray]], timing_s: float) -> np.ndarray:
    """Noise variance per RE of every antenna, from differences of neighbouring pairs after the delay is taken off."""
    total, count = 0.0, 0
    for part, found, pair_var in estimates:
        num_pairs = found.shape[-1]
        step = (part.layout.pair_spacing or 2 * part.layout.spacing) * part.subcarrier_spacing_hz
        still = found * np.exp(2j * np.pi * step * timing_s * np.arange(num_pairs))
        order = min(_ORDER, num_pairs - 1)
        if order < 1:
            # a single pair: differences between the symbols are all there is
            still, order = still.swapaxes(-1, -2), min(1, found.shape[-2] - 1)
            if order < 1:
                continue
        differences = np.diff(still, order, axis=-1) / math.sqrt(math.comb(2 * order, order))
        # [rx, layer]: of the estimates, over the noise of an RE
        variance = (np.abs(differences) ** 2).mean((2, 3)) / pair_var
        size = differences.shape[2] * differences.shape[3]
        total = total + variance.mean(1) * size
        count += size
    return np.zeros(len(estimates[0][1])) if not count else np.asarray(total / count)


def _power(estimates: Sequence[tuple[SlotObservation, np.ndarray, np.ndarray]], noise: np.ndarray) -> np.ndarray:
    total, weight = 0.0, 0
    for part, found, pair_var in estimates:
        seen = (np.abs(found) ** 2).mean((2, 3)) - noise[:, None] * pair_var
        amplitude = part.layer_amplitude
        total = total + amplitude**2 * np.maximum(seen, 0).sum(1) * found.shape[-1]
        weight += found.shape[-1]
    return np.asarray(total / weight)


def _delay_spread(estimates: Sequence[tuple[SlotObservation, np.ndarray, np.ndarray]], timing_s: float) -> float:
    """Rms delay spread of the widest rectangle, of the delays that are above the noise of the profile."""
    part, found, _ = max(estimates, key=lambda item: item[1].shape[-1])
    delays, profile = delay_profile(part, found, timing_s)
    floor = np.median(profile)
    strong = np.maximum(profile - 3 * floor, 0)
    strong[profile < profile.max() * 10 ** (-_FIRST_PATH_DB / 10)] = 0
    if not strong.sum():
        return 0.0
    mean = (strong * delays).sum() / strong.sum()
    return float(np.sqrt((strong * (delays - mean) ** 2).sum() / strong.sum()))


def delay_profile(part: SlotObservation, pairs: np.ndarray, timing_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Power over delay, seconds and linear, both [n] by ascending delay, windowed against side lobes."""
    step = (part.layout.pair_spacing or 2 * part.layout.spacing) * part.subcarrier_spacing_hz
    size = 4 * pairs.shape[-1]
    still = pairs * np.exp(2j * np.pi * step * timing_s * np.arange(pairs.shape[-1]))
    response = np.fft.ifft(still * np.hanning(pairs.shape[-1] + 2)[1:-1], size, axis=-1)
    profile = np.fft.fftshift((np.abs(response) ** 2).mean((0, 1, 2)))
    return np.fft.fftshift(np.fft.fftfreq(size, step)) + timing_s, profile


def first_path_s(parts: Sequence[SlotObservation], timing_s: float) -> float:
    """Delay of the first path within 15 dB of the strongest, of the widest rectangle; else `timing_s`."""
    part = max(parts, key=lambda one: one.data_mask.shape[1])
    pairs = pilot_estimates(part)[0][0].numpy().astype(complex)
    if pairs.shape[-1] < 8:
        return timing_s
    delays, profile = delay_profile(part, pairs, timing_s)
    least = max(profile.max() * 10 ** (-_FIRST_PATH_DB / 10), 4 * np.median(profile))
    # a windowed path is two resolution cells wide: its middle is behind where it first shows
    strong = np.flatnonzero(profile >= least)
    return float(delays[strong[0]]) if len(strong) else timing_s


def aligned(
    y: Tensor, subcarriers: np.ndarray, times_s: np.ndarray, spacing_hz: float, delay_s: float, cfo_hz: float
) -> Tensor:
    """Grids y [..., num_symbols, n] without a delay and a frequency offset; subcarriers int [num_symbols, n]."""
    cycles = subcarriers * (spacing_hz * delay_s) - (cfo_hz * times_s)[:, None]
    turn = torch.from_numpy(2 * np.pi * (cycles % 1))
    return y * torch.polar(torch.ones_like(turn), turn).to(y.dtype)


def at_equal_noise(
    observation: SlotObservation, found: Measurement, noise_var: float | None
) -> tuple[SlotObservation, np.ndarray]:
    """Live antennas alone, brought to one noise variance where that of each is known well enough; and the amplitudes
    float32 [live antennas] by which they were multiplied."""
    live = torch.from_numpy(found.live_antennas)
    y, noise = observation.y[:, live], found.noise_var[found.live_antennas]
    gains = np.ones(len(live), np.float32)
    if noise_var is not None:
        return replace(observation, y=y, noise_var=torch.full((1,), noise_var)), gains
    # an antenna that shows no noise at all, as one of a few bits may, is not worth more than the best of the others
    floor = max(float(noise.max()) * 1e-6, float(found.signal_power.max()) * 1e-9)
    noise = np.maximum(np.asarray(noise, float), floor)
    mean = float(noise.mean())
    if _num_differences(observation) >= _LEAST_DIFFERENCES:
        gains = np.sqrt(mean / noise).astype(np.float32)
        y = y * torch.from_numpy(gains)[None, :, None, None]
    return replace(observation, y=y, noise_var=torch.full((1,), mean)), gains


def _num_differences(observation: SlotObservation) -> int:
    layout = observation.layout
    return len(layout.symbol_groups) * max(len(layout.subcarriers(0, observation.data_mask.shape[1])) // 2 - _ORDER, 0)
