"""The channel of every SRS port, and the noise."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError, bad_value
from ran.phy.config import Carrier, Srs
from ran.phy.srs.position import first_prb, num_prb_of, srs_subcarriers, srs_symbols
from ran.phy.srs.signal import base_sequence, comb_of_port, cyclic_shift_of_port, sequence_length

Method = Literal["lmmse", "ls"]
METHODS = ("lmmse", "ls")
#: Powers of the prior below this share of the channel's count as noise alone: a floor of -60 dB under the estimate.
_NOISE_SUBSPACE = 1e-6
#: Least noise that is told from none, as a share of the received power.
_LEAST_NOISE = 1e-8
_SCORING_STEPS = 8


@dataclass(frozen=True)
class SrsEstimate:
    """Channel and noise of a batch of slots.

    h: complex64 [batch, num_rx_ant, num_ports, num_srs_symbols, num_places], of ports of unit power.
    err_var: expected |h - h_hat|^2, float32 of the same shape: with "lmmse" under its prior, with "ls" that of
        the noise.
    noise_var: per resource element and antenna, float32 [batch, num_rx_ant].
    """

    h: Tensor
    err_var: Tensor
    noise_var: Tensor


class SrsEstimator:
    """Estimates the channels of the ports of one SRS in one slot; knows nothing of receivers or of the true channel.

    Each port's channel has delays within a window, uniformly distributed (the prior). The ports of a comb are told
    apart by their cyclic shifts, which move their windows apart in delay.
    "lmmse": the linear MMSE estimate of all ports of a comb together under that prior, with the powers of channel and
    noise of each slot and antenna. "ls": the mean over as few neighbouring pilots as make the cyclic shifts
    orthogonal, interpolated linearly; exact for a channel that is flat over these pilots.
    The noise is what is received in the directions where the prior has no power; short sequences have none, and the
    noise must then be given.

    carrier, srs: as sent. delays_s: the window (earliest, latest) in seconds relative to the receiver's timing;
    default: as long as half the distance of two ports in delay, a normal cyclic prefix at most, an eighth of it before
    the receiver's timing. places: subcarriers at which the channel is wanted, counted from the first of the
    transmission's PRBs, also outside of these ("ls" repeats its first and last estimate there); default: all of its
    PRBs. frame_number: counts for periodic SRS with hopping.
    `InputError` where windows of ports overlap.
    """

    def __init__(
        self,
        carrier: Carrier,
        srs: Srs,
        method: Method = "lmmse",
        delays_s: tuple[float, float] | None = None,
        places: np.ndarray | None = None,
        frame_number: int = 0,
    ) -> None:
        if method not in METHODS:
            raise bad_value("method", method, ", ".join(METHODS))
        self.carrier, self.srs, self.method = carrier, srs, method
        self.symbols = srs_symbols(carrier, srs)
        self.delays_s = self._window(delays_s)
        #: First subcarrier of the transmission in each of its symbols; places count from it.
        self.first_subcarriers = tuple(
            12 * first_prb(carrier, srs, index, frame_number) for index in range(srs.num_symbols)
        )
        self.places = np.arange(12 * num_prb_of(srs)) if places is None else np.asarray(places)
        self._combs = [
            _Comb.build(carrier, srs, comb, self.delays_s, self.places)
            for comb in sorted({comb_of_port(srs, port) for port in range(srs.num_ports)})
        ]
        self._subcarriers = [
            [srs_subcarriers(carrier, srs, comb.offset, index, frame_number) for index in range(srs.num_symbols)]
            for comb in self._combs
        ]
        self._sequences = torch.from_numpy(
            np.stack([base_sequence(carrier, srs, index) for index in range(srs.num_symbols)])
        )

    def _window(self, given: tuple[float, float] | None) -> tuple[float, float]:
        srs, spacing_hz = self.srs, self.carrier.subcarrier_spacing_hz
        distance = _shift_distance(srs) / (srs.max_cyclic_shifts * srs.comb * spacing_hz)
        if given is None:
            length = min(0.5 * distance, 144 / 2048 / spacing_hz)
            return (-length / 8, 7 * length / 8)
        earliest, latest = given
        if not 0 < latest - earliest < distance:
            raise InputError(
                f"delays_s: got {earliest:g} to {latest:g} s; allowed: windows longer than 0 and shorter than "
                f"{distance:.4g} s, the distance of two ports in delay (comb {srs.comb}, {srs.num_ports} ports)"
            )
        return (earliest, latest)

    @property
    def measures_noise(self) -> bool:
        """Whether the sequences are long enough to measure the noise beside the channel."""
        return any(bool((comb.eigenvalues <= self._floor).any()) for comb in self._combs)

    @property
    def _floor(self) -> float:
        return _NOISE_SUBSPACE * len(self._combs[0].ports)

    def __call__(self, y: Tensor, noise_var: Tensor | None = None) -> SrsEstimate:
        """Estimate from received grids, complex [batch, num_rx_ant, num_symbols, num_subcarriers] of the carrier.

        noise_var: per resource element and antenna, [batch, num_rx_ant]; measured where it is not given.
        `InputError` where it is neither given nor measurable.
        """
        expected = (self.carrier.num_symbols, self.carrier.num_subcarriers)
        if y.ndim != 4 or tuple(y.shape[2:]) != expected:
            raise bad_value("shape of y", tuple(y.shape), f"[batch, num_rx_ant, {expected[0]}, {expected[1]}]")
        return self.from_symbols(y[..., list(self.symbols), :], noise_var)

    def from_symbols(self, y: Tensor, noise_var: Tensor | None = None) -> SrsEstimate:
        """The same from the symbols of the SRS alone, [batch, num_rx_ant, num_srs_symbols, num_subcarriers]."""
        scale = self.srs.num_ports**0.5
        sequences = self._sequences.to(y.device).conj() * scale
        received = []
        for places in self._subcarriers:
            rows = [y[:, :, index, torch.from_numpy(where)] for index, where in enumerate(places)]
            received.append(torch.stack(rows, 2).to(torch.complex128) * sequences)
        inside = [z @ comb.basis.to(z.device).conj() for comb, z in zip(self._combs, received, strict=True)]
        given = None if noise_var is None else noise_var.to(y.device, torch.float64) * self.srs.num_ports
        # of a pilot with its sequence taken off: num_ports times those of a resource element
        of_port, variance = self._powers(inside, given)
        shape = (*y.shape[:2], self.srs.num_ports, self.srs.num_symbols, len(self.places))
        h = torch.empty(shape, dtype=torch.complex128, device=y.device)
        err_var = torch.empty(shape, dtype=torch.float64, device=y.device)
        for comb, z, turned in zip(self._combs, received, inside, strict=True):
            ports = list(comb.ports)
            lmmse = self.method == "lmmse"
            h[:, :, ports], err_var[:, :, ports] = (
                comb.lmmse(turned, of_port, variance) if lmmse else comb.ls(z, variance)
            )
        return SrsEstimate(
            h.to(torch.complex64), err_var.to(torch.float32), (variance / self.srs.num_ports).to(torch.float32)
        )

    def _powers(self, inside: list[Tensor], noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Powers [batch, num_rx_ant] of a port's channel and of the noise, as the pilots' powers in all directions say.

        Maximum likelihood by Fisher scoring: least squares of the powers on the prior's eigenvalues and a constant,
        weighted by the inverse squares of the powers that they explain.
        inside: pilots of each comb in the directions of its basis. noise: where it is known.
        """
        if noise is None and not self.measures_noise:
            earliest, latest = self.delays_s
            raise InputError(
                f"noise_var: got none for SRS sequences of {sequence_length(self.srs)} and delays from {earliest:.3g} "
                f"to {latest:.3g} s, which leave nothing to measure it by; allowed: a noise_var, longer sequences, or "
                "shorter delays_s"
            )
        power = torch.cat([z.abs().square().mean(2) for z in inside], -1)
        prior = torch.cat([comb.eigenvalues for comb in self._combs]).to(power.device)
        level = power.mean(-1)
        unit = torch.where(level > 0, level, torch.ones_like(level))
        p = power / unit[..., None]
        if noise is None:
            n = p[..., prior <= self._floor].mean(-1).clamp_min(_LEAST_NOISE)
        else:
            n = (noise / unit).clamp_min(_LEAST_NOISE)
        of_port = ((1 - n) / prior.mean()).clamp_min(_NOISE_SUBSPACE)
        for _ in range(_SCORING_STEPS):
            weight = (of_port[..., None] * prior + n[..., None]) ** -2
            gg, g, one = ((weight * prior**power_of).sum(-1) for power_of in (2, 1, 0))
            gp, op = (weight * prior * p).sum(-1), (weight * p).sum(-1)
            if noise is None:
                determinant = gg * one - g * g
                solvable = determinant > 1e-9 * gg * one
                n = torch.where(solvable, (gg * op - g * gp) / determinant, n).clamp_min(_LEAST_NOISE)
            of_port = ((gp - g * n) / gg).clamp_min(_NOISE_SUBSPACE)
        return of_port * level, (n * level if noise is None else noise)


