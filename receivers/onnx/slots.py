"""Slots whose tensors are those of a graph: complex numbers as pairs, every RE like one with data, sizes open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from receivers.interface import PilotLayout, SlotObservation
from receivers.onnx.pairs import as_pair


@dataclass(frozen=True)
class GraphSlots(SlotObservation):
    """What receivers are handed in a graph with the inputs of the `generic` contract.

    Which REs carry data is known when the file runs, not when it is written, so every RE is detected, and LLRs are
    [batch, num_layers, num_ofdm_symbols * num_subcarriers, bits_per_symbol]. `data_mask` is float32, `symbol_times_s`
    too, `layer_amplitude` a tensor. What a layout tells is taken from the pilots.

    positions: of DM-RS, where they are known when the file is written.
    """

    positions: int | None = None

    def __post_init__(self) -> None:
        """Tensors stay as they are."""

    @property
    def num_layers(self) -> int:
        return int(self.pilots.shape[0])  # fixed in a file

    @property
    def num_dmrs_positions(self) -> int | Tensor:
        """Neighbouring symbols with pilots are one position."""
        if self.positions is not None:
            return self.positions
        power = self.pilots.real**2 + self.pilots.imag**2
        has = (power.sum((0, 2)) > 0).to(power.dtype)
        return has.sum() - (has[1:] * has[:-1]).sum()

    def at_data(self, values: Tensor) -> Tensor:
        return values.flatten(-2)

    def with_data(self, values: Tensor, elsewhere: Tensor) -> Tensor:
        return torch.where(self.data_mask > 0, values.unflatten(-1, tuple(self.data_mask.shape)), elsewhere)


def graph_slots(
    y: Tensor,
    pilots: Tensor,
    data_mask: Tensor,
    noise_var: Tensor,
    symbol_times_ms: Tensor,
    layer_amplitude: Tensor,
    bits_per_symbol: int,
    positions: int | None = None,
) -> GraphSlots:
    """From inputs of the `generic` contract, whose complex numbers have a last axis (real, imaginary)."""
    num_layers = int(pilots.shape[0])
    return GraphSlots(
        y=as_pair(y),
        pilots=as_pair(pilots),
        layout=PilotLayout((), (0,) * num_layers, 2, ((1, 1),) * num_layers),
        data_mask=data_mask,
        noise_var=noise_var,
        bits_per_symbol=bits_per_symbol,
        layer_amplitude=cast(float, layer_amplitude),
        layer_to_user=tuple(range(num_layers)),
        symbol_times_s=symbol_times_ms * 1e-3,
        subcarrier_spacing_hz=0.0,
        positions=positions,
    )
