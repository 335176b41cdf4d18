"""What a transmitter's amplifier adds to the signal, estimated from what is known of the transmitted grid."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from receivers.classical.data_aided import symbol_covariance

#: Highest order of the polynomial that may be asked for.
MAX_ORDER = 5
# Samples per subcarrier: products of order p span p times the band, and none of them folds into it.
_OVERSAMPLING = 4
# Share of what detected symbols seem to hide that is believed: LLRs are not that well calibrated.
_MOST_HIDDEN = 0.9
# Powers of unit-power symbols, and gains over the noise, below which nothing is sent or received (-120 dB).
_NOTHING = 1e-12
# Regularisation of the coefficients' equations, as a share of their mean diagonal.
_RIDGE = 1e-6


def distortion_basis(x: Tensor, rest: Tensor, power: Tensor, order: int) -> Tensor:
    """Odd orders from 3 of each layer's transmitted signal, on its own subcarriers.

    x [batch, num_layers, num_ofdm_symbols, num_subcarriers] complex64: the mean of what is sent; rest, of the same
    shape: its variance. power [batch, num_layers]: of the signal, mean over the slot. order: the highest one.

    Returns the mean of the basis, complex64 [batch, num_layers, order, num_ofdm_symbols, num_subcarriers].

    An OFDM signal is close to Gaussian, and the Hermite polynomials of a complex Gaussian are orthogonal to one another
    and to the signal: the part of the amplifier that is a mere gain stays with the channel. Their mean given an
    uncertain signal is the same polynomial of the mean signal, with the variance that is left taken off theirs. Every
    OFDM symbol may be worked on by itself: an amplifier without memory does not mix them, and neither does it see where
    the subcarriers lie in the band, nor a delay.
    """
    num_subcarriers = x.shape[-1]
    size = _OVERSAMPLING * num_subcarriers
    level = power.sqrt()[..., None, None].clamp_min(_NOTHING)
    samples = torch.fft.ifft(x / level, n=size, norm="forward") / num_subcarriers**0.5
    # the part of the signal's variance that is known, [batch, layer, symbol]
    known = (1 - rest.mean(-1) / level.squeeze(-1) ** 2).clamp(0, 1)
    envelope = samples.real**2 + samples.imag**2
    basis = []
    for p in range(3, order + 1, 2):
        product = samples * _hermite(envelope, known.unsqueeze(-1), p)
        added = torch.fft.fft(product, norm="forward")[..., :num_subcarriers] * num_subcarriers**0.5 * level
        # the few samples of one symbol are not quite Gaussian; a gain that is but a guess is left to the channel
        unsure = 1 - known[..., None] ** (p * p)
        basis.append(added - unsure * _along(added, x))
    return torch.stack(basis, dim=2)


def _hermite(envelope: Tensor, variance: Tensor, order: int) -> Tensor:
    """Polynomial in |s|^2 whose product with s, of a complex Gaussian s of variance 1, has unit power.

    variance: for s of another one, the same polynomial's mean where the rest of 1 is unknown.
    """
    n = (order - 1) // 2
    total = torch.zeros_like(envelope)
    for k in range(n + 1):
        # associated Laguerre polynomial L_n^1, in a form that stays finite at variance 0
        factor = math.comb(n + 1, n - k) * math.factorial(n) / math.factorial(k)
        total = total + (-1) ** (n - k) * factor * envelope**k * variance ** (n - k)
    return total / math.sqrt(math.factorial(n) * math.factorial(n + 1))


def distortion_coefficients(
    h: Tensor, residual: Tensor, x: Tensor, rest: Tensor, basis: Tensor, noise: Tensor, before: Tensor
) -> Tensor:
    """Complex coefficients of each layer's basis, complex64 [batch, num_layers, order].

    h [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64: the channel, phases included.
    residual, like the received grid: what the symbols' means and the distortion by the coefficients `before`, those
    that the symbols were detected with, leave of it. x, rest: mean and variance of the symbols. noise [batch,
    num_ofdm_symbols, num_subcarriers]: of the residual. basis: of `distortion_basis`.

    Least squares, all layers together. Detected symbols follow a distortion that is not known yet, and so hide a part
    of it from the residual: their remaining covariance says which, and is taken off the information (Louis, J. R. Stat.
    Soc. B 44, 1982), so that one step goes as far as many steps of expectation maximisation. A coefficient is shrunk by
    how well it is known against its size.
    """
    batch, num_layers, num_orders = basis.shape[:3]
    weight = 1 / noise
    matched = (h.conj() * residual.unsqueeze(2)).sum(1) * weight.unsqueeze(1)
    right = (basis.conj() * matched.unsqueeze(2)).sum((3, 4)).flatten(1)
    gram = torch.einsum("brlsk,brmsk->blmsk", h.conj(), h) * weight[:, None, None]
    most = torch.diagonal(gram, dim1=1, dim2=2).real.movedim(-1, 1).clamp_min(_NOTHING).reciprocal()
    covariance = symbol_covariance(h, weight, torch.minimum(rest, most))
    hidden = torch.einsum("bijsk,bjlsk->bilsk", gram, torch.einsum("bijsk,bjlsk->bilsk", covariance, gram))
    seen = gram - _MOST_HIDDEN * hidden
    normal = basis.new_zeros(batch, num_layers, num_orders, num_layers, num_orders)
    for one in range(num_layers):
        for other in range(num_layers):
            weighted = basis[:, other] * seen[:, one, other].unsqueeze(1)
            normal[:, one, :, other] = torch.einsum("bpsk,bqsk->bpq", basis[:, one].conj(), weighted)
    normal = normal.flatten(3).flatten(1, 2)
    scale = torch.diagonal(gram, dim1=1, dim2=2).real.sum((1, 2, 3))[:, None, None]
    power = (basis.real**2 + basis.imag**2).mean((1, 2, 3, 4))[:, None, None]
    floor = (_RIDGE * scale * power).clamp_min(_NOTHING) * torch.eye(normal.shape[-1], device=normal.device)
    inverse = torch.linalg.inv((normal + normal.mH) / 2 + floor)
    found = before.flatten(1) + (inverse @ right.unsqueeze(-1)).squeeze(-1)
    variance = torch.diagonal(inverse, dim1=1, dim2=2).real.clamp_min(0)
    strength = found.real**2 + found.imag**2
    shrunk = found * (1 - variance / strength.clamp_min(_NOTHING)).clamp_min(0)
    return shrunk.unflatten(1, (num_layers, num_orders))


def _along(basis: Tensor, x: Tensor) -> Tensor:
    """Projection on the signal of every OFDM symbol."""
    energy = (x.real**2 + x.imag**2).sum(-1, keepdim=True).clamp_min(_NOTHING)
    return x * ((basis * x.conj()).sum(-1, keepdim=True) / energy)
