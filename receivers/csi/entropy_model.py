"""Probabilities of quantised delay-beam coefficients from those before them, and what the decoder makes of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Components of the mixture of logistic distributions of a coefficient.
_COMPONENTS = 3
#: log scales of the components before training, in steps of the quantiser.
_SCALES = (-2.0, -0.7, 0.7)
#: Largest index of the quantiser; larger values are set to it.
LARGEST = 40


def delay_order(num_units: int) -> list[int]:
    """Delays in the order in which they are coded: 0, -1, 1, -2, 2, ..., -1 being the last of the circle."""
    return sorted(range(num_units), key=lambda d: min(2 * d, 2 * (num_units - d) - 1) if d else 0)


class ContextModel(nn.Module):
    """Distributions of the coefficients of a step, given all that were coded before.

    num_units: delays. n1, n2: layout. width: of the network. reach: how far it looks, 1 or 2; with 2 also at
    diagonals, at second columns and at third delays.

    A step is every second column of a delay, polarisation and row. The network sees amplitudes only. The mean of a
    coefficient is a linear prediction from coefficients coded before, with complex weights that the network gives, so
    that a phase common to all of them changes nothing.
    """

    def __init__(self, num_units: int, n1: int, n2: int, width: int, reach: int = 1) -> None:
        super().__init__()
        self.num_units, self.n1, self.groups, self.reach = num_units, n1, 2 * n2, reach
        self.num_features, self.num_neighbours = (27, 7) if reach == 1 else (48, 10)
        self.order = delay_order(num_units)
        self.enter = nn.Linear(self.num_features, width)
        self.place = nn.Parameter(0.02 * torch.randn(num_units, self.groups, n1, width))
        self.middle = nn.Linear(width, width)
        self.leave = nn.Linear(width, 2 * _COMPONENTS + 2 * self.num_neighbours)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
            self.leave.bias.zero_()
            self.leave.bias[_COMPONENTS : 2 * _COMPONENTS] = torch.tensor(_SCALES)

    def steps(self) -> list[tuple[int, int, slice]]:
        """Delay, group and columns of every step of coding."""
        halves = [slice(0, None, 2), *([slice(1, None, 2)] if self.n1 > 1 else [])]
        return [(delay, group, half) for delay in self.order for group in range(self.groups) for half in halves]

    @torch.no_grad()
    def context(
        self, k: Tensor, size: Tensor, step: Tensor, delay: int, group: int, columns: slice
    ) -> tuple[Tensor, Tensor]:
        """What is known at a step: features [batch, columns, num_features], neighbours complex [batch, columns,
        num_neighbours].

        k complex [batch, num_units, groups, n1]: indices of the quantiser, 0 where nothing is coded yet. size: log(1 +
        |k|). step [batch]: of the quantiser.
        """
        n, half = self.num_units, self.groups // 2
        inward = -1 if 2 * delay <= n else 1
        d1, d2, mirrored = (delay + inward) % n, (delay + 2 * inward) % n, -delay % n
        partner = (group + half) % self.groups
        beside = group - group % half + (group % half + 1) % half
        nothing, none = torch.zeros_like(size[:, 0, 0]), torch.zeros_like(k[:, 0, 0])
        if delay:
            inside, beyond, opposite = size[:, d1], size[:, d2], size[:, mirrored]
            inside_k, beyond_k, opposite_k = k[:, d1], k[:, d2, group], k[:, mirrored, group]
        else:
            inside, beyond, opposite = (torch.zeros_like(size[:, 0]) for _ in range(3))
            inside_k, beyond_k, opposite_k = torch.zeros_like(k[:, 0]), none, none
        here, here_k, column = size[:, delay], k[:, delay], size.sum(1)
        before = here[:, :group].sum(1) if group else nothing
        own = here[:, group]

        def whole(x: Tensor) -> Tensor:
            return x.flatten(1).sum(1, keepdim=True).expand_as(nothing)

        features = [
            *_around(inside[:, group]),
            beyond[:, group],
            opposite[:, group],
            inside.sum(1),
            inside[:, partner],
            *_around(before),
            here[:, partner] if partner < group else nothing,
            here[:, beside] if beside < group else nothing,
            *_around(own)[1:],
            *_around(column[:, group]),
            column[:, partner],
            column.sum(1),
            whole(before),
            *(0.3 * whole(x) for x in (here, inside, beyond, opposite)),
            0.1 * whole(size),
            torch.log(step)[:, None].expand_as(nothing),
            torch.full_like(nothing, float(group == 0 and delay == 0)),
        ]
        neighbours = [
            inside_k[:, group],
            beyond_k,
            opposite_k,
            _in_proportion(here_k[:, partner], inside_k[:, group], inside_k[:, partner]) if partner < group else none,
            _in_proportion(here_k[:, beside], inside_k[:, group], inside_k[:, beside]) if beside < group else none,
            *_around(here_k[:, group])[1:],
        ]
        if self.reach > 1:
            more, further = self._further(k, size, delay, group)
            features, neighbours = features + more, neighbours + further
        return torch.stack(features, -1)[:, columns], torch.stack(neighbours, -1)[:, columns]

    def _further(self, k: Tensor, size: Tensor, delay: int, group: int) -> tuple[list[Tensor], list[Tensor]]:
        """What is known a little further away: features [batch, columns] each, neighbours complex [batch, columns]
        each."""
        n, half = self.num_units, self.groups // 2
        inward = -1 if 2 * delay <= n else 1
        d1, d2, d3, mirrored = (delay + inward) % n, (delay + 2 * inward) % n, (delay + 3 * inward) % n, -delay % n
        partner = (group + half) % self.groups
        beside = group - group % half + (group % half + 1) % half
        across = (beside + half) % self.groups
        nothing, none = torch.zeros_like(size[:, 0, 0]), torch.zeros_like(k[:, 0, 0])
        empty, empty_k = torch.zeros_like(size[:, 0]), torch.zeros_like(k[:, 0])
        inside, beyond, last, opposite = (size[:, d] if delay else empty for d in (d1, d2, d3, mirrored))
        inside_k, last_k = (k[:, d] if delay else empty_k for d in (d1, d3))
        here = size[:, delay]
        of_partner, of_beside, of_across = (here[:, g] if g < group else nothing for g in (partner, beside, across))
        features = [
            *_beyond(inside[:, group]),
            *_around(beyond[:, group])[1:],
            *_around(opposite[:, group])[1:],
            last[:, group],
            *_around(inside[:, partner])[1:],
            inside[:, beside],
            inside[:, across],
            beyond[:, partner],
            opposite[:, partner],
            *_around(of_partner)[1:],
            *_around(of_beside)[1:],
            of_across,
            *_around(size.sum(1)[:, partner])[1:],
            size.sum(1)[:, beside],
        ]
        return features, [*_around(inside_k[:, group])[1:], last_k[:, group] if delay else none]

    def mixture(
        self, k: Tensor, size: Tensor, step: Tensor, delay: int, group: int, columns: slice
    ) -> tuple[Tensor, ...]:
        """The distribution of every coefficient of a step: log weights and scales [batch, columns, components], means
        complex [batch, columns]."""
        features, neighbours = self.context(k, size, step, delay, group, columns)
        return self._mixture(features, neighbours, self.positions(delay, group, columns))

    def positions(self, delay: int, group: int, columns: slice) -> Tensor:
        """Numbers of the coefficients of a step, int64 [columns]."""
        first = (delay * self.groups + group) * self.n1
        return torch.arange(first, first + self.n1, device=self.place.device)[columns]

    def network(self, features: Tensor, positions: Tensor) -> Tensor:
        """What the network says of coefficients, [..., columns, num_outputs]: logits and log scales of the components,
        real and imaginary weights of the neighbours. features [..., columns, num_features]; positions int64
        [columns]."""
        hidden = F.gelu(self.enter(features) + self.place.flatten(0, 2)[positions])
        hidden = hidden + F.gelu(self.middle(hidden))
        found: Tensor = self.leave(hidden)
        return found

    def _mixture(self, features: Tensor, neighbours: Tensor, positions: Tensor) -> tuple[Tensor, ...]:
        said = self.network(features, positions)
        logits, scales, gates = said.split((_COMPONENTS, _COMPONENTS, 2 * self.num_neighbours), dim=-1)
        gates = torch.complex(*gates.chunk(2, -1))
        mean = (gates * neighbours).sum(-1)
        return torch.log_softmax(logits, -1), torch.exp(scales.clamp(-4, 3)), mean

    def bits(self, k: Tensor, step: Tensor) -> Tensor:
        """Bits that coding takes, float [batch]; k complex [batch, num_units, groups, n1], of whole numbers."""
        size = torch.log1p(k.abs())
        known_k, known_size = torch.zeros_like(k), torch.zeros_like(size)
        found: list[list[Tensor]] = [[], [], [], []]
        for at in self.steps():
            features, neighbours = self.context(known_k, known_size, step, *at)
            known_k[:, at[0], at[1], at[2]] = k[:, at[0], at[1], at[2]]
            known_size[:, at[0], at[1], at[2]] = size[:, at[0], at[1], at[2]]
            for values, value in zip(
                found, (features, neighbours, self.positions(*at), k[:, at[0], at[1], at[2]]), strict=True
            ):
                values.append(value)
        features, neighbours = (torch.cat(values, 1) for values in found[:2])
        wanted = torch.cat(found[3], 1)
        weights, scales, mean = self._mixture(features, neighbours, torch.cat(found[2]))
        return bits_of(wanted, weights, scales, mean).sum(1)


def _in_proportion(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a b / c where c is not 0, and else 0."""
    return a * b * c.conj() / c.abs().square().clamp(min=1)


