"""What the resource grids of a PUSCH and a PDSCH have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from ran.phy.allocation import Part, Placement
from ran.phy.codeword import Codeword, Values
from ran.phy.config import Carrier, Precision, SharedChannel
from ran.phy.harq import SoftBuffer
from ran.phy.transport_block import TransportBlockDecision


class SharedGrid(ABC):
    """Codewords, the layers that carry them, and their resource elements.

    Codewords may differ in size and modulation. Arrays over all of them are as large as the largest needs, and zero
    beyond what a codeword fills: transport blocks [batch, num_blocks, largest size], bits and LLRs [batch, num_layers,
    num_data_re, most bits per symbol]. Blocks and layers of the first codeword come first. num_data_re is the most of a
    codeword, too.

    codewords: one per run of users alike, or up to two of one user.
    data_mask [num_symbols, num_subcarriers] bool; pilots [num_layers, num_symbols, num_subcarriers] complex64: on the
    grid of the allocation, whose columns are the subcarriers of its VRBs. placement: where they are on the carrier.
    """

    carrier: Carrier
    placement: Placement
    dmrs_symbols: tuple[int, ...]
    data_mask: Tensor
    pilots: Tensor
    codewords: tuple[Codeword, ...]

    @property
    @abstractmethod
    def channel(self) -> SharedChannel:
        """The allocation."""

    @property
    def channels(self) -> tuple[SharedChannel, ...]:
        """The allocations where users have their own."""
        return (self.channel,)

    @property
    @abstractmethod
    def layer_ports(self) -> tuple[int, ...]:
        """DM-RS port of every layer."""

    @property
    @abstractmethod
    def num_users(self) -> int: ...

    @property
    @abstractmethod
    def layer_amplitude(self) -> float:
        """Amplitude of a layer's symbols: the layers of a user share its unit power."""

    @abstractmethod
    def to_grid(self, coded_bits: Tensor) -> Tensor:
        """Modulate and place data and pilots.

        coded_bits uint8 [batch, num_layers, num_data_re, most bits per symbol].
        Returns x complex64 [batch, num_layers, 14, num_subcarriers].
        """

    @property
    def transform_precoding(self) -> bool:
        """Whether the data are DFT-s-OFDM."""
        return False

    @property
    def constellation(self) -> np.ndarray | None:
        """Points complex64 [2**bits_per_symbol] of all layers where they are not the QAM of TS 38.211 §5.1."""
        return None

    @property
    def parts(self) -> Sequence[Part]:
        """Rectangles without gaps that cover the grid."""
        return self.placement.parts

    @property
    def is_contiguous(self) -> bool:
        """Whether the whole grid is one such rectangle, in order, and has all layers everywhere."""
        return self.placement.is_contiguous

    @property
    def groups(self) -> tuple[tuple[tuple[int, ...], SharedGrid], ...]:
        """Users that share resource blocks with one another, by their numbers from 0, and the grid of them alone."""
        return ((tuple(range(self.num_users)), self),)

    @property
    def num_layers(self) -> int:
        """Layers of all users together."""
        return self.pilots.shape[0]

    @property
    def num_subcarriers(self) -> int:
        """Columns of the grid: subcarriers of the allocation."""
        return self.data_mask.shape[1]

    @property
    def num_prb(self) -> int:
        """Allocated PRBs."""
        return self.num_subcarriers // 12

    @property
    def num_prb_of_users(self) -> tuple[int, ...]:
        """PRBs of each user."""
        return (self.num_prb,) * self.num_users

    @property
    def num_data_re(self) -> int:
        return int(self.data_mask.sum())

    @property
    def layer_to_user(self) -> tuple[int, ...]:
        """Which user has a layer."""
        per_user = self.num_layers // self.num_users
        return tuple(layer // per_user for layer in range(self.num_layers))

    @property
    def block_sizes(self) -> tuple[int, ...]:
        """Bits of every transport block."""
        return tuple(c.transport_block.tb_size for c in self.codewords for _ in range(c.num_users))

    @property
    def bits_per_layer(self) -> tuple[int, ...]:
        """Bits per symbol of every layer."""
        return tuple(c.bits_per_symbol for c in self.codewords for _ in range(c.num_users * c.num_layers))

    @property
    def has_two_codewords(self) -> bool:
        """Whether the blocks are two codewords of one user, and not one block per user."""
        return self.num_users == 1 and len(self.codewords) == 2

    @property
    def has_unlike_users(self) -> bool:
        """Whether users differ in MCS, resource blocks, or RNTIs that do not count up: they are counted one by one."""
        return self.num_users > 1 and len(self.codewords) > 1

    @property
    def bits_per_symbol(self) -> int:
        """Bits per symbol of the layers, the most where they differ."""
        return max(c.bits_per_symbol for c in self.codewords)

    @property
    def num_coded_bits(self) -> int:
        """Coded bits of all transport blocks together."""
        return sum(c.scrambling.size for c in self.codewords)

    @property
    def num_mother_bits(self) -> int:
        """Bits of the LDPC mother codes of all transport blocks: what soft buffers hold."""
        return sum(c.num_users * c.transport_block.num_mother_bits for c in self.codewords)

    @property
    def layers_of_codewords(self) -> tuple[slice, ...]:
        """Where the layers of each codeword are among all layers."""
        return _slices([c.num_users * c.num_layers for c in self.codewords])

    @property
    def blocks_of_codewords(self) -> tuple[slice, ...]:
        """Where the transport blocks of each codeword are among all."""
        return _slices([c.num_users for c in self.codewords])

    def split_layers(self, values: Values) -> list[Values]:
        """Bits or LLRs of all layers as those of each codeword [batch, its layers, its data REs, its bits]."""
        if len(self.codewords) == 1:
            return [values]
        pairs = zip(self.layers_of_codewords, self.codewords, strict=True)
        return [values[:, layers, : c.num_data_re, : c.bits_per_symbol] for layers, c in pairs]

    def split_blocks(self, blocks: np.ndarray) -> list[np.ndarray]:
        """Transport blocks [batch, num_blocks, largest size] as those of each codeword."""
        pairs = zip(self.blocks_of_codewords, self.codewords, strict=True)
        return [blocks[:, part, : c.transport_block.tb_size] for part, c in pairs]

    def code(self, transport_blocks: np.ndarray, uci_bits: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Encode and scramble uint8 [batch, num_blocks, largest size].

        uci_bits: payloads of UCI of all users by kind, uint8 [batch, num_users, bits].
        Returns uint8 [batch, num_layers, num_data_re, most bits per symbol].
        """
        coded = []
        parts = zip(self.codewords, self.split_blocks(transport_blocks), self.blocks_of_codewords, strict=True)
        for codeword, blocks, users in parts:
            uci = {kind: np.ascontiguousarray(bits[:, users]) for kind, bits in (uci_bits or {}).items()}
            coded.append(codeword.encode(blocks, uci))
        if len(coded) == 1:
            return coded[0]
        out = np.zeros((len(coded[0]), self.num_layers, self.num_data_re, self.bits_per_symbol), np.uint8)
        for bits, layers in zip(coded, self.layers_of_codewords, strict=True):
            out[:, layers, : bits.shape[2], : bits.shape[-1]] = bits
        return out

    def decode_blocks(
        self,
        llr: Values,
        num_iterations: int,
        precision: Precision,
        soft_buffers: Sequence[SoftBuffer] | None = None,
    ) -> list[TransportBlockDecision]:
        """Descramble and decode LLRs float32 [batch, num_layers, num_data_re, most bits per symbol].

        soft_buffers: of earlier transmissions, one per codeword; this transmission is added to them.
        Returns a decision per codeword whose leading dimension is batch * users of the codeword, user fastest.
        """
        buffers = [None] * len(self.codewords) if soft_buffers is None else soft_buffers
        parts = zip(self.codewords, self.split_layers(llr), buffers, strict=True)
        return [c.decode(values, num_iterations, precision, buffer) for c, values, buffer in parts]


def _slices(counts: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(sum(counts[:i]), sum(counts[: i + 1])) for i in range(len(counts)))
