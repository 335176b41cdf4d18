"""The Triton decoder gives what the native one gives, bit for bit: in Triton's interpreter, and on a GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.phy.ldpc import LIFTING_SIZES, LdpcCode, cuda, decode, encode
from ran.phy.ldpc.base_graph import LIFTING_SIZE_SETS

ORACLES = Path(__file__).parents[1] / "oracles"


def make_code(base_graph, z, num_filler, rows):
    return LdpcCode(base_graph, z, (22 if base_graph == 1 else 10) * z - num_filler, tuple(rows))


def received(code, batch, seed):
    """LLRs of which some blocks decode at once and some never do."""
    rng = np.random.default_rng(seed)
    coded = encode(rng.integers(0, 2, (batch, code.num_info_bits)).astype(np.uint8), code)
    spread = np.linspace(0.25, 1.2, batch)[:, None] if batch > 1 else np.array([[0.6]])
    noisy = 1 - 2.0 * coded + spread * rng.normal(size=coded.shape)
    return (noisy * rng.uniform(0.1, 30, (batch, 1))).astype(np.float32)


def interpret(cases, folder):
    """Results of all cases (code, LLRs, iterations, options), each as a dictionary of arrays."""
    source, target = folder / "in.npz", folder / "out.npz"
    arrays = {}
    for i, (code, llr, num_iterations, options) in enumerate(cases):
        parameters = [code.base_graph, code.lifting_size, code.num_info_bits, list(code.rows)]
        arrays[f"case_{i}"] = json.dumps({"code": parameters, "num_iterations": num_iterations, "options": options})
        arrays[f"llr_{i}"] = llr
    np.savez(source, **arrays)
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": root}
    command = [sys.executable, str(ORACLES / "triton_interpreter.py"), str(source), str(target)]
    subprocess.run(command, env=environment, check=True)
    with np.load(target) as file:
        names = ("bits", "parity_ok", "iterations", "num_received", "posterior")
        return [{name: file[f"{name}_{i}"] for name in names} for i in range(len(cases))]


def check_against_native(cases, folder):
    stopped_early = 0
    for case, result in zip(cases, interpret(cases, folder), strict=True):
        code, llr, num_iterations, options = case
        expected = decode(
            llr, code, num_iterations, early_stop=options["early_stop"], precision=options["precision"], soft=True
        )
        assert np.array_equal(result["bits"], expected.bits), case[0]
        assert np.array_equal(result["parity_ok"], expected.parity_ok), case[0]
        assert np.array_equal(result["iterations"], expected.iterations), case[0]
        assert np.array_equal(result["num_received"], expected.num_received), case[0]
        assert np.array_equal(result["posterior"][:, : code.num_info_bits], expected.info_llr), case[0]
        _, start = code.filler_range
        parity = result["posterior"][:, code.num_systematic_bits :]
        assert np.array_equal(parity, expected.coded_llr[:, start:]), case[0]
        stopped_early += np.sum(expected.iterations < num_iterations)
    return stopped_early


def options(precision="int8", early_stop=True):
    return {"precision": precision, "early_stop": early_stop, "with_posterior": True}


@pytest.mark.slow
def test_lifting_sizes_of_all_sets(tmp_path):
    """The smallest and another size of each set in int8, base graphs taking turns, with few rows; some in float32."""
    cases = []
    for index, sizes in enumerate(LIFTING_SIZE_SETS):
        for z in (sizes[0], sizes[2 + index % 3]):
            code = make_code(2, z, z // 3, (*range(5), 7 + index))
            cases.append((code, received(code, 2, z), 2, options()))
    for z, rows in ((384, range(4)), (15, (0, 1, 2, 3, 20, 33))):
        code = make_code(1, z, 1 + z // 2, rows)
        cases.append((code, received(code, 1, z), 2, options()))
    code = make_code(2, 3, 0, range(4))
    cases.append((code, received(code, 7, 0), 3, options()))
    for z in (2, 9):
        code = make_code(2, z, 4 * z, range(8))
        cases.append((code, received(code, 1, z), 2, options("float32", early_stop=False)))
    assert check_against_native(cases, tmp_path) > 4


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("base_graph", [1, 2])
def test_all_lifting_sizes(base_graph, precision, tmp_path):
    cases = []
    for z in LIFTING_SIZES:
        code = make_code(base_graph, z, z // 3, (*range(6), 10 + z % 20))
        cases.append((code, received(code, 2, z), 3, options(precision, early_stop=z % 4 > 0)))
    assert check_against_native(cases, tmp_path) > 5


@pytest.mark.parametrize("compute_capability", [80, 90])
@pytest.mark.parametrize("is_int8", [True, False])
def test_compiles_for_gpus_without_fused_operations(is_int8, compute_capability, tmp_path, monkeypatch):
    """Also, all values of a lane stay in one thread: nothing is exchanged but through the barriers between rows."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from ran.phy.ldpc import triton_kernels

    message = "*i8" if is_int8 else "*fp32"
    kernels = {
        triton_kernels.input_scales: (
            {"llr": "*fp32", "scales": "*fp32", "num_received": "*fp32", "runs": "*i32"},
            {"FRAMES": 8},
            4,
        ),
        triton_kernels.decode_blocks: (
            dict.fromkeys(("llr", "scales", "counts", "posterior"), "*fp32")
            | dict.fromkeys(("bits", "parity_ok"), "*i8")
            | dict.fromkeys(("iterations", "rows", "edges", "columns"), "*i32")
            | dict.fromkeys(("slots", "messages", "parity"), message),
            {"EARLY_STOP": True, "IS_INT8": is_int8, "WITH_POSTERIOR": True, "BLOCK": 512},
            16,
        ),
    }
    for kernel, (pointers, constants, num_warps) in kernels.items():
        signature = {name: "constexpr" if name in constants else pointers.get(name, "i32") for name in kernel.arg_names}
        places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
        compiled = triton.compile(
            ASTSource(fn=kernel, signature=signature, constexprs=places),
            target=GPUTarget("cuda", compute_capability, 32),
            options={"num_warps": num_warps, "num_stages": 1, "enable_fp_fusion": False},
        )
        assert "fma." not in compiled.asm["ptx"]
        if kernel is triton_kernels.decode_blocks:
            assert "convert_layout" not in compiled.asm["ttgir"]
            assert "bar.sync" in compiled.asm["ptx"]