def bits_of(k: Tensor, weights: Tensor, scales: Tensor, mean: Tensor) -> Tensor:
    """-log2 of the probabilities of indices k, complex [...], by their mixtures."""
    log_p = log_probability(k.real, mean.real, scales) + log_probability(k.imag, mean.imag, scales)
    return -torch.logsumexp(weights + log_p, -1) / math.log(2)


def _around(x: Tensor) -> list[Tensor]:
    """Columns, and those to their left and right; beams are a circle."""
    return [x, x.roll(1, -1), x.roll(-1, -1)]


def _beyond(x: Tensor) -> list[Tensor]:
    """The second columns to the left and to the right."""
    return [x.roll(2, -1), x.roll(-2, -1)]


def log_probability(index: Tensor, mean: Tensor, scales: Tensor) -> Tensor:
    """log P of an index by every component, [..., components]: its step of a logistic distribution."""
    low = (index[..., None] - 0.5 - mean[..., None]) / scales
    high = (index[..., None] + 0.5 - mean[..., None]) / scales
    # of a logistic distribution: F(b) - F(a) = (1 - exp(a - b)) F(b) (1 - F(a)), stable far out
    inside = torch.log1p(-torch.exp(low - high))
    return inside + F.logsigmoid(high) + F.logsigmoid(-low)


