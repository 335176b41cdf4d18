"""Where something was made: the machine, and the command that was typed."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from pathlib import Path

from ran.config.provenance import versions


def cpu_model() -> str:
    """Model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def command_line() -> str:
    """The command of this process as one types it; without the paths of interpreter and kernel, which say nothing."""
    program = Path(sys.argv[0]) if sys.argv and sys.argv[0] else Path()
    if program.stem in ("ran", "main", "__main__") and (program.stem == "ran" or "ran" in program.parts):
        return shlex.join(["ran", *sys.argv[1:]])
    if "ipykernel" in program.name or "ipykernel" in program.parts:
        return "a notebook"
    return f"python {program.name}".strip()


def made_here() -> dict[str, str]:
    """Command, machine and versions, for the foot of a page."""
    cores = available_cores()
    return {
        "command": command_line(),
        "machine": f"{cpu_model()}, {cores} core{'' if cores == 1 else 's'}",
        **versions(),
    }
