"""Test vectors: what goes into a model and what must come out, as npz and as raw little-endian numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Lists the raw files, a tensor per line: input or output, name, dtype, file, sizes.
MANIFEST = "manifest.txt"


def write_vectors(folder: Path, feeds: dict[str, NDArray], outputs: dict[str, NDArray]) -> None:
    """Write vectors.npz, a .bin per tensor, and the manifest that C programs read."""
    folder.mkdir()
    arrays: dict[str, Any] = {f"in_{name}": array for name, array in feeds.items()}
    arrays |= {f"out_{name}": array for name, array in outputs.items()}
    np.savez(folder / "vectors.npz", **arrays)
    lines = []
    for kind, tensors in (("input", feeds), ("output", outputs)):
        for name, array in tensors.items():
            file = f"{kind}_{name}.bin"
            little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
            (folder / file).write_bytes(little.tobytes())
            lines.append(" ".join([kind, name, array.dtype.name, file, *map(str, array.shape)]))
    (folder / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")