class Restoration(nn.Module):
    """Coefficients from their indices: what a small network makes of amplitudes around, as gains of indices around.

    Beside the index itself come those of the delays and columns next to it, and with rounds of exchange that of the
    other polarisation, in the proportion that the two have around. rounds: how often the network's values of a
    coefficient are exchanged with those of the delays and columns next to it and of the other polarisation. reach: how
    far it looks, 1 or 2; with 2 also at diagonals and at second delays and columns.
    """

    def __init__(self, num_units: int, n1: int, n2: int, width: int, rounds: int = 0, reach: int = 1) -> None:
        super().__init__()
        self.groups, self.rounds, self.reach = 2 * n2, rounds, reach
        self.num_features = 16 if reach == 1 else 22
        self.num_neighbours = (6 if rounds else 5) + (0 if reach == 1 else 8)
        self.enter = nn.Linear(self.num_features, width)
        self.place = nn.Parameter(0.02 * torch.randn(num_units, self.groups, n1, width))
        self.exchange = nn.ModuleList(nn.Linear(6 * width, width) for _ in range(rounds))
        self.middle = nn.Linear(width, width)
        self.leave = nn.Linear(width, 2 * self.num_neighbours)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, k: Tensor, step: Tensor) -> Tensor:
        """Coefficients, complex [batch, num_units, groups, n1], of indices of the same shape; step [batch]."""
        size = torch.log1p(k.abs())
        partner = size.roll(self.groups // 2, 2)
        column, row = size.sum(1, keepdim=True).expand_as(size), size.sum((2, 3), keepdim=True).expand_as(size)
        features = [
            size,
            (k.abs() > 0).to(size.dtype),
            *(size.roll(shift, 1) for shift in (-2, -1, 1, 2)),
            *(size.roll(shift, 3) for shift in (-1, 1)),
            partner,
            *(partner.roll(shift, 1) for shift in (-1, 1)),
            size.sum(2, keepdim=True).expand_as(size),
            column,
            0.3 * row,
            0.1 * size.sum((1, 2, 3), keepdim=True).expand_as(size),
            torch.log(step)[:, None, None, None].expand_as(size),
        ]
        if self.reach > 1:
            features += [*(size.roll(shift, 3) for shift in (-2, 2)), *_diagonals(size)]
        gates = torch.complex(*self.network(torch.stack(features, -1)).chunk(2, -1))
        around = _beside(k)
        if self.rounds:
            other = k.roll(self.groups // 2, 2)
            # of the two polarisations around
            near, of_other = torch.stack(around[1:]), torch.stack(_beside(other)[1:])
            both, power = (near * of_other.conj()).sum(0), of_other.abs().square().sum(0)
            around.append(other * both / power.clamp(min=1))
        if self.reach > 1:
            around += [*(k.roll(shift, axis) for axis in (1, 3) for shift in (2, -2)), *_diagonals(k)]
        found = k + (gates * torch.stack(around, -1)).sum(-1)
        return found * step.to(found.dtype)[:, None, None, None]

    def network(self, features: Tensor) -> Tensor:
        """Real and imaginary gains, [batch, num_units, groups, n1, 2 * num_neighbours], of features of the same
        shape."""
        hidden = F.gelu(self.enter(features) + self.place)
        for layer in self.exchange:
            around = [*_beside(hidden), hidden.roll(self.groups // 2, 2)]
            hidden = hidden + F.gelu(layer(torch.cat(around, -1)))
        hidden = hidden + F.gelu(self.middle(hidden))
        found: Tensor = self.leave(hidden)
        return found


def _beside(x: Tensor) -> list[Tensor]:
    """A coefficient's values, and those of the delays and columns next to it."""
    return [x, x.roll(1, 1), x.roll(-1, 1), x.roll(1, 3), x.roll(-1, 3)]


def _diagonals(x: Tensor) -> list[Tensor]:
    """Values of the delays and columns both next to a coefficient."""
    return [x.roll(shifts, (1, 3)) for shifts in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
