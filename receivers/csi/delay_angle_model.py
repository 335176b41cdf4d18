"""A learned coder of precoders: quantised coefficients over delays and beams, whose probabilities a network knows.

Codebooks spend as many bits on every coefficient that they report. Here a uniform quantiser with a wide zero makes
whole numbers, a network that has seen many channels says how likely each is after those before it, and an arithmetic
coder writes them: a large coefficient next to a large one costs little, and nothing where nothing is to be expected
costs next to nothing. A second network restores coefficients from the numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.csi.delay_angle import agreeing
from receivers.csi.entropy_model import LARGEST, ContextModel, Restoration, bits_of
from receivers.errors import bad_value

#: A value is rounded up from so much above a whole number; a half would be rounding.
_DEADZONE = 0.64
#: Rounds in which phases of units, which nobody sees, are turned to what the quantiser makes of them.
_ROUNDS = 2


class DelayAngleModel(nn.Module):
    """Probabilities of quantised coefficients, and their restoration.

    num_units: subbands. n1, n2: layout of the ports. width, restoration_width: of both networks. restoration_rounds:
    of exchange between coefficients in the second. reach: how far around a coefficient both look, 1 or 2.
    """

    def __init__(
        self,
        num_units: int = 13,
        n1: int = 8,
        n2: int = 2,
        width: int = 80,
        restoration_width: int = 48,
        restoration_rounds: int = 0,
        reach: int = 1,
    ) -> None:
        super().__init__()
        for name, value in (("num_units", num_units), ("n1", n1), ("n2", n2), ("width", width)):
            if value < 1:
                raise bad_value(name, value, "1 or more")
        if not 0 <= restoration_rounds <= 8:
            raise bad_value("restoration_rounds", restoration_rounds, "0 to 8")
        if reach not in (1, 2):
            raise bad_value("reach", reach, "1 or 2")
        self.num_units, self.shape = num_units, (n1, n2)
        self._sizes = width, restoration_width, restoration_rounds, reach
        self.contexts = ContextModel(num_units, n1, n2, width, reach)
        self.restoration = Restoration(num_units, n1, n2, restoration_width, restoration_rounds, reach)

    @torch.no_grad()
    def begin_as(self, other: DelayAngleModel) -> None:
        """Take the weights of a model that looks less far or exchanges less often, so that this one does the same
        before it is trained. `ValueError` where anything else differs."""
        (width, restoration_width, rounds, reach), of_other = self._sizes, other._sizes
        allowed = (self.num_units, self.shape, width, restoration_width)
        given = (other.num_units, other.shape, *of_other[:2])
        if (
            given != allowed
            or not of_other[2] <= rounds
            or not of_other[3] <= reach
            or (of_other[2] == 0) != (rounds == 0)
        ):
            raise bad_value("model", (*given, *of_other[2:]), f"{allowed}, no more rounds and no more reach")
        found, state = self.state_dict(), other.state_dict()
        for name, tensor in found.items():
            if name not in state:  # a round more adds nothing to what is exchanged
                tensor.zero_()
            elif tensor.shape == state[name].shape:
                tensor.copy_(state[name])
            elif name.endswith("enter.weight"):  # what is new is not looked at
                tensor.zero_()
                tensor[:, : state[name].shape[1]] = state[name]
            else:  # gains of what is new are 0
                part, old = (getattr(m, name.split(".")[0]) for m in (self, other))
                kept = len(tensor) - 2 * part.num_neighbours
                tensor.zero_()
                tensor[:kept] = state[name][:kept]
                for half in range(2):
                    to, of = kept + half * part.num_neighbours, kept + half * old.num_neighbours
                    tensor[to : to + old.num_neighbours] = state[name][of : of + old.num_neighbours]

    @torch.no_grad()
    def for_layout(self, n1: int, n2: int) -> DelayAngleModel:
        """The same networks over another layout of ports, without training: what they know of a place they know of the
        direction that it looks in, from the strongest coefficient."""
        found = DelayAngleModel(self.num_units, n1, n2, *self._sizes)
        columns, rows = _directions(n1, self.shape[0]), _directions(n2, self.shape[1])
        groups = torch.cat([rows, rows + self.shape[1]])
        state = self.state_dict()
        for name in ("contexts.place", "restoration.place"):
            state[name] = state[name][:, groups][:, :, columns]
        found.load_state_dict(state)
        return found.to(next(self.parameters()).dtype)

    @staticmethod
    def quantised(x: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the quantiser, complex of whole numbers, and x with the phases of units that they agree with.

        x complex [batch, num_units, 2 n2, n1]; step [batch].
        """
        size = step.to(x.real.dtype)[:, None, None, None]
        k = _dead(x, size)
        for _ in range(_ROUNDS - 1):
            x = agreeing(x, k)
            k = _dead(x, size)
        return k, x

    @torch.no_grad()
    def chosen(self, x: Tensor, step: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Indices chosen one after the other for the least squared error, over the step's square, plus `weight` times
        the bits; and these bits, [batch]. weight [batch]."""
        k, size = torch.zeros_like(x), torch.zeros_like(x.real)
        u = x / step.to(x.real.dtype)[:, None, None, None]
        bits = torch.zeros_like(step)
        for at in self.contexts.steps():
            weights, scales, mean = self.contexts.mixture(k, size, step, *at)
            wanted = u[:, at[0], at[1], at[2]]
            options = _options(wanted)
            costs = bits_of(
                options, weights[..., None, :], scales[..., None, :].expand(*options.shape, -1), mean[..., None]
            )
            best = ((options - wanted[..., None]).abs().square() + weight[:, None, None] * costs).argmin(
                -1, keepdim=True
            )
            taken = options.gather(-1, best)[..., 0]
            bits += costs.gather(-1, best)[..., 0].sum(1)
            k[:, at[0], at[1], at[2]], size[:, at[0], at[1], at[2]] = taken, torch.log1p(taken.abs())
        return k, bits

    @torch.no_grad()
    def alternatives(self, k: Tensor, x: Tensor, step: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Of every index the best other one, by its own error and bits alone, and how much more it costs, float [batch,
        num_units, 2 n2, n1]; errors and weight as of `chosen`."""
        known, size = torch.zeros_like(k), torch.zeros_like(x.real)
        u = x / step.to(x.real.dtype)[:, None, None, None]
        other, more = torch.zeros_like(k), torch.zeros_like(x.real)
        for at in self.contexts.steps():
            weights, scales, mean = self.contexts.mixture(known, size, step, *at)
            wanted, taken = u[:, at[0], at[1], at[2]], k[:, at[0], at[1], at[2]]
            options = torch.cat([_options(wanted), taken[..., None]], -1)
            bits = bits_of(
                options, weights[..., None, :], scales[..., None, :].expand(*options.shape, -1), mean[..., None]
            )
            costs = (options - wanted[..., None]).abs().square() + weight[:, None, None] * bits
            same = options == taken[..., None]
            least, which = torch.where(same, torch.inf, costs).min(-1, keepdim=True)
            more[:, at[0], at[1], at[2]] = (least - costs[..., -1:])[..., 0]
            other[:, at[0], at[1], at[2]] = options.gather(-1, which)[..., 0]
            known[:, at[0], at[1], at[2]], size[:, at[0], at[1], at[2]] = taken, torch.log1p(taken.abs())
        return more, other


def _directions(count: int, given: int) -> Tensor:
    """Of every beam, counted from the strongest in a circle, that of `given` ones which looks nearly there; int64
    [count]."""
    offset = (torch.arange(count) + count // 2) % count - count // 2
    return torch.round(offset * given / count).long() % given


def _dead(x: Tensor, step: Tensor) -> Tensor:
    def one(part: Tensor) -> Tensor:
        return torch.sign(part) * torch.floor(part.abs() / step + 1 - _DEADZONE).clamp(max=LARGEST)

    return torch.complex(one(x.real), one(x.imag))


def _options(u: Tensor) -> Tensor:
    """Indices that a value may get: each part rounded or one less, and 0; complex [..., 5]."""
    near = [part.round().clamp(-LARGEST, LARGEST) for part in (u.real, u.imag)]
    less = [torch.sign(part) * (part.abs() - 1).clamp(min=0) for part in near]
    pairs = [(near[0], near[1]), (near[0], less[1]), (less[0], near[1]), (less[0], less[1])]
    return torch.stack([*(torch.complex(*pair) for pair in pairs), torch.zeros_like(u)], -1)
