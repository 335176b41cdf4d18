"""Export targets by name: those of the toolkit, FILE.py:Class, and entry points of the group `ran6g.export_targets`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from ran.config.yaml_file import parse
from ran.errors import InputError, bad_value, unknown_name
from ran.export.interface import ExportTarget
from ran.link.catalogue import construct
from ran.registry.kinds import EXPORT_TARGET
from ran.registry.lookup import find_class, installed, is_user_file, names

_FORM = "a name, FILE.py:Class, or {name: ..., and its options}"


def target_of(text: str, base_dir: Path | None = None) -> ExportTarget:
    """A target by its name, or from a block of options in braces. base_dir: folder of a relative FILE.py:Class.

    `InputError` for one that is unknown, that is no target, or that wants for a package.
    """
    block = parse(text, "--target") if text.lstrip().startswith("{") else {"name": text}
    name = block.get("name") if isinstance(block, dict) else None
    if not isinstance(name, str):
        raise bad_value("--target", text, _FORM)
    if name not in EXPORT_TARGET.shipped and not is_user_file(name) and name not in installed(EXPORT_TARGET):
        raise unknown_name("--target", name, [*names(EXPORT_TARGET), "FILE.py:ClassName"])
    cls = find_class(EXPORT_TARGET, name, base_dir, "--target")
    missing = [package for package in cls.packages if find_spec(package) is None]
    if missing:
        raise InputError(f"--target: got {name!r}, which needs {', '.join(missing)}: {cls.install}")
    target: ExportTarget = construct(cls, block, "--target")
    return target
