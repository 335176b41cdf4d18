"""Interference that is there for a part of the time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from channels.errors import bad_value
from channels.impairments.draws import complex_normals, uniforms
from channels.impairments.interference import Interference
from channels.impairments.options import positive


class InterferenceBursts(Interference):
    """Bursts of interference: Gaussian noise over the whole sample rate for a short time, each from one direction.

    duration_s: of a burst, which begins anywhere in the waveform such that it ends within it; a longer one fills it.
    level_db is the power while it lasts.

    Draws of each source after its gains: its place in one uniform number, then complex normals, one per sample of it.
    """

    name = "interference-bursts"

    def __init__(
        self, level_db: float, duration_s: float, noise_power: float | None = None, num_sources: int = 1
    ) -> None:
        super().__init__(level_db, noise_power, num_sources)
        self.duration_s = positive("duration_s", duration_s)

    def check(self, sample_rate_hz: float) -> None:
        """`ValueError` for bursts of less than a sample."""
        super().check(sample_rate_hz)
        if round(self.duration_s * sample_rate_hz) < 1:
            raise bad_value("duration_s", self.duration_s, f"at least a sample, {1 / sample_rate_hz:g}")

    def _signal(self, generators: Sequence[np.random.Generator], num_samples: int, sample_rate_hz: float) -> np.ndarray:
        length = min(round(self.duration_s * sample_rate_hz), num_samples)
        starts = np.floor(uniforms(generators, 1)[:, 0] * (num_samples - length + 1)).astype(int)
        noise = complex_normals(generators, length)
        signal = np.zeros((len(generators), num_samples), np.complex128)
        for row, start, burst in zip(signal, starts, noise, strict=True):
            row[start : start + length] = burst
        return signal
