"""What impairments do to a waveform: error vector magnitude and leakage into the adjacent channels."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import welch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.interface import power
from channels.impairments.options import positive


def evm(received: Tensor, reference: Tensor) -> Tensor:
    """Error vector magnitude of every drop, real [batch]: rms error over rms reference, 0.08 is 8 %.

    received, reference: complex of one shape, batch first: symbols of the grid, or samples. One complex gain per drop
    is fitted to the received by least squares before, as a receiver's equaliser would; TS 38.104 Annex B measures
    after an equaliser per subcarrier, which this one is not.
    """
    if received.shape != reference.shape:
        raise bad_value("received", tuple(received.shape), f"the shape of the reference, {tuple(reference.shape)}")
    received, reference = received.flatten(1), reference.flatten(1)
    total = power(reference).sum(-1)
    # error of reference * gain against received, referred to the output of the amplifier's linear part
    gain = (received * reference.conj()).sum(-1) / total
    return (power(received - gain[:, None] * reference).sum(-1) / (power(gain) * total)).sqrt()


def leakage_db(
    waveform: Tensor, sample_rate_hz: float, bandwidth_hz: float, spacing_hz: float
) -> tuple[np.ndarray, np.ndarray]:
    """Adjacent channel leakage ratio in dB, below and above the channel, float64 [batch, num_antennas] each.

    Power in bandwidth_hz around the carrier over that in the same bandwidth spacing_hz below and above it (TS 38.104
    §6.6.3, square filters over the transmission bandwidth), from averaged periodograms with a Blackman-Harris window,
    whose own leakage is below -90 dB. waveform complex [batch, num_antennas, num_samples].
    """
    positive("bandwidth_hz", bandwidth_hz)
    if spacing_hz < bandwidth_hz or spacing_hz + bandwidth_hz / 2 > sample_rate_hz / 2:
        allowed = f"from the bandwidth {bandwidth_hz:g}, with the adjacent channels within {sample_rate_hz:g} Hz"
        raise bad_value("spacing_hz", spacing_hz, allowed)
    samples = waveform.detach().cpu().numpy()
    frequencies, psd = welch(
        samples,
        sample_rate_hz,
        window="blackmanharris",
        nperseg=min(4096, samples.shape[-1]),
        return_onesided=False,
        detrend=False,
    )

    def within(centre_hz: float) -> np.ndarray:
        total: np.ndarray = psd[..., np.abs(frequencies - centre_hz) <= bandwidth_hz / 2].sum(-1, dtype=np.float64)
        return 10 * np.log10(np.maximum(total, torch.finfo(torch.float64).tiny))

    return within(0) - within(-spacing_hz), within(0) - within(spacing_hz)
