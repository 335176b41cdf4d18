"""Successive cancellation list decoding of polar codes, compiled."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def list_decode(llr: NDArray[np.float32], kinds: NDArray[np.uint8], list_size: int) -> NDArray[np.uint8]:
    """Candidates for the transform's input, uint8 [batch, list_size, N], by ascending metric.

    llr [batch, N]: of the mother code, positive for bit 0. kinds [N]: 0 frozen, 1 information, 2 parity check. Fewer
    candidates than list_size are repeated.
    """
    batch, size = llr.shape
    log_size = 0
    while 1 << log_size < size:
        log_size += 1
    out = np.zeros((batch, list_size, size), np.uint8)
    # per path: LLRs and partial sums of every stage, side by side from place 2^stage on
    alpha = np.zeros((list_size, 2 * size), np.float32)
    beta = np.zeros((list_size, 2 * size), np.uint8)
    u = np.zeros((list_size, size), np.uint8)
    register = np.zeros((list_size, 5), np.uint8)
    metric = np.zeros(list_size, np.float64)
    both = np.zeros(2 * list_size, np.float64)
    spare = np.zeros(list_size, np.int64)
    work = np.zeros(size, np.uint8)
    for b in range(batch):
        alpha[0, size:] = llr[b]
        register[:] = 0
        metric[:] = 0
        paths = 1
        for i in range(size):
            stage = 0
            if i == 0:
                stage = log_size
            else:
                while not (i >> stage) & 1:
                    stage += 1
            for p in range(paths):
                _descend(alpha[p], beta[p], i, stage, log_size)
                first = register[p, 0]
                for j in range(4):
                    register[p, j] = register[p, j + 1]
                register[p, 4] = first
            if kinds[i] != 1:
                for p in range(paths):
                    bit = register[p, 0] if kinds[i] == 2 else np.uint8(0)
                    u[p, i] = bit
                    value = alpha[p, 1]
                    if (value < 0) != (bit == 1) and value != 0:
                        metric[p] += abs(value)
            else:
                for p in range(paths):
                    value = alpha[p, 1]
                    both[2 * p] = metric[p] + (-value if value < 0 else 0.0)
                    both[2 * p + 1] = metric[p] + (value if value > 0 else 0.0)
                keep = min(2 * paths, list_size)
                order = np.argsort(both[: 2 * paths], kind="mergesort")[:keep]
                taken = np.zeros(2 * list_size, np.bool_)
                for n in range(keep):
                    taken[order[n]] = True
                free = 0
                for p in range(list_size):
                    if p >= paths or not (taken[2 * p] or taken[2 * p + 1]):
                        spare[free] = p
                        free += 1
                used = 0
                old = paths
                for p in range(old):
                    if taken[2 * p] and taken[2 * p + 1]:
                        q = spare[used]
                        used += 1
                        alpha[q] = alpha[p]
                        beta[q] = beta[p]
                        u[q] = u[p]
                        register[q] = register[p]
                        metric[q] = both[2 * p + 1]
                        u[q, i] = 1
                        metric[p] = both[2 * p]
                        u[p, i] = 0
                    elif taken[2 * p] or taken[2 * p + 1]:
                        bit = np.uint8(1) if taken[2 * p + 1] else np.uint8(0)
                        metric[p] = both[2 * p + bit]
                        u[p, i] = bit
                paths = keep
                for p in range(paths):
                    register[p, 0] ^= u[p, i]
            for p in range(paths):
                _ascend(beta[p], u[p, i], i, log_size, work)
        order = np.argsort(metric[:paths], kind="mergesort")
        for n in range(list_size):
            out[b, n] = u[order[min(n, paths - 1)]]
    return out


@numba.njit(cache=True)
def _descend(alpha: NDArray[np.float32], beta: NDArray[np.uint8], i: int, stage: int, log_size: int) -> None:
    """LLRs down to leaf i, from the stage at which it leaves the way of the leaf before."""
    if i > 0:
        half = 1 << stage
        for j in range(half):
            a, b = alpha[2 * half + j], alpha[3 * half + j]
            alpha[half + j] = b - a if beta[half + j] else b + a
    else:
        stage = log_size
    for s in range(stage - 1, -1, -1):
        half = 1 << s
        for j in range(half):
            a, b = alpha[2 * half + j], alpha[3 * half + j]
            least = min(abs(a), abs(b))
            alpha[half + j] = least if (a < 0) == (b < 0) else -least


@numba.njit(cache=True)
def _ascend(beta: NDArray[np.uint8], bit: int, i: int, log_size: int, work: NDArray[np.uint8]) -> None:
    """Partial sums up from leaf i, to the first node of which it is in the left half."""
    work[0] = bit
    s = 0
    while (i >> s) & 1 and s < log_size:
        half = 1 << s
        for j in range(half):
            work[half + j] = work[j]
            work[j] ^= beta[half + j]
        s += 1
    if s < log_size:
        half = 1 << s
        for j in range(half):
            beta[half + j] = work[j]
