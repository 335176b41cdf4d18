"""Counters of users that differ in MCS: blocks in error and transmissions of each."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from ran.stats.counts import Integers

_NAME = re.compile(r"(block_errors|transmissions)_user_\d+")


def is_user_counter(name: str) -> bool:
    """Whether a counter of this name belongs to users, and no receiver may have it."""
    return _NAME.fullmatch(name) is not None


def user_counters(failures: np.ndarray) -> dict[str, Integers]:
    """failures bool [drops, transmissions, users]: in error after each.

    Returns `block_errors_user_N`, in error in the end, and with several transmissions `transmissions_user_N`, how many
    the user's block took, int64 [drops] each; N from 1.
    """
    found: dict[str, Integers] = {}
    for user in range(failures.shape[2]):
        own = failures[:, :, user]
        found[f"block_errors_user_{user + 1}"] = own[:, -1].astype(np.int64)
        if own.shape[1] > 1:
            found[f"transmissions_user_{user + 1}"] = 1 + own[:, :-1].sum(1, dtype=np.int64)
    return found


def of_users(counters: Mapping[str, Integers], num_users: int) -> list[tuple[Integers, Integers]] | None:
    """Blocks in error in the end and transmissions of every user, int64 [drops]; None where users are alike."""
    found = []
    for user in range(1, num_users + 1):
        errors = counters.get(f"block_errors_user_{user}")
        if errors is None:
            return None
        found.append((errors, counters.get(f"transmissions_user_{user}", np.ones_like(errors))))
    return found
