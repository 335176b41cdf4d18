"""TensorBoard beside the log of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ran.errors import InputError


class TensorBoardLog:
    """Scalars for TensorBoard in the folder `board` of a training; needs the extra `tensorboard`."""

    def __init__(self, out: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError(
                "--tensorboard: tensorboard is not installed; allowed: without it, or after "
                "pip install 'ran6g[tensorboard]'"
            ) from None
        self._writer: Any = SummaryWriter(str(out / "board"))

    def add(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Write numbers of a step under `kind/NAME`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)
        self._writer.flush()
