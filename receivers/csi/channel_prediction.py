"""Prediction of the channel one period after the last of several estimates: autoregressive, and learned.

Both work on what one user saw, without its speed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from receivers.errors import bad_value

#: Coefficients of the autoregressive filter, and the times that it needs for them.
_ORDER = 4
LEAST_TIMES = _ORDER + 1
#: Part of the power that the autoregressive filter takes for error.
_LOADING = 1e-3
#: Orders and loadings of the autoregressive filters that the network mixes; with the first alone it begins.
_FILTERS = ((_ORDER, _LOADING), (_ORDER, 3e-2), (2, _LOADING))
#: Orders and loadings of filters of every beam, for models that mix these, too: a beam holds few paths, which a
#: filter of some order predicts to the error of the estimates.
_OF_BEAMS = ((7, 1e-6), (6, 1e-4), (4, 1e-2))
#: Times that the first of these needs.
LEAST_TIMES_OF_BEAMS = _OF_BEAMS[0][0] + 1
#: Least error of a filter that the network tells from none, over the power.
_LEAST_ERROR = 1e-8
#: Of the mean power of beams, what a beam has at least.
_LEAST_POWER = 1e-9
#: Lags of the autocorrelations that the network sees.
_LAGS = 6


def autoregressive(h: np.ndarray, order: int = _ORDER) -> np.ndarray:
    """The next channel by an autoregressive filter, one for all antennas and frequencies of a user.

    h complex [batch, num_times, ...] at equal distances in time; order: 1 to num_times - 1. The coefficients are those
    of the least squared error over the user's own history (the covariance method, S. M. Kay, Modern Spectral
    Estimation, 1988, §7.3), with a small part of the power on the diagonal. Returns [batch, ...].
    """
    num_times = h.shape[1]
    if not 1 <= order < num_times:
        raise bad_value("order", order, f"1 to {num_times - 1}, below the number of times")
    x = torch.from_numpy(np.ascontiguousarray(h.reshape(len(h), num_times, -1)))
    weights = _filter_weights(x, order, _LOADING).numpy()
    return np.asarray(np.einsum("nt,nt...->n...", weights, h))


def _filter_weights(x: Tensor, order: int, loading: float) -> Tensor:
    """Weights of all times, of the type of x [batch, num_times]; x complex [batch, num_times, ...]."""
    return _filter(x, order, loading)[0]


def _filter(x: Tensor, order: int, loading: float, least: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`_filter_weights`, and the filter's error over the power, both over the history; float64 [batch]. least [batch]:
    power that is taken where there is less."""
    flat = x.flatten(2).to(torch.complex128)
    products = flat.conj() @ flat.transpose(1, 2)
    num_times = x.shape[1]
    rows = torch.arange(order, num_times)
    past = rows[:, None] - 1 - torch.arange(order)
    covariance = products[:, past[:, :, None], past[:, None, :]].sum(1)
    cross = products[:, past, rows[:, None]].sum(1)
    power = covariance.diagonal(dim1=1, dim2=2).real.mean(1)
    if least is not None:
        power = power + least
    loaded = covariance + loading * power[:, None, None] * torch.eye(order)
    found = torch.linalg.solve(loaded, cross[..., None])[..., 0]
    weights = torch.zeros(x.shape[:2], dtype=found.dtype)
    weights[:, num_times - 1 - torch.arange(order)] = found
    wanted = products[:, rows, rows].real.sum(1)
    explained = 2 * (found.conj() * cross).sum(1) - (found.conj() * (covariance @ found[..., None])[..., 0]).sum(1)
    error = ((wanted - explained.real) / power.clamp(min=torch.finfo(power.dtype).tiny)).clamp(min=_LEAST_ERROR)
    return weights.to(x.dtype), error


