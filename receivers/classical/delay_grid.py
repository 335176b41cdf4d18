"""Pilots of one comb seen as delays: the linear model of blind channel estimation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from receivers.interface import PilotLayout

#: Delays a layer may have, in useful symbol durations: a little early (timing errors) to well beyond the cyclic prefix.
EARLIEST, LATEST = -1 / 32, 1 / 8
# Delay bins per delay that the band resolves. With 1 the model would be periodic in the band and fail at its edges.
_OVERSAMPLING = 2
# Pilots of a subband. More of them sharpen delays further than any noise asks for, and cost grows with their square.
_MAX_PILOTS = 384
# Sidelobes of the taper, about -50 dB, stay under the noise of the pilots up to 30 dB SNR.
_KAISER_BETA = 7.0
# Subcarriers at which the error variance of a subband is evaluated; it is interpolated between them.
_MAX_NODES = 64


@dataclass(frozen=True)
class DelayGrid:
    """Delay bins of one comb and how they appear on its pilots and on all subcarriers.

    A wide allocation is cut into overlapping subbands of equal size, which share one model and whose fading serves
    as further observations of the same statistics. With m the pilot within its subband, m0 the middle, and d the bin:
    pilot vectors F[m, d] = exp(-2j pi (m - m0) d / num_bins); the cover code (1, -1) shifts d by num_bins / 2.

    num_bins: bins of the whole (periodic) delay axis. spacing: of the pilots in subcarriers.
    window [num_window] int64: signed bins that a layer may occupy.
    starts [num_subbands] int64: first pilot of each subband, even.
    num_pilots: pilots of a subband.
    taper [num_pilots] float32: window before the transform that measures powers, mean square 1.
    gram [num_bins] float32: real inner product of two pilot vectors by the distance of their bins.
    centre [num_bins] complex64: phase that refers a bin of the transform to the middle of the subband.
    synthesis [num_window, num_pilots * spacing] complex64: bins to the subcarriers of a subband.
    half_shift: phase of the synthesis of a layer with cover code (1, -1).
    owner [num_subcarriers] int64: flat index (subband, subcarrier in it) of the best estimate of each subcarrier.
    nodes: subcarriers of a subband where errors are evaluated; node_left, node_share: linear interpolation from them.
    """

    num_bins: int
    spacing: int
    window: Tensor
    starts: Tensor
    num_pilots: int
    taper: Tensor
    gram: Tensor
    centre: Tensor
    synthesis: Tensor
    half_shift: complex
    owner: Tensor
    nodes: Tensor
    node_left: Tensor
    node_share: Tensor

    @property
    def num_subbands(self) -> int:
        return len(self.starts)

    def bin_s(self, subcarrier_spacing_hz: float) -> float:
        """Distance of the bins in seconds."""
        return 1 / (self.num_bins * self.spacing * subcarrier_spacing_hz)

    def subbands(self, z: Tensor) -> Tensor:
        """Cut pilots [..., all pilots] into [..., num_subbands, num_pilots]."""
        if self.num_subbands == 1:
            return z.unsqueeze(-2)
        index = self.starts[:, None] + torch.arange(self.num_pilots, device=z.device)
        return z[..., index]

    def to_bins(self, z: Tensor) -> Tensor:
        """Inner products of pilots [..., num_pilots] with all pilot vectors, [..., num_bins]."""
        return torch.fft.ifft(z, n=self.num_bins, norm="forward") * self.centre

    def powers(self, z: Tensor) -> Tensor:
        """Tapered delay spectrum |.|^2 of pilots [..., num_pilots]; noise has its variance per pilot in every bin."""
        spectrum = torch.fft.ifft(z * self.taper, n=self.num_bins, norm="forward")
        return (spectrum.real**2 + spectrum.imag**2) / self.num_pilots

    def join(self, h: Tensor) -> Tensor:
        """Subbands [..., num_subbands, num_pilots * spacing] to one band [..., num_subcarriers]."""
        if self.num_subbands == 1:
            return h.squeeze(-2)
        return h.flatten(-2)[..., self.owner]

    def join_nodes(self, values: Tensor) -> Tensor:
        """Values at the nodes of any subband, [..., num_nodes], to all subcarriers of the band."""
        left = values[..., self.node_left]
        band = left + self.node_share * (values[..., self.node_left + 1] - left)
        return band[..., self.owner % band.shape[-1]] if self.num_subbands > 1 else band


@lru_cache(maxsize=64)
def delay_grid(first: int, spacing: int, num_subcarriers: int, device: torch.device) -> DelayGrid:
    """The grid of the comb that starts at subcarrier `first`."""
    total = num_subcarriers // spacing
    num_subbands, num_pilots, starts = 1, total, np.zeros(1, np.int64)
    if total > _MAX_PILOTS:
        # neighbours overlap by about a sixth, so that every subcarrier lies away from an edge of some subband
        num_subbands = int(np.ceil((total - _MAX_PILOTS / 6) / (_MAX_PILOTS * 5 / 6)))
        num_pilots = 2 * int(np.ceil(total / (num_subbands * 5 / 6 + 1 / 6) / 2))
        starts = 2 * np.round(np.linspace(0, (total - num_pilots) / 2, num_subbands)).astype(np.int64)
    num_bins = 2 * int(np.ceil(_OVERSAMPLING * num_pilots / 2))
    middle = (num_pilots - 1) / 2
    # the comb's delay axis is 1/spacing useful symbols long
    per_symbol = num_bins * spacing
    window = np.arange(int(np.floor(EARLIEST * per_symbol)), int(np.ceil(LATEST * per_symbol)) + 1)
    distance = np.arange(num_bins)
    angle = np.pi * distance / num_bins
    with np.errstate(invalid="ignore", divide="ignore"):
        gram = np.where(distance == 0, num_pilots, np.sin(num_pilots * angle) / np.sin(angle))
    width = num_pilots * spacing
    position = (np.arange(width) - first) / spacing - middle
    synthesis = np.exp(-2j * np.pi * np.outer(window, position) / num_bins)
    taper = np.kaiser(num_pilots, _KAISER_BETA)
    nodes = np.unique(np.round((1 - np.cos(np.linspace(0, np.pi, min(_MAX_NODES, width)))) / 2 * (width - 1)))
    left = np.clip(np.searchsorted(nodes, np.arange(width), side="right") - 1, 0, len(nodes) - 2)
    subcarrier = np.arange(num_subcarriers)
    subband_middle = starts * spacing + (width - 1) / 2
    best = np.abs(subcarrier[:, None] - subband_middle).argmin(1)
    owner = best * width + subcarrier - starts[best] * spacing

    def tensor(array: np.ndarray, dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(array).to(device=device, dtype=dtype)

    with torch.inference_mode(False):  # what is kept must also serve callers that train
        return DelayGrid(
            num_bins=num_bins,
            spacing=spacing,
            window=tensor(window, torch.int64),
            starts=tensor(starts, torch.int64),
            num_pilots=num_pilots,
            taper=tensor(taper / np.sqrt(np.mean(taper**2)), torch.float32),
            gram=tensor(gram, torch.float32),
            centre=tensor(np.exp(-2j * np.pi * middle * distance / num_bins), torch.complex64),
            synthesis=tensor(synthesis, torch.complex64),
            half_shift=complex(np.exp(1j * np.pi * middle)),
            owner=tensor(owner, torch.int64),
            nodes=tensor(nodes, torch.int64),
            node_left=tensor(left, torch.int64),
            node_share=tensor((np.arange(width) - nodes[left]) / (nodes[left + 1] - nodes[left]), torch.float32),
        )


def combs(layout: PilotLayout) -> dict[int, list[int]]:
    """Layers by the comb that they share: first subcarrier -> layers."""
    groups: dict[int, list[int]] = {}
    for layer, first in enumerate(layout.first_subcarrier):
        groups.setdefault(first, []).append(layer)
    return groups
