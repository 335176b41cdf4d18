"""What an encoder of delay-angle models searches: indices whose report is short enough and restored best.

First every coefficient gets an index one after the other, by its own error and its own bits. Then indices are changed
where the whole is better by that: what the decoder restores is compared with what was wanted, and the bits are those of
all coefficients, whose probabilities depend on the changed one.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from receivers.csi.delay_angle import agreeing, over_units
from receivers.csi.delay_angle_model import DelayAngleModel
from receivers.csi.similarity import sgcs

#: Changes of one index that are looked at in a round, those whose own error and bits say the most for them.
CHANGES = 16
#: Of them so many are made at once, the best first: whichever number is best.
_AT_ONCE = (1, 2, 3, 4, 6, 8, 12, 16)
#: Of every round the price of a bit, in squared error over the step's square, and what one too many costs besides: at
#: first reports may get a little too long, in the end they may not, and use what is left.
PRICES = ((0.09, 0.02), (0.09, 0.05), (0.09, 0.1), (0.06, 0.3), (0.02, 2.0))
#: Passes through the networks of a sample whose indices are changed.
PASSES = 1 + len(PRICES) * (1 + CHANGES + len(_AT_ONCE))
#: Reports whose changes go through the networks together.
_TOGETHER = 16
#: Bits by which single precision may be wrong.
_DOUBT = 0.01


class Search:
    """Indices of samples x that are best of what was tried, and short enough.

    model: in the precision of x. x complex [batch, num_units, 2 n2, n1]. most [batch]: bits. best [batch]: their
    similarity. step [batch]: of the quantiser, 0 where nothing has fitted.
    """

    def __init__(self, model: DelayAngleModel, x: Tensor) -> None:
        self._model, self._x = model, x
        self.most = np.zeros(len(x))
        self.best, self.step, self.k = np.full(len(x), -1.0), np.zeros(len(x)), torch.zeros_like(x)

    def _tried(self, step: np.ndarray, weight: np.ndarray) -> tuple[Tensor, np.ndarray]:
        steps = self._as_tensor(step)
        _, turned = self._model.quantised(self._x, steps)
        k, bits = self._model.chosen(turned, steps, self._as_tensor(weight))
        return k, bits.numpy().astype(float) + _DOUBT

    def _as_tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._x.real.dtype)

    def bits_at(self, step: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Bits of a step and a price of bits."""
        return self._tried(step, weight)[1]

    @torch.no_grad()
    def try_with(self, step: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Whether it fits; it is kept where it is better than what is there."""
        found, bits = self._tried(step, weight)
        worth = _similarity(self._x, self._model.restoration(found, self._as_tensor(step))).numpy().astype(float)
        fits = bits <= self.most
        self._take((worth > self.best) & fits, worth, step, found)
        return np.asarray(fits)

    def take_better(self, other: Search) -> Tensor:
        """Take over the samples of another search that are better there, and say which, bool [batch]."""
        better = other.best > self.best
        self.most = np.where(better, other.most, self.most)
        self._take(better, other.best, other.step, other.k)
        chosen = torch.from_numpy(better)
        self._x = torch.where(chosen[:, None, None, None], other._x, self._x)
        return chosen

    def _take(self, better: np.ndarray, worth: np.ndarray, step: np.ndarray, k: Tensor) -> None:
        self.best, self.step = np.where(better, worth, self.best), np.where(better, step, self.step)
        self.k = torch.where(torch.from_numpy(better)[:, None, None, None], k, self.k)

    @torch.no_grad()
    def improve(self) -> None:
        """Change indices where the whole is better by it, and short enough, round by round."""
        coded = np.flatnonzero(self.step > 0)
        for first in range(0, len(coded), _TOGETHER):
            rows = coded[first : first + _TOGETHER]
            at = torch.from_numpy(rows)
            changes = _Changes(
                self._model,
                self._x[at],
                self._as_tensor(self.step[rows]),
                self._as_tensor(self.most[rows] - _DOUBT),
                self.k[at],
            )
            for price, penalty in PRICES:
                changes.round(price, penalty)
            self.k[at], self.best[rows] = changes.k, changes.worth.numpy()


class _Changes:
    """Rounds of changes of some samples.

    step, most [batch]. k: the best indices that are short enough; worth [batch]: their similarity.
    """

    def __init__(self, model: DelayAngleModel, x: Tensor, step: Tensor, most: Tensor, k: Tensor) -> None:
        self._model, self._x, self._step, self._most = model, x, step, most
        self._now, self.k = k, k
        bits, worth = self._measured(k[:, None])
        self._bits, self._worth = bits[:, 0], worth[:, 0]
        self.worth = self._worth

    def round(self, price: float, penalty: float) -> None:
        """Look at changes and make those that are best. price: of a bit; penalty: of one more than there may be."""
        turned = agreeing(self._x, self._model.restoration(self._now, self._step))
        of_bit = price + penalty * (self._bits > self._most).to(self._step.dtype)
        gain, other = self._model.alternatives(self._now, turned, self._step, of_bit)
        places = gain.flatten(1).topk(min(CHANGES, gain[0].numel()), largest=False).indices
        values = other.flatten(1).gather(1, places)
        now, count = self._now.flatten(1), places.shape[1]
        single = now[:, None].repeat(1, count, 1).scatter(2, places[..., None], values[..., None])
        before = self._cost(self._bits[:, None], self._worth[:, None], price, penalty)
        bits, worth = self._measured(single.unflatten(2, self._now.shape[1:]))
        gains = self._cost(bits, worth, price, penalty) - before
        order = gains.argsort(dim=1, stable=True)
        places, values, useful = (part.gather(1, order) for part in (places, values, gains < 0))
        sets = [now]
        for number in range(count):
            place = places[:, number : number + 1]
            value = torch.where(useful[:, number : number + 1], values[:, number : number + 1], now.gather(1, place))
            sets.append(sets[-1].scatter(1, place, value))
        several = torch.stack([sets[size] for size in _AT_ONCE if size <= count], 1)
        bits, worth = self._measured(several.unflatten(2, self._now.shape[1:]))
        costs, best = self._cost(bits, worth, price, penalty).min(1, keepdim=True)
        better = (costs < before)[:, 0]
        found = several.gather(1, best[..., None].expand(-1, 1, several.shape[2]))[:, 0].view_as(self._now)
        self._now = torch.where(better[:, None, None, None], found, self._now)
        self._bits = torch.where(better, bits.gather(1, best)[:, 0], self._bits)
        self._worth = torch.where(better, worth.gather(1, best)[:, 0], self._worth)
        record = (self._worth > self.worth) & (self._bits <= self._most)
        self.k = torch.where(record[:, None, None, None], self._now, self.k)
        self.worth = torch.where(record, self._worth, self.worth)

    def _cost(self, bits: Tensor, worth: Tensor, price: float, penalty: float) -> Tensor:
        """Squared error over the step's square that goes with a similarity, and bits at their price; [batch, sets]."""
        error = self._model.num_units * (1 - worth) / self._step.square()[:, None]
        return error + price * bits + penalty * (bits - self._most[:, None]).clamp(min=0)

    def _measured(self, k: Tensor) -> tuple[Tensor, Tensor]:
        """Bits and similarity [batch, sets] of several sets of indices [batch, sets, ...]."""
        count = k.shape[1]
        found = [
            (self._model.contexts.bits(part, step), _similarity(x, self._model.restoration(part, step)))
            for part, x, step in zip(
                k.flatten(0, 1).split(_TOGETHER * CHANGES // 2),
                self._x.repeat_interleave(count, 0).split(_TOGETHER * CHANGES // 2),
                self._step.repeat_interleave(count, 0).split(_TOGETHER * CHANGES // 2),
                strict=True,
            )
        ]
        bits, worth = (torch.cat(parts).unflatten(0, (-1, count)) for parts in zip(*found, strict=True))
        return bits, worth


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """SGCS of coefficients over delays, mean over units, [batch]."""
    return sgcs(over_units(x).flatten(2), over_units(y).flatten(2)).mean(-1)
