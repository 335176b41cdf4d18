"""What became of the slots of a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ran.phy.shared_grid import SharedGrid
from ran.recordings.measurement import Measurement
from ran.recordings.user_report import UserReport
from receivers import SlotObservation


@dataclass(frozen=True)
class BlockResult:
    """What a receiver made of a transport block.

    received: CRC and parity hold and there was a signal. crc_ok: without asking for a signal. payload uint8
    [tb_size]. matches: whether it is the payload that the recording or the configuration states, None where neither.
    combined: transmissions that were decoded together.
    """

    receiver: str
    block: int
    received: bool
    crc_ok: bool
    iterations: float
    payload: NDArray[np.uint8]
    matches: bool | None
    combined: int = 1


@dataclass(frozen=True)
class UciResult:
    """What a receiver made of one kind of UCI of one user: "ack", "csi1" or "csi2".

    bits uint8 [n]. ok: the CRC holds, or for payloads without one the codeword fits better than noise would in all but
    one of a hundred slots; else the UCI counts as not sent (DTX). metric: how well it fits, -1 to 1.
    """

    receiver: str
    user: int
    kind: str
    bits: NDArray[np.uint8]
    ok: bool
    metric: float


@dataclass
class SlotResult:
    """A slot after decoding. evm, sinr_db: of the data symbols after equalisation, against what was sent where a
    receiver decoded it (`known`), else against the nearest points. label uint8: the payload of its first block, from
    this slot or from a later transmission of the block; None where no attempt arrived. transmission: number of what the
    slot is an attempt of, the same for all attempts of one HARQ process from one new block to the next. users:
    measurements of each, none where there was no signal.
    symbols complex64 [n]: equalised data symbols. channel complex64 [num_rx_ant, subcarriers]: estimate of the first
    layer in the first DM-RS symbol."""

    name: str
    slot_number: int
    tb_sizes: tuple[int, ...]
    measurement: Measurement
    blocks: list[BlockResult]
    evm: float
    sinr_db: float
    known: bool
    symbols: NDArray[np.complex64]
    channel: NDArray[np.complex64]
    power_db: NDArray[np.float32]
    bits_per_symbol: int
    modulation: str
    measured: Mapping[str, float] = field(default_factory=dict)
    process: int | None = None
    transmission: int = 0
    label: NDArray[np.uint8] | None = None
    uci: tuple[UciResult, ...] = ()
    users: tuple[UserReport, ...] = ()

    @property
    def is_received(self) -> bool:
        """Whether some receiver received a block, or without any UCI."""
        return any(block.received for block in self.blocks) or (not self.blocks and any(part.ok for part in self.uci))


@dataclass(frozen=True)
class KeptSlot:
    """A slot as its receivers had it. coded_bits uint8 [1, num_layers, num_data_re, bits]: what was sent, where one of
    them decoded all of it."""

    result: SlotResult
    grid: SharedGrid
    observation: SlotObservation
    coded_bits: Tensor | None


@dataclass
class Decoded:
    """All of a recording: results of slots, and a line for each that could not be decoded. Users of a slot that share
    no resource block have a result each. kept: the slots themselves, where they were asked for. num_slots: slots with a
    result."""

    results: list[SlotResult]
    problems: list[str]
    skipped: int
    kept: list[KeptSlot] = field(default_factory=list)
    num_slots: int = 0
