"""Runs our Triton decoder in Triton's interpreter on the CPU: TRITON_INTERPRET=1 python triton_interpreter.py IN OUT.

IN and OUT are npz files, IN as `interpret` in test_ldpc_triton.py writes it. A process of its own, because Triton reads
the variable when it is imported.
"""

import json
import sys

import numpy as np
import torch
import triton.runtime.interpreter as interpreter

from ran.phy.ldpc import LdpcCode, cuda, triton_kernels

patch_everything = interpreter._patch_lang


def patch_launched_kernels_only(fn):
    """Triton would go through its whole language at each call of one of our functions, though the launch did it."""
    if fn.__module__ != triton_kernels.__name__ or fn.__name__ in ("decode_blocks", "input_scales"):
        return patch_everything(fn)
    return None


interpreter._patch_lang = patch_launched_kernels_only


def main(source, target):
    with np.load(source) as file:
        cases = [(json.loads(str(file[f"case_{i}"])), file[f"llr_{i}"]) for i in range(len(file.files) // 2)]
    results = {}
    for i, (case, llr) in enumerate(cases):
        code = LdpcCode(*case["code"][:3], tuple(case["code"][3]))
        names = ("bits", "parity_ok", "iterations", "num_received", "posterior")
        tensors = cuda.decode_tensor(torch.from_numpy(llr), code, case["num_iterations"], **case["options"])
        results |= {f"{name}_{i}": tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
    np.savez(target, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
