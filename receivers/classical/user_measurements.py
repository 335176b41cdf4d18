"""What the DM-RS of a slot tell about each user: SINR, RSRP, timing, CFO, delay and Doppler spread."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from receivers.classical.blind_estimate import BlindEstimator, SlotEstimate
from receivers.classical.equalizer import lmmse_equalize
from receivers.classical.pilots import pilot_estimates
from receivers.classical.time_statistics import doppler_and_cfo_hz
from receivers.interface import SlotObservation
from receivers.transform_precoding import despread

#: A peak of the power delay profile counts as the first path where its power is within this of the strongest, dB.
FIRST_PATH_DB = 15.0
#: The frequency correlation at which the delay spread is read off: near enough to 1 that only its curvature counts.
_CURVATURE = 0.98
#: Points of the power delay profile per delay that the band resolves.
_OVERSAMPLING = 8
#: Power beside a peak that counts as none, over that of the peak.
_NO_NEIGHBOUR = 1e-3


@dataclass(frozen=True)
class UserMeasurements:
    """Of a batch of slots, each float64 [batch, num_users] unless stated; users in ascending order.

    sinr: after LMMSE equalisation with the channel estimated from the DM-RS, linear: what 1 / (1 + sinr), the mean over
        the user's data REs and layers of the expected squared error of unit-power symbols, stands for.
    rsrp [batch, num_users, num_rx_ant]: mean power of the REs that carry the user's DM-RS, all its ports together,
        without the noise, in units of the grid (as TS 38.215 §5.1.1 defines RSRP, of DM-RS).
    first_path_s: delay of the first path within `FIRST_PATH_DB` of the strongest, after the start of the FFT window.
        The timing advance of the user has to grow by it.
    mean_delay_s: delay by power. delay_spread_s: its rms spread.
    cfo_hz: carrier frequency offset, the mean of the Doppler spectrum included; unique up to half the inverse distance
        of neighbouring DM-RS symbols either way. NaN with DM-RS in one symbol alone, or in two adjacent ones.
    doppler_spread_hz: rms width of a Jakes spectrum, its greatest Doppler frequency over sqrt(2). The mean of the
        posterior under a prior with a mean of 300 Hz for that frequency, which decides where a slot is too short to
        tell; NaN where cfo_hz is.
    noise_var [batch]: per RE and antenna.
    """

    sinr: NDArray[np.float64]
    rsrp: NDArray[np.float64]
    first_path_s: NDArray[np.float64]
    mean_delay_s: NDArray[np.float64]
    delay_spread_s: NDArray[np.float64]
    cfo_hz: NDArray[np.float64]
    doppler_spread_hz: NDArray[np.float64]
    noise_var: NDArray[np.float64]

    @property
    def sinr_db(self) -> NDArray[np.float64]:
        return 10 * np.log10(self.sinr)

    @property
    def rsrp_db(self) -> NDArray[np.float64]:
        """Mean over the antennas, dB over a power of 1 in units of the grid, [batch, num_users]."""
        return 10 * np.log10(self.rsrp.mean(-1))


def measure_users(observation: SlotObservation, max_cfo_hz: float = 200.0) -> UserMeasurements:
    """Measure every user of a batch of slots with DM-RS. `ValueError` for slots without any, and for
    grids that are not on the CPU.

    The channel, the noise and the Doppler hypotheses are those of the receiver `blind`. max_cfo_hz: how far users may
    be off one another; what is common to all is taken off before.
    """
    if not observation.layout.symbols:
        raise ValueError("pilots: got a slot without any; allowed: slots with DM-RS")
    if observation.y.device.type != "cpu":
        raise ValueError(f"y: got a grid on {observation.y.device}; allowed: on the CPU")
    return measured_with(*estimated(observation, max_cfo_hz))


def estimated(
    observation: SlotObservation, max_cfo_hz: float = 200.0
) -> tuple[SlotObservation, SlotEstimate, NDArray[np.float64]]:
    """Slots without the frequency offset that all users share, their channel, and that offset [batch] in Hz."""
    common = np.nan_to_num(_cfo_hz(observation, [list(range(observation.num_layers))])[:, 0])
    still = _without_cfo(observation, common)
    return still, BlindEstimator(max_cfo_hz)(still), common


def measured_with(
    still: SlotObservation, estimate: SlotEstimate, common_cfo_hz: NDArray[np.float64]
) -> UserMeasurements:
    """What `measure_users` returns, from what `estimated` does."""
    users = _layers_of_users(still)
    cfo = _cfo_hz(still, users) + common_cfo_hz[:, None]
    mmse = equalized(still, estimate)[1]
    spread, mean_delay = delay_moments(still, estimate.h_hat)
    doppler = _doppler_hz(estimate, users)
    return UserMeasurements(
        sinr=np.stack([1 / mmse[:, layers].double().mean((1, 2)).numpy() - 1 for layers in users], 1),
        rsrp=_rsrp(still, estimate, users),
        first_path_s=_first_path_s(still, estimate, users),
        mean_delay_s=mean_delay,
        delay_spread_s=spread,
        cfo_hz=cfo,
        doppler_spread_hz=np.where(np.isnan(cfo), np.nan, doppler / np.sqrt(2)),
        noise_var=estimate.noise_var.double().numpy(),
    )


def equalized(observation: SlotObservation, estimate: SlotEstimate) -> tuple[Tensor, Tensor]:
    """LMMSE estimates of the unit-power data symbols complex64, shrunk towards 0 by what they are uncertain, and their
    expected squared error float32, both [batch, num_layers, num_data_re]."""
    mask, amplitude = observation.data_mask.flatten(), observation.layer_amplitude
    h = estimate.h_hat.flatten(3)[..., mask] * amplitude
    noise = estimate.noise_var[:, None] + amplitude**2 * estimate.err_var.flatten(2)[..., mask].sum(1)
    x_hat, variance = lmmse_equalize(observation.y.flatten(2)[..., mask], h, noise)
    if observation.transform_precoding:
        x_hat, variance = despread(x_hat, variance, observation.data_mask.shape[1])
        variance = variance.expand(x_hat.shape)
    return x_hat / (1 + variance), variance / (1 + variance)


def _layers_of_users(observation: SlotObservation) -> list[list[int]]:
    owners = observation.layer_to_user
    return [[layer for layer, user in enumerate(owners) if user == one] for one in sorted(set(owners))]


def _bundled(observation: SlotObservation, h: Tensor) -> Tensor:
    """A channel in the DM-RS symbols where it is continuous over frequency: bundles of subcarriers beside antennas."""
    h, size = h[:, :, :, list(observation.layout.symbols)].to(torch.complex128), observation.layout.bundle_subcarriers
    if size is None or size >= h.shape[-1]:
        return h
    whole = h[..., : h.shape[-1] // size * size].unflatten(-1, (-1, size))
    return whole.movedim(-2, 2).flatten(1, 2)


def _rsrp(observation: SlotObservation, estimate: SlotEstimate, users: list[list[int]]) -> NDArray[np.float64]:
    """Second moment of the channel given the pilots, at the REs of each user's DM-RS."""
    symbols = list(observation.layout.symbols)
    sent = observation.pilots[:, symbols].abs().double() ** 2
    second = estimate.h_hat[:, :, :, symbols].abs().double() ** 2 + estimate.err_var[:, None, :, symbols].double()
    found = []
    for layers in users:
        num_re = (sent[layers].sum(0) > 0).sum()
        found.append((second[:, :, layers] * sent[layers]).sum((2, 3, 4)) / num_re)
    return torch.stack(found, 1).numpy()


