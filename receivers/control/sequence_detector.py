"""Which of a few known signals was sent, or none: for PUCCH formats 0 and 1, without a channel estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from receivers.control.channel_prior import ChannelPrior
from receivers.control.energy import energy, share_threshold, shares
from receivers.errors import bad_value


@dataclass(frozen=True)
class HopPlaces:
    """Resource elements of a hop: times_s and frequencies_hz [n], of each."""

    times_s: npt.NDArray[np.float64]
    frequencies_hz: npt.NDArray[np.float64]


@dataclass(frozen=True)
class SequenceDecision:
    """word int [batch]: index of the most likely signal. present bool [batch]: whether there is one.

    shares float64 [batch, num_words]: of the received energy that each signal explains.
    """

    word: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    shares: npt.NDArray[np.float64]


class SequenceDetector:
    """Generalised likelihood ratio test over known signals of constant power.

    Each signal is correlated in every direction that the channel has by `prior`, and the energies of all hops and
    antennas are added. The share of the received energy is compared with a threshold that noise alone exceeds with
    `false_alarm` for any one of the signals, whatever its level: noise is taken to be equal on all antennas. Signals of
    other users on the same resource elements count as noise.

    words: for each hop the candidates, complex [num_words, n], unit modulus. places: of each hop.
    """

    def __init__(
        self,
        words: Sequence[npt.NDArray[np.complexfloating]],
        places: Sequence[HopPlaces],
        false_alarm: float = 0.005,
        prior: ChannelPrior | None = None,
    ) -> None:
        if not 0 < false_alarm < 1:
            raise bad_value("false_alarm", false_alarm, "between 0 and 1")
        self.false_alarm = false_alarm
        self.prior = prior or ChannelPrior()
        self._filters = []
        for of_hop, at in zip(words, places, strict=True):
            basis = self.prior.basis(at.times_s, at.frequencies_hz)
            # [n, num_words, K]
            self._filters.append((of_hop.T[:, :, None] * basis[:, None]).conj().astype(np.complex64))

    def __call__(self, y: Sequence[npt.NDArray[np.complexfloating]]) -> SequenceDecision:
        """y: for each hop complex [batch, num_rx_ant, n], at any level."""
        explained: npt.NDArray[np.float64] = np.zeros((len(y[0]), 1))
        whole: npt.NDArray[np.float64] = np.zeros(len(y[0]))
        num_explained = num_all = 0
        for received, filters in zip(y, self._filters, strict=True):
            n, num_words, size = filters.shape
            # scaled so that squares of single precision neither vanish nor overflow
            top = np.abs(received).max(initial=0, axis=(1, 2), keepdims=True)
            scale = np.where(top > 0, top, 1)
            parts = (received / scale) @ filters.reshape(n, -1)
            level = scale[:, 0].astype(np.float64) ** 2
            powers = (np.abs(parts) ** 2).reshape(*parts.shape[:2], num_words, size)
            explained = explained + powers.sum((1, 3), dtype=np.float64) * level
            whole = whole + energy(received / scale) * level[:, 0]
            num_explained += size * received.shape[1]
            num_all += n * received.shape[1]
        found = shares(explained, whole)
        best = found.argmax(1)
        threshold = share_threshold(self.false_alarm, num_explained, num_all)
        return SequenceDecision(best, found[np.arange(len(best)), best] > threshold, found)
