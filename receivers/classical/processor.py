"""When a computation goes to the compiled kernels instead of torch, and how tensors are handed to them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def runs_compiled(*tensors: Tensor | None) -> bool:
    """Whether the kernels may serve: single precision on a CPU, and no gradient asked for."""
    given = [tensor for tensor in tensors if tensor is not None]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
        return False
    if is_recorded() or not all(isinstance(tensor, Tensor) for tensor in given):
        return False
    return all(tensor.device.type == "cpu" and tensor.dtype in (torch.complex64, torch.float32) for tensor in given)


def is_recorded() -> bool:
    """Whether torch records a graph for another runtime: its sizes may be open, so no loop may depend on them, and
    nothing is changed in place."""
    return bool(torch.jit.is_tracing() or torch.compiler.is_exporting())


def floats(values: Tensor) -> NDArray[np.float32]:
    """The numbers as a contiguous float32 array, complex ones as pairs along the last axis; a view where possible."""
    array: NDArray = values.detach().resolve_conj().contiguous().numpy()
    return array.view(np.float32) if values.is_complex() else array
