"""From least-squares estimates at pilots to a first channel estimate, in real arithmetic for one fixed slot layout.

Base-station stacks hand a model what `receivers.neural` makes itself: estimates at pilots. Neither noise level nor
power comes with them, so both are measured here. Filters have the size of the allocation, which a file therefore fixes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.classical.lmmse import WienerInterpolator
from receivers.interface import SlotObservation

#: Differences of white noise have so many times its variance: 1 + 9 + 9 + 1 the third, 1 + 4 + 1 the second.
_THIRD_DIFFERENCE, _SECOND_DIFFERENCE = 20.0, 6.0
_LEAST_PILOTS = 4
#: Noise is never taken to be further below the channel than this (60 dB).
_LEAST_NOISE = 1e-6
#: Least normal number in single precision: where nothing was received nothing is divided by 0.
TINY = torch.finfo(torch.float32).tiny


def noise_of(h: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Variance of the white noise in estimates [..., pilot, 2] along the pilots, mean over `axes` after the difference.

    From third differences: what a channel adds to them falls with the sixth power of its delay. At 60 kHz between
    pilots and an exponential profile of 300 ns it is 41 dB below the channel, of 100 ns 70 dB. Three points, those of
    one PRB in pairs, have no third difference; there it is the second.
    """
    if h.shape[-2] > 3:
        difference, times = (
            h[..., 3:, :] - 3 * h[..., 2:-1, :] + 3 * h[..., 1:-2, :] - h[..., :-3, :],
            _THIRD_DIFFERENCE,
        )
    else:
        difference, times = h[..., 2:, :] - 2 * h[..., 1:-1, :] + h[..., :-2, :], _SECOND_DIFFERENCE
    out: Tensor = (difference * difference).sum(-1).mean(axes) / times
    return out


def at_least(noise: Tensor, power: Tensor) -> Tensor:
    """Noise variance of estimates, kept above what would be none."""
    return torch.maximum(noise, _LEAST_NOISE * power + TINY)


class WienerGraph(nn.Module):
    """`WienerInterpolator` for one layer of one slot layout; its matrices are constants of the graph."""

    def __init__(self, prior: WienerInterpolator, like: SlotObservation, layer: int, symbols: slice) -> None:
        super().__init__()
        time, frequency = prior.bases(like)
        axis = frequency[layer]
        self.time_analysis: Tensor
        self.over_time: Tensor
        self.analysis: Tensor
        self.synthesis: Tensor
        self.power: Tensor
        self.eigenvalues: Tensor
        # correlations over time are real, and so are their eigenvectors
        self.register_buffer("time_analysis", time.analysis.real.contiguous())
        self.register_buffer("over_time", time.synthesis.real[symbols].contiguous())
        self.register_buffer("analysis", torch.view_as_real(axis.analysis.T.contiguous()))
        self.register_buffer("synthesis", torch.view_as_real(axis.synthesis.T.contiguous()))
        self.register_buffer("power", axis.power.T.contiguous())
        self.register_buffer("eigenvalues", time.eigenvalues[:, None] * axis.eigenvalues)

    def forward(self, pairs: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """pairs [batch, rx, pilot symbol, pair, 2], noise [batch]: variance of their noise.

        Returns h_hat [batch, rx, symbol, subcarrier, 2] and err_var [batch, symbol, subcarrier].
        """
        gain = 1 / (self.eigenvalues + noise[:, None, None])
        # [batch, rx, time mode, frequency mode, 2]
        modes = torch.einsum("tp,brpkc->brtkc", self.time_analysis, _matmul(pairs, self.analysis))
        modes = _matmul(modes * gain[:, None, :, :, None], self.synthesis)
        h_hat = torch.einsum("st,brtkc->brskc", self.over_time, modes)
        explained = torch.matmul(self.over_time * self.over_time, torch.matmul(gain, self.power))
        return h_hat, (1 - explained).clamp(min=1e-9)


def _matmul(values: Tensor, matrix: Tensor) -> Tensor:
    """Complex numbers [..., n, 2] times a matrix [n, m, 2]."""
    real, imag, a, b = values[..., 0], values[..., 1], matrix[..., 0], matrix[..., 1]
    return torch.stack([real @ a - imag @ b, real @ b + imag @ a], dim=-1)


def mean_of_pairs(h: Tensor) -> Tensor:
    """Mean of neighbouring pilots [..., pilot, 2] -> [..., pair, 2]."""
    return 0.5 * (h[..., 0::2, :] + h[..., 1::2, :])


def on_subcarriers(h: Tensor, first: int) -> Tensor:
    """Estimates [..., pilot, 2] on every other subcarrier from `first`, 0 elsewhere: [..., subcarrier, 2]."""
    zero = torch.zeros_like(h)
    both = [h, zero] if first == 0 else [zero, h]
    return torch.stack(both, dim=-2).flatten(-3, -2)


def check_layout(like: SlotObservation) -> None:
    """`ValueError` for slots whose pilots are none of those that the contracts know."""
    layout = like.layout
    if like.transform_precoding:
        raise ValueError("got transform precoding; allowed: CP-OFDM")
    if not layout.is_comb or layout.num_adjacent_symbols > 1 or layout.bundle_subcarriers is not None:
        raise ValueError("got DM-RS of type 2, of double symbols or precoded by PRG; allowed: type 1, single symbols")
    if like.data_mask.shape[1] // 2 < _LEAST_PILOTS:
        raise ValueError(f"got {like.data_mask.shape[1]} subcarriers; allowed: a PRB or more")
