"""Channel and symbols of a narrow uplink channel with pilots: LMMSE with powers estimated from the pilots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from receivers.control.channel_prior import ChannelPrior
from receivers.control.sequence_detector import HopPlaces

#: Ratios of the channel's power to the noise's that are compared, dB.
_RATIOS_DB = np.arange(-20.0, 51.0)


@dataclass(frozen=True)
class PilotEstimate:
    """Channel of every hop at its data, and the noise.

    h: for each hop complex64 [batch, num_rx_ant, num_data]. err_var: for each hop float32 [batch, num_data].
    noise_var float32 [batch]: per resource element and antenna.
    """

    h: tuple[npt.NDArray[np.complex64], ...]
    err_var: tuple[npt.NDArray[np.float32], ...]
    noise_var: npt.NDArray[np.float32]


class PilotReceiver:
    """LMMSE estimate in hops that share the powers of channel and noise, which are those of maximum likelihood.

    pilots, pilot_places, data_places: of each hop; pilots complex [n] of unit modulus. One layer.
    """

    def __init__(
        self,
        pilots: Sequence[npt.NDArray[np.complexfloating]],
        pilot_places: Sequence[HopPlaces],
        data_places: Sequence[HopPlaces],
        prior: ChannelPrior | None = None,
    ) -> None:
        self.prior = prior or ChannelPrior()
        self._pilots = [np.asarray(values, np.complex64) for values in pilots]
        self._hops = []
        for at, to in zip(pilot_places, data_places, strict=True):
            powers, directions = np.linalg.eigh(self.prior.covariance(at.times_s, at.frequencies_hz))
            across = self.prior.covariance(to.times_s, to.frequencies_hz, at.times_s, at.frequencies_hz)
            self._hops.append((np.maximum(powers, 0), directions, across @ directions))

    def estimate(self, y: Sequence[npt.NDArray[np.complexfloating]]) -> PilotEstimate:
        """y: for each hop what its pilots' resource elements received, complex [batch, num_rx_ant, n]."""
        top = np.max([np.abs(part).max(axis=(1, 2), initial=0) for part in y], axis=0)
        scale = np.where(top > 0, top, 1).astype(np.float64)[:, None, None]
        parts = [
            (received / scale * pilots.conj()) @ directions.conj()
            for received, pilots, (_, directions, _) in zip(y, self._pilots, self._hops, strict=True)
        ]
        ratio, noise = self._powers(parts)
        floor = 1e-9 * np.mean([np.mean(np.abs(part) ** 2, axis=(1, 2)) for part in parts], axis=0)
        noise = np.maximum(noise, floor)
        h, err_var = [], []
        for part, (powers, _, across) in zip(parts, self._hops, strict=True):
            gains = 1 / (powers + 1 / ratio[:, None])
            h.append((((part * gains[:, None]) @ across.T) * scale).astype(np.complex64))
            left = 1 - (gains @ (np.abs(across) ** 2).T)
            power = (ratio * noise)[:, None] * scale[:, 0] ** 2
            err_var.append((np.maximum(left, 0) * power).astype(np.float32))
        return PilotEstimate(tuple(h), tuple(err_var), (noise * scale[:, 0, 0] ** 2).astype(np.float32))

    def _powers(self, parts: list[npt.NDArray[np.complex128]]) -> tuple[npt.NDArray[np.float64], ...]:
        """Ratio of channel to noise, and the noise, float64 [batch] each; noise is the only free level."""
        energies = np.concatenate([np.sum(np.abs(part) ** 2, axis=1) for part in parts], axis=1)
        powers = np.concatenate([of_hop[0] for of_hop in self._hops])
        num_rx_ant = parts[0].shape[1]
        ratios = 10 ** (_RATIOS_DB / 10)
        expected = ratios[:, None] * powers + 1
        noise = energies @ (1 / expected).T / (num_rx_ant * powers.size)
        silent = noise <= 0
        score = -powers.size * np.log(np.where(silent, 1, noise)) - np.log(expected).sum(1)
        best = score.argmax(1)
        return ratios[best], noise[np.arange(len(best)), best]


def combine(
    y: npt.NDArray[np.complexfloating],
    h: npt.NDArray[np.complexfloating],
    noise_var: npt.NDArray[np.floating],
    powers: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.float32]]:
    """MMSE estimate of what resource elements carry, complex64 [batch, n], and its gain, float32 [batch, n], 0 to 1.

    y, h [batch, num_rx_ant, n]. noise_var [batch, n]: noise and channel error. powers [n]: of the signal.
    The estimate is the gain times the value, with an error of variance powers * gain * (1 - gain).
    """
    matched = np.sum(h.conj() * y, axis=1)
    strength = np.sum(np.abs(h) ** 2, axis=1)
    total = powers * strength + noise_var
    safe = np.where(total > 0, total, 1)
    return (powers * matched / safe).astype(np.complex64), (powers * strength / safe).astype(np.float32)
