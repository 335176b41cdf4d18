"""Whether an error is that of a disk: a full one, or one that fails."""

from __future__ import annotations

import errno
import sqlite3

_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def is_storage_failure(error: BaseException) -> bool:
    """Whether the error, or one that led to it, says that a disk is full or fails: nothing that other input mends.

    What a library reports in a class of its own without a number is not recognised.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in _OF_DISKS:
            return True
        name = getattr(cause, "sqlite_errorname", "") if isinstance(cause, sqlite3.Error) else ""
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
