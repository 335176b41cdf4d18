"""Model files as bytes: size, hash, and the metadata beside a torch.export program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from ran.errors import InputError, bad_value

#: Name of the metadata beside a torch.export program's graph.
TORCH_METADATA = "ran6g.json"


def size_and_sha256(path: Path) -> tuple[int, str]:
    """Bytes of a file and their SHA-256; of a folder those of all its files, by name."""
    if path.is_file():
        content = path.read_bytes()
        return len(content), hashlib.sha256(content).hexdigest()
    parts = sorted(part for part in path.rglob("*") if part.is_file())
    digest, size = hashlib.sha256(), 0
    for part in parts:
        content = part.read_bytes()
        digest.update(f"{part.relative_to(path).as_posix()} {len(content)}\n".encode() + content)
        size += len(content)
    return size, digest.hexdigest()


def torch_metadata(path: Path) -> Mapping[str, str]:
    """Metadata of a torch.export program."""
    extra = {TORCH_METADATA: ""}
    torch.export.load(path, extra_files=extra)
    found: dict[str, str] = json.loads(extra[TORCH_METADATA] or "{}")
    return found


def make_new_folder(out: Path) -> None:
    """Make the folder of an export. `InputError` where there is one, or none can be made."""
    try:
        out.mkdir(parents=True)
    except FileExistsError:
        raise bad_value("--out", str(out), "a new folder") from None
    except OSError as error:
        raise InputError(f"--out: cannot write {out} ({error.strerror}); allowed: a writable folder") from None
