"""Rays kept on disk, so that a scene is traced once and no ray tracer is needed from then on.

The folder is $RAN_CACHE_DIR, or else `ran6g` in the user's cache directory, or for a user without a home a folder
among the temporary files. A file is named after the options, the
scene's files and the tracer's version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from channels.raytraced.ray_file import FORMAT_VERSION, read_rays, write_rays
from channels.raytraced.ray_set import RaySet
from channels.raytraced.runtime import tracer_version
from channels.raytraced.trace_options import TraceOptions
from channels.raytraced.tracer import scene_file, scene_sha256, trace


def cache_directory() -> Path:
    """Where rays are kept."""
    chosen = os.environ.get("RAN_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(os.path.expanduser("~"))
    if not base and not home.is_absolute():  # no HOME and no entry in the list of users
        return _private_folder()
    return (Path(base) if base else home / ".cache") / "ran6g"


@lru_cache(maxsize=1)
def _private_folder() -> Path:
    """A folder among the temporary files that nobody else can write to, as code is loaded from it; the same one for
    all processes of a user, or one of this process where another user has taken its name."""
    if not hasattr(os, "getuid"):
        return Path(tempfile.mkdtemp(prefix="ran6g-"))
    folder = Path(tempfile.gettempdir()) / f"ran6g-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="ran6g-"))


def cached_rays(options: TraceOptions, say: Callable[[str], None] = lambda text: None) -> RaySet:
    """Rays from the cache, or else traced and kept; `ValueError` as `channels.raytraced.tracer.trace` raises it.

    Where the tracer is not installed, rays of any version of it are taken, the newest first; of a scene that came with
    it then the name alone is compared. A file that is damaged is traced again. Where the folder cannot be written,
    every process traces for itself.
    """
    asked = hashlib.sha256(json.dumps([FORMAT_VERSION, options.plain()], sort_keys=True).encode()).hexdigest()[:32]
    scene = scene_file(options.scene)
    scene_part = "*" if scene is None else scene_sha256(scene)[:16]
    version = tracer_version()
    folder = cache_directory()
    candidates = folder.glob(f"rays-{asked}-{scene_part}-{version or '*'}.npz")
    for path in sorted(candidates, key=_newest_first):
        try:
            return read_rays(path)
        except ValueError:
            continue
    rays = trace(options, say)
    path = folder / f"rays-{asked}-{rays.details['scene_sha256'][:16]}-{version}.npz"
    try:
        write_rays(path, rays)
    except OSError:
        return rays
    return read_rays(path)


def _newest_first(path: Path) -> list[int]:
    return [-int(number) for number in re.findall(r"\d+", path.stem.rpartition("-")[2])]
