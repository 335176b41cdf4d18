"""What a process has once and every receiver computes with: one that changes it would falsify those after it."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class GlobalState:
    """Settings of torch, numpy and the process at one moment."""

    default_dtype: torch.dtype
    default_device: torch.device
    grad_enabled: bool
    num_threads: int
    deterministic: bool
    numpy_errors: tuple[tuple[str, str], ...]
    folder: str | None

    @classmethod
    def now(cls) -> GlobalState:
        """The state as it is."""
        return cls(
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            tuple(sorted((kind, str(how)) for kind, how in np.geterr().items())),
            _folder(),
        )

    def restore(self) -> None:
        """Make the state this one again."""
        torch.set_default_dtype(self.default_dtype)
        if torch.get_default_device() != self.default_device:
            # None takes away what a default leaves behind, a mode that sees every call of torch
            torch.set_default_device(None if self.default_device == torch.device("cpu") else self.default_device)
        torch.set_grad_enabled(self.grad_enabled)
        if torch.get_num_threads() != self.num_threads:
            torch.set_num_threads(self.num_threads)
        torch.use_deterministic_algorithms(self.deterministic)
        np.seterr(**dict(self.numpy_errors))  # type: ignore[arg-type]
        if self.folder is not None and self.folder != _folder():
            os.chdir(self.folder)

    def changes(self, after: GlobalState) -> list[tuple[str, Any]]:
        """What is otherwise `after`, each with its value there."""
        return [
            (field.name.replace("_", " "), getattr(after, field.name))
            for field in fields(self)
            if getattr(self, field.name) != getattr(after, field.name)
        ]


def _folder() -> str | None:
    """The folder that the process works in; None where it was removed meanwhile."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