@dataclass(frozen=True)
class _Comb:
    """The ports of one comb, and the covariance of what is received on it.

    basis: complex128 [M, M], the eigenvectors of the prior, those of most power last; eigenvalues [M], in the power of
    one port. cross: complex128 [ports, places, r], covariance of each port's channel at the places with the last r
    directions, those in which the prior has power.
    """

    ports: tuple[int, ...]
    offset: int
    shifts: tuple[float, ...]
    group: int
    basis: Tensor
    eigenvalues: Tensor
    cross: Tensor
    pilots: np.ndarray
    places: np.ndarray

    @classmethod
    def build(cls, carrier: Carrier, srs: Srs, offset: int, delays_s: tuple[float, float], places: np.ndarray) -> _Comb:
        ports = tuple(port for port in range(srs.num_ports) if comb_of_port(srs, port) == offset)
        numbers = [cyclic_shift_of_port(srs, port) for port in ports]
        shifts = tuple(number / srs.max_cyclic_shifts for number in numbers)
        length = sequence_length(srs)
        pilots = offset + srs.comb * np.arange(length)
        window = tuple(delay * carrier.subcarrier_spacing_hz for delay in delays_s)
        covariance = _covariance(pilots[:, None] - pilots, window)
        turns = np.exp(2j * np.pi * np.outer(shifts, np.arange(length)))
        whole = np.einsum("pm,mn,pn->mn", turns, covariance, turns.conj())
        values, vectors = np.linalg.eigh(whole)
        keep = values > _NOISE_SUBSPACE * len(ports)
        towards = _covariance(places[:, None] - pilots, window)
        cross = np.einsum("km,pm,mr->pkr", towards, turns.conj(), vectors[:, keep])
        # pilots over which the cyclic shifts of the ports become orthogonal
        apart = srs.max_cyclic_shifts
        for number in numbers:
            apart = gcd(apart, number - numbers[0])
        return cls(
            ports=ports,
            offset=offset,
            shifts=shifts,
            group=srs.max_cyclic_shifts // apart,
            basis=torch.from_numpy(vectors),
            eigenvalues=torch.from_numpy(values.clip(0)),
            cross=torch.from_numpy(cross),
            pilots=pilots,
            places=places,
        )

    def lmmse(self, inside: Tensor, of_port: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """inside [batch, num_rx_ant, symbols, M]: pilots in the basis. of_port, noise [batch, num_rx_ant]: powers."""
        cross = self.cross.to(inside.device)
        rank = cross.shape[-1]
        of_port = of_port[..., None]
        total = of_port * self.eigenvalues[-rank:].to(inside.device) + noise[..., None]
        gain = torch.where(total > 0, of_port / total, torch.zeros_like(total))
        h = torch.einsum("pkr,basr->bapsk", cross, inside[..., -rank:] * gain[..., None, :])
        known = torch.einsum("pkr,bar->bapk", cross.abs().square(), gain)
        err_var = of_port[..., None] * (1 - known).clamp_min(0)
        return h, err_var[:, :, :, None, :].expand(h.shape)

    def ls(self, z: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        length = z.shape[-1]
        n = torch.arange(length, device=z.device, dtype=torch.float64)
        turns = torch.exp(-2j * torch.pi * torch.tensor(self.shifts, device=z.device, dtype=torch.float64)[:, None] * n)
        means = (z[:, :, None] * turns[:, None]).unflatten(-1, (length // self.group, self.group)).mean(-1)
        centres = self.pilots.reshape(-1, self.group).mean(1)
        at = np.interp(self.places, centres, np.arange(len(centres)))
        low = np.minimum(np.floor(at).astype(int), max(len(centres) - 2, 0))
        high = np.minimum(low + 1, len(centres) - 1)
        share = torch.from_numpy(at - low).to(z.device)
        h = means[..., torch.from_numpy(low)] * (1 - share) + means[..., torch.from_numpy(high)] * share
        # two independent means where it interpolates
        factor = torch.where(torch.from_numpy(low == high).to(z.device), 1.0, (1 - share) ** 2 + share**2)
        err_var = noise[..., None, None, None] * factor / self.group
        return h, err_var.expand(h.shape)


def _covariance(distance: np.ndarray, window: tuple[float, ...]) -> np.ndarray:
    """E[h(k) h*(k')] of delays that are uniform in a window, in symbols: sinc, with the phase of the mean delay."""
    earliest, latest = window
    covariance: np.ndarray = np.sinc(distance * (latest - earliest)) * np.exp(
        -1j * np.pi * distance * (earliest + latest)
    )
    return covariance


def _shift_distance(srs: Srs) -> int:
    """The smallest distance of two cyclic shifts on a comb, around the circle."""
    most = srs.max_cyclic_shifts
    found = [most]
    for one in range(srs.num_ports):
        for other in range(one):
            if comb_of_port(srs, one) == comb_of_port(srs, other):
                found.append((cyclic_shift_of_port(srs, one) - cyclic_shift_of_port(srs, other)) % most)
                found.append(most - found[-1])
    return min(found)
