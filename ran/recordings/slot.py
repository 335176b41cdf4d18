"""What is read from a recording, whatever its format: received grids of slots, and what the file says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RecordedSlot:
    """A slot as a file has it.

    name: how results call it, such as "frame 12 slot 4". slot_number: within the frame.
    grid [num_rx_ant, num_symbols, subcarriers of the carrier] complex64, at any level.
    missing bool, like `grid`: resource elements that the file does not hold; None where it holds all.
    channel: options of the PUSCH that the file itself states. carrier: likewise of the carrier.
    tb_size, payload: transport block in bits, where the file states it; process: HARQ process, new_data: whether the
        block is a new one, target_rate: of the code where the MCS index is a reserved one.
    measured: what was found while the grid was made from samples, such as timing and frequency offset.
    """

    name: str
    slot_number: int
    grid: NDArray[np.complex64]
    missing: NDArray[np.bool_] | None = None
    channel: Mapping[str, Any] = field(default_factory=dict)
    carrier: Mapping[str, Any] = field(default_factory=dict)
    tb_size: int | None = None
    payload: NDArray[np.uint8] | None = None
    process: int | None = None
    new_data: bool = True
    target_rate: float | None = None
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """Slots of a file in the order of time, and a line for each part of it that could not be read.

    format: what the file is. notes: what was assumed or found, a sentence each.
    """

    format: str
    slots: Sequence[RecordedSlot]
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()
