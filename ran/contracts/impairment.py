"""The contract of `channels.impairments.Impairment`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from channels.impairments import Impairment

_RATE_HZ = 30.72e6


def _generators(drops: range) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[11, drop])) for drop in drops]


def _signal(num_drops: int = 3, num_samples: int = 1000) -> Tensor:
    numbers = np.random.default_rng(8).standard_normal((num_drops, 2, num_samples, 2)) * 0.5**0.5
    return torch.from_numpy(numbers.view(np.complex128)[..., 0]).to(torch.complex64)


def _shape(impairment: Impairment) -> str:
    waveform = _signal()
    out = impairment(waveform, _RATE_HZ, _generators(range(3)))
    if not isinstance(out, Tensor) or out.shape != waveform.shape:
        given = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        return f"waveform: got {given}; allowed: {tuple(waveform.shape)}"
    return "" if out.dtype == waveform.dtype else f"waveform: got {out.dtype}; allowed: {waveform.dtype}"


def _finite(impairment: Impairment) -> str:
    for what, waveform in (("samples", _signal()), ("silence", torch.zeros(3, 2, 1000, dtype=torch.complex64))):
        out = impairment(waveform, _RATE_HZ, _generators(range(3)))
        if not bool(torch.isfinite(torch.view_as_real(out)).all()):
            return f"of {what}: got NaN or infinity; allowed: finite numbers"
    return ""


def _untouched(impairment: Impairment) -> str:
    waveform = _signal()
    impairment(waveform, _RATE_HZ, _generators(range(3)))
    return "" if torch.equal(waveform, _signal()) else "the waveform that it was given is another afterwards"


def _repeats(impairment: Impairment) -> str:
    with torch.random.fork_rng(devices=[]):
        first = impairment(_signal(), _RATE_HZ, _generators(range(3)))
        torch.manual_seed(99)
        state = np.random.get_state()  # noqa: NPY002 - whether a user's class draws from the global generator
        np.random.seed(99)  # noqa: NPY002
        try:
            again = impairment(_signal(), _RATE_HZ, _generators(range(3)))
        finally:
            np.random.set_state(state)  # noqa: NPY002
    return "" if torch.equal(first, again) else "a drop differs with equal generators: it uses another source of chance"


def _alone(impairment: Impairment) -> str:
    whole = impairment(_signal(4), _RATE_HZ, _generators(range(4)))
    alone = impairment(_signal(4)[2:3], _RATE_HZ, _generators(range(2, 3)))
    return "" if torch.equal(whole[2:3], alone) else "a drop differs with the batch that it is in"


IMPAIRMENT_TESTS = {
    "shape and type": _shape,
    "finite, also of silence": _finite,
    "the waveform is not changed": _untouched,
    "repeats with equal generators": _repeats,
    "a drop does not depend on its batch": _alone,
}
