"""Random streams: every number of a simulation belongs to a key and depends on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import DTypeLike, NDArray


class _Key(ISeedSequence):
    """Seeds a bit generator with a given key; numpy's own seeding asks the system for entropy first, which is slow."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def generate_state(self, n_words: int, dtype: DTypeLike = np.uint32) -> NDArray:
        return np.frombuffer(self._key, dtype, n_words)


def stream_digest(seed: int, scenario_id: str, drop_index: int, purpose: str) -> bytes:
    """Sixteen bytes that stand for one purpose ("bits", "channel", "noise", ...) in one drop of one scenario.

    A hash, so that neighbouring drops are as independent as any two, and nothing depends on the order in which drops
    are simulated, on batch sizes or on the number of workers.
    """
    text = f"{seed}/{scenario_id}/{drop_index}/{purpose}"
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def stream(seed: int, scenario_id: str, drop_index: int, purpose: str) -> np.random.Generator:
    """The generator of a purpose in a drop, keyed by `stream_digest`."""
    key = _Key(stream_digest(seed, scenario_id, drop_index, purpose))
    return np.random.Generator(np.random.Philox(key))  # type: ignore[arg-type]  # numpy's stubs know no ISeedSequence
