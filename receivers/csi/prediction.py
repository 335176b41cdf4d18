"""Prediction from what was seen at the last reports: hold the last, or linear filters over precoders or channels."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import j0
from torch import Tensor

from receivers.csi.frame import Frame, in_phase, unit_norm
from receivers.errors import bad_value


def hold_last(history: Tensor) -> Tensor:
    """The precoder of the last report: complex64 [batch, num_units, num_ports] of [batch, num_reports, ...]."""
    return history[:, -1]


class LinearPredictor:
    """A Wiener filter over the last reports in the frame of the last, one set of weights for every beam and delay.

    Reports are turned in phase to the last one, unit by unit, and looked at as beams and delays around its strongest
    beam. The filter that gives the least mean squared error over many users (with a small part of the power added to
    the diagonal) is one vector of complex weights per beam and delay there.

    num_reports: that it looks at. shape: (n1, n2).
    """

    def __init__(self, num_reports: int, shape: tuple[int, int], loading: float = 1e-2) -> None:
        if num_reports < 1:
            raise bad_value("num_reports", num_reports, "1 or more")
        self.num_reports, self.shape, self.loading = num_reports, shape, loading
        self.weights = torch.zeros(0)

    def fit(self, history: Tensor, future: Tensor) -> LinearPredictor:
        """Fit to histories complex64 [num_samples, num_reports, num_units, num_ports] and what came then; returns
        itself.

        future complex64 [num_samples, num_units, num_ports].
        """
        frame, x = self._framed(history)
        y = frame.enter(in_phase(future, history[:, -1])).flatten(1)
        # [place, report, report] and [place, report]
        covariance = torch.einsum("nkp,nlp->pkl", x.conj(), x) / len(x)
        cross = torch.einsum("nkp,np->pk", x.conj(), y) / len(x)
        power = covariance.diagonal(dim1=1, dim2=2).real.mean(1)
        # places that hold next to nothing take the filter of all
        floor = self.loading * (power + power.mean())
        eye = torch.eye(self.num_reports, dtype=covariance.dtype)
        mean = torch.linalg.solve(covariance.mean(0) + self.loading * power.mean() * eye, cross.mean(0))
        right = cross + floor[:, None] * mean
        self.weights = torch.linalg.solve(covariance + floor[:, None, None] * eye, right)
        return self

    def __call__(self, history: Tensor) -> Tensor:
        """Unit-norm precoders at the time that was fitted, complex64 [batch, num_units, num_ports]."""
        frame, x = self._framed(history)
        if self.weights.shape != (x.shape[2], self.num_reports):
            raise bad_value(
                "history", tuple(history.shape), f"what the filter was fitted to, {tuple(self.weights.shape)}"
            )
        y = torch.einsum("nkp,pk->np", x, self.weights)
        return unit_norm(frame.leave(y.unflatten(1, history.shape[2:])))

    def _framed(self, history: Tensor) -> tuple[Frame, Tensor]:
        """The frame of the last report, and all in it, [batch, num_reports, num_units * num_ports]."""
        if history.ndim != 4 or history.shape[1] != self.num_reports:
            raise bad_value("history", tuple(history.shape), f"[batch, {self.num_reports}, num_units, num_ports]")
        last = history[:, -1]
        frame = Frame.around(last, self.shape)
        parts = [frame.enter(in_phase(history[:, k], last)).flatten(1) for k in range(self.num_reports)]
        return frame, torch.stack(parts, 1)


def doppler_weights(times_s: np.ndarray, at_s: float, doppler_hz: float, noise: float = 1e-3) -> np.ndarray:
    """Wiener filter over time for a channel whose Doppler spectrum is Jakes': float64 [num_times].

    times_s [num_times]: of what was seen. at_s: what is asked for. doppler_hz: maximum Doppler shift, known from the
    user's speed. noise: error of what was seen over its power, and guard against a spectrum that is another. The
    channel at `at_s` is the weighted sum of those seen; its correlation over tau is J0(2 pi doppler tau) (W. C. Jakes,
    Microwave Mobile Communications, 1974, §1.2).
    """
    if doppler_hz < 0 or noise <= 0:
        raise bad_value("doppler_hz, noise", (doppler_hz, noise), "0 or more, and above 0")
    times = np.asarray(times_s, float)
    turn = 2 * np.pi * doppler_hz
    covariance = j0(turn * (times[:, None] - times)) + noise * np.eye(len(times))
    return np.asarray(np.linalg.solve(covariance, j0(turn * (at_s - times))))


def predicted_channel(h: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted sum over times: complex [batch, ...] of [batch, num_times, ...]."""
    if h.shape[1] != len(weights):
        raise bad_value("h", h.shape, f"[batch, {len(weights)}, ...]")
    return np.asarray(np.einsum("nt...,t->n...", h, weights.astype(h.real.dtype)))
