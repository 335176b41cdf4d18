"""Drops kept on disk: the powers of an experiment's drops are computed once.

The folder is `beams` in the cache directory of `channels.raytraced.ray_cache`: $RAN_CACHE_DIR, or else `ran6g` in the
user's cache directory. A file holds `SHARD` drops of a scenario, seed and split.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from channels.raytraced.ray_cache import cache_directory
from ran.sim.npz_file import read_npz
from ran.studies.beams.world import BeamDrops, BeamWorld, Split

#: Drops of a file.
SHARD = 64


def cached_drops(
    world: BeamWorld,
    split: Split,
    count: int,
    say: Callable[[str], None] = lambda text: None,
    weights: torch.Tensor | None = None,
) -> BeamDrops:
    """The first `count` drops of a split, from the cache or computed and kept there; weights: as in `BeamWorld.drops`.

    A damaged file is written again; where the folder cannot be written drops are computed every time.
    """
    return cached_part(world, split, range(count), say, weights)


def cached_part(
    world: BeamWorld,
    split: Split,
    wanted: range,
    say: Callable[[str], None] = lambda text: None,
    weights: torch.Tensor | None = None,
) -> BeamDrops:
    """Consecutive drops of a split; everything else as of `cached_drops`."""
    parts = []
    num_beams = (world.pool_weights if weights is None else weights).shape[1]
    shape = (SHARD, len(world.times_s), world.experiment.num_rx_beams, num_beams)
    shapes = {"rsrp_dbm": shape, "users_m": (*shape[:2], 3)}
    shards = range(wanted.start // SHARD, -(-wanted.stop // SHARD))
    for shard in shards:
        first = shard * SHARD

        def compute(first: int = first) -> dict[str, np.ndarray]:
            say(f"{split} drops {first + 1} to {min(first + SHARD, wanted.stop)} of {wanted.stop}")
            drops = world.drops(split, first, SHARD, weights)
            return {"rsrp_dbm": drops.rsrp_dbm, "users_m": drops.users_m}

        found = cached_arrays(_name(world, split, shard, weights), shapes, compute)
        parts.append((found["rsrp_dbm"], found["users_m"]))
    begin = shards.start * SHARD
    own = slice(wanted.start - begin, wanted.stop - begin)
    rsrp, users = (np.concatenate(values)[own] for values in zip(*parts, strict=True))
    return BeamDrops(rsrp, users, world.times_s, split, wanted.start)


def is_cached(world: BeamWorld, split: Split, shard: int) -> bool:
    """Whether the cache has a file for the drops `shard * SHARD` and on, with the pool's beams."""
    return has_arrays(_name(world, split, shard))


def _name(world: BeamWorld, split: Split, shard: int, weights: torch.Tensor | None = None) -> str:
    beams = "" if weights is None else f"-{hashlib.sha256(weights.numpy().tobytes()).hexdigest()[:16]}"
    return f"{world.cache_id}-{world.experiment.seed}-{split}{beams}-{shard:05d}"


def _folder() -> Path:
    return cache_directory() / "beams"


def cached_arrays(
    name: str, shapes: Mapping[str, tuple[int, ...]], compute: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Arrays of these names and shapes from the cache, or computed and kept there."""
    path = _folder() / f"{name}.npz"
    found = _read(path, shapes)
    if found is None:
        found = compute()
        _write(path, found)
    return found


def has_arrays(name: str) -> bool:
    """Whether the cache has a file of that name."""
    return (_folder() / f"{name}.npz").exists()


def _read(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray] | None:
    found = read_npz(path)
    if found is None or {name: values.shape for name, values in found.items()} != dict(shapes):
        return None
    return found


def _write(path: Path, values: dict[str, np.ndarray]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # of a killed process of the same number
        with temporary.open("xb") as file:
            np.savez(file, **values)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
