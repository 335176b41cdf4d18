"""DFT-s-OFDM at the receiver: from equalised subcarriers to modulation symbols and back."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-12


def despread(x_hat: Tensor, noise_var: Tensor, num_subcarriers: int) -> tuple[Tensor, Tensor]:
    """Modulation symbols from equalised subcarriers, by the inverse DFT of every OFDM symbol.

    x_hat [..., n] complex64: unbiased linear MMSE estimates of the unit-power samples on the subcarriers of the data
    symbols, n a multiple of num_subcarriers; noise_var [..., n] float32: their noise variance, 1 / SINR.
    Returns unbiased estimates of the modulation symbols and their noise variance, shaped alike.

    The inverse DFT takes the biased estimates, so that a faded subcarrier counts as little as the MMSE filter lets it,
    and the bias that is common to a whole OFDM symbol, the mean over its subcarriers, is undone after it.
    """
    share = 1 / (1 + noise_var)
    biased = (x_hat * share).unflatten(-1, (-1, num_subcarriers))
    mean_share = share.unflatten(-1, (-1, num_subcarriers)).mean(-1, keepdim=True).clamp(_TINY, 1)
    symbols = torch.fft.ifft(biased, norm="ortho") / mean_share
    variance = (1 / mean_share - 1).clamp_min(_TINY).expand(symbols.shape)
    return symbols.flatten(-2), variance.flatten(-2)


def spread(symbols: Tensor, num_subcarriers: int) -> Tensor:
    """Transform precoding (TS 38.211 §6.3.1.4): symbols [..., n] complex64 to subcarriers, shaped alike."""
    return torch.fft.fft(symbols.unflatten(-1, (-1, num_subcarriers)), norm="ortho").flatten(-2)
