"""What one core of this machine was measured to do and to move: the limits that floors are computed from."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass

import llvmlite.binding as llvm
import numpy as np

_CHAINS = 12  # independent chains of operations: more than any core has in flight at once
_INT8_STEPS = ("sadd.sat", "smin", "ssub.sat", "smax")
_CACHE_BYTES = 128 * 1024
_MEMORY_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Limits:
    """Measured limits of one core.

    int8_per_s: saturating adds, minima and the like on 8-bit lanes. flops_per_s: float32 operations, a fused
    multiply-add being two. bytes_per_s: read plus written by a copy within the second-level cache.
    memory_bytes_per_s: the same in main memory, for information.
    """

    int8_per_s: float
    flops_per_s: float
    bytes_per_s: float
    memory_bytes_per_s: float


def measure_limits(seconds: float = 0.4) -> Limits:
    """Measure for about `seconds` each; the best of several tries counts, since others only ever slow a core down."""
    vector_bytes = _vector_bytes()
    int8 = _chains("i8", vector_bytes, _int8_step, len(_INT8_STEPS))
    float32 = _chains("float", vector_bytes // 4, _fma_step, 1)
    return Limits(
        int8_per_s=_best_rate(int8.run, int8.operations, seconds),
        flops_per_s=_best_rate(float32.run, 2 * float32.operations, seconds),
        bytes_per_s=_copy_rate(_CACHE_BYTES, seconds),
        memory_bytes_per_s=_copy_rate(_MEMORY_BYTES, seconds),
    )


def _vector_bytes() -> int:
    features = llvm.get_host_cpu_features()
    if features.get("avx512bw"):
        return 64
    return 32 if features.get("avx2") else 16


def _best_rate(run: Callable[[int], object], operations: int, seconds: float) -> float:
    count, best = 20_000, 0.0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        run(count)
        best = max(best, operations * count / (time.perf_counter() - started))
    return best


def _copy_rate(num_bytes: int, seconds: float) -> float:
    """Bytes read plus bytes written per second when half of `num_bytes` is copied to the other half."""
    source, target = np.ones(num_bytes // 8, np.float32), np.empty(num_bytes // 8, np.float32)
    repeats = max(1, 2**22 // num_bytes)

    def run(count: int) -> None:
        for _ in range(count):
            np.copyto(target, source)

    run(1)
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        run(repeats)
        best = max(best, num_bytes * repeats / (time.perf_counter() - started))
    return best


def _int8_step(value: str, name: str, vector: str, lanes: int) -> list[str]:
    lines, current = [], value
    for i, intrinsic in enumerate(_INT8_STEPS):
        step = f"{name}.{i}" if i < len(_INT8_STEPS) - 1 else name
        constant = "%c" if i % 2 else "%b"
        lines.append(f"  %{step} = call {vector} @llvm.{intrinsic}.v{lanes}i8({vector} {current}, {vector} {constant})")
        current = f"%{step}"
    return lines


def _fma_step(value: str, name: str, vector: str, lanes: int) -> list[str]:
    return [f"  %{name} = call {vector} @llvm.fma.v{lanes}f32({vector} {value}, {vector} %b, {vector} %c)"]


class _Chains:
    """A compiled loop. `run(n)` does n turns of `operations` lane operations each; `engine` keeps the code alive."""

    def __init__(self, engine: llvm.ExecutionEngine, operations: int) -> None:
        self._engine = engine
        self._function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(engine.get_function_address("chains"))
        self._memory = np.ones(64 * (_CHAINS + 2), np.uint8).view(np.float32) * np.float32(0)
        self.operations = operations

    def run(self, count: int) -> None:
        self._function(count, self._memory.ctypes.data)


def _chains(element: str, lanes: int, step: Callable[[str, str, str, int], list[str]], operations: int) -> _Chains:
    """Loop over independent chains of vector operations, in LLVM's language: nothing else is in it."""
    vector = f"<{lanes} x {element}>"
    suffix = f"v{lanes}" + ("i8" if element == "i8" else "f32")
    if element == "i8":
        declared = [f"declare {vector} @llvm.{name}.{suffix}({vector}, {vector})" for name in _INT8_STEPS]
    else:
        declared = [f"declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})"]
    chains = range(_CHAINS)

    def load(name: str, index: int) -> list[str]:
        return [
            f"  %p{name} = getelementptr {vector}, ptr %memory, i64 {index}",
            f"  %{name} = load {vector}, ptr %p{name}, align 1",
        ]

    source = [
        *declared,
        "define void @chains(i64 %count, ptr %memory) {",
        "entry:",
        *load("b", 0),
        *load("c", 1),
        *(line for i in chains for line in load(f"s{i}", 2 + i)),
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *(f"  %x{i} = phi {vector} [ %s{i}, %entry ], [ %y{i}, %loop ]" for i in chains),
        *(line for i in chains for line in step(f"%x{i}", f"y{i}", vector, lanes)),
        "  %next = add i64 %i, 1",
        "  %more = icmp slt i64 %next, %count",
        "  br i1 %more, label %loop, label %end",
        "end:",
        *(f"  store {vector} %y{i}, ptr %ps{i}, align 1" for i in chains),
        "  ret void",
        "}",
    ]
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    module = llvm.parse_assembly("\n".join(source))
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return _Chains(engine, _CHAINS * lanes * operations)
