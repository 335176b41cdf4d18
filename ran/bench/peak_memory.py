"""Peak memory of a piece of work."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from pathlib import Path

_KIB = 1024
_RESET_HIGH_WATER_MARK = "5"  # see proc(5), clear_refs


def peak_bytes(run: Callable[[], object]) -> int | None:
    """What this process grows by at most while `run` works; None where the system does not say (Linux does).

    Free memory is given back to the system before, where the C library can (glibc), so that all of it counts. Not in a
    forked copy: the threads of numerical libraries do not exist there, and a product of matrices waits for them.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_HIGH_WATER_MARK)
        before = _status_bytes("VmRSS")
        run()
        return max(0, _status_bytes("VmHWM") - before)
    except OSError:
        return None


def _status_bytes(key: str) -> int:
    """An entry of the process's status that is given in kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * _KIB


def peak_text(runs: dict[str, Callable[[], object]]) -> str:
    """The peaks of some sides' work by name, in words; empty where they cannot be measured."""
    peaks = {name: peak_bytes(run) for name, run in runs.items()}
    known = [f"{name} {peak / 2**20:.0f} MiB" for name, peak in peaks.items() if peak is not None]
    return f"; peak memory of a draw: {', '.join(known)}" if known else ""
