"""What a control channel's receiver takes for granted of the channel: delays and Doppler shifts within limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChannelPrior:
    """Second-order statistics of a channel of unit power.

    delay_spread_s, early_s: delays are exponentially distributed with this mean, from `early_s` before the timing of
    the FFT window on. max_doppler_hz: Doppler shifts are uniform up to it.
    """

    delay_spread_s: float = 0.3e-6
    early_s: float = 0.1e-6
    max_doppler_hz: float = 100.0

    def covariance(
        self,
        times_s: Places,
        frequencies_hz: Places,
        other_times_s: Places | None = None,
        other_frequencies_hz: Places | None = None,
    ) -> npt.NDArray[np.complex128]:
        """E[h(place) conj(h(other place))], complex128 [num_places, num_other_places].

        times_s, frequencies_hz [num_places]: of resource elements; the other places are by default the same.
        """
        to_times = times_s if other_times_s is None else other_times_s
        to_frequencies = frequencies_hz if other_frequencies_hz is None else other_frequencies_hz
        over_time = np.sinc(2 * self.max_doppler_hz * (times_s[:, None] - to_times))
        turns = 2j * np.pi * (frequencies_hz[:, None] - to_frequencies)
        over_frequency = np.exp(turns * self.early_s) / (1 + turns * self.delay_spread_s)
        return np.asarray(over_time * over_frequency, np.complex128)

    def basis(
        self, times_s: npt.NDArray[np.float64], frequencies_hz: npt.NDArray[np.float64], least_share: float = 0.05
    ) -> npt.NDArray[np.complex128]:
        """Orthonormal directions in which the channel has more than this share of its power, complex128 [n, K]."""
        powers, directions = np.linalg.eigh(self.covariance(times_s, frequencies_hz))
        return np.asarray(directions[:, powers > least_share * len(times_s)][:, ::-1], np.complex128)
