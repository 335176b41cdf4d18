"""A codeword of a shared channel: transport block, scrambling and its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ran.errors import InputError
from ran.phy.allocation import placement_of
from ran.phy.config import Carrier, Pdsch, Precision, Pusch, SharedChannel
from ran.phy.dmrs import left_to_others, reserved_mask
from ran.phy.harq import SoftBuffer
from ran.phy.ldpc import RedundancyVersion
from ran.phy.mcs import McsEntry, limited_buffer_size, num_re_for_tbs, transport_block_size
from ran.phy.sequences import gold_sequence
from ran.phy.transport_block import TransportBlock, TransportBlockDecision
from ran.phy.uci.codeword import UciMultiplex
from ran.phy.uci.coding import UciDecision
from ran.phy.uci.multiplexing import UciPlaces

#: An array, or a tensor.
Values = TypeVar("Values", np.ndarray, Tensor)
_LARGEST_ORDER = {1: 6, 2: 8, 3: 6, 4: 10}  # of each MCS table


def data_res(carrier: Carrier, channel: SharedChannel) -> np.ndarray:
    """REs of the allocation that DM-RS and others leave to data, bool [num_symbols, num_subcarriers].

    `InputError` where there are none, and for an allocation that leaves the slot.
    """
    end = channel.start_symbol + channel.num_symbols
    if end > carrier.num_symbols:
        raise InputError(
            f"{channel.name_of_channel}.num_symbols: got {channel.num_symbols} from symbol {channel.start_symbol} with "
            f"the {carrier.cyclic_prefix} cyclic prefix; allowed: the slot's {carrier.num_symbols} symbols"
        )
    mask = np.zeros((carrier.num_symbols, placement_of(carrier, channel).num_subcarriers), bool)
    mask[channel.start_symbol : end] = True
    mask &= ~reserved_mask(carrier, channel)
    mask &= ~left_to_others(carrier, channel)
    if not mask.any():
        raise InputError(
            f"num_symbols: got {channel.num_symbols}, all of it DM-RS with num_cdm_groups_without_data "
            f"{channel.dmrs.num_cdm_groups_without_data}; allowed: allocations with REs for data (TS 38.214 §5.1.3.2)"
        )
    return mask


def scrambling_c_init(n_rnti: int, codeword: int, n_id: int) -> int:
    """Initialisation of the data scrambling (TS 38.211 §6.3.1.1 and §7.3.1.1, Rel-18)."""
    return n_rnti * 2**15 + codeword * 2**14 + n_id


@dataclass(frozen=True)
class Codeword:
    """Coding and scrambling of one codeword, for all users alike.

    scrambling [num_users, num_coded_bits] uint8; the codeword fills `num_layers` layers of `num_data_re` symbols.
    """

    transport_block: TransportBlock
    scrambling: np.ndarray
    num_layers: int
    num_data_re: int
    bits_per_symbol: int
    target_rate: float
    uci: UciMultiplex | None = None

    @classmethod
    def build(
        cls,
        carrier: Carrier,
        channel: SharedChannel,
        entry: McsEntry,
        *,
        num_layers: int,
        num_data_re: int,
        rv: RedundancyVersion,
        index: int = 0,
        num_users: int = 1,
        limited_buffer: bool = False,
        uci_places: Callable[[int], UciPlaces] | None = None,
    ) -> Codeword:
        """Transport block size and scrambling (TS 38.214 §5.1.3.2 and §6.1.4.2, TS 38.212 §5.4.2.1, Rel-18).

        num_data_re: symbols per layer. index: number of the codeword. uci_places: where UCI and UL-SCH lie, from the
        sum of the UL-SCH's code block sizes.
        """
        num_coded_bits = num_data_re * entry.bits_per_symbol * num_layers
        on_dmrs = reserved_mask(carrier, channel)
        num_prb = placement_of(carrier, channel).num_prb
        if channel.has_dmrs and channel.dmrs.frequency_density == 1:
            num_dmrs_re = int(on_dmrs[:, :12].sum())
            num_re = num_re_for_tbs(num_prb, channel.num_symbols, num_dmrs_re, channel.overhead)
        else:
            # beyond the standard: every RE counts
            num_re = (12 * channel.num_symbols - channel.overhead) * num_prb - int(on_dmrs.sum())
        scaling = channel.tb_scaling if isinstance(channel, Pdsch) else 1.0
        tb_size = transport_block_size(
            num_re if scaling == 1 else num_re * scaling, entry.target_rate, entry.bits_per_symbol, num_layers
        )
        tbs_lbrm = None
        if limited_buffer:
            largest = channel.max_num_layers or channel.num_layers
            tbs_lbrm = limited_buffer_size(carrier.num_prb, _LARGEST_ORDER[channel.mcs_table], largest)
        n_id = carrier.n_cell_id if channel.n_id is None else channel.n_id
        scrambling = [
            gold_sequence(scrambling_c_init(channel.n_rnti + user, index, n_id), num_coded_bits)
            for user in range(num_users)
        ]
        block = TransportBlock(
            tb_size, num_coded_bits, entry.target_rate, entry.bits_per_symbol, num_layers, rv, tbs_lbrm
        )
        uci = None
        if uci_places is not None and isinstance(channel, Pusch) and channel.uci is not None:
            # K_r of TS 38.212 §6.3.2.4 counts the filler bits of a code block
            size = (22 if block.base_graph == 1 else 10) * block.code.lifting_size
            places = uci_places(block.num_code_blocks * size if channel.uci.has_ulsch else 0)
            uci = UciMultiplex.build(channel.uci, places, num_coded_bits, entry.bits_per_symbol)
            if channel.uci.has_ulsch:
                block = replace(block, num_coded_bits=uci.num_ulsch_bits)
        return cls(
            uci=uci,
            transport_block=block,
            scrambling=np.stack(scrambling),
            num_layers=num_layers,
            num_data_re=num_data_re,
            bits_per_symbol=entry.bits_per_symbol,
            target_rate=entry.target_rate,
        )

    @property
    def num_users(self) -> int:
        return self.scrambling.shape[0]

    def encode(
        self, transport_blocks: np.ndarray | None, uci_bits: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """Encode, scramble and deal out to layers.

        transport_blocks [batch, num_users, tb_size] uint8; None where there is UCI alone.
        uci_bits: payloads of UCI by kind, uint8 [batch, num_users, bits]; zeros by default.
        Returns uint8 [batch, num_users * num_layers, num_data_re, bits_per_symbol], layers of a user together.
        Source: TS 38.212 §6.2 and §7.2, TS 38.211 §6.3.1.1, §6.3.1.3, §7.3.1.1 and §7.3.1.3, Rel-18.
        """
        users = self.num_users
        if self.uci is not None:
            return self._encode_with_uci(transport_blocks, uci_bits or {})
        if transport_blocks is None:
            raise InputError("transport_blocks: got none without UCI; allowed: [batch, num_users, tb_size]")
        batch = transport_blocks.shape[0]
        flat = transport_blocks.reshape(batch * users, transport_blocks.shape[-1])
        coded = self.transport_block.encode(flat, scrambling=self.scrambling)
        return self.to_layers(coded.reshape(batch, users, coded.shape[-1]))

    def _encode_with_uci(self, transport_blocks: np.ndarray | None, uci_bits: Mapping[str, np.ndarray]) -> np.ndarray:
        uci, users = self.uci, self.num_users
        if uci is None:
            raise InputError("uci_bits: got some without UCI; allowed: none")
        given = transport_blocks if transport_blocks is not None else next(iter(uci_bits.values()))
        batch = given.shape[0]
        ulsch = np.zeros((batch * users, 0), np.uint8)
        if uci.uci.has_ulsch:
            if transport_blocks is None:
                raise InputError("transport_blocks: got none with UL-SCH; allowed: [batch, num_users, tb_size]")
            ulsch = self.transport_block.encode(transport_blocks.reshape(batch * users, transport_blocks.shape[-1]))
        payloads = {
            kind: uci_bits[kind].reshape(batch * users, uci_bits[kind].shape[-1])
            if kind in uci_bits
            else np.zeros((batch * users, code.num_bits), np.uint8)
            for kind, code in uci.codes.items()
        }
        scrambled = uci.scramble(uci.multiplex(ulsch, payloads), np.tile(self.scrambling, (batch, 1)))
        return self.to_layers(scrambled.reshape(batch, users, scrambled.shape[-1]))

    def to_layers(self, values: np.ndarray) -> np.ndarray:
        """Values of the coded bits [batch, num_users, num_coded_bits] dealt out to layers,
        [batch, num_users * num_layers, num_data_re, bits_per_symbol], layers of a user together."""
        batch, users = values.shape[:2]
        # [batch, user, symbol of a layer, layer of the user, bit] -> [batch, user, layer, symbol, bit]
        per_layer = values.reshape(batch, users, self.num_data_re, self.num_layers, self.bits_per_symbol).transpose(
            0, 1, 3, 2, 4
        )
        return np.ascontiguousarray(per_layer).reshape(
            batch, users * self.num_layers, self.num_data_re, self.bits_per_symbol
        )

    def from_layers(self, values: Values) -> Values:
        """Inverse of `to_layers`, of an array or a tensor."""
        batch, users = values.shape[0], self.num_users
        shape = (batch, users, self.num_layers, self.num_data_re, self.bits_per_symbol)
        # [batch, user, layer, symbol, bit] -> [batch, user, symbol, layer, bit]
        return values.reshape(shape).swapaxes(2, 3).reshape(batch, users, self.scrambling.shape[1])

    @property
    def signs(self) -> np.ndarray:
        """-1 where scrambling turns a bit over, float32 [num_users, num_coded_bits]."""
        return 1 - 2 * self.scrambling.astype(np.float32)

    def decode(
        self, llr: np.ndarray | Tensor, num_iterations: int, precision: Precision, soft_buffer: SoftBuffer | None = None
    ) -> TransportBlockDecision:
        """Collect from layers, descramble and decode.

        llr [batch, num_users * num_layers, num_data_re, bits_per_symbol] float32, positive means bit 0; a tensor on a
            GPU is decoded there.
        soft_buffer: of earlier transmissions, for batch * num_users transport blocks; this one is added to it.
        Returns decisions whose leading dimension is batch * num_users, user fastest.
        """
        if self.uci is not None:
            received = llr if isinstance(llr, np.ndarray) else llr.cpu().numpy()
            descrambled = (self.from_layers(received) * self.signs).reshape(-1, self.scrambling.shape[1])
            return self.transport_block.decode(
                self.uci.ulsch_llr(descrambled), num_iterations, precision=precision, soft_buffer=soft_buffer
            )
        if isinstance(llr, np.ndarray):
            received = self.from_layers(llr).astype(np.float32, copy=False)
            return self.transport_block.decode(
                received.reshape(-1, received.shape[-1]),
                num_iterations,
                precision=precision,
                soft_buffer=soft_buffer,
                scrambling=self.scrambling,
            )
        codeword = self.from_layers(llr) * torch.from_numpy(self.signs).to(llr.device)
        return self.transport_block.decode(
            codeword.reshape(-1, codeword.shape[-1]), num_iterations, precision=precision, soft_buffer=soft_buffer
        )

    def decode_uci(self, llr: np.ndarray, list_size: int = 8) -> dict[str, UciDecision]:
        """Decisions about UCI by kind ("ack", "csi1", "csi2"), their leading dimension batch * num_users, user fastest.

        llr as in `decode`, on the host. list_size: paths of the polar decoder.
        """
        if self.uci is None:
            return {}
        received = self.from_layers(llr)
        signs = np.broadcast_to(self.signs, received.shape).reshape(-1, received.shape[-1])
        return self.uci.decode(received.reshape(signs.shape), signs, list_size)
