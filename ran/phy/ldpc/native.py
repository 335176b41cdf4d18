"""Compiling the kernels once per machine: object files on disk, loaded by every process after.

The cache directory is $RAN_CACHE_DIR, or else `ran6g` in the user's cache directory, or for a user without a
home a folder among the temporary files. A file is named after everything it depends on and carries its own checksum.
It is loaded only where it belongs to this user or the system and nobody else can write to it. It is written under
another name and then renamed, so that processes may race and a torn file is compiled again. Where the directory cannot
be written, each process compiles for itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

_CHECKSUM_BYTES = 32
_HERE = Path(__file__).parent
_SOURCES = (
    "simd.py",
    "plan.py",
    "arithmetic.py",
    "native.py",
    *(f"kernel/{name}.py" for name in ("context", "check", "crc", "intake", "posterior", "decode")),
    *(f"kernel/{name}.py" for name in ("transmit", "matching")),
)


def cache_directory() -> Path:
    """Where compiled kernels are kept."""
    chosen = os.environ.get("RAN_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(os.path.expanduser("~"))
    if not base and not home.is_absolute():  # no HOME and no entry in the list of users
        return _private_folder()
    return (Path(base) if base else home / ".cache") / "ran6g"


@lru_cache(maxsize=1)
def _private_folder() -> Path:
    """A folder among the temporary files that nobody else can write to, as code is loaded from it; the same one for
    all processes of a user, or one of this process where another user has taken its name."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.mkdtemp(prefix="ran6g-"))
    folder = Path(tempfile.gettempdir()) / f"ran6g-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="ran6g-"))


@lru_cache(maxsize=1)
def native_vector_bytes() -> int:
    """Width of this CPU's SIMD registers: 64 with AVX-512 BW, 32 with AVX2, else 16."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512bw") and features.get("avx512vl"):
        return 64
    return 32 if features.get("avx2") else 16


class Library:
    """Compiled kernels of one element type and vector width."""

    def __init__(self, object_code: bytes) -> None:
        # Needed before anything is loaded, also from the cache.
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine(*_host()))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(object_code))
        self._engine.finalize_object()
        self._functions: dict[str, Callable[..., int]] = {}

    def function(self, name: str, *argument_types: type) -> Callable[..., int]:
        """An exported function that returns int64. Calling it releases the interpreter lock."""
        function = self._functions.get(name)
        if function is None:
            address = self._engine.get_function_address(name)
            function = self._functions[name] = ctypes.CFUNCTYPE(ctypes.c_int64, *argument_types)(address)
        return function


#: The library of encoder, interleaver and CRC. It has no vector width: 64 throughout.
TRANSMIT = "transmit"

_loaded: dict[tuple[str, int], Library] = {}
_loading = threading.Lock()


def load_library(kind: str, vector_bytes: int) -> Library:
    """The kernels: as loaded before, or else from the cache directory, or else newly compiled.

    kind: a precision, for the decoder, or `TRANSMIT`.
    """
    with _loading:
        library = _loaded.get((kind, vector_bytes))
        if library is None:
            path = _path(kind, vector_bytes)
            code = _read(path)
            if code is None:
                code = _compile(kind, vector_bytes)
                _write(path, code)
            library = _loaded[kind, vector_bytes] = Library(code)
    return library


def is_compiled(kind: str, vector_bytes: int) -> bool:
    """Whether `load_library` has nothing to compile."""
    return (kind, vector_bytes) in _loaded or _read(_path(kind, vector_bytes)) is not None


def _host() -> tuple[str, str, str]:
    """Triple, processor and features of this machine, as LLVM names them."""
    return llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _target_machine(triple: str, cpu: str, features: str) -> llvm.TargetMachine:
    """A new one each time: an execution engine owns the one it is given."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # code for another kind of processor is for its linker
    model = "jitdefault" if triple == llvm.get_default_triple() else "small"
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(cpu=cpu, features=features, opt=3, reloc="pic", codemodel=model)


def _compile(kind: str, vector_bytes: int) -> bytes:
    # Building IR takes a while to import and run; a cached kernel needs none of it.
    from ran.phy.ldpc.kernel import decode, transmit

    text = transmit.build_module() if kind == TRANSMIT else decode.build_module(kind, vector_bytes)
    return compiled_object(text, *_host())


def compiled_object(text: str, triple: str, cpu: str, features: str) -> bytes:
    """Object code of a module of LLVM IR for a processor, by LLVM's names for it; of other kinds than this machine's
    once they are initialised in LLVM."""
    machine = _target_machine(triple, cpu, features)
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = False
    options.loop_vectorization = False
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def _path(kind: str, vector_bytes: int) -> Path:
    return cache_directory() / f"ldpc-{kind}-{vector_bytes}-{_fingerprint()[:32]}.o"


@cache
def _fingerprint() -> str:
    """Of everything that compiled kernels depend on: our sources, LLVM and the CPU."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update((_HERE / source).read_bytes())
    parts = (
        llvmlite.__version__,
        str(llvm.llvm_version_info),
        *_host(),
    )
    digest.update("\0".join(parts).encode())
    return digest.hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        # it is machine code: never through a link, never what others can write
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not _is_trusted(os.fstat(file.fileno())):
                return None
            content = file.read()
    except OSError:
        return None
    checksum, code = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    return code if hashlib.sha256(code).digest() == checksum else None


def _is_trusted(found: os.stat_result) -> bool:
    """Whether an open file is this user's or the system's, and nobody else can write to it."""
    if not hasattr(os, "getuid"):
        return True
    return stat.S_ISREG(found.st_mode) and found.st_uid in (os.getuid(), 0) and not found.st_mode & 0o022


def _write(path: Path, code: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(name, path)
        except OSError:
            Path(name).unlink(missing_ok=True)
    except OSError:
        # A cache is a convenience: without one this process keeps what it compiled.
        return


def transmit_function(name: str, *argument_types: type) -> Callable[..., int]:
    """A function of `kernel.transmit`."""
    return load_library(TRANSMIT, 64).function(name, *argument_types)
