"""Precoders as few coefficients over delays and beams: the frame of a precoder that both sides need no base for.

Phase and norm of a precoder in every unit are of no account. They are chosen so that the coefficients over delays are
sparse, with the strongest at delay 0 and real: none of that has to be reported. What is reported is the rotation of the
beams (a fraction of their distance, as q1, q2 of the type II codebooks) and which beam and polarisation is the
strongest.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from receivers.csi.frame import check_ports

#: Rotations of the beams per direction with more than one port.
OVERSAMPLING = 4
#: Soft threshold of a coefficient while phases are found, over the norm of a unit's precoder.
_THRESHOLD = 0.1
_ROUNDS = 48
#: Of the norms with which units would agree best with what is wanted, in their logarithm; the whole of it would leave
#: units that fade to the noise of the quantiser.
_NORMS = 0.5
_LEAST, _MOST = 0.6, 1.5


class Sparse(NamedTuple):
    """Precoders in their frames.

    x complex64 [batch, num_units, 2 n2, n1]: coefficients by delay, by polarisation and row (the row changes fastest)
    and by column, the strongest first. rotation int64 [batch]: q1 * (rotations of the rows) + q2. place int64 [batch]:
    of the strongest coefficient, before it came first: (polarisation * n2 + row) * n1 + column.
    """

    x: Tensor
    rotation: Tensor
    place: Tensor


def num_rotations(shape: tuple[int, int]) -> int:
    """Rotations of the beams of a layout (n1, n2)."""
    return _over(shape[0]) * _over(shape[1])


def _over(ports: int) -> int:
    return OVERSAMPLING if ports > 1 else 1


def _turn(rotation: Tensor, shape: tuple[int, int]) -> Tensor:
    """Phases of the ports for every rotation, complex64 [batch, 1, 1, n1, n2]."""
    n1, n2 = shape
    q1, q2 = rotation // _over(n2), rotation % _over(n2)
    device = rotation.device
    across = q1[:, None].float() * torch.arange(n1, device=device) / (_over(n1) * n1)
    up = q2[:, None].float() * torch.arange(n2, device=device) / (_over(n2) * n2)
    angle = -2 * torch.pi * (across[:, :, None] + up[:, None, :])
    return torch.polar(torch.ones_like(angle), angle)[:, None, None]


def _beams(v: Tensor, rotation: Tensor, shape: tuple[int, int]) -> Tensor:
    """Ports to rotated beams, complex64 [batch, num_units, 2 n2, n1]; norms stay."""
    found = torch.fft.fft2(v.unflatten(-1, (2, *shape)) * _turn(rotation, shape), dim=(-2, -1), norm="ortho")
    return found.transpose(-1, -2).flatten(2, 3)


def _ports(b: Tensor, rotation: Tensor, shape: tuple[int, int]) -> Tensor:
    """The inverse of `_beams`."""
    fields = torch.fft.ifft2(b.unflatten(2, (2, shape[1])).transpose(-1, -2), dim=(-2, -1), norm="ortho")
    return (fields * _turn(rotation, shape).conj()).flatten(2)


def over_delays(b: Tensor) -> Tensor:
    """Units to delays, the second axis; norms stay."""
    return torch.fft.fft(b, dim=1, norm="ortho")


def over_units(x: Tensor) -> Tensor:
    """The inverse of `over_delays`."""
    return torch.fft.ifft(x, dim=1, norm="ortho")


def agreeing(x: Tensor, wanted: Tensor) -> Tensor:
    """x with the phase of every unit turned so that it agrees with what is wanted; both by delays, of one shape."""
    b, w = over_units(x), over_units(wanted)
    inner = (b.conj() * w).sum((2, 3), keepdim=True)
    return over_delays(b * torch.exp(1j * inner.angle()))


def approaching(x: Tensor, wanted: Tensor) -> Tensor:
    """`agreeing`, with the norms of units half the way to those that agree best; the mean power of units is 1."""
    b, w = over_units(x), over_units(wanted)
    inner = (b.conj() * w).sum((2, 3), keepdim=True)
    norm = torch.linalg.vector_norm(b, dim=(2, 3), keepdim=True)
    least = torch.finfo(norm.dtype).tiny
    best = inner.abs() / norm.clamp(min=least)
    geometric = best.clamp(min=least).log().mean(1, keepdim=True).exp()
    found = (best / geometric).pow(_NORMS).clamp(_LEAST, _MOST)
    found = found / found.square().mean(1, keepdim=True).sqrt()
    return over_delays(b * torch.exp(1j * inner.angle()) * (found / norm.clamp(min=least)))


def enter(v: Tensor, shape: tuple[int, int], choice: int = 0) -> Sparse:
    """The frame of precoders complex64 [batch, num_units, num_ports] of norm 1, and their coefficients in it.

    choice: which rotation, 0 for the sparsest beams, 1 for the next, below `num_rotations`.
    """
    check_ports(v, shape)
    rotation = _by_sparsity(v, shape)[:, choice]
    b = _beams(v, rotation, shape)
    x = over_delays(b * torch.exp(-1j * _drift(v))[..., None, None])
    # x is turned and scaled unit by unit to agree with its large coefficients, which get larger by that
    for _ in range(_ROUNDS):
        size = x.abs()
        x = approaching(x, torch.where(size > _THRESHOLD, x * (1 - _THRESHOLD / size.clamp(min=_THRESHOLD)), 0))
    place = x.abs().flatten(1).argmax(1)
    num_units, width = x.shape[1], x.shape[2] * x.shape[3]
    delay, place = place // width, place % width
    order = (torch.arange(num_units, device=v.device) + delay[:, None]) % num_units
    x = x.gather(1, order[..., None, None].expand_as(x))
    x = shifted(x, place)
    return Sparse(x * torch.exp(-1j * x[:, :1, :1, :1].angle()), rotation, place)


def leave(x: Tensor, rotation: Tensor, place: Tensor, shape: tuple[int, int]) -> Tensor:
    """Coefficients to precoders, complex64 [batch, num_units, num_ports], with phases of their own."""
    return _ports(over_units(shifted(x, place, back=True)), rotation, shape)


def shifted(x: Tensor, place: Tensor, back: bool = False) -> Tensor:
    """Beams in circles, and rows and polarisations exchanged, so that the place comes first; `back`: the inverse."""
    groups, n1 = x.shape[2:]
    group, column = place // n1, place % n1
    columns = (torch.arange(n1, device=x.device) + (-column if back else column)[:, None]) % n1
    # exclusive or keeps a polarisation's rows together and is its own inverse for 1, 2 or 4 rows
    half = groups // 2
    pol, row = torch.arange(groups, device=x.device) // half, torch.arange(groups, device=x.device) % half
    row_shift = (-(group % half) if back else group % half)[:, None]
    rows = (pol + (group // half)[:, None]) % 2 * half + (row + row_shift) % half
    x = x.gather(2, rows[:, None, :, None].expand_as(x))
    return x.gather(3, columns[:, None, None, :].expand_as(x))


def _drift(v: Tensor) -> Tensor:
    """Phases that make neighbouring units agree, float32 [batch, num_units]."""
    turned = (v[:, :-1].conj() * v[:, 1:]).sum(-1).angle().cumsum(1)
    return torch.cat([torch.zeros_like(turned[:, :1]), turned], 1)


def _by_sparsity(v: Tensor, shape: tuple[int, int]) -> Tensor:
    """Rotations [batch, num_rotations], the one first in which the fewest beams hold the power: the least sum of their
    amplitudes."""
    sums = []
    for number in range(num_rotations(shape)):
        rotation = torch.full((len(v),), number, device=v.device)
        sums.append(_beams(v, rotation, shape).abs().square().sum(1).sqrt().sum((1, 2)))
    return torch.stack(sums, 1).argsort(dim=1, stable=True)
