"""requirements.lock: the versions of constraints.txt, each file with its hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
#: Its build is the machine's choice (CPU or CUDA), and each has hashes of its own.
APART = {"torch"}


def locked() -> dict[str, tuple[Requirement, list[str]]]:
    """By name: the requirement and its hashes."""
    found = {}
    for entry in (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines():
        if entry and not entry.startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", entry.strip())
            parsed = Requirement(requirement)
            found[canonicalize_name(parsed.name)] = (parsed, hashes)
    return found


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_package_has_hashes() -> None:
    for name, (requirement, hashes) in locked().items():
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), name
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in hashes), name


def test_versions_are_those_of_the_constraints() -> None:
    versions = pinned()
    for name, (requirement, _) in locked().items():
        if name in versions:
            assert str(requirement.specifier) == f"=={versions[name]}", name
        else:
            # of a platform or an interpreter that constraints.txt was not made on
            assert requirement.marker is not None, name


def test_all_that_is_required_is_locked_but_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [Requirement(text) for text in (*project["dependencies"], *extras["dev"])]
    own = {canonicalize_name(project["name"])}
    missing = {canonicalize_name(r.name) for r in asked} - set(locked()) - own
    assert missing == APART
    assert not [name for name in locked() if name.startswith(("nvidia-", "cuda-", "triton"))]
