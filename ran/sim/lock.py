"""Locks of files and folders against other processes that write."""

from __future__ import annotations

import os
from pathlib import Path

from ran.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    raise InputError("system: got one without POSIX file locks; allowed: Linux, macOS, or WSL 2 on Windows") from None


def lock(path: Path) -> int:
    """Lock a file or folder; returns the descriptor that holds the lock, which ends with the process, however it ends.

    InputError where another process holds it, OSError where the path cannot be opened. File systems without locks are
    passed over: stores refuse ranges of drops that overlap in any case, and writers of one data set write the same
    bytes to the same places.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"{path}: another ran process is writing to it; wait for it or use another --out") from None
    except OSError:
        pass
    return descriptor
