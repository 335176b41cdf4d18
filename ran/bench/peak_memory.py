"""Peak memory of a piece of work."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
from collections.abc import Callable

_KIB = 1024


def peak_bytes(run: Callable[[], object]) -> int:
    """What the process grows by at most while `run` works, in a forked copy of it; Linux and macOS.

    Free memory is given back to the system before, where the C library can (glibc), so that all of it counts.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            run()
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            os.write(write, struct.pack("q", grown * _KIB))
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as answer:
        found = answer.read()
    if len(found) != 8:
        raise RuntimeError("the work failed in the process that measures its memory")
    return int(struct.unpack("q", found)[0])
