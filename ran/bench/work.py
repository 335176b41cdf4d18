"""How much a receiver computes for a slot, and what this machine's matrix product reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_GEMM_SIZE = 1024
#: Real operations of a complex multiply-add over those of a real one.
_COMPLEX = 4


class _Counter(TorchDispatchMode):
    """Adds up the operations of convolutions and matrix products that pass through torch."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            of_one = int(count(*args, **kwargs, out_val=out))
            self.flops += of_one * (_COMPLEX if isinstance(out, torch.Tensor) and out.is_complex() else 1)
        return out


def product_flops(call: Callable[[], object]) -> int:
    """Real operations of all convolutions and matrix products in `call`, a multiply-add being two.

    Nothing else is counted: no element-wise operations, no decompositions, no kernels of our own.
    """
    counter = _Counter()
    with torch.no_grad(), counter:
        call()
    return counter.flops


def gemm_flops_per_s(device: str = "cpu", seconds: float = 0.5) -> float:
    """What a float32 product of 1024 x 1024 matrices reaches here while it has a core (or the GPU); the best of several
    tries counts."""
    a, b = (torch.ones(_GEMM_SIZE, _GEMM_SIZE, device=device) for _ in range(2))
    clock = time.perf_counter if a.is_cuda else time.process_time
    best, until = 0.0, clock() + seconds
    torch.mm(a, b)
    while clock() < until:
        started = clock()
        torch.mm(a, b)
        if a.is_cuda:
            torch.cuda.synchronize()
        best = max(best, 2 * _GEMM_SIZE**3 / (clock() - started))
    return best
