"""Which random access preambles were sent, and when they arrived: correlation with every root, a threshold by noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from receivers.control.energy import share_threshold, shares
from receivers.errors import bad_value

#: Phase in turns by which a frequency offset may move over what is added coherently.
_MOST_TURNS = 0.35


@dataclass(frozen=True)
class PreambleDecision:
    """Of every preamble of the cell.

    detected bool [batch, num_preambles]. delay_s float64 [batch, num_preambles]: of its strongest path. shares float64
    [batch, num_preambles]: of the received energy that its strongest path explains.
    """

    detected: npt.NDArray[np.bool_]
    delay_s: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]


class PreambleDetector:
    """Correlates with every root, interpolated between samples, and searches the window of each preamble.

    Repetitions are added coherently as long as a frequency offset of `max_cfo_hz` turns them by less than about a
    third, and energies of the parts and of the antennas are added. The share of the received energy at a delay is
    compared with a threshold that noise alone exceeds anywhere, for any preamble, with `false_alarm` (a union bound
    over all delays of the interpolated grid), whatever its level: noise is taken to be equal on all antennas. Beside
    the strongest preamble the threshold is raised by what that leaves in the windows of others: sidelobes of its
    interpolation, and the correlation between roots, which limits how much weaker a second preamble may be (about
    10 dB of 139 values, 17 dB of 839).

    sequences complex [num_roots, L] or [num_roots, num_variants, L]: of each root on the subcarriers, unit modulus,
    without cyclic shift. Energies of variants, as large frequency offsets make them, are added.
    root_index, cyclic_shifts int [num_preambles]. num_cs: distance of the shifts, 0 for one preamble per root.
    spacing_hz: of the subcarriers. period_s: from a repetition to the next.
    """

    def __init__(
        self,
        sequences: npt.NDArray[np.complexfloating],
        root_index: Sequence[int] | npt.NDArray[np.int64],
        cyclic_shifts: Sequence[int] | npt.NDArray[np.int64],
        num_cs: int,
        spacing_hz: float,
        false_alarm: float = 5e-4,
        max_cfo_hz: float = 400.0,
    ) -> None:
        if not 0 < false_alarm < 1:
            raise bad_value("false_alarm", false_alarm, "between 0 and 1")
        if max_cfo_hz < 0:
            raise bad_value("max_cfo_hz", max_cfo_hz, "0 or more")
        self.false_alarm, self.spacing_hz, self.max_cfo_hz = false_alarm, spacing_hz, max_cfo_hz
        given = np.asarray(sequences, np.complex64)
        self._sequences = given[:, None] if given.ndim == 2 else given
        self._length = given.shape[-1]
        self.num_lags = 1 << int(np.ceil(np.log2(2 * self._length)))
        self._root_index = np.asarray(root_index)
        width = num_cs or self._length
        # a path may be estimated before the start of its window: a sample at most, of narrow windows less
        early = min(1.0, width / 8) if num_cs else 0.0
        step = self._length / self.num_lags
        self._windows = []
        for shift in np.asarray(cyclic_shifts):
            first = int(np.ceil((-int(shift) - early) / step))
            last = int(np.ceil((-int(shift) + width - early) / step))
            lags = np.arange(first, last)
            self._windows.append((lags % self.num_lags, lags * step + int(shift)))

    def num_coherent(self, num_repetitions: int) -> int:
        """Repetitions that are added coherently."""
        if self.max_cfo_hz == 0:
            return num_repetitions
        return max(1, min(num_repetitions, int(_MOST_TURNS * self.spacing_hz / self.max_cfo_hz)))

    def __call__(self, y: npt.NDArray[np.complexfloating]) -> PreambleDecision:
        """y: subcarriers of the PRACH, complex [batch, num_rx_ant, num_repetitions, L], at any level."""
        if y.ndim != 4 or y.shape[3] != self._length:
            raise bad_value("shape of the received PRACH", y.shape, f"[batch, num_rx_ant, repetitions, {self._length}]")
        batch, num_rx_ant, repetitions, _ = y.shape
        top = np.abs(y).max(axis=(1, 2, 3), keepdims=True, initial=0)
        scaled = y / np.where(top > 0, top, 1)
        whole: npt.NDArray[np.float64] = np.sum(np.abs(scaled) ** 2, axis=(1, 2, 3), dtype=np.float64)
        edges = [*range(0, repetitions, self.num_coherent(repetitions)), repetitions]
        # each part is a unit vector's projection: sums over its repetitions, divided by their root
        parts = [scaled[:, :, a:b].sum(2) / np.sqrt((b - a) * self._length) for a, b in pairwise(edges)]
        detected = np.zeros((batch, len(self._windows)), bool)
        delay_s, found = np.zeros(detected.shape), np.zeros(detected.shape)
        num_paths = num_rx_ant * len(parts) * self._sequences.shape[1]
        tests = len(self._sequences) * self.num_lags
        threshold = share_threshold(self.false_alarm / tests, num_paths, num_rx_ant * repetitions * self._length)
        for root, variants in enumerate(self._sequences):
            profile = self._profile(parts, variants, whole)
            self._search(root, profile, threshold, detected, delay_s, found)
        # every root correlates a little with the strongest preamble's: its energy is spread over all delays like noise
        across = share_threshold(self.false_alarm / tests, 1, self._length)
        strongest = found.max(1, keepdims=True)
        detected &= (found == strongest) | (found > threshold + across * strongest)
        return PreambleDecision(detected, delay_s, found)

    def _profile(
        self,
        parts: list[npt.NDArray[np.complex64]],
        variants: npt.NDArray[np.complex64],
        whole: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Share of the energy at every lag, float64 [batch, num_lags]."""
        powers = np.zeros((len(whole), self.num_lags))
        for part in parts:
            for sequence in variants:
                lags = np.fft.ifft(part * sequence.conj(), self.num_lags, norm="forward")
                powers += np.sum(np.abs(lags) ** 2, axis=1)
        return shares(powers, whole)

    def _search(
        self,
        root: int,
        profile: npt.NDArray[np.float64],
        threshold: float,
        detected: npt.NDArray[np.bool_],
        delay_s: npt.NDArray[np.float64],
        found: npt.NDArray[np.float64],
    ) -> None:
        """Fill in the preambles of a root."""
        rows = np.arange(len(profile))
        peak = profile.argmax(1)
        away = np.abs(
            (np.arange(self.num_lags) - peak[:, None] + self.num_lags // 2) % self.num_lags - self.num_lags // 2
        )
        samples = np.maximum(away * self._length / self.num_lags, 1e-9)
        # twice the envelope of the sidelobes of a rectangular band
        sidelobes = 2 * profile[rows, peak][:, None] / (np.pi * samples) ** 2
        raised = threshold + np.where(away > 0, np.minimum(sidelobes, profile[rows, peak][:, None]), 0)
        for number in np.flatnonzero(self._root_index == root):
            lags, delays = self._windows[number]
            best = profile[:, lags].argmax(1)
            at = lags[best]
            found[:, number] = profile[rows, at]
            detected[:, number] = profile[rows, at] > raised[rows, at]
            left, right = profile[rows, at - 1], profile[rows, (at + 1) % self.num_lags]
            curve = left - 2 * profile[rows, at] + right
            offset = np.where(curve < 0, (left - right) / (2 * np.where(curve < 0, curve, -1)), 0)
            step = self._length / self.num_lags
            delay_s[:, number] = (delays[best] + np.clip(offset, -1, 1) * step) / (self._length * self.spacing_hz)
