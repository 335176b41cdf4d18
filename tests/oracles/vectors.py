"""Test vectors of other makers, kept beside the repository: tests that need them skip where they are not."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2].parent / "shared" / "vectors"

Get = Callable[[dict[str, Any]], np.ndarray]


def path_of(name: str) -> Path:
    """A file of the vectors; the test is skipped where there is none."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"{path} is not there: vectors of other makers are kept beside the repository")
    return path


@cache
def load(name: str) -> tuple[list[dict[str, Any]], Get]:
    """Cases of a container, and what resolves a reference of theirs to an array."""
    with np.load(path_of(name)) as file:
        arrays = {key: file[key] for key in file.files}

    def get(ref: dict[str, Any]) -> np.ndarray:
        kind, count, at = ref["array"], ref["count"], ref["at"]
        if kind == "bits":
            values = np.unpackbits(arrays[kind][at : at + (count + 7) // 8], count=count)
        else:
            values = arrays[kind][at : at + count]
        return values.reshape(ref.get("shape", (count,)))

    return json.loads(arrays["cases"].tobytes()), get


def transport_block(size: int) -> np.ndarray:
    """The payload of all cases: 1001 over and over, uint8 [1, size]."""
    return np.resize(np.array([1, 0, 0, 1], np.uint8), size)[None]
