"""What became of the transport blocks of drops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ran.link.link_budget import Received
from ran.phy.shared_grid import SharedGrid
from ran.phy.transport_block import TransportBlockDecision

#: What is known of a user in a drop; condition: index into `channels.link_state.CONDITION_NAMES`, -1 for unknown.
RECEIVED_COLUMNS = ("esn0_db", "path_gain_db", "distance_2d_m", "condition", "block_errors")


class NonFiniteError(Exception):
    """A NaN or an infinity appeared in a slot. `stage` says where, `drop_index` in which drop."""

    def __init__(self, stage: str, drop_index: int) -> None:
        super().__init__(f"non-finite numbers in {stage} of drop {drop_index}")
        self.stage = stage
        self.drop_index = drop_index


@dataclass(frozen=True)
class DropOutcomes:
    """Errors per drop, summed over its blocks: block_errors int32 [drops], bit_errors int64 [drops].

    With HARQ these are the blocks that never arrived, and `earlier_errors` int32 [drops, transmissions - 1] are those
    still in error after every transmission but the last; without, it is empty.
    second_errors int32 [drops, transmissions]: those of a second codeword among them; empty where there is none.
    block_failures bool [drops, blocks]: which blocks these are. received float32 [drops, users, 5]: with a link budget
    the columns of `RECEIVED_COLUMNS`; without [drops, 0, 5].
    seconds float64 [drops]: what the receiver and its decoding took per drop, the mean of a batch; 0 where nobody
    measured. It decides what is simulated next, and no result.
    """

    block_errors: np.ndarray
    bit_errors: np.ndarray
    earlier_errors: np.ndarray
    second_errors: np.ndarray
    block_failures: np.ndarray
    received: np.ndarray
    seconds: np.ndarray

    @classmethod
    def of_failures(cls, failures: np.ndarray, bit_errors: np.ndarray, has_second: bool) -> DropOutcomes:
        """failures bool [drops, transmissions, blocks]: in error after each; bit_errors int64 [drops]: in the end.

        has_second: whether the last block belongs to a second codeword.
        """
        counts = failures.sum(-1, dtype=np.int32)
        second = failures[:, :, -1].astype(np.int32) if has_second else np.zeros((len(failures), 0), np.int32)
        nothing = np.zeros((len(failures), 0, len(RECEIVED_COLUMNS)), np.float32)
        unmeasured = np.zeros(len(failures))
        return cls(counts[:, -1], bit_errors, counts[:, :-1], second, failures[:, -1], nothing, unmeasured)

    def with_seconds(self, seconds: float) -> DropOutcomes:
        """With what the receiver took for all of these drops together."""
        drops = len(self.block_errors)
        return replace(self, seconds=np.full(drops, seconds / max(drops, 1)))

    def with_received(self, state: Received) -> DropOutcomes:
        """With the large-scale state of its users, whose blocks are as many for each."""
        drops, users = state.esn0_db.shape
        failed = self.block_failures.reshape(drops, users, -1).sum(-1)
        columns = (state.esn0_db, state.path_gain_db, state.distance_2d_m, state.condition, failed)
        return replace(self, received=np.stack(columns, -1).astype(np.float32))

    @classmethod
    def joined(cls, parts: Sequence[DropOutcomes]) -> DropOutcomes:
        """Those of consecutive drops."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def first(self, count: int) -> DropOutcomes:
        """The first `count` drops."""
        return DropOutcomes(*(getattr(self, field.name)[:count] for field in fields(self)))


def compare(
    grid: SharedGrid, decisions: Sequence[TransportBlockDecision], sent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Wrong bits int64 and blocks in error bool, both [batch, num_blocks].

    A block is in error where a bit is wrong. Whether a receiver would acknowledge it is another question: its
    `crc_ok` also waits for parity bits that nobody needs any more.
    decisions: one per codeword; sent uint8 [batch, num_blocks, largest size].
    """
    wrong, failed = [], []
    for decision, blocks in zip(decisions, grid.split_blocks(sent), strict=True):
        wrong.append((decision.bits.reshape(blocks.shape) != blocks).sum(-1, dtype=np.int64))
        failed.append(wrong[-1] > 0)
    return np.concatenate(wrong, axis=1), np.concatenate(failed, axis=1)
