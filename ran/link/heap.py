"""The memory of one batch serves the next: the C library keeps what is freed instead of handing it back.

A batch frees some tens of megabytes and asks for as much a moment later. glibc would return them in between, and the
system would clear every page again: at 273 PRB a third of the processor time of a slot.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

#: Of <malloc.h>: parameters of `mallopt`.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: Freed memory up to so much is kept, and blocks up to so much come from it; the budget of a batch is 1 GiB.
_KEPT_BYTES, _LARGEST_BLOCK_BYTES = 2**30, 2**28


@cache
def keep_freed_memory() -> bool:
    """Set this process so, once. Returns whether it could be set: on Linux with glibc."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
