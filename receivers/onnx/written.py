"""Functions of torch that the writers of model files mistake or do not know, in a form that they do.

What they get wrong here was seen with the writer of ONNX in torch 2.13 (by tracing, operator set 17) and with that of
LiteRT (litert-torch 0.10). The numbers are the same, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _unflatten(values: Tensor, dim: int, sizes: Any) -> Tensor:
    """The writer of ONNX takes all sizes of an unflattened tensor for fixed, but not those of a reshaped one."""
    dim %= values.ndim
    shape = values.shape
    return values.reshape(*shape[:dim], *sizes, *shape[dim + 1 :])


def _flatten(values: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The writer of ONNX takes a first axis that is counted from the end for another."""
    return values.flatten(start_dim % values.ndim, end_dim % values.ndim)


def _permuted(values: Tensor, *dims: Any) -> Tensor:
    """The writer of ONNX takes axes for permutation as they are, also those that are counted from the end."""
    order = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return values.permute(*[axis % values.ndim for axis in order])


def _moved(values: Tensor, source: Any, destination: Any) -> Tensor:
    """As `_permuted`."""
    ends = [[axes] if isinstance(axes, int) else list(axes) for axes in (source, destination)]
    to = {b % values.ndim: a % values.ndim for a, b in zip(*ends, strict=True)}
    others = iter([axis for axis in range(values.ndim) if axis not in to.values()])
    return values.permute(*[to[axis] if axis in to else next(others) for axis in range(values.ndim)])


def _squared(values: Any, exponent: Any) -> Tensor:
    """LiteRT knows powers of four axes at most, and products of any."""
    return values * values if isinstance(exponent, (int, float)) and exponent == 2 else values.pow(exponent)


def numbered(places: Any) -> Any:
    """An index with numbers in place of masks of several axes, which the writer of ONNX mistakes for those of one."""
    parts = places if isinstance(places, tuple) else (places,)
    if not any(isinstance(part, Tensor) and part.dtype == torch.bool for part in parts):
        return places
    numbered: list[Any] = []
    for part in parts:
        is_mask = isinstance(part, Tensor) and part.dtype == torch.bool
        numbered += part.nonzero(as_tuple=True) if is_mask else (part,)
    return tuple(numbered)


#: By the name of the function or method.
WRITTEN: dict[str, Callable] = {
    "unflatten": _unflatten,
    "flatten": _flatten,
    "permute": _permuted,
    "movedim": _moved,
    "moveaxis": _moved,
    "pow": _squared,
    "__pow__": _squared,
}
