"""The decoder's kernels on another processor: compiled for 64-bit ARM and run under qemu, to the decisions of this one.

Needs the Debian packages qemu-user and binutils-aarch64-linux-gnu; the program that is run is made of LLVM IR alone.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from ran.phy.ldpc import LdpcCode, decode, encode
from ran.phy.ldpc.kernel.decode import build_module
from ran.phy.ldpc.native import compiled_object
from ran.phy.ldpc.plan import FRAME_COUNTS, frames_per_group, make_plan

ASSEMBLER, LINKER, EMULATOR = "aarch64-linux-gnu-as", "aarch64-linux-gnu-ld", "qemu-aarch64"
ARM = ("aarch64-unknown-linux-gnu", "neoverse-n1", "")
VECTOR_BYTES = 16
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which(LINKER) is None or shutil.which(EMULATOR) is None, reason=f"{LINKER} or {EMULATOR} is not here"
    ),
]

# what LLVM may call, and the two system calls that are needed
RUNTIME = """
    .globl memset, memcpy, write, exit
memset:
    cbz x2, 2f
    mov x3, x0
1:  strb w1, [x3], #1
    subs x2, x2, #1
    b.ne 1b
2:  ret
memcpy:
    cbz x2, 2f
    mov x3, x0
1:  ldrb w4, [x1], #1
    strb w4, [x3], #1
    subs x2, x2, #1
    b.ne 1b
2:  ret
write:
    mov x2, x1
    mov x1, x0
    mov x0, #1
    mov x8, #64
    svc #0
    ret
exit:
    mov x0, #0
    mov x8, #93
    svc #0
"""
DECLARED = "declare void @write(ptr, i64)\ndeclare void @exit()"


def program(llr: np.ndarray, code: LdpcCode, precision: str, num_iterations: int) -> str:
    """LLVM IR that decodes `llr` and writes bits, parity and iterations to its output."""
    message_bytes = {"int8": 1, "float32": 4}[precision]
    lanes, batch = VECTOR_BYTES // message_bytes, len(llr)
    frames = frames_per_group(code, lanes, batch, FRAME_COUNTS[precision])
    plan = make_plan(code, lanes, message_bytes, frames)
    lines = []

    def constant(name: str, array: np.ndarray) -> str:
        data = "".join(f"\\{byte:02X}" for byte in np.ascontiguousarray(array).tobytes())
        lines.append(f'@{name} = internal constant [{array.nbytes} x i8] c"{data}", align 64')
        return f"ptr @{name}"

    def room(name: str, num_bytes: int) -> str:
        lines.append(f"@{name} = internal global [{num_bytes} x i8] zeroinitializer, align 64")
        return f"ptr @{name}"

    # the kernel reads a vector beyond the last frame
    values = constant("llr", np.concatenate([llr.ravel(), np.zeros(64, np.float32)]))
    outputs = {"bits": batch * code.num_info_bits, "ok": batch, "iterations": 4 * batch}
    places = [room(name, size) for name, size in outputs.items()]
    tables = [constant(n, getattr(plan, n)) for n in ("header", "rows", "reads", "writes", "checks", "columns", "runs")]
    rest = [room("workspace", plan.workspace_bytes), room("scales", 4 * batch), room("counts", 4 * batch)]
    numbers = [f"i64 {batch}", f"i64 {num_iterations}", "i64 1"]
    arguments = [values, *places, *numbers, *tables, *rest, "ptr null", "i64 0", "ptr null", "i64 0"]
    kinds = ", ".join(argument.split()[0] for argument in arguments)
    calls = [f"  call i64 @decode_{frames}({', '.join(arguments)})"]
    calls += [f"  call void @write(ptr @{name}, i64 {size})" for name, size in outputs.items()]
    main = ["define void @_start() {", *calls, "  call void @exit()", "  ret void", "}"]
    return "\n".join([*lines, f"declare i64 @decode_{frames}({kinds})", DECLARED, *main])


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize(("base_graph", "lifting_size", "num_rows"), [(1, 48, 20), (2, 20, 42)])
def test_arm_decides_as_this_processor_does(
    tmp_path: Path, base_graph: int, lifting_size: int, num_rows: int, precision: str
) -> None:
    num_info_bits = {1: 22, 2: 10}[base_graph] * lifting_size - 7
    code = LdpcCode(base_graph, lifting_size, num_info_bits, tuple(range(num_rows)))
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (5, num_info_bits), dtype=np.uint8)
    sent = 1 - 2.0 * encode(bits, code)
    # from blocks that decode at once to blocks that do not
    noise = np.array([1.2, 1.8, 3, 4, 8])[:, None] * rng.standard_normal(sent.shape)
    llr = (2 * sent + noise).astype(np.float32)
    expected = decode(llr, code, 6, precision=precision, vector_bytes=VECTOR_BYTES)
    assert expected.parity_ok.any()
    assert not expected.parity_ok.all()

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    (tmp_path / "kernels.o").write_bytes(compiled_object(build_module(precision, VECTOR_BYTES), *ARM))
    machine = llvm.Target.from_triple(ARM[0]).create_target_machine(cpu=ARM[1], opt=0, reloc="static")
    module = llvm.parse_assembly(program(llr, code, precision, 6))
    module.triple = machine.triple
    (tmp_path / "main.o").write_bytes(machine.emit_object(module))
    subprocess.run([ASSEMBLER, "-o", "runtime.o"], cwd=tmp_path, check=True, input=RUNTIME.encode())
    objects = ["main.o", "kernels.o", "runtime.o"]
    subprocess.run([LINKER, "-static", "-o", "decode", *objects], cwd=tmp_path, check=True)
    done = subprocess.run([EMULATOR, "./decode"], cwd=tmp_path, check=True, capture_output=True)
    found = np.frombuffer(done.stdout, np.uint8)
    sizes = np.cumsum([expected.bits.size, len(llr)])
    decided, ok, iterations = np.split(found, sizes)
    assert np.array_equal(decided.reshape(expected.bits.shape), expected.bits)
    assert np.array_equal(ok.astype(bool), expected.parity_ok)
    assert np.array_equal(iterations.view("<i4"), expected.iterations)
