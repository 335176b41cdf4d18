"""MIMO detection by expectation propagation; LMMSE and MMSE-PIC are its first step without and with a prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from receivers.classical.pam import pam_axis
from receivers.classical.processor import is_recorded
from receivers.classical.qam import demap_maxlog

#: What the observation adds to a layer's prior, in units of the precision of a unit-power symbol: next to nothing.
LEAST_PRECISION = 1e-9
#: Least pivot of a Gram matrix, as a share of the layer's own entry: single precision knows it no better (-60 dB).
LEAST_PIVOT = 2.0**-20
_BLOCK = 4096
#: Least variance of a symbol given everything: keeps the next step's precision finite.
MIN_VARIANCE = 1e-4


def axis_log_likelihood(x: Tensor, variance: Tensor, bits_per_symbol: int, prior_llr: Tensor | None) -> Tensor:
    """Unnormalised log probability of the levels of both axes, [..., 2, 2**(bits_per_symbol / 2)] float32.

    x [...] complex64: observation of a unit-power symbol with complex noise variance `variance` [...].
    prior_llr [..., bits_per_symbol] or None: what is known about its bits beforehand.
    """
    levels, labels = pam_axis(bits_per_symbol // 2, x.device)
    log = -((torch.view_as_real(x).unsqueeze(-1) - levels) ** 2) / variance[..., None, None]
    if prior_llr is not None:
        # bits alternate between the axes: [..., axis, bit of the axis]; log p(0) - log p(1) split evenly
        bits = prior_llr.unflatten(-1, (-1, 2)).transpose(-1, -2)
        log = log + 0.5 * bits @ (1 - 2 * labels.to(bits.dtype)).mT
    return log


def axis_moments(log: Tensor, bits_per_symbol: int) -> tuple[Tensor, Tensor]:
    """Mean complex64 and variance float32 of symbols from `axis_log_likelihood`."""
    levels = pam_axis(bits_per_symbol // 2, log.device)[0]
    p = torch.softmax(log, dim=-1)
    mean = p @ levels
    variance = ((p @ levels**2) - mean**2).sum(-1)
    return torch.view_as_complex(mean.contiguous()), variance


def demap(
    x: Tensor, variance: Tensor, bits_per_symbol: int, prior_llr: Tensor | None, rule: Literal["maxlog", "exact"]
) -> Tensor:
    """Extrinsic LLRs [..., bits_per_symbol], beyond the prior: by the best or by all levels of an axis."""
    if bits_per_symbol == 1 or (prior_llr is None and rule == "maxlog"):
        # with one bit there is one level each, and no difference
        return demap_maxlog(x, variance, bits_per_symbol)
    log = axis_log_likelihood(x, variance, bits_per_symbol, prior_llr)
    labels = pam_axis(bits_per_symbol // 2, x.device)[1]

    def over(part: Tensor) -> Tensor:
        return part.amax(-1) if rule == "maxlog" else torch.logsumexp(part, dim=-1)

    per_axis = [over(log[..., ~labels[:, j]]) - over(log[..., labels[:, j]]) for j in range(labels.shape[1])]
    llr = torch.stack(per_axis, dim=-2).flatten(-2)
    return llr if prior_llr is None else llr - prior_llr


#: Bits per symbol, and the layers that have so many.
Modulations = Sequence[tuple[int, Sequence[int]]]


def layer_moments(
    x: Tensor, variance: Tensor, modulations: Modulations, prior_llr: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`axis_moments` of symbols [batch, num_layers, n] whose layers may differ in modulation.

    prior_llr [batch, num_layers, n, most bits per symbol]: layers of fewer have theirs first.
    """
    if len(modulations) == 1:
        bits = modulations[0][0]
        return axis_moments(axis_log_likelihood(x, variance, bits, prior_llr), bits)
    mean, spread = torch.empty_like(x), torch.empty_like(variance)
    for bits, layers in modulations:
        own = list(layers)
        prior = None if prior_llr is None else prior_llr[:, own, :, :bits]
        log = axis_log_likelihood(x[:, own], variance[:, own], bits, prior)
        mean[:, own], spread[:, own] = axis_moments(log, bits)
    return mean, spread


