"""PUSCH: from transport blocks to the resource grid and from LLRs back to transport blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError
from ran.phy.config import Carrier, Precision, Pusch, Users
from ran.phy.dmrs import cdm_group, dmrs_grid, dmrs_symbols, reserved_mask
from ran.phy.mcs import mcs, transport_block_size
from ran.phy.modulation import modulate
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT
from ran.phy.sequences import gold_sequence
from ran.phy.transport_block import TransportBlock, TransportBlockDecision

_PORT_ORDER = {1: (0, 1), 2: (0, 2, 1, 3)}  # alternate between the CDM groups that carry no data


def assign_ports(pusch: Pusch, users: Users) -> tuple[tuple[int, ...], ...]:
    """DM-RS ports of each user, one per layer; checked for orthogonality and for the REs that data would take."""
    groups = pusch.dmrs.num_cdm_groups_without_data
    allowed = _PORT_ORDER[groups]
    wanted = users.num_users * pusch.num_layers
    if users.dmrs_ports is None:
        if wanted > len(allowed):
            raise InputError(
                f"users.num_users x pusch.num_layers: got {wanted} DM-RS ports; allowed: at most {len(allowed)} with "
                f"num_cdm_groups_without_data {groups} (TS 38.211 table 6.4.1.1.3-1)"
            )
        flat = allowed[:wanted]
        return tuple(tuple(flat[u * pusch.num_layers : (u + 1) * pusch.num_layers]) for u in range(users.num_users))
    ports = users.dmrs_ports
    if len(ports) != users.num_users or any(len(p) != pusch.num_layers for p in ports):
        raise InputError(
            f"users.dmrs_ports: got {[list(p) for p in ports]}; allowed: {users.num_users} lists (one per user) of "
            f"{pusch.num_layers} ports (one per layer)"
        )
    flat = tuple(p for user in ports for p in user)
    if len(set(flat)) != len(flat):
        raise InputError(f"users.dmrs_ports: got {[list(p) for p in ports]}; allowed: each port at most once")
    if any(cdm_group(p) >= groups for p in flat):
        raise InputError(
            f"users.dmrs_ports: got {[list(p) for p in ports]}; allowed: ports {sorted(allowed)} with "
            f"num_cdm_groups_without_data {groups}, since data occupies the other CDM group"
        )
    return ports


@dataclass(frozen=True)
class PuschGrid:
    """Everything about a PUSCH allocation that does not change from slot to slot.

    data_mask [14, num_subcarriers] bool; pilots [num_layers, 14, num_subcarriers] complex64;
    scrambling [num_users, num_coded_bits] uint8; layers are ordered user by user.
    """

    carrier: Carrier
    pusch: Pusch
    ports: tuple[tuple[int, ...], ...]
    dmrs_symbols: tuple[int, ...]
    data_mask: Tensor
    pilots: Tensor
    scrambling: np.ndarray
    transport_block: TransportBlock
    bits_per_symbol: int
    target_rate: float

    @classmethod
    def build(cls, carrier: Carrier, pusch: Pusch, users: Users) -> PuschGrid:
        """Compute masks, pilots, scrambling and transport block; `InputError` for impossible combinations."""
        ports = assign_ports(pusch, users)
        symbols = dmrs_symbols(pusch)
        data_mask = np.zeros((NUM_SYMBOLS_PER_SLOT, carrier.num_subcarriers), bool)
        data_mask[: pusch.num_symbols] = True
        data_mask &= ~reserved_mask(carrier, pusch)
        amplitude = 1 / np.sqrt(pusch.num_layers)
        pilots = np.stack([amplitude * dmrs_grid(carrier, pusch, port) for user in ports for port in user])

        entry = mcs(pusch.mcs_table, pusch.mcs_index)
        rate = entry.target_rate_x1024 / 1024
        num_data_re = int(data_mask.sum())
        num_coded_bits = num_data_re * entry.bits_per_symbol * pusch.num_layers
        # TS 38.214 §5.1.3.2: at most 156 REs of a PRB count for the transport block size
        num_re = min(156, num_data_re // carrier.num_prb) * carrier.num_prb
        tb_size = transport_block_size(num_re, rate, entry.bits_per_symbol, pusch.num_layers)
        n_id = carrier.n_cell_id if pusch.n_id is None else pusch.n_id
        # c_init of TS 38.211 §6.3.1.1
        scrambling = np.stack(
            [gold_sequence((pusch.n_rnti + u) * 2**15 + n_id, num_coded_bits) for u in range(users.num_users)]
        )
        return cls(
            carrier=carrier,
            pusch=pusch,
            ports=ports,
            dmrs_symbols=symbols,
            data_mask=torch.from_numpy(data_mask),
            pilots=torch.from_numpy(pilots.astype(np.complex64)),
            scrambling=scrambling,
            transport_block=TransportBlock(tb_size, num_coded_bits, rate, entry.bits_per_symbol, pusch.num_layers),
            bits_per_symbol=entry.bits_per_symbol,
            target_rate=rate,
        )

    @property
    def num_users(self) -> int:
        return len(self.ports)

    @property
    def num_layers(self) -> int:
        """Layers of all users together."""
        return self.pilots.shape[0]

    @property
    def num_data_re(self) -> int:
        return int(self.data_mask.sum())

    @property
    def layer_amplitude(self) -> float:
        """Amplitude of a layer's symbols: the layers of a user share its unit power."""
        return float(1 / np.sqrt(self.pusch.num_layers))

    def encode(self, transport_blocks: np.ndarray) -> np.ndarray:
        """Encode and scramble.

        transport_blocks [batch, num_users, tb_size] uint8.
        Returns scrambled coded bits per layer, uint8 [batch, num_layers, num_data_re, bits_per_symbol].
        Source: TS 38.212 §6.2, TS 38.211 §6.3.1.1 and §6.3.1.3, Rel-18.
        """
        batch = transport_blocks.shape[0]
        coded = self.transport_block.encode(transport_blocks.reshape(batch * self.num_users, -1))
        scrambled = coded.reshape(batch, self.num_users, -1) ^ self.scrambling
        # [batch, user, symbol of a layer, layer of the user, bit] -> [batch, user, layer, symbol, bit]
        per_layer = scrambled.reshape(
            batch, self.num_users, self.num_data_re, self.pusch.num_layers, self.bits_per_symbol
        ).transpose(0, 1, 3, 2, 4)
        return np.ascontiguousarray(per_layer).reshape(batch, self.num_layers, self.num_data_re, self.bits_per_symbol)

    def map_to_grid(self, coded_bits: Tensor) -> Tensor:
        """Modulate and place data and DM-RS.

        coded_bits [batch, num_layers, num_data_re, bits_per_symbol] uint8.
        Returns x complex64 [batch, num_layers, 14, num_subcarriers] (TS 38.211 §6.3.1.2, §6.3.1.6, §6.3.1.7).
        """
        batch = coded_bits.shape[0]
        symbols = modulate(coded_bits.flatten(2), self.bits_per_symbol)
        device = coded_bits.device
        x = self.pilots.to(device).expand(batch, -1, -1, -1).clone()
        x[:, :, self.data_mask.to(device)] = self.layer_amplitude * symbols
        return x

    def decode(self, llr: np.ndarray, num_iterations: int, precision: Precision) -> TransportBlockDecision:
        """Descramble and decode.

        llr [batch, num_layers, num_data_re, bits_per_symbol] float32, positive means bit 0.
        Returns decisions whose leading dimension is batch * num_users, user fastest.
        """
        batch = llr.shape[0]
        shape = (batch, self.num_users, self.pusch.num_layers, self.num_data_re, self.bits_per_symbol)
        # [batch, user, layer, symbol, bit] -> [batch, user, symbol, layer, bit]
        codeword = llr.reshape(shape).transpose(0, 1, 3, 2, 4).reshape(batch, self.num_users, -1)
        codeword = codeword * (1 - 2 * self.scrambling.astype(np.float32))
        return self.transport_block.decode(
            codeword.reshape(batch * self.num_users, -1), num_iterations, precision=precision
        )
