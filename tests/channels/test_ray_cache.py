"""Rays on disk: found again, checked, and what is said where the ray tracer is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from channels.raytraced import RaySet, RayTraced, cached_rays, read_rays, runtime, trace_options, tracer, write_rays
from channels.raytraced import ray_cache as cache
from channels.raytraced.trace_options import TraceOptions

SCENE = """<scene version="2.1.0">
  <shape type="ply" id="wall"><string name="filename" value="wall.ply"/></shape>
</scene>
"""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "tracer_version", lambda: "2.2.0")
    path = tmp_path / "scene.xml"
    path.write_text(SCENE)
    (tmp_path / "wall.ply").write_bytes(b"a wall")
    return path


def options_of(scene: Path, **changes: object) -> TraceOptions:
    users = {"layout": "positions", "positions_m": [[45, 90, 1.5]]}
    block = {"scene": str(scene), "carrier_frequency_hz": 3.5e9, "base_position_m": [8, 21, 27], "users": users}
    return trace_options(block | changes)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tracer that notes what it traced and hands out the rays that ship."""
    calls: list[str] = []

    def trace(options: TraceOptions, say: object) -> RaySet:
        calls.append(options.scene)
        rays = read_rays("munich-street")
        details = {"scene_sha256": tracer.scene_sha256(Path(options.scene)), "options": options.plain()}
        return replace(rays, details=details)

    monkeypatch.setattr(cache, "trace", trace)
    return calls


def test_a_scene_is_traced_once_and_identical_from_then_on(scene: Path, traced: list[str]) -> None:
    first = cached_rays(options_of(scene))
    second = cached_rays(options_of(scene))
    assert len(traced) == 1
    assert first.content_sha256 == second.content_sha256
    assert np.array_equal(first.transfer, second.transfer)
    assert list(cache.cache_directory().glob("*")) == list(cache.cache_directory().glob("rays-*-2.2.0.npz"))


def test_options_the_scenes_files_and_the_version_decide(
    scene: Path, traced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_rays(options_of(scene))
    cached_rays(options_of(scene, max_depth=2))
    assert len(traced) == 2
    (scene.parent / "wall.ply").write_bytes(b"another wall")
    cached_rays(options_of(scene))
    assert len(traced) == 3
    monkeypatch.setattr(cache, "tracer_version", lambda: "2.3.0")
    cached_rays(options_of(scene))
    assert len(traced) == 4


def test_a_scene_may_move(scene: Path, traced: list[str]) -> None:
    cached_rays(options_of(scene))
    elsewhere = scene.parent / "elsewhere"
    elsewhere.mkdir()
    for name in ("scene.xml", "wall.ply"):
        (scene.parent / name).rename(elsewhere / name)
    cached_rays(options_of(elsewhere / "scene.xml"))
    assert len(traced) == 1


def test_without_the_tracer_what_was_traced_before_is_taken(
    scene: Path, traced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("2.9.0", "2.10.0"):
        monkeypatch.setattr(cache, "tracer_version", lambda version=version: version)
        cached_rays(options_of(scene))
    monkeypatch.setattr(cache, "tracer_version", lambda: None)
    cached_rays(options_of(scene))
    assert len(traced) == 2
    paths = sorted(cache.cache_directory().glob("rays-*.npz"), key=cache._newest_first)
    assert paths[0].name.endswith("-2.10.0.npz")


def test_a_damaged_file_of_the_cache_is_traced_again(scene: Path, traced: list[str]) -> None:
    cached_rays(options_of(scene))
    (path,) = cache.cache_directory().glob("rays-*.npz")
    path.write_bytes(path.read_bytes()[:1000])
    cached_rays(options_of(scene))
    assert len(traced) == 2
    assert read_rays(path).num_positions > 0


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    scene: Path, traced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, rays: RaySet) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(cache, "write_rays", fail)
    assert cached_rays(options_of(scene)).num_positions > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<scene><shape", "trace.scene: got .*; allowed: a Mitsuba file: "),
        ("<model/>", "whose root is <scene>"),
        (SCENE.replace("wall", "door"), "got 'door.ply'; allowed: a file beside the scene; there is none"),
    ],
)
def test_a_scene_that_is_none_is_refused_in_one_line(scene: Path, text: str, message: str) -> None:
    scene.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        cached_rays(options_of(scene))
    assert "\n" not in str(error.value)


def test_a_scene_that_is_not_there_is_refused(scene: Path) -> None:
    with pytest.raises(ValueError, match=r"trace\.scene: got 'nowhere\.xml'; allowed: a Mitsuba file that exists"):
        cached_rays(options_of(Path("nowhere.xml")))


def test_a_missing_tracer_is_named_with_the_commands(
    scene: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cache, "tracer_version", lambda: None)
    monkeypatch.setattr(tracer, "tracer_version", lambda: None)
    monkeypatch.setattr(runtime, "tracer_version", lambda: None)
    monkeypatch.setattr(runtime, "_PLACES", (f"{tmp_path}/libLLVM*.so*",))
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    block = options_of(scene).plain() | {"scene": "munich"}
    with pytest.raises(ValueError, match=r"trace: got 'munich', not traced before; allowed: .*") as error:
        RayTraced(trace=block)
    line = str(error.value)
    assert "pip install 'ran6g[rt]'" in line
    assert "apt-get install libllvm19" in line
    assert "export DRJIT_LIBLLVM_PATH=" in line
    assert "\n" not in line


def test_the_newest_llvm_library_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(runtime, "_PLACES", (f"{tmp_path}/libLLVM*.so*", f"{tmp_path}/llvm-*/lib/libLLVM*.so*"))
    (tmp_path / "libLLVM-16.so").touch()
    assert runtime.llvm_library() is None  # too old
    (tmp_path / "llvm-19" / "lib").mkdir(parents=True)
    (tmp_path / "llvm-19" / "lib" / "libLLVM.so").touch()
    assert runtime.llvm_library() == tmp_path / "llvm-19" / "lib" / "libLLVM.so"
    (tmp_path / "libLLVM.so.22.1").touch()
    assert runtime.llvm_library() == tmp_path / "libLLVM.so.22.1"
    # the variable's library is held to the same version, also behind a name without one
    for name in ("libLLVM-16.so", "libLLVM.so"):
        if name == "libLLVM.so":
            (tmp_path / name).symlink_to("libLLVM-16.so")
        monkeypatch.setenv("DRJIT_LIBLLVM_PATH", str(tmp_path / name))
        assert runtime.llvm_library() is None
        assert any("LLVM 16; allowed: version 19 or newer" in line for line in runtime.missing())
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", str(tmp_path / "none.so"))
    assert runtime.llvm_library() is None
    assert any("which is no file" in line for line in runtime.missing())


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import os; os.abort()", "a process that traced one ray was ended by signal 6"),
        ("raise SystemExit('no LLVM')", "a process that traced one ray ended with 1: no LLVM"),
        ("pass", ""),
    ],
)
def test_a_ray_is_traced_in_a_process_of_its_own(program: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What aborts there is told here."""
    monkeypatch.setattr(runtime, "_ONE_RAY", program)
    assert runtime.trace_one_ray() == told


@pytest.mark.rt
def test_this_machine_traces_one_ray() -> None:
    assert runtime.missing() == ()
    assert runtime.trace_one_ray() == ""


def test_write_rays_wants_the_suffix(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"allowed: \.npz"):
        write_rays(tmp_path / "rays.h5", read_rays("munich-street"))
