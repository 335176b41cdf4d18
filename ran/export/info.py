"""What an exported file says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from ran.errors import InputError, bad_value
from ran.export.files import size_and_sha256, torch_metadata
from ran.export.savedmodel import savedmodel_metadata
from receivers.onnx.export import CONTENT_SHA256, content_sha256, onnx_package
from receivers.onnx.litert import litert_content_sha256
from receivers.onnx.receiver import open_model

_FIRST = ("task", "weights", "weights_sha256", "training_commit", "licence", "contract", "contract_version", "dtype")
#: Beside a file: what it was when it was exported.
_CONTRACT = "contract.json"


def facts(file: Path) -> dict[str, str]:
    """Values by name, in words. `InputError` for a file that is none, or that is not as it was exported."""
    if not file.exists():
        raise bad_value("file", str(file), "a file that is there")
    if file.is_dir() and not (file / "saved_model.pb").is_file():
        raise bad_value("file", str(file), "an exported file, or the folder of a SavedModel")
    size, sha256 = size_and_sha256(file)
    beside = _beside(file, sha256)
    if file.is_dir():
        try:
            about, inside = savedmodel_metadata(file), "no content hash in this format"
        except ValueError as error:
            raise InputError(str(error)) from None
    elif file.suffix == ".pt2":
        try:
            about = dict(torch_metadata(file))
        except Exception as error:  # torch has no one class for what is wrong with a file
            raise InputError(f"{file.name}: is no torch.export program: {str(error).splitlines()[0]}") from None
        inside = "no content hash in this format"
    else:
        about, inside = _onnx_or_litert(file)
    found = {file.name: f"{size:,} bytes, SHA-256 {sha256}", "state": beside or inside}
    ordered = [key for key in _FIRST if key in about] + sorted(key for key in about if key not in _FIRST)
    return found | {key: about[key] for key in ordered if key != CONTENT_SHA256}


def describe(file: Path) -> list[str]:
    """The same as lines of text."""
    return [f"{name}: {value}" for name, value in facts(file).items()]


def _beside(file: Path, sha256: str) -> str | None:
    """What the contract.json beside a file says of it, if there is one that names it."""
    try:
        stated = json.loads((file.parent / _CONTRACT).read_text(encoding="utf-8"))
        hashes = {entry["name"]: entry["sha256"] for entry in stated["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if hashes.get(file.name, sha256) != sha256:
        raise InputError(
            f"{file.name}: has SHA-256 {sha256[:16]}..., the {_CONTRACT} beside it says {hashes[file.name][:16]}...; "
            "allowed: a file as it was exported"
        )
    return f"as it was exported: {_CONTRACT} names its hash" if file.name in hashes else None


def _onnx_or_litert(file: Path) -> tuple[dict[str, str], str]:
    try:
        model = open_model(file)
        stated = model.metadata.get(CONTENT_SHA256)
        if model.runtime == "LiteRT":
            found = litert_content_sha256(file.read_bytes(), stated or "")
        else:
            found = content_sha256(onnx_package().load(file))
    except ValueError as error:
        raise InputError(str(error)) from None
    if stated is not None and stated != found:
        raise InputError(
            f"{file.name}: its content has SHA-256 {found[:16]}..., its metadata say {stated[:16]}...; "
            "allowed: a file as it was exported"
        )
    return dict(model.metadata), "as it was exported" if stated else "no export of this toolkit: no content hash"
