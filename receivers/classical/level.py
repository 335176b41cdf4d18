"""The level of a slot: squares and fourth powers of the grid are computed near one, whatever is received."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from receivers.interface import SlotObservation

#: Binary orders of magnitude of the largest entry, either way, that are taken as they are.
_BAND = 8


def factor_to_unit(y: Tensor) -> Tensor | None:
    """Factors float32 [batch] that bring the largest entry of each slot of `y` [batch, ...] between 1/2 and 1; powers
    of two, which move no digit. 1 for slots that lie within 2^-8 to 2^8, or hold zeros or no numbers alone; None where
    all do."""
    largest = torch.linalg.vector_norm(torch.view_as_real(y.detach().resolve_conj()).flatten(1), torch.inf, dim=1)
    exponent = torch.frexp(largest).exponent
    far = (exponent.abs() > _BAND) & (largest > 0) & torch.isfinite(largest)
    if not bool(far.any()):
        return None
    return torch.ldexp(torch.ones_like(largest), torch.where(far, -exponent, 0))


def scaled(observation: SlotObservation, factor: Tensor) -> SlotObservation:
    """The slots received `factor` [batch] times as strong, with their noise."""
    # one factor after the other: the square alone may leave the range of single precision
    noise_var = observation.noise_var * factor * factor
    return replace(observation, y=observation.y * factor[:, None, None, None], noise_var=noise_var)
