"""A batch of code blocks shared among threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache


def in_parts(work: Callable[[int, int], int], batch: int, num_threads: int) -> list[int]:
    """`work(start, end)` for even parts of range(batch), one for each thread; its results in order.

    Of use where `work` spends its time in native code that has released the interpreter lock.
    """
    parts = max(1, min(num_threads, batch))
    bounds = [batch * part // parts for part in range(parts + 1)]
    if parts == 1:
        return [work(0, batch)]
    # The calling thread takes a part too.
    others = [_pool(os.getpid(), parts - 1).submit(work, *bounds[i : i + 2]) for i in range(1, parts)]
    return [work(*bounds[:2]), *(other.result() for other in others)]


@lru_cache(maxsize=4)
def _pool(process: int, num_threads: int) -> ThreadPoolExecutor:
    """Threads that stay. By process, because a fork does not inherit them."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix="ldpc")
