"""The contract of `channels.Channel`."""

from __future__ import annotations

import numpy as np
import torch

from channels import Channel

_TIMES_S = np.arange(14) * 0.5e-3 / 14
_FREQUENCIES_HZ = (np.arange(24) - 11.5) * 30e3
#: Draws behind the mean power, and how many standard deviations it may be off.
_DRAWS, _DEVIATIONS = 1024, 5
_ANTENNAS = (2, 1)


def _generators(drops: range) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[11, drop])) for drop in drops]


def _response(channel: Channel, drops: range) -> torch.Tensor:
    return channel.response(_generators(drops), *_ANTENNAS, _TIMES_S, _FREQUENCIES_HZ)


def _shape(channel: Channel) -> str:
    h, expected = _response(channel, range(3)), (3, *_ANTENNAS, 14, 24)
    if tuple(h.shape) != expected:
        return f"response: got shape {tuple(h.shape)}; allowed: {expected}"
    return "" if h.dtype == torch.complex64 else f"response: got {h.dtype}; allowed: torch.complex64"


def _contiguous(channel: Channel) -> str:
    return "" if _response(channel, range(2)).is_contiguous() else "response: got a strided view; allowed: contiguous"


def _finite(channel: Channel) -> str:
    finite = torch.isfinite(torch.view_as_real(_response(channel, range(16)))).all()
    return "" if finite else "response: got NaN or infinity; allowed: finite numbers"


def _repeats(channel: Channel) -> str:
    with torch.random.fork_rng(devices=[]):
        first = _response(channel, range(2))
        torch.manual_seed(99)
        state = np.random.get_state()  # noqa: NPY002 - whether a user's class draws from the global generator
        np.random.seed(99)  # noqa: NPY002
        try:
            again = _response(channel, range(2))
        finally:
            np.random.set_state(state)  # noqa: NPY002
    return "" if torch.equal(first, again) else "a draw differs with equal generators: it uses another source of chance"


def _alone(channel: Channel) -> str:
    whole, alone = _response(channel, range(4)), _response(channel, range(2, 3))
    return "" if torch.equal(whole[2:3], alone) else "a drop differs with the batch that it is in"


def _differ(channel: Channel) -> str:
    if getattr(channel, "name", "") == "awgn":
        return ""
    h = _response(channel, range(2))
    return "" if not torch.equal(h[0], h[1]) else "two generators give one draw: it uses none of their numbers"


def _power(channel: Channel) -> str:
    if channel.has_absolute_gains:
        return ""
    h = channel.response(_generators(range(_DRAWS)), *_ANTENNAS, _TIMES_S[:1], _FREQUENCIES_HZ[:1])
    power = h.abs().square().double().flatten(1)
    # gains are at most exponentially distributed where nothing is known of them
    deviation = power.std(0).clamp(min=1.0) / _DRAWS**0.5
    off = ((power.mean(0) - 1).abs() / deviation).max()
    mean = float(power.mean())
    return "" if off < _DEVIATIONS else f"mean power per antenna pair: got {mean:.3f}; allowed: 1"


CHANNEL_TESTS = {
    "shape and type": _shape,
    "contiguous": _contiguous,
    "finite": _finite,
    "repeats with equal generators": _repeats,
    "a drop does not depend on its batch": _alone,
    "drops differ": _differ,
    "unit mean power": _power,
}
