"""PDSCH: from transport blocks to the resource grid and from LLRs back to transport blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError, bad_value
from ran.phy.allocation import Placement, placement_of
from ran.phy.codeword import Codeword, data_res
from ran.phy.config import Carrier, Pdsch, Precision
from ran.phy.dmrs import dmrs_grid, dmrs_symbols, ports_of_users
from ran.phy.modulation import modulate
from ran.phy.precoders import antenna_grid, layer_channel, scaled
from ran.phy.shared_grid import SharedGrid
from ran.phy.transport_block import TransportBlockDecision


@dataclass(frozen=True)
class PdschGrid(SharedGrid):
    """Everything about a PDSCH allocation that does not change from slot to slot.

    data_mask [14, num_subcarriers] bool; pilots [num_layers, 14, num_subcarriers] complex64;
    codewords: one, or two from 5 layers on; the layers of the first come first (TS 38.211 table 7.3.1.3-1).
    precoder complex64 [num_prgs, num_antenna_ports, num_layers], squared norm num_layers; None where every layer has
    its own antenna. Layers share unit power: symbols have the amplitude `layer_amplitude`.
    """

    carrier: Carrier
    pdsch: Pdsch
    ports: tuple[int, ...]
    dmrs_symbols: tuple[int, ...]
    data_mask: Tensor
    pilots: Tensor
    codewords: tuple[Codeword, ...]
    precoder: Tensor | None
    placement: Placement

    @classmethod
    def build(cls, carrier: Carrier, pdsch: Pdsch, precoder: np.ndarray | None = None) -> PdschGrid:
        """Compute masks, pilots, scrambling and transport blocks; `InputError` for impossible combinations.

        precoder [num_prgs or 1, num_antenna_ports, num_layers] complex: any matrices, scaled here so that all layers
        together leave the antennas with unit power in every PRG.
        """
        wanted = None if pdsch.dmrs_ports is None else (pdsch.dmrs_ports,)
        ports = ports_of_users(pdsch, 1, wanted)[0]
        data_mask = data_res(carrier, pdsch)
        num_data_re = int(data_mask.sum())
        amplitude = 1 / np.sqrt(pdsch.num_layers)
        pilots = np.stack([amplitude * dmrs_grid(carrier, pdsch, port) for port in ports])
        codewords = tuple(
            Codeword.build(
                carrier,
                pdsch,
                entry,
                num_layers=num_layers,
                num_data_re=num_data_re,
                rv=rv,
                index=index,
                limited_buffer=True,
            )
            for index, (entry, num_layers, rv) in enumerate(
                zip(pdsch.codeword_mcs, pdsch.codeword_layers, pdsch.codeword_rv, strict=True)
            )
        )
        return cls(
            carrier=carrier,
            pdsch=pdsch,
            ports=ports,
            dmrs_symbols=dmrs_symbols(pdsch),
            data_mask=torch.from_numpy(data_mask),
            pilots=torch.from_numpy(pilots.astype(np.complex64)),
            codewords=codewords,
            precoder=None if precoder is None else _scaled(precoder, num_prgs(carrier, pdsch), pdsch.num_layers),
            placement=placement_of(carrier, pdsch),
        )

    @property
    def channel(self) -> Pdsch:
        return self.pdsch

    @property
    def num_users(self) -> int:
        return 1

    @property
    def layer_ports(self) -> tuple[int, ...]:
        return self.ports

    @property
    def num_antenna_ports(self) -> int:
        """Transmit antennas: those of the precoder, or one per layer."""
        return self.num_layers if self.precoder is None else self.precoder.shape[1]

    @property
    def layer_amplitude(self) -> float:
        """Amplitude of a layer's symbols: all layers share unit power."""
        return float(1 / np.sqrt(self.num_layers))

    @property
    def bundle_subcarriers(self) -> int:
        """Subcarriers that share a precoder."""
        return 12 * (self.pdsch.prg_size or self.num_prb)

    def to_grid(self, coded_bits: Tensor) -> Tensor:
        return self.map_to_grid(self.split_layers(coded_bits))

    def encode(self, transport_blocks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Encode and scramble: uint8 [batch, tb_size] per codeword -> uint8 [batch, its layers, num_data_re, its bits].

        Source: TS 38.212 §7.2, TS 38.211 §7.3.1.1 and §7.3.1.3, Rel-18.
        """
        self._check_number("transport_blocks", transport_blocks)
        return [c.encode(bits[:, None]) for c, bits in zip(self.codewords, transport_blocks, strict=True)]

    def map_to_grid(self, coded_bits: Sequence[Tensor]) -> Tensor:
        """Modulate and place data and DM-RS.

        coded_bits uint8 [batch, its layers, num_data_re, its bits per symbol] per codeword.
        Returns x complex64 [batch, num_layers, 14, num_subcarriers] (TS 38.211 §7.3.1.2, §7.3.1.3, §7.3.1.5).
        """
        self._check_number("coded_bits", coded_bits)
        symbols = torch.cat(
            [modulate(b.flatten(2), c.bits_per_symbol) for c, b in zip(self.codewords, coded_bits, strict=True)], dim=1
        )
        x = self.pilots.to(symbols.device).expand(symbols.shape[0], -1, -1, -1).clone()
        x[:, :, self.data_mask.to(symbols.device)] = self.layer_amplitude * symbols
        return x

    def precode(self, x: Tensor) -> Tensor:
        """Layers to antenna ports: [batch, num_layers, 14, num_subcarriers] -> [batch, num_antenna_ports, ...]."""
        if self.precoder is None:
            return x
        return antenna_grid(x, self.precoder[None].to(x.device), self.bundle_subcarriers)

    def layer_channel(self, h: Tensor) -> Tensor:
        """The channel that the layers see: the precoder is part of it.

        h [batch, num_rx_ant, num_antenna_ports, 14, num_subcarriers] -> [batch, num_rx_ant, num_layers, ...] complex64.
        """
        if self.precoder is None:
            return h
        return layer_channel(h, self.precoder[None].to(h.device), self.bundle_subcarriers)

    def decode(
        self, llr: Sequence[np.ndarray], num_iterations: int, precision: Precision
    ) -> list[TransportBlockDecision]:
        """Descramble and decode LLRs float32 [batch, its layers, num_data_re, its bits], positive for bit 0."""
        self._check_number("llr", llr)
        return [c.decode(values, num_iterations, precision) for c, values in zip(self.codewords, llr, strict=True)]

    def _check_number(self, what: str, values: Sequence[object]) -> None:
        if len(values) != len(self.codewords):
            raise bad_value(f"number of {what}", len(values), f"{len(self.codewords)}, one per codeword")


def num_prgs(carrier: Carrier, pdsch: Pdsch) -> int:
    """Precoding resource block groups of the carrier (TS 38.214 §5.1.2.3, Rel-18)."""
    return 1 if pdsch.prg_size is None else -(-carrier.num_prb // pdsch.prg_size)


def _scaled(precoder: np.ndarray, groups: int, num_layers: int) -> Tensor:
    """Checked and scaled so that the squared norm of every PRG's matrix is the number of layers."""
    w = np.asarray(precoder, np.complex128)
    if w.ndim != 3 or w.shape[0] not in (1, groups) or w.shape[1] < num_layers or w.shape[2] != num_layers:
        raise bad_value(
            "shape of the precoder",
            w.shape,
            f"({groups} or 1, {num_layers} or more antenna ports, {num_layers} layers)",
        )
    norm = np.linalg.norm(w, axis=(1, 2))
    if not (np.isfinite(norm).all() and (norm > 0).all()):
        raise InputError("precoder: got matrices that are zero or not finite; allowed: finite ones that are not zero")
    return scaled(torch.from_numpy(np.broadcast_to(w, (groups, *w.shape[1:])).copy())).to(torch.complex64)
