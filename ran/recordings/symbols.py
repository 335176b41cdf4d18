"""Data symbols of a recorded slot after equalisation, for constellations and EVM."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.link.parts import cuts
from ran.phy.modulation import constellation
from ran.phy.shared_grid import SharedGrid
from ran.phy.user_grids import UserGrids
from receivers import SlotObservation
from receivers.classical.equalizer import lmmse_equalize
from receivers.classical.lmmse import WienerInterpolator
from receivers.transform_precoding import despread

#: Prior of the channel estimate from which symbols are shown and errors are measured.
_DELAY_SPREAD_S, _DOPPLER_HZ = 300e-9, 100.0


def interpolator() -> WienerInterpolator:
    """Channel estimate and its error variance of a part of a slot; it keeps what it has worked out of layouts."""
    return WienerInterpolator(_DELAY_SPREAD_S, _DOPPLER_HZ)


def quality(
    grid: SharedGrid, observation: SlotObservation, sent: Tensor | None, estimate: WienerInterpolator
) -> tuple[NDArray[np.complex64], float, float]:
    """Equalised symbols of all layers complex64 [n], their EVM, and the SINR that it stands for in dB."""
    symbols, wanted = [], []
    for equalised, known in _equalised(grid, observation, sent, estimate):
        symbols.append(equalised)
        wanted.append(known)
    x, reference = np.concatenate(symbols), np.concatenate(wanted)
    error = float((np.abs(x - reference) ** 2).sum() / (np.abs(reference) ** 2).sum())
    return x.astype(np.complex64), math.sqrt(error), -10 * math.log10(error) if error > 0 else math.inf


def _equalised(
    grid: SharedGrid, observation: SlotObservation, sent: Tensor | None, estimate: WienerInterpolator
) -> Iterator[tuple[NDArray[np.complex64], NDArray[np.complex64]]]:
    """Equalised symbols of each layer, and what was sent, or the nearest point where that is not known."""
    x_hat = torch.zeros((grid.num_layers, grid.num_data_re), dtype=torch.complex64)
    for _, own, layers, places in cuts(observation, grid):
        h, error = estimate(own)
        data = own.data_mask.flatten()
        y = own.y.flatten(2)[..., data]
        at_data = h.flatten(3)[..., data] * grid.layer_amplitude
        noise = own.noise_var[:, None] + grid.layer_amplitude**2 * error.flatten(2)[..., data].sum(1)
        found, variance = lmmse_equalize(y, at_data, noise)
        if grid.transform_precoding:
            found, _ = despread(found, variance, own.data_mask.shape[1])
        x_hat[layers, places] = found[0]
    truth = None if sent is None else _sent_symbols(grid, sent)
    sizes = [c.num_data_re for c in grid.codewords for _ in range(c.num_users * c.num_layers)]
    for layer, bits in enumerate(grid.bits_per_layer):
        mine = x_hat[layer, : sizes[layer]].numpy()
        if truth is not None:
            yield mine, truth[layer]
            continue
        points = constellation(bits) if grid.constellation is None else grid.constellation
        turned = mine.copy()
        if bits == 1:
            turned[1::2] *= -1j
        nearest = points[np.abs(turned[:, None] - points[None]).argmin(1)]
        if bits == 1:
            nearest[1::2] *= 1j
        yield mine, nearest


def _sent_symbols(grid: SharedGrid, sent: Tensor) -> list[NDArray[np.complex64]]:
    """Data symbols of every layer from the coded bits of one slot, of unit mean power, before transform precoding."""
    if isinstance(grid, UserGrids):
        pairs = zip(grid.grids, grid.split_layers(sent), strict=True)
        return [symbols for own, bits in pairs for symbols in _sent_symbols(own, bits)]
    found = grid.to_grid(sent)[0][:, grid.data_mask] / grid.layer_amplitude
    if grid.transform_precoding:
        found = torch.fft.ifft(found.unflatten(-1, (-1, grid.num_subcarriers)), norm="ortho").flatten(-2)
    return list(found.numpy())
