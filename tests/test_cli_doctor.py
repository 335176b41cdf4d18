"""`ran doctor`: its optional parts are the package's extras."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from channels.raytraced import runtime
from ran.cli import doctor
from ran.cli.main import main


def test_optional_parts_are_those_of_the_extras():
    """Every extra that a user installs, with a purpose; and the metadata that doctor reads hold the same."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: parts for name, parts in project["optional-dependencies"].items() if name != "dev"}
    assert set(doctor._PURPOSES) == set(extras)
    stated = {name: [doctor._NAME.match(part)[0] for part in parts] for name, parts in extras.items()}
    assert doctor.optional_parts(metadata.requires("ran6g") or ()) == stated


def test_it_lists_these_packages_and_no_others(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A row per package of an extra, with what it is for; `pyproject.toml` says which those are."""
    monkeypatch.setattr(doctor, "_ray_tracing", lambda: "not asked")
    assert main(["doctor"]) == 0
    told = {}
    for row in capsys.readouterr().out.splitlines():
        for extra, purpose in doctor._PURPOSES.items():
            if row.endswith(f" ({purpose})"):
                told.setdefault(extra, []).append(row.split()[0])
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: parts for name, parts in project["optional-dependencies"].items() if name != "dev"}
    assert told == {name: [doctor._NAME.match(part)[0] for part in parts] for name, parts in extras.items()}


def test_requirements_are_read():
    lines = ["numpy>=1", 'zarr>=3; extra == "zarr"', "triton>=3; sys_platform == 'linux' and extra == 'gpu'"]
    assert doctor.optional_parts([*lines, "ruff; extra == 'dev'"]) == {"zarr": ["zarr"], "gpu": ["triton"]}


def test_ready_means_that_a_ray_was_traced(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(runtime, "missing", lambda: ())
    monkeypatch.setattr(runtime, "llvm_library", lambda: Path("libLLVM-19.so"))
    for told, line in (("", "ready, traced a ray with libLLVM-19.so"), ("it aborted", "not ready: it aborted")):
        monkeypatch.setattr(runtime, "trace_one_ray", lambda told=told: told)
        assert main(["doctor"]) == 0
        out = capsys.readouterr().out
        assert any(row.startswith("ray tracing ") and row.endswith(line) for row in out.splitlines())
        assert all(f"\n{part} " in out for part in ("pyarrow", "tensorboard", "ai-edge-litert", "zarr", "triton"))
