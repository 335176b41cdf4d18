"""The kind of processor that drops are simulated on.

Libraries choose their arithmetic by the instruction set: on another kind of processor sums are taken in another order,
and a few drops at the edge of decoding fall to the other side. So every chunk is stored with the kind that made it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

from ran.sim.device import device_kind

#: Variables by which a user takes instructions away from MKL, oneDNN, OpenBLAS and numpy; torch says so itself.
_VARIABLES = ("MKL_ENABLE_INSTRUCTIONS", "DNNL_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")


@functools.cache
def processor_kind(device: str = "cpu") -> str:
    """Processors of one kind compute alike: "znver4 torch:AVX512 numpy:AVX512_ICL", or the name of a GPU.

    The name is LLVM's of the host, which MKL's and OpenBLAS's choice goes by; then the instruction sets that torch and
    numpy chose, and what the environment takes away from others.
    """
    import torch

    if device_kind(device) != "cpu":
        return torch.cuda.get_device_name(device)
    import llvmlite.binding
    import numpy as np

    extensions = np.show_config(mode="dicts")["SIMD Extensions"]
    best = [*extensions.get("baseline", []), *extensions.get("found", [])][-1:] or ["none"]
    limits = [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    capability = torch.backends.cpu.get_cpu_capability()
    return " ".join([llvmlite.binding.get_host_cpu_name(), f"torch:{capability}", f"numpy:{best[0]}", *limits])


def mixed_processors(kinds: Sequence[str]) -> str:
    """The warning about outcomes of several kinds of processor."""
    return (
        f"outcomes of {len(kinds)} kinds of processor are in this run ({'; '.join(kinds)}): they round differently, so "
        "a few blocks at the edge of decoding may differ, and counts are not repeated bit for bit on one kind"
    )