def layer_demap(
    x: Tensor,
    variance: Tensor,
    modulations: Modulations,
    prior_llr: Tensor | None,
    rule: Literal["maxlog", "exact"],
) -> Tensor:
    """`demap` of symbols [batch, num_layers, n] whose layers may differ in modulation; 0 for bits that one has not."""
    if len(modulations) == 1:
        return demap(x, variance, modulations[0][0], prior_llr, rule)
    llr = torch.zeros(*x.shape, max(bits for bits, _ in modulations), device=x.device)
    for bits, layers in modulations:
        own = list(layers)
        prior = None if prior_llr is None else prior_llr[:, own, :, :bits]
        llr[:, own, :, :bits] = demap(x[:, own], variance[:, own], bits, prior, rule)
    return llr


def _cholesky(a: list[list[Tensor]]) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Inverse of the Cholesky factor of Hermitian matrices whose entries are tensors: unrolled, one matrix per RE.

    a[i][j] for j <= i. Returns w with w[i][j] for j < i, and the real diagonal of w: w a w^H = I.
    """
    n = len(a)
    c: list[list[Tensor]] = []
    w: list[list[Tensor]] = []
    diagonal: list[Tensor] = []
    for i in range(n):
        row: list[Tensor] = []
        for j in range(i):
            value = a[i][j]
            for k in range(j):
                value = value - row[k] * c[j][k].conj()
            row.append(value * diagonal[j])
        rest = a[i][i].real
        for value in row:
            rest = rest - (value.real**2 + value.imag**2)
        inverse = torch.maximum(rest, LEAST_PIVOT * a[i][i].real).rsqrt()
        w_row = []
        for j in range(i):
            value = row[j] * diagonal[j]
            for k in range(j + 1, i):
                value = value + row[k] * w[k][j]
            w_row.append(-value * inverse)
        c.append(row)
        w.append(w_row)
        diagonal.append(inverse)
    return w, diagonal


def _posterior(gram: list[list[Tensor]], matched: Tensor, precision: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of Gaussian symbols: (gram + diag(precision))^-1 (matched + shift), per RE."""
    num_layers = len(gram)
    a = [[gram[i][j] if j < i else gram[i][i] + precision[:, i] for j in range(i + 1)] for i in range(num_layers)]
    w, diagonal = _cholesky(a)
    right = matched + shift
    inner = []
    for i in range(num_layers):
        value = right[:, i] * diagonal[i]
        for j in range(i):
            value = value + w[i][j] * right[:, j]
        inner.append(value)
    means, variances = [], []
    for i in range(num_layers):
        value, variance = inner[i] * diagonal[i], diagonal[i] ** 2
        for j in range(i + 1, num_layers):
            value = value + w[j][i].conj() * inner[j]
            variance = variance + (w[j][i].real ** 2 + w[j][i].imag ** 2)
        means.append(value)
        variances.append(variance)
    return torch.stack(means, dim=1), torch.stack(variances, dim=1)


