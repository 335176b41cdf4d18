"""What a ray tracer needs on this machine: the package sionna-rt, and the LLVM library or an NVIDIA GPU."""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

VARIABLE = "DRJIT_LIBLLVM_PATH"
#: Dr.Jit, on which Sionna RT computes, refuses older ones.
MIN_LLVM = 15
_PACKAGE = "sionna-rt"
_PLACES = (
    "/usr/lib/*-linux-gnu/libLLVM*.so*",
    "/usr/lib64/libLLVM*.so*",
    "/usr/lib/libLLVM*.so*",
    "/usr/lib/llvm-*/lib/libLLVM*.so*",
    "/opt/homebrew/opt/llvm*/lib/libLLVM*.dylib",
)


def tracer_version() -> str | None:
    """Version of sionna-rt, None where it is not installed."""
    try:
        return metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        return None


def llvm_library() -> Path | None:
    """The LLVM library that the tracer is to use: $DRJIT_LIBLLVM_PATH if it is set, or else the newest that is found.

    None where there is none of version 15 or newer, or the variable names no file.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen) if Path(chosen).is_file() else None
    found = [(_version(path), path) for pattern in _PLACES for path in sorted(Path("/").glob(pattern[1:]))]
    usable = [(version, path) for version, path in found if version >= MIN_LLVM]
    return max(usable, key=lambda entry: entry[0])[1] if usable else None


def missing() -> tuple[str, ...]:
    """What keeps this machine from tracing rays on its processor, each with the command that helps."""
    lines = []
    if tracer_version() is None:
        lines.append("package sionna-rt is not installed: pip install 'ran6g[rt]'")
    if llvm_library() is None:
        chosen = os.environ.get(VARIABLE)
        if chosen:
            lines.append(f"{VARIABLE} is {chosen}, which is no file: unset {VARIABLE}, or export it with the library")
        else:
            lines.append(
                f"no LLVM library from version {MIN_LLVM} was found: apt-get install libllvm19, and if it is not found "
                f"then: export {VARIABLE}=/usr/lib/x86_64-linux-gnu/libLLVM-19.so"
            )
    return tuple(lines)


def _version(path: Path) -> int:
    """Major version in a library's name, or of the folder that it is in."""
    match = re.search(r"libLLVM(?:-|\.so\.|\.)(\d+)", path.name) or re.search(r"llvm[-@](\d+)", str(path.parent))
    return int(match[1]) if match else 0
