"""Whether an error is that of a disk: a full one, or one that fails."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

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


def refused_by_disk(error: Exception, path: Path) -> OSError | None:
    """The failure of the disk behind SQLite's "unable to open", which has no number of its own; else None.

    SQLite opens a journal beside `path` for every change. Where path and folder may be written, it is the disk that
    refuses.
    """
    name = getattr(error, "sqlite_errorname", "") if isinstance(error, sqlite3.Error) else ""
    if not name.startswith("SQLITE_CANTOPEN") or not os.access(path.parent, os.W_OK | os.X_OK):
        return None
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return None
    return OSError(errno.EIO, str(error), str(path))