class ExpectationPropagation:
    """Soft-in soft-out detection of the layers of a resource element.

    Symbols are first taken as Gaussian with the prior's mean and variance: the LMMSE filter without a prior,
    MMSE-PIC with one. Each iteration then replaces a layer's Gaussian by one that matches the moments of its
    constellation given what all other layers say (J. Cespedes et al., IEEE Trans. Commun. 62(8), 2014). These are the
    steps in torch; on a CPU, `Detection` takes the kernel of `receivers.classical.unrolled_ep` for them.

    num_iterations: replacements; damping: share of the new Gaussian in each.
    rule: demapping by the best ("maxlog") or by all levels ("exact").
    """

    def __init__(
        self, num_iterations: int = 1, damping: float = 1.0, rule: Literal["maxlog", "exact"] = "maxlog"
    ) -> None:
        if num_iterations < 0:
            raise ValueError(f"num_iterations: got {num_iterations}; allowed: 0 or more")
        if not 0 < damping <= 1:
            raise ValueError(f"damping: got {damping}; allowed: above 0, up to 1")
        self.num_iterations = num_iterations
        self.damping = damping
        self.rule: Literal["maxlog", "exact"] = rule

    def __call__(
        self,
        y: Tensor,
        h: Tensor,
        noise_var: Tensor,
        bits_per_symbol: int,
        prior_llr: Tensor | None = None,
        modulations: Modulations | None = None,
    ) -> Tensor:
        """Extrinsic LLRs float32 [batch, num_layers, n, bits_per_symbol], positive means bit 0.

        y [batch, num_rx_ant, n] complex64; h [batch, num_rx_ant, num_layers, n] complex64, with the layers' amplitude;
        noise_var [batch, n] or [batch, 1] float32: white noise, estimation error included.
        prior_llr [batch, num_layers, n, bits_per_symbol] float32: from a decoder, or nothing.
        modulations: where layers differ, bits per symbol (`bits_per_symbol` at most) and the layers that have them.
        """
        each = modulations or ((bits_per_symbol, range(h.shape[2])),)
        batch, n = h.shape[0], h.shape[3]
        if not h.is_cuda and not is_recorded() and batch * n > _BLOCK:
            # blocks of resource elements whose intermediate results stay in the cache
            step = max(1, _BLOCK // n) if n < _BLOCK else 1
            parts = []
            for first in range(0, batch, step):
                part = slice(first, first + step)
                prior = None if prior_llr is None else prior_llr[part]
                parts.append(self._detect(y[part], h[part], noise_var[part], each, prior))
            return torch.cat(parts)
        return self._detect(y, h, noise_var, each, prior_llr)

    def _detect(
        self, y: Tensor, h: Tensor, noise_var: Tensor, modulations: Modulations, prior_llr: Tensor | None
    ) -> Tensor:
        num_layers = h.shape[2]
        weight = 1 / noise_var
        conj = h.conj() * weight[:, None, None]
        matched = (conj * y.unsqueeze(2)).sum(1)
        gram = [[(conj[:, :, i] * h[:, :, j]).sum(1) for j in range(i + 1)] for i in range(num_layers)]
        shape = matched.shape
        if prior_llr is None:
            precision = torch.ones(shape, device=h.device)
            shift = torch.zeros_like(matched)
        else:
            nothing = torch.zeros_like(matched)
            flat = torch.full(shape, 1e9, device=h.device)
            mean, variance = layer_moments(nothing, flat, modulations, prior_llr)
            precision = 1 / variance.clamp_min(MIN_VARIANCE)
            shift = mean * precision
        x, variance = self._cavity(gram, matched, precision, shift)
        for _ in range(self.num_iterations):
            mean, spread = layer_moments(x, variance, modulations, prior_llr)
            spread = spread.clamp_min(MIN_VARIANCE)
            new = 1 / spread - 1 / variance
            # a constellation can look wider than the Gaussian that it replaces: then the old one stays
            usable = new > 0
            step = self.damping * usable
            precision = precision + step * (new - precision)
            shift = shift + step * (mean / spread - x / variance - shift)
            x, variance = self._cavity(gram, matched, precision, shift)
        return layer_demap(x, variance, modulations, prior_llr, self.rule)

    @staticmethod
    def _cavity(gram: list[list[Tensor]], matched: Tensor, precision: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """What the observation and the other layers say about a layer: mean and variance of its symbol."""
        mean, variance = _posterior(gram, matched, precision, shift)
        rest = (1 / variance - precision).clamp_min(LEAST_PRECISION)
        return (mean / variance - shift) / rest, 1 / rest