def delay_moments(observation: SlotObservation, h: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rms delay spread and mean delay in seconds, both [batch, num_users], of a channel.

    observation: whose users and DM-RS symbols it is read at. h complex64 [batch, num_rx_ant, num_layers,
    num_ofdm_symbols, num_subcarriers]: estimated or true.

    From the frequency correlation: for small distances d in Hz its phase is -2 pi d (mean delay), and its magnitude
    falls from 1 by (2 pi d spread)^2 / 2.
    """
    users = _layers_of_users(observation)
    h = _bundled(observation, h)
    k, spacing = h.shape[-1], observation.subcarrier_spacing_hz
    size = 2 ** int(np.ceil(np.log2(2 * k)))
    lags = np.arange(1, max(2, k // 4 + 1))
    spreads, means = [], []
    for layers in users:
        power = torch.fft.fft(h[:, :, layers], size).abs() ** 2
        r = np.fft.ifft(power.sum((1, 2, 3)).numpy())[:, : lags[-1] + 1] / (k - np.arange(lags[-1] + 1))
        means.append(-np.angle(r[:, 1]) / (2 * np.pi * spacing))
        level = np.minimum(np.abs(r[:, 1:]) / r[:, :1].real, 1)
        far = level <= _CURVATURE
        place = np.where(far.any(1), far.argmax(1), len(lags) - 1)
        of_place = level[np.arange(len(level)), place]
        spreads.append(np.sqrt(2 * (1 - of_place)) / (2 * np.pi * spacing * lags[place]))
    return np.stack(spreads, 1), np.stack(means, 1)


def _first_path_s(observation: SlotObservation, estimate: SlotEstimate, users: list[list[int]]) -> NDArray[np.float64]:
    """First peak [batch, num_users] of the channel's power over delay, windowed against sidelobes."""
    h = _bundled(observation, estimate.h_hat)
    k = h.shape[-1]
    size = _OVERSAMPLING * k
    window = torch.hann_window(k + 2, periodic=False, dtype=torch.float64)[1:-1]
    step = 1 / (size * observation.subcarrier_spacing_hz)
    columns = []
    for layers in users:
        response = torch.fft.ifft(h[:, :, layers] * window, size)
        profile = np.fft.fftshift((response.abs() ** 2).sum((1, 2, 3)).numpy(), axes=-1)
        columns.append([_first_peak(row) - size // 2 for row in profile])
    return np.array(columns).T * step


def _first_peak(profile: NDArray[np.float64]) -> float:
    """Place of the first peak within `FIRST_PATH_DB` of the highest, between the points by a parabola in dB."""
    inner = profile[1:-1]
    is_peak = (inner >= profile[:-2]) & (inner > profile[2:])
    strong = inner >= profile.max() * 10 ** (-FIRST_PATH_DB / 10)
    places = np.flatnonzero(is_peak & strong)
    if not len(places):
        return float(profile.argmax())
    place = int(places[0]) + 1
    left, middle, right = np.log(np.maximum(profile[place - 1 : place + 2], profile[place] * _NO_NEIGHBOUR))
    return place + 0.5 * (left - right) / (left - 2 * middle + right)


def _cfo_hz(observation: SlotObservation, users: list[list[int]]) -> NDArray[np.float64]:
    """Frequency offsets [batch, len(users)]: from the nearest DM-RS symbols, then from all their distances."""
    pairs = pilot_estimates(observation)[0].numpy().astype(np.complex128)
    times = observation.symbol_times_s.double().numpy()
    middles = np.array([times[list(group)].mean() for group in observation.layout.symbol_groups])
    if len(middles) < 2:
        return np.full((len(pairs), len(users)), np.nan)
    first, second = np.triu_indices(len(middles), 1)
    lag = middles[second] - middles[first]
    nearest = np.isclose(lag, lag.min())
    columns = []
    for layers in users:
        h = pairs[:, :, layers]
        covariance = np.einsum("brlgk,brlek->bge", h.conj(), h, optimize=True)[:, first, second]
        coarse = np.angle(covariance[:, nearest].sum(1)) / (2 * np.pi * lag.min())
        rest = covariance * np.exp(-2j * np.pi * coarse[:, None] * lag)
        weight = np.abs(rest) * lag
        scale = (weight * lag).sum(1)
        scale[scale == 0] = 1  # of a slot of zeros, whose offset is 0
        columns.append(coarse + (weight * np.angle(rest)).sum(1) / (2 * np.pi * scale))
    return np.stack(columns, 1)


def _without_cfo(observation: SlotObservation, cfo_hz: NDArray[np.float64]) -> SlotObservation:
    turns = torch.from_numpy(-2 * np.pi * cfo_hz)[:, None] * observation.symbol_times_s
    phase = torch.polar(torch.ones_like(turns), turns).to(observation.y.dtype)
    return replace(observation, y=observation.y * phase[:, None, :, None])


def _doppler_hz(estimate: SlotEstimate, users: list[list[int]]) -> NDArray[np.float64]:
    """Greatest Doppler frequency [batch, num_users], the mean of the posterior."""
    doppler, _ = doppler_and_cfo_hz(estimate.max_cfo_hz)
    posterior = [torch.stack([estimate.time_posterior[layer] for layer in layers]).mean(0) for layers in users]
    return np.stack([p.double().numpy() @ doppler for p in posterior], 1)
