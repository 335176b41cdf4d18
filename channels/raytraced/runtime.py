"""What a ray tracer needs on this machine: the package sionna-rt, and the LLVM library or an NVIDIA GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

VARIABLE = "DRJIT_LIBLLVM_PATH"
#: Least version that traces a ray, of those tried with Dr.Jit 1.5 on x86-64: 14 is refused, 15 and 16 end the process
#: ("Cannot select: fminimum"), 19 and 22 work; 17 and 18 were not to be had.
MIN_LLVM = 19
#: Seconds for one ray in a fresh process; the first compiles kernels.
_PATIENCE_S = 180.0
_ONE_RAY = """
from sionna import rt
scene = rt.load_scene(rt.scene.simple_reflector)
scene.tx_array = scene.rx_array = rt.PlanarArray(
    num_rows=1, num_cols=1, vertical_spacing=0.5, horizontal_spacing=0.5, pattern="iso", polarization="V"
)
scene.add(rt.Transmitter("base", position=[0.0, 0.0, 1.0]))
scene.add(rt.Receiver("user", position=[1.0, 0.0, 1.0]))
paths = rt.PathSolver()(scene, max_depth=1, samples_per_src=1000)
if not paths.valid.numpy().any():
    raise SystemExit("no ray from a base station to a user in sight of it")
"""
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

    None where there is none of version `MIN_LLVM` or newer, or the variable names no file or an older version.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        path = Path(chosen)
        return path if path.is_file() and not _too_old(path) else None
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
        if chosen and Path(chosen).is_file():
            lines.append(
                f"{VARIABLE} is {chosen}, LLVM {_version(Path(chosen))}; allowed: version {MIN_LLVM} or newer: "
                f"apt-get install libllvm19, then export {VARIABLE}=/usr/lib/x86_64-linux-gnu/libLLVM-19.so"
            )
        elif chosen:
            lines.append(f"{VARIABLE} is {chosen}, which is no file: unset {VARIABLE}, or export it with the library")
        else:
            lines.append(
                f"no LLVM library from version {MIN_LLVM} was found: apt-get install libllvm19, and if it is not found "
                f"then: export {VARIABLE}=/usr/lib/x86_64-linux-gnu/libLLVM-19.so"
            )
    return tuple(lines)


def trace_one_ray() -> str:
    """Trace a ray in a process of its own: empty when it arrives, otherwise why it does not, in one line.

    Some LLVM libraries load, and end the process when the first kernel is compiled.
    """
    library = llvm_library()
    own = os.environ if library is None else {**os.environ, VARIABLE: str(library)}
    command = [sys.executable, "-c", _ONE_RAY]
    try:
        done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"one ray took longer than {_PATIENCE_S:g} s"
    if done.returncode == 0:
        return ""
    how = f"was ended by signal {-done.returncode}" if done.returncode < 0 else f"ended with {done.returncode}"
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    fatal = next((line for line in said if "LLVM ERROR" in line), said[-1] if said else "")
    return f"a process that traced one ray {how}" + (f": {fatal[:200]}" if fatal else "")


def _too_old(path: Path) -> bool:
    """Whether a library's name tells an older version than `MIN_LLVM`; without a number only tracing shows."""
    return 0 < _version(path) < MIN_LLVM


def _version(path: Path) -> int:
    """Major version in a library's name, or of the folder that it is in; 0 where neither tells."""
    return _version_of_name(path) or _version_of_name(path.resolve())


def _version_of_name(path: Path) -> int:
    match = re.search(r"libLLVM(?:-|\.so\.|\.)(\d+)", path.name) or re.search(r"llvm[-@](\d+)", str(path.parent))
    return int(match[1]) if match else 0
