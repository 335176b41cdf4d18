"""No more memory for a model than its file accounts for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

#: Functions of torch that make a tensor of a size that they are told.
_FACTORIES: frozenset[Callable[..., Any]] = frozenset(
    (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.linspace, torch.eye)
)
#: What a tensor counts for at least: so does what python keeps of a layer.
_LEAST_BYTES = 4096


class AllocationLimit(TorchFunctionMode):
    """Within it, tensors of at most `most_bytes` bytes in all can be made by their size; `ValueError` for more.

    A size is looked at before there is memory for it: torch computes what it would be on its device `meta`.
    """

    def __init__(self, most_bytes: int) -> None:
        super().__init__()
        self.most_bytes = most_bytes
        self._used = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in _FACTORIES:
            like = func(*args, **{**given, "device": "meta"})
            self._used += max(_LEAST_BYTES, like.numel() * like.element_size())
            if self._used > self.most_bytes:
                raise ValueError(f"got a model of more than {self.most_bytes} bytes; allowed: up to that")
        return func(*args, **given)
