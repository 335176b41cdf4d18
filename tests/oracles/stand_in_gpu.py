"""A GPU that is none: tensors that say they are on `cuda:0` and hold their numbers on this processor.

The paths that the code takes for a GPU are run with real numbers, and compared. As on a GPU, an operation on tensors of
two devices raises, and so does `numpy()`. What a GPU would have to be waited for is written down with its place: reads
of single values, copies to the host, shapes that depend on values. Memory, speed and Triton kernels are not there.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = "cuda:0"
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("ran", "receivers", "channels")
_GUARDS = "_ZN3c104impl26device_guard_impl_registryE"
_CPU, _CUDA = 0, 1
#: Operations whose arguments may be on two devices.
_ACROSS = {"aten::copy_", "aten::_to_copy", "aten::index.Tensor", "aten::index_put_", "aten::index_put", "aten::set_"}
#: Operations that give a value to the host, and those whose result has a shape that only their values tell.
_VALUES = {"aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero"}
_SHAPES = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive"}


@dataclass(frozen=True)
class Wait:
    """Something that a GPU would be waited for. kind: value, copy or shape. place: FILE:FUNCTION of this package."""

    kind: str
    place: str


class OnGpu(Tensor):
    """A tensor that says that it is on the GPU; its numbers are in `inner`."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGpu:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined,no-any-return]
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(DEVICE),
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a tensor of the stand-in outside of `stand_in_gpu`")


def on_host(value: Any) -> Any:
    """The numbers of what is on the GPU, without waiting for it: for comparisons in tests."""
    return tree_map(lambda t: t.inner if isinstance(t, OnGpu) else t, value)


class _Mode(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Wait] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
        here = [t for t in tensors if isinstance(t, OnGpu)]
        name = func._schema.name
        if here:
            self._check(name, func, args, tensors)
        result_on_gpu = bool(here)
        if kwargs.get("device") is not None:
            result_on_gpu = torch.device(kwargs["device"]).type == "cuda"
            kwargs["device"] = torch.device("cpu")
            if here and not result_on_gpu:
                self._wait("copy")
            if kwargs.get("pin_memory"):
                kwargs["pin_memory"] = False
        if name == "aten::copy_" and here:
            result_on_gpu = isinstance(args[0], OnGpu)
            if not result_on_gpu:
                self._wait("copy")
        out = func(*on_host(args), **on_host(kwargs))
        # what an operation changes in place stays the tensor that it was
        same = {id(t.inner): t for t in here}

        def wrapped(value: Any) -> Any:
            if not result_on_gpu or not isinstance(value, Tensor):
                return value
            found = same.get(id(value))
            # whether a view is conjugate is a bit of the tensor, which these do not have: their numbers are
            return OnGpu(value.resolve_conj().resolve_neg()) if found is None else found

        return tree_map(wrapped, out)

    def _check(self, name: str, func: Any, args: Any, tensors: list[Tensor]) -> None:
        if name in _VALUES:
            self._wait("value")
        if name in _SHAPES:
            self._wait("shape")
        if name in ("aten::index", "aten::index_put", "aten::index_put_"):
            indices = [t for t in tree_flatten(args[1])[0] if isinstance(t, Tensor)]
            if any(t.dtype in (torch.bool, torch.uint8) for t in indices):
                self._wait("shape")
            tensors = [t for t in tensors if all(t is not index for index in indices)]
        if name in _ACROSS:
            return
        if any(t.dim() and not isinstance(t, OnGpu) for t in tensors):
            raise RuntimeError(f"{func}: expected all tensors to be on the same device, found cuda:0 and cpu")

    def _wait(self, kind: str) -> None:
        frame = sys._getframe(2)
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if any(path.is_relative_to(_ROOT / package) for package in _PACKAGES):
                function = frame.f_code.co_qualname.partition(".<locals>")[0]
                self.waits.append(Wait(kind, f"{path.relative_to(_ROOT)}:{function}"))
                return
            frame = frame.f_back  # type: ignore[assignment]
        self.waits.append(Wait(kind, "outside"))


def missing() -> str:
    """Why there can be no stand-in here; empty where there can."""
    if torch.cuda.is_available():
        return "a real GPU is here"
    try:
        _guards()
    except (OSError, ValueError) as error:
        return f"torch's table of device guards: {error}"
    return ""


def _guards() -> Any:
    """Torch's table of what switches between the devices of a kind; a build without CUDA has none for it."""
    library = ctypes.CDLL(os.path.join(os.path.dirname(torch.__file__), "lib", "libc10.so"))
    return (ctypes.c_void_p * 2).in_dll(library, _GUARDS)


@contextmanager
def stand_in_gpu() -> Iterator[list[Wait]]:
    """Tensors on `DEVICE` work meanwhile; yields what a GPU was waited for."""
    guards, begin, inference_mode = _guards(), torch.cuda._lazy_init, torch.inference_mode
    before = guards[_CUDA]
    torch.cuda._lazy_init = lambda: None
    torch._C._set_only_lift_cpu_tensors(True)
    # a module's parameters cannot become another kind of tensor in their place
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    # tensors of a wrapper cannot be views in inference mode
    torch.inference_mode = lambda mode=True: torch.no_grad() if mode else nullcontext()  # type: ignore[assignment,misc]
    # one device of its kind: there is nothing to switch, as on a processor
    guards[_CUDA] = guards[_CPU]
    try:
        with _Mode() as mode:
            yield mode.waits
    finally:
        guards[_CUDA] = before
        torch.inference_mode = inference_mode  # type: ignore[misc]
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
        torch._C._set_only_lift_cpu_tensors(False)
        torch.cuda._lazy_init = begin
