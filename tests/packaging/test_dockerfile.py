"""What the Dockerfile copies and installs exists; building it needs a registry of images."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs/docker"


def test_what_is_copied_is_what_the_package_is_built_from():
    kept = [line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    files = {project["project"]["readme"], *project["project"]["license-files"], "pyproject.toml", "constraints.txt"}
    assert packages | files == set(kept)


def test_extras_and_the_version_of_torch_exist():
    text = (FOLDER / "Dockerfile").read_text()
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = {extra for group in re.findall(r"\.\[([a-z,]+)\]", text) for extra in group.split(",")}
    assert named
    assert named <= extras
    assert len(re.findall(r"^torch==[\d.]+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)) == 1
    assert {"cpu)", "cuda)", "*)"} <= set(text.split())
