"""Random streams: every number of a simulation belongs to a key and depends on nothing else."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, scenario_id: str, drop_index: int, purpose: str) -> np.random.Generator:
    """The generator of one purpose ("bits", "channel", "noise", ...) in one drop of one scenario.

    The key is hashed, so that neighbouring drops are as independent as any two, and nothing depends on the order
    in which drops are simulated, on batch sizes or on the number of workers.
    """
    text = f"{seed}/{scenario_id}/{drop_index}/{purpose}"
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, np.uint64)))
