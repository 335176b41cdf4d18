"""What became of the transport blocks of drops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ran.link.link_budget import Received
from ran.phy.shared_grid import SharedGrid
from ran.phy.transport_block import TransportBlockDecision
from ran.stats.counts import Counts
from ran.stats.user_counters import user_counters

#: What is known of a user in a drop; condition: index into `channels.link_state.CONDITION_NAMES`, -1 for unknown.
RECEIVED_COLUMNS = ("esn0_db", "path_gain_db", "distance_2d_m", "condition", "block_errors")


class NonFiniteError(Exception):
    """A NaN or an infinity appeared in a slot. `stage` says where, `drop_index` in which drop."""

    def __init__(self, stage: str, drop_index: int) -> None:
        super().__init__(f"non-finite numbers in {stage} of drop {drop_index}")
        self.stage = stage
        self.drop_index = drop_index


def counts_of(
    failures: np.ndarray,
    bit_errors: np.ndarray,
    has_second: bool,
    state: Received | None = None,
    has_unlike_users: bool = False,
) -> Counts:
    """failures bool [drops, transmissions, blocks]: in error after each; bit_errors int64 [drops]: in the end.

    has_second: whether the last block belongs to a second codeword. state: the large-scale state of the users, whose
    blocks are as many for each. has_unlike_users: users differ in MCS, and are also counted one by one
    (`ran.stats.user_counters`).
    """
    codewords = [failures[:, :, :-1], failures[:, :, -1:]] if has_second else [failures]
    errors = np.stack([of_codeword.sum(-1, dtype=np.int64) for of_codeword in codewords], 1)
    counters = {"bit_errors": bit_errors}
    if has_unlike_users:
        counters |= user_counters(failures)
    return Counts(errors, counters) if state is None else Counts(errors, counters, _received(failures[:, -1], state))


def _ones(bits: np.ndarray) -> np.ndarray:
    """How many of the bits [..., n], a byte each, are 1, int64 [...]."""
    # numpy counts a whole row at the speed of memory, but an axis of an array by adding integers
    rows = bits.view(np.bool_).reshape(-1, bits.shape[-1])
    return np.array([np.count_nonzero(row) for row in rows], np.int64).reshape(bits.shape[:-1])


def _received(failed: np.ndarray, state: Received) -> np.ndarray:
    """The columns of `RECEIVED_COLUMNS`. failed bool [drops, blocks]: in the end."""
    drops, users = state.esn0_db.shape
    of_user = failed.reshape(drops, users, -1).sum(-1)
    columns = (state.esn0_db, state.path_gain_db, state.distance_2d_m, state.condition, of_user)
    return np.stack(columns, -1).astype(np.float32)


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
        wrong.append(_ones(decision.bits.reshape(blocks.shape) ^ blocks))
        failed.append(wrong[-1] > 0)
    return np.concatenate(wrong, axis=1), np.concatenate(failed, axis=1)
