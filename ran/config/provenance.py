"""What produced a result: versions of the software that matters, and the commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from ran import __version__

_PACKAGES = ("numpy", "torch", "numba", "scipy", "sionna-no-rt")


def package_version(name: str) -> str | None:
    """Version of an installed distribution, without importing it; None when it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions by name, and the commit of the source when it is a git checkout."""
    found = {"ran6g": __version__, "python": platform.python_version()}
    found |= {name: version for name in _PACKAGES if (version := package_version(name))}
    if commit := source_commit():
        found["commit"] = commit
    return found


def source_commit() -> str | None:
    """Commit of the checkout that this package runs from, with "+changes" when files differ; None without git."""
    source = Path(__file__).resolve().parents[2]
    if not (source / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit
