"""The library compiled by the C++ compiler that is installed, once per machine and source, kept on disk."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from receivers.jit import cache_directory

#: The library's own C++, complete.
SOURCE = Path(__file__).parent / "source"
LIBRARY = "libran6g_receiver.so"

_COMMON = (
    "-std=c++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)
#: Compiler flags by kind of build: for this machine, for any x86-64 with AVX2 (v3), and with sanitizers.
BUILDS: dict[str, tuple[str, ...]] = {
    "native": ("-O3", "-march=native", "-mprefer-vector-width=512"),
    "avx2": ("-O3", "-march=x86-64-v3"),
    "sanitized": ("-O1", "-g", "-march=x86-64-v3", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
}


def compiler() -> str | None:
    """Path of the C++ compiler: $CXX, g++, clang++ or c++; None where there is none."""
    chosen = os.environ.get("CXX")
    names = (chosen,) if chosen else ("g++", "clang++", "c++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def sources() -> list[Path]:
    """The files of the library in a fixed order, headers included."""
    return sorted(path for path in SOURCE.iterdir() if path.suffix in (".cpp", ".h"))


def flags_of(build: str, cxx: str) -> tuple[str, ...]:
    """Flags of a kind of build, without those that the compiler does not know."""
    flags = BUILDS[build]
    if platform.machine() != "x86_64":
        flags = tuple(f for f in flags if not f.startswith(("-march=x86", "-mprefer")))
    return (*_COMMON, *(f for f in flags if not f.startswith("-mprefer") or _knows(cxx, f)))


@functools.cache
def _knows(cxx: str, flag: str) -> bool:
    command = [cxx, flag, "-Werror", "-x", "c++", "-fsyntax-only", "/dev/null"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def compile_library(out: Path, build: str = "native") -> None:
    """Write the shared object. `RuntimeError` with one line where there is no compiler, or where it fails."""
    cxx = compiler()
    if cxx is None:
        raise RuntimeError("C++ compiler: found none ($CXX, g++, clang++, c++); allowed: one of them installed")
    flags = flags_of(build, cxx)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        units = [path for path in sources() if path.suffix == ".cpp"]
        objects = [Path(folder) / f"{path.stem}.o" for path in units]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            commands = [[cxx, *flags, "-c", str(a), "-o", str(b)] for a, b in zip(units, objects, strict=True)]
            list(pool.map(_run, commands))
        library = Path(folder) / LIBRARY
        static = () if build == "sanitized" else ("-static-libstdc++", "-static-libgcc")
        _run([cxx, "-shared", *flags, *map(str, objects), *static, "-lpthread", "-o", str(library)])
        os.replace(library, out)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["?"]
        raise RuntimeError(f"C++ compiler: {command[0]} failed on {command[-3]}: {lines[0]}")


@functools.cache
def built_library(build: str = "native") -> Path:
    """Path of the compiled library in the cache directory, compiled now where it is not there yet."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    cxx = compiler() or ""
    version = subprocess.run([cxx, "--version"], capture_output=True, text=True, check=False).stdout if cxx else ""
    digest.update("\0".join([build, *BUILDS[build], version, platform.machine(), _processor()]).encode())
    path = cache_directory() / f"ran6g_receiver-{build}-{digest.hexdigest()[:24]}.so"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        compile_library(path, build)
    return path


@functools.cache
def _processor() -> str:
    """What this processor can do: a library for another one may not run."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
