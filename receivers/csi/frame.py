"""The frame in which precoders are compressed: beams and delays around the strongest, without phases nobody sees.

The phase of a precoder in every subband is of no account, and with it a common delay. With a base, a coarser precoder
that both sides know, the frame is that of the base: its strongest beam and polarisation come first, and every subband
is turned to agree in phase with it. Without one, the strongest coefficient over beams and delays comes first, with
phase 0, and where it was is lost: a codebook does not have to say it either.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from receivers.errors import bad_value

#: Beams per port and direction among which the strongest is looked for.
_OVERSAMPLING = 4
_ALIGNED_TAPS = 4
_ALIGNED_ROUNDS = 4


@dataclass(frozen=True)
class Frame:
    """Of a batch of precoders: what leads from ports and subbands to beams and delays.

    turn complex64 [batch, 1, 1, n1, n2]: takes the strongest beam to the first. swapped bool [batch]: whether the
    polarisations change places. shape: (n1, n2).
    """

    turn: Tensor
    swapped: Tensor
    shape: tuple[int, int]

    @classmethod
    def around(cls, base: Tensor, shape: tuple[int, int]) -> Frame:
        """The frame of a base, complex64 [batch, num_units, num_ports]."""
        check_ports(base, shape)
        n1, n2 = shape
        fields = base.unflatten(-1, (2, n1, n2))
        over = (_OVERSAMPLING * n1, _OVERSAMPLING * n2 if n2 > 1 else 1)
        power = torch.fft.fft2(fields, over, (-2, -1)).abs().square().sum(1)
        place = power.flatten(1).argmax(-1)
        per_polarisation = over[0] * over[1]
        inside = place % per_polarisation
        across = (inside // over[1]).float()[:, None] * torch.arange(n1, device=base.device) / over[0]
        up = (inside % over[1]).float()[:, None] * torch.arange(n2, device=base.device) / over[1]
        angle = -2 * torch.pi * (across[:, :, None] + up[:, None, :])
        turn = torch.polar(torch.ones_like(angle), angle)[:, None, None]
        return cls(turn, place // per_polarisation == 1, shape)

    def enter(self, v: Tensor) -> Tensor:
        """Ports and units to beams and delays, complex64 [batch, num_units, num_ports] both; norms stay."""
        fields = v.unflatten(-1, (2, *self.shape)) * self.turn
        fields = torch.where(self.swapped[:, None, None, None, None], fields.flip(2), fields)
        beams = torch.fft.fft2(fields, dim=(-2, -1), norm="ortho").flatten(2)
        return torch.fft.fft(beams, dim=1, norm="ortho")

    def leave(self, x: Tensor) -> Tensor:
        """The inverse of `enter`."""
        beams = torch.fft.ifft(x, dim=1, norm="ortho").unflatten(-1, (2, *self.shape))
        fields = torch.fft.ifft2(beams, dim=(-2, -1), norm="ortho")
        fields = torch.where(self.swapped[:, None, None, None, None], fields.flip(2), fields)
        return (fields * self.turn.conj()).flatten(2)


def check_ports(v: Tensor, shape: tuple[int, int]) -> None:
    """`ValueError` unless v is [batch, num_units, num_ports] with the ports of two polarisations of the layout."""
    if v.ndim != 3 or v.shape[-1] != 2 * shape[0] * shape[1]:
        raise bad_value("v", tuple(v.shape), f"[batch, num_units, {2 * shape[0] * shape[1]}], ports of {shape}")


def in_phase(v: Tensor, base: Tensor) -> Tensor:
    """v with every unit turned to agree with the base in phase; both complex64 [batch, num_units, num_ports]."""
    inner = (base.conj() * v).sum(-1, keepdim=True)
    return v * torch.exp(-1j * inner.angle())


def first_in_place(v: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Frame]:
    """Precoders without a base in beams and delays, the strongest coefficient at delay 0 with phase 0; and the frame,
    which is the same for all: nothing about it has to be reported."""
    check_ports(v, shape)
    products = (v[:, :-1].conj() * v[:, 1:]).sum(-1).angle().cumsum(1)
    v = v * torch.exp(-1j * torch.cat([torch.zeros_like(products[:, :1]), products], 1))[..., None]
    ones = torch.ones(len(v), 1, 1, *shape, dtype=v.dtype, device=v.device)
    frame = Frame(ones, torch.zeros(len(v), dtype=torch.bool, device=v.device), shape)
    x = frame.enter(v)
    for _ in range(_ALIGNED_ROUNDS):
        power = x.abs().square().sum(-1)
        least = power.topk(min(_ALIGNED_TAPS, power.shape[1]), 1).values[:, -1:]
        wanted = torch.where((power >= least)[..., None], x, torch.zeros_like(x))
        x = frame.enter(in_phase(frame.leave(x), frame.leave(wanted)))
    place = x.abs().flatten(1).argmax(1)
    tap = place // x.shape[-1]
    order = (torch.arange(x.shape[1], device=v.device) + tap[:, None]) % x.shape[1]
    x = x.gather(1, order[..., None].expand_as(x))
    strongest = x[:, 0].gather(1, (place % x.shape[-1])[:, None])[..., None]
    return x * torch.exp(-1j * strongest.angle()), frame


def as_real(x: Tensor) -> Tensor:
    """complex64 [batch, num_units, n] as float32 [batch, num_units, 2 n]: real parts, then imaginary parts."""
    return torch.cat([x.real, x.imag], -1)


def as_complex(x: Tensor) -> Tensor:
    """The inverse of `as_real`."""
    real, imaginary = x.float().chunk(2, -1)
    return torch.complex(real.contiguous(), imaginary.contiguous())


def unit_norm(v: Tensor) -> Tensor:
    """v [..., num_ports] with norm 1."""
    norm = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    return v / torch.where(norm > 0, norm, torch.ones_like(norm))
