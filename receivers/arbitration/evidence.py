"""How well decisions explain the received grid: what a base station can tell two receivers apart by, without a decoder.

Symbols that are decided rightly leave noise when the channel is fitted to them; wrong ones leave what they differ by,
however sure a receiver was of them. No statistics of channel or noise enter, so no receiver's assumptions do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from receivers.classical.soft_grid import soft_grid
from receivers.interface import SlotObservation
from receivers.levels import at_unit_level

_TILE = 12
#: LLR of a decision that is taken for right: soft symbols are then points of the constellation.
_DECIDED = 60.0
#: REs for every unknown of a fit, at least.
_RES_PER_UNKNOWN = 4
#: Added to the diagonal of the normal equations, as a share of its mean.
_LOADING = 1e-6


def decision_residual(observation: SlotObservation, llr: Tensor) -> Tensor:
    """Energy that is left of the received grid when the channel is fitted to hard decisions, float32 [batch].

    llr [batch, num_layers, num_data_re, bits_per_symbol]: their signs alone count. In every PRB the channel of each
    layer and antenna is a polynomial, over time of up to the third degree and over frequency of up to the second, whose
    coefficients are fitted by least squares to pilots and decided data. All PRBs have as many terms as the one with the
    fewest REs allows, a quarter of its REs for all layers together: a slot of few symbols has fewer. What differs
    between two decisions about one slot is not the fit but what they leave; in units of the slot's own level, rounded
    to a power of two.
    """
    observation = at_unit_level(observation)
    # zero LLRs decide nothing: any point is as good
    sent = soft_grid(observation, torch.where(llr < 0, -_DECIDED, _DECIDED))[0]
    num_symbols, num_subcarriers = observation.data_mask.shape
    columns = _tiles(num_subcarriers, sent.device)
    used = (observation.data_mask | (observation.pilots != 0).any(0))[:, columns].movedim(1, 0).flatten(1)
    columns, used = columns[used.any(1)], used[used.any(1)]  # what holds nothing tells nothing
    least = int(used.sum(1).min())
    basis = _polynomials(num_symbols, columns.shape[1], sent.device)
    basis = basis[: max(1, min(len(basis), least // (_RES_PER_UNKNOWN * sent.shape[1])))]
    # [batch, tile, layer x term, RE] and [batch, tile, antenna, RE]
    x = sent[..., columns].movedim(3, 1).unsqueeze(3) * basis
    x = x.flatten(4).flatten(2, 3) * used[:, None]
    y = observation.y[..., columns].movedim(3, 1).flatten(3) * used[:, None]
    gram = x @ x.mH
    level = torch.diagonal(gram, dim1=-2, dim2=-1).real.mean(-1)
    loading = (_LOADING * level).clamp_min(torch.finfo(torch.float32).tiny)
    gram = gram + torch.diag_embed(loading.unsqueeze(-1).expand(gram.shape[:-1])).to(gram.dtype)
    fitted = torch.linalg.solve(gram, (y @ x.mH).mH).mH @ x
    left = y - fitted
    return (left.real**2 + left.imag**2).sum((1, 2, 3))


def _tiles(num_subcarriers: int, device: torch.device) -> Tensor:
    """Subcarriers of every tile, int64 [tiles, width]; the last tile overlaps the one before where the band asks it."""
    width = min(_TILE, num_subcarriers)
    count = -(-num_subcarriers // width)
    starts = (torch.arange(count, device=device) * width).clamp_max(num_subcarriers - width)
    return starts[:, None] + torch.arange(width, device=device)


def _polynomials(num_symbols: int, width: int, device: torch.device) -> Tensor:
    """Products of powers of time and frequency, complex64 [terms, num_symbols, width], the most needed first."""
    t = torch.linspace(-1, 1, num_symbols, device=device)[:, None].expand(num_symbols, width)
    k = torch.linspace(-1, 1, width, device=device)[None].expand(num_symbols, width)
    one = torch.ones_like(t)
    # Legendre polynomials, which keep the fit well conditioned
    terms = [one, t, k, 1.5 * t**2 - 0.5, k * t, 1.5 * k**2 - 0.5, 2.5 * t**3 - 1.5 * t]
    return torch.stack(terms).to(torch.complex64)
