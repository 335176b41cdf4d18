"""Drops kept on disk: the powers of an experiment's drops are computed once.

The folder is `beams` in the cache directory of `channels.raytraced.ray_cache`: $RAN_CACHE_DIR, or else `ran6g` in the
user's cache directory. A file holds `SHARD` drops of a scenario, seed and split.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from channels.raytraced.ray_cache import cache_directory
from ran.beams.world import BeamDrops, BeamWorld, Split

#: Drops of a file.
SHARD = 64


def kept_drops(world: BeamWorld, split: Split, count: int, say: Callable[[str], None] = lambda text: None) -> BeamDrops:
    """The first `count` drops of a split, from the cache or computed and kept there.

    A damaged file is written again; where the folder cannot be written drops are computed every time.
    """
    parts = []
    for shard in range(-(-count // SHARD)):
        path = _folder() / f"{world.scenario_id[:32]}-{world.experiment.seed}-{split}-{shard:05d}.npz"
        found = _read(path, world)
        if found is None:
            say(f"{split} drops {shard * SHARD + 1} to {(shard + 1) * SHARD} of {count}")
            drops = world.drops(split, shard * SHARD, SHARD)
            found = drops.rsrp_dbm, drops.users_m
            _write(path, found)
        parts.append(found)
    rsrp, users = (np.concatenate(values)[:count] for values in zip(*parts, strict=True))
    return BeamDrops(rsrp, users, world.times_s, split, 0)


def _folder() -> Path:
    return cache_directory() / "beams"


def _read(path: Path, world: BeamWorld) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            rsrp, users = file["rsrp_dbm"], file["users_m"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    shape = (SHARD, len(world.times_s), world.experiment.num_rx_beams, world.pool_weights.shape[1])
    return (rsrp, users) if rsrp.shape == shape else None


def _write(path: Path, values: tuple[np.ndarray, np.ndarray]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, rsrp_dbm=values[0], users_m=values[1])
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
