"""What every RF impairment provides: a waveform in, the same waveform as imperfect hardware leaves it out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from channels.errors import bad_value
from channels.impairments.options import positive


class Impairment(ABC):
    """One imperfection of a radio at one end of a link, in complex baseband samples.

    Constructor arguments with type hints are the options in an experiment file. Everything is computed by torch on
    the waveform's device, so gradients flow through to the waveform; where a model has no useful gradient its docstring
    says what is used instead. Levels that refer to the waveform's own power take it per drop, never over a batch.
    """

    name: ClassVar[str]

    def __call__(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        """The impaired waveform, of the same shape and dtype.

        waveform complex64 (or complex128) [batch, num_antennas, num_samples]; sample 0 is the start of the slot.
        generators: one per drop; a drop depends on its own generator and samples and on nothing else, on a CPU to
        the bit. How many numbers are drawn and in which order is part of every model's description; most draw none.
        """
        if waveform.dtype not in (torch.complex64, torch.complex128):
            raise bad_value("waveform", waveform.dtype, "complex64 or complex128")
        if waveform.ndim != 3 or 0 in waveform.shape:
            raise bad_value("waveform", tuple(waveform.shape), "[batch, num_antennas, num_samples], none of them 0")
        if len(generators) != len(waveform):
            raise bad_value("generators", len(generators), f"one per drop of the waveform, {len(waveform)}")
        rate, waveform = positive("sample_rate_hz", sample_rate_hz), waveform.resolve_conj()
        self.check(rate)
        if waveform.is_cuda:
            return self._impair(waveform, rate, generators)
        # drop by drop: vector units may round the odd samples at the end of a batch differently than those within
        drops = zip(waveform.split(1), generators, strict=True)
        return torch.cat([self._impair(drop, rate, [generator]) for drop, generator in drops])

    def check(self, sample_rate_hz: float) -> None:
        """Raise `ValueError` when the model cannot work at this sample rate; for calls before a run."""
        positive("sample_rate_hz", sample_rate_hz)

    @abstractmethod
    def _impair(self, waveform: Tensor, sample_rate_hz: float, generators: Sequence[np.random.Generator]) -> Tensor:
        """`__call__` on arguments that were checked."""


def power(waveform: Tensor) -> Tensor:
    """|x|^2 of every sample, real; its gradient is defined at 0, unlike that of the magnitude."""
    return waveform.real.square() + waveform.imag.square()


def mean_power(waveform: Tensor, per_antenna: bool = False) -> Tensor:
    """Mean power of every drop, [batch, 1, 1], or of every antenna, [batch, num_antennas, 1]; above 0 always."""
    dims = (-1,) if per_antenna else (-2, -1)
    # a silent waveform stays silent instead of turning into 0 / 0
    return power(waveform).mean(dims, keepdim=True).clamp_min(torch.finfo(waveform.real.dtype).tiny)


def rotated(waveform: Tensor, phase_rad: Tensor) -> Tensor:
    """The waveform times exp(j phase); phase_rad float64, broadcast against the waveform."""
    phase = torch.remainder(phase_rad, 2 * torch.pi)
    return waveform * torch.polar(torch.ones_like(phase), phase).to(waveform.dtype)
