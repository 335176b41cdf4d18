"""The level of a received slot, taken out before and by powers of two alone, so that no digit of a number changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from receivers.classical.processor import floats, runs_compiled
from receivers.interface import SlotObservation, Truth

#: How near to the middle between two exponents sums in single precision, taken in another order, may differ.
_UNCLEAR = 1e-3


def level_exponent(observation: SlotObservation) -> Tensor:
    """Exponent e of every slot, int32 [batch]: 2^e is next to the root mean square of its received grid.

    0 for a slot in which nothing was received. Levels from 1e-15 to 1e15 stay within single precision.
    """
    y = observation.y.detach()
    if runs_compiled(y):
        from receivers.classical.kernels import square_sums  # numba takes a while to import

        numbers = floats(y).reshape(len(y), -1)
        sums = np.empty(len(y), np.float32)
        square_sums(numbers, sums)
        with np.errstate(divide="ignore"):
            exponents = np.log2(sums / np.float32(numbers.shape[1] / 2)) * np.float32(0.5)
        exponents[~np.isfinite(exponents)] = 0
        nearest = np.rint(exponents)
        # where the order of a sum could decide, the sum of torch does
        if (np.abs(exponents - nearest) < 0.5 - _UNCLEAR).all():
            return torch.from_numpy(nearest.astype(np.int32))
    power = (y.real**2 + y.imag**2).mean((1, 2, 3))
    exponent = torch.log2(power).mul(0.5).round()
    return torch.where(torch.isfinite(exponent), exponent, 0.0).int()


def factor_to_unit(observation: SlotObservation) -> Tensor | None:
    """Factors 2^-e [batch] to a received power next to 1, of every slot; None where a CPU finds that all have it."""
    exponent = level_exponent(observation)
    # a GPU would be waited for; there the factors are 1
    if not exponent.is_cuda and not bool(exponent.any()):
        return None
    return torch.exp2(-exponent.to(observation.noise_var.dtype))


def scaled(observation: SlotObservation, factor: Tensor) -> SlotObservation:
    """The slots received `factor` [batch] times as strong, with their noise."""
    # one factor after the other: the square alone may leave the range of single precision
    noise_var = observation.noise_var * factor * factor
    return replace(observation, y=observation.y * factor[:, None, None, None], noise_var=noise_var)


def at_unit_level(observation: SlotObservation) -> SlotObservation:
    """The same slots with a received power next to 1: the grid times 2^-e, the noise variance times 4^-e.

    LLRs do not depend on the level, so those of the result are those of `observation`. Multiplying by a power of two is
    exact, hence slots that are received near level 1 give the same numbers as without.
    """
    factor = factor_to_unit(observation)
    return observation if factor is None else scaled(observation, factor)


def truth_at_unit_level(observation: SlotObservation, truth: Truth) -> Truth:
    """The truth that belongs to `at_unit_level(observation)`: the channel times 2^-e."""
    factor = factor_to_unit(observation)
    return truth if factor is None else replace(truth, h=truth.h * factor[:, None, None, None, None])