def test_says_when_triton_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "ran.phy.ldpc.triton_kernels", raising=False)
    code = make_code(2, 4, 0, range(4))
    llr = torch.zeros((1, code.num_coded_bits))
    with pytest.raises(InputError, match="triton is not installed"):
        cuda.decode_tensor(llr, code, 1, early_stop=True, precision="int8", with_posterior=False)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("base_graph", [1, 2])
def test_gpu_decides_as_the_cpu(base_graph, precision):
    for z in LIFTING_SIZES:
        code = make_code(base_graph, z, z // 3, (*range(8), 10 + z % 20))
        llr = received(code, 3000, z)
        expected = decode(llr, code, 8, precision=precision, soft=True)
        decision = decode(torch.from_numpy(llr).cuda(), code, 8, precision=precision, soft=True)
        for name in ("bits", "parity_ok", "iterations", "num_received", "info_llr", "coded_llr"):
            assert np.array_equal(getattr(decision, name).cpu().numpy(), getattr(expected, name)), (z, name)


@pytest.mark.gpu
def test_gpu_refuses_what_is_not_finite():
    code = make_code(2, 10, 0, range(42))
    llr = torch.ones((3, code.num_coded_bits), device="cuda")
    llr[1, 123] = float("nan")
    with pytest.raises(InputError, match="code block 1"):
        decode(llr, code, 5)
