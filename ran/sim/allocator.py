"""Keep freed memory in the process: a slot simulator asks for the same large arrays again and again."""

from __future__ import annotations

import ctypes
import sys

# glibc's <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Tell glibc not to give large freed blocks back to the system; returns whether it could be told.

    By default every large array is mapped and unmapped anew, and the first touch of each of its pages costs as much as
    the arithmetic on it: the neural receiver took 1.6 times as long. On other C libraries nothing is changed.

    This holds for the whole process and cannot be undone: for the command line's own processes and for workers, and for
    a program of one's own that simulates in its process and wants it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # a C library without it, such as musl
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, 2 * _BYTES - 1))