def autoregressive_of_beams(h: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The next channel by autoregressive filters of 7 coefficients, one for every beam of a user, over all delays.

    h complex64 [batch, num_times, num_rx_ant, num_ports, num_prb] at equal distances in time, num_times at least
    `LEAST_TIMES_OF_BEAMS`; shape: (n1, n2) of the ports. Returns [batch, num_rx_ant, num_ports, num_prb].
    """
    if h.shape[1] < LEAST_TIMES_OF_BEAMS:
        raise bad_value("num_times", h.shape[1], f"{LEAST_TIMES_OF_BEAMS} or more")
    fields = torch.from_numpy(np.ascontiguousarray(h)).unflatten(3, (2, *shape))
    beams = torch.fft.fftn(fields, dim=(-3, -2), norm="ortho").flatten(2, 3)
    predicted = _of_beams(beams, _OF_BEAMS[:1])[0][0].unflatten(1, (-1, 2))
    return torch.fft.ifftn(predicted, dim=(-3, -2), norm="ortho").flatten(2, 4).numpy()


def _of_beams(x: Tensor, filters: Sequence[tuple[int, float]]) -> tuple[list[Tensor], list[Tensor]]:
    """What filters of every beam predict, of the shape of x [batch, num_times, num_rx_ant * 2, n1, n2, ...] without
    times, and their errors [batch, n1, n2]. filters: orders and loadings."""
    shape = x.shape[3:5]
    beams = x.permute(0, 3, 4, 1, 2, 5).flatten(0, 2)
    power = beams.abs().square().double().flatten(1).mean(1).unflatten(0, (len(x), -1))
    least = (_LEAST_POWER * beams[0].numel() * power.mean(1, keepdim=True)).expand_as(power).flatten()
    found, errors = [], []
    for order, loading in filters:
        weights, error = _filter(beams, order, loading, least)
        of_beam = weights.unflatten(0, (len(x), *shape))
        found.append(torch.einsum("nabt,ntpabd->npabd", of_beam, x))
        errors.append(error.unflatten(0, (len(x), *shape)))
    return found, errors


class ChannelPrediction(nn.Module):
    """Filters over time for every beam and delay, chosen by a network from the autocorrelations seen there.

    num_times: estimates that are seen. n1, n2: layout of the base station's ports. width: of the network. beam_filters:
    whether autoregressive filters of every beam are mixed, too, and the network sees the errors of all filters.

    A beam and delay holds few paths, whose Doppler shifts are close together: its channel turns at a rate of its own,
    also where that is faster than the estimates come. The network sees how fast the correlation falls after that
    rotation is undone, not the phases, and answers with the weights of a filter over the rotated estimates, and of
    what autoregressive filters of the user predict there. Before training it is such a filter.
    """

    def __init__(
        self, num_times: int = 10, n1: int = 8, n2: int = 2, width: int = 64, beam_filters: bool = False
    ) -> None:
        super().__init__()
        least = max(order for order, _ in _OF_BEAMS)
        if beam_filters and num_times <= least:
            raise bad_value("num_times", num_times, f"{least + 1} or more with beam_filters")
        if num_times <= _LAGS:
            raise bad_value("num_times", num_times, f"{_LAGS + 1} or more")
        self.num_times, self.shape, self.beam_filters = num_times, (n1, n2), beam_filters
        filters = len(_FILTERS) + (len(_OF_BEAMS) if beam_filters else 0)
        self.num_features = 4 * _LAGS + (filters if beam_filters else 0)
        self.layers = nn.Sequential(nn.Linear(self.num_features, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.leave = nn.Linear(width, 2 * (num_times + filters))
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        with torch.no_grad():
            self.leave.bias[num_times] = 1.0

    def forward(self, h: Tensor) -> Tensor:
        """The next channel, complex64 [batch, num_rx_ant, num_ports, num_prb], of [batch, num_times, ...]."""
        if h.ndim != 5 or h.shape[1] != self.num_times or h.shape[3] != 2 * self.shape[0] * self.shape[1]:
            raise bad_value(
                "h",
                tuple(h.shape),
                f"[batch, {self.num_times}, num_rx_ant, {2 * self.shape[0] * self.shape[1]}, num_prb]",
            )
        x = self.to_places(h)
        return self.from_places(self.predicted(x))

    def to_places(self, h: Tensor) -> Tensor:
        """Channels [batch, ..., num_rx_ant, num_ports, num_prb] over beams and delays: [batch, ..., num_rx_ant * 2,
        n1, n2, num_prb]."""
        fields = torch.fft.fftn(h.unflatten(-2, (2, *self.shape)), dim=(-3, -2, -1), norm="ortho")
        return fields.flatten(-5, -4)

    def from_places(self, x: Tensor) -> Tensor:
        """The inverse of `to_places`."""
        fields = torch.fft.ifftn(x, dim=(-3, -2, -1), norm="ortho")
        return fields.unflatten(-4, (-1, 2)).flatten(-4, -2)

    def predicted(self, x: Tensor) -> Tensor:
        """The next coefficients over beams and delays; x [batch, num_times, num_rx_ant * 2, n1, n2, num_prb]."""
        with torch.no_grad():
            power = x.abs().square().mean((1, 2))
            lags = torch.stack([(x[:, lag:] * x[:, :-lag].conj()).mean((1, 2)) for lag in range(1, _LAGS + 1)], -1)
            features, turn = self._features(power, lags)
            times = torch.arange(self.num_times, device=x.device) - (self.num_times - 1)
            # [batch, time, 1, n1, n2, delay]
            rotation = torch.polar(torch.ones_like(turn), turn)[:, None]
            shape = (1, -1, *(1,) * (rotation.ndim - 2))
            still = x * (rotation.conj() ** times.reshape(shape))[:, :, None]
            filters = [_filter(x, order, loading) for order, loading in _FILTERS]
            found = [torch.einsum("nt,nt...->n...", weights, x) for weights, _ in filters]
            if self.beam_filters:
                of_beams, errors = _of_beams(x, _OF_BEAMS)
                found += of_beams
                errors = [error[:, None, None].expand(*x.shape[:1], *self.shape) for _, error in filters] + errors
                seen = 0.25 * torch.log10(torch.stack(errors, -1)).to(features.dtype)
                features = torch.cat([features, seen[..., None, :].expand(*features.shape[:-1], -1)], -1)
            predictions = torch.stack(found, 1)
        real, imaginary = self.network(features).chunk(2, -1)
        weights = torch.complex(real, imaginary).movedim(-1, 1)[:, :, None]
        count = self.num_times
        return (weights[:, :count] * still).sum(1) * rotation + (weights[:, count:] * predictions).sum(1)

    def network(self, features: Tensor) -> Tensor:
        """Real and imaginary weights, [..., 2 * (num_times + num_filters)], of features [..., num_features]."""
        found: Tensor = self.leave(self.layers(features))
        return found

    def _features(self, power: Tensor, lags: Tensor) -> tuple[Tensor, Tensor]:
        """Features [batch, n1, n2, delay, num_features] and the rotation of a period [batch, n1, n2, delay]."""
        overall = power.mean((1, 2, 3), keepdim=True)
        own = lags / (power + 1e-6 * overall)[..., None]
        around = _around(lags) / (_around(power[..., None]) + 1e-6 * overall[..., None])
        whole = (lags.mean((1, 2, 3), keepdim=True) / overall[..., None]).expand_as(own)
        turn = around[..., 0].angle()
        undone = torch.polar(torch.ones_like(turn), -turn)[..., None] ** torch.arange(1, _LAGS + 1, device=turn.device)
        strength = torch.log(power / overall + 1e-4)[..., None]
        own, around = own * undone, around * undone
        features = [own.real, around.real, around.imag, whole.abs()[..., :-1], 0.3 * strength]
        return torch.cat(features, -1), turn


def _around(x: Tensor) -> Tensor:
    """Sums with the places next to each, over columns of beams and over delays; [batch, n1, n2, delay, values]."""
    x = x + x.roll(1, 1) + x.roll(-1, 1)
    return x + x.roll(1, 3) + x.roll(-1, 3)
