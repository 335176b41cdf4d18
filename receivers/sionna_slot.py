"""The slot of a PUSCH that is configured in Sionna, in our words. Sionna is imported when one is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from receivers.errors import bad_value
from receivers.interface import PilotLayout, SlotObservation

_NUM_SYMBOLS = 14
_T_C_S = 1 / 480e3 / 4096  # T_c, TS 38.211 §4.1
#: Largest difference of two pilots of unit power that are the same.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class SionnaSlot:
    """What does not change from slot to slot.

    symbols: the OFDM symbols that are allocated, those of Sionna's grid. pilots [num_layers, 14, num_subcarriers]
    complex64, of layers whose data have unit power; layers user by user. data_mask [14, num_subcarriers] bool.
    """

    symbols: slice
    pilots: Tensor
    data_mask: Tensor
    layout: PilotLayout
    bits_per_symbol: int
    num_users: int
    layers_per_user: int
    symbol_times_s: Tensor
    subcarrier_spacing_hz: float

    @classmethod
    def of(cls, configs: Sequence[Any]) -> SionnaSlot:
        """configs: `sionna.phy.nr.PUSCHConfig`, one per user."""
        from sionna.phy.nr import PUSCHPilotPattern

        first = configs[0]
        if first.carrier.cyclic_prefix != "normal":
            raise bad_value("cyclic prefix of the Sionna carrier", first.carrier.cyclic_prefix, "normal")
        start, length = first.symbol_allocation
        symbols = slice(start, start + length)
        pattern = PUSCHPilotPattern(list(configs))
        reserved = pattern.mask.bool().cpu().flatten(0, 1)
        grid = torch.zeros(reserved.shape, dtype=torch.complex64)
        grid[reserved] = pattern.pilots.cpu().to(torch.complex64).flatten()
        pilots = torch.zeros(len(grid), _NUM_SYMBOLS, grid.shape[-1], dtype=torch.complex64)
        pilots[:, symbols] = grid
        data_mask = torch.zeros(_NUM_SYMBOLS, grid.shape[-1], dtype=torch.bool)
        data_mask[symbols] = ~reserved.any(0)
        spacing_hz = float(first.carrier.subcarrier_spacing) * 1e3
        return cls(
            symbols,
            pilots,
            data_mask,
            _layout([_with_ports(config) for config in configs]),
            int(first.tb.num_bits_per_symbol),
            len(configs),
            int(first.num_layers),
            _symbol_times_s(spacing_hz, int(first.carrier.slot_number)),
            spacing_hz,
        )

    def observation(self, y: Tensor, noise_var: Tensor) -> SlotObservation:
        """y [batch, num_rx_ant, num_allocated_symbols, num_subcarriers] complex64; noise_var [batch]."""
        whole = torch.zeros(*y.shape[:2], _NUM_SYMBOLS, y.shape[-1], dtype=torch.complex64, device=y.device)
        whole[:, :, self.symbols] = y
        layers = self.layers_per_user
        return SlotObservation(
            y=whole,
            pilots=self.pilots.to(y.device),
            layout=self.layout,
            data_mask=self.data_mask.to(y.device),
            noise_var=noise_var,
            bits_per_symbol=self.bits_per_symbol,
            layer_amplitude=1.0,  # Sionna's layers have unit power each
            layer_to_user=tuple(layer // layers for layer in range(self.num_users * layers)),
            symbol_times_s=self.symbol_times_s,
            subcarrier_spacing_hz=self.subcarrier_spacing_hz,
        )

    def per_user(self, llr: Tensor) -> Tensor:
        """[batch, num_layers, num_data_re, bits_per_symbol] to [batch, num_users, num_coded_bits], in the order of a
        codeword: layer by layer of an RE (TS 38.211 §6.3.1.3)."""
        return llr.unflatten(1, (self.num_users, self.layers_per_user)).transpose(2, 3).flatten(2)

    def per_layer(self, llr: Tensor) -> Tensor:
        """The way back from `per_user`."""
        shape = (-1, self.layers_per_user, self.bits_per_symbol)
        return llr.unflatten(2, shape).transpose(2, 3).flatten(1, 2)

    def difference(self, observation: SlotObservation) -> str:
        """In what a slot of ours is another; empty when it is the same."""
        if tuple(self.pilots.shape) != tuple(observation.pilots.shape):
            return f"{_shape(observation.pilots)}; allowed: {_shape(self.pilots)}, as the Sionna configuration has them"
        if self.bits_per_symbol != observation.bits_per_symbol:
            return f"{observation.bits_per_symbol} bits per symbol; allowed: {self.bits_per_symbol}"
        if not torch.equal(self.data_mask, observation.data_mask.cpu()):
            return "data on other REs; allowed: those of the Sionna configuration"
        ours = observation.pilots.cpu() / observation.layer_amplitude
        if not torch.allclose(ours, self.pilots, rtol=0, atol=_TOLERANCE):
            return "other pilots; allowed: those of the Sionna configuration (cell, slot, DM-RS scrambling, ports)"
        return ""


def _shape(pilots: Tensor) -> str:
    layers, _, subcarriers = pilots.shape
    return f"{layers} layers on {subcarriers} subcarriers"


def _layout(configs: Sequence[Any]) -> PilotLayout:
    first = configs[0].dmrs
    is_type_1 = first.config_type == 1
    deltas = [int(delta) for config in configs for delta in config.dmrs.deltas]
    over_frequency = [tuple(map(int, code)) for config in configs for code in config.dmrs.w_f.T]
    over_time = [tuple(map(int, code)) for config in configs for code in config.dmrs.w_t.T]
    return PilotLayout(
        symbols=tuple(int(symbol) for symbol in configs[0].dmrs_symbol_indices),
        first_subcarrier=tuple(deltas),
        spacing=2 if is_type_1 else 1,
        cover_code=tuple((code[0], code[1]) for code in over_frequency),
        pair_spacing=4 if is_type_1 else 6,
        num_adjacent_symbols=first.length,
        time_cover_code=tuple((code[0], code[1]) for code in over_time),
    )


def _with_ports(config: Any) -> Any:
    """A configuration whose DM-RS ports are written out: without any they are the first ones."""
    if config.dmrs.dmrs_port_set:
        return config
    found = config.clone()
    found.dmrs.dmrs_port_set = list(range(config.num_layers))
    return found


def _symbol_times_s(subcarrier_spacing_hz: float, slot_number: int) -> Tensor:
    """Start of each symbol's useful part after the start of the slot (TS 38.211 §5.3.1), float64 [14]."""
    per_subframe = round(subcarrier_spacing_hz / 15e3)
    symbol = torch.arange(_NUM_SYMBOLS) + _NUM_SYMBOLS * (slot_number % per_subframe)
    longer = (symbol % (7 * per_subframe) == 0).double()
    prefix_s = (144 / per_subframe + 16 * longer) * 64 * _T_C_S
    return prefix_s.cumsum(0) + torch.arange(_NUM_SYMBOLS, dtype=torch.float64) / subcarrier_spacing_hz
