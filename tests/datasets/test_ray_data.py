"""Experiments and data sets on traced rays: identity by content, splits by site, and `ran data rays`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from channels.raytraced import (
    RaySet,
    cached_rays,
    ray_cache,
    ray_file,
    read_rays,
    shipped_sets,
    trace_options,
    write_rays,
)
from ran.cli.main import main
from ran.datasets.reader import DropDataset
from ran.datasets.request import DataRequest
from ran.datasets.write import write
from ran.sim.experiment import load
from ran.sim.identity import physics, run_identity, scenario_id

EXPERIMENT = """\
carrier: {num_prb: 2}
pusch: {mcs_index: 5}
num_rx_ant: 2
channel: {name: ray-traced, rays: RAYS, around_m: 1}
receivers: [ls-linear]
esn0_db: [10]
"""


def experiment_file(folder: Path, rays: str) -> Path:
    file = folder / "site.yaml"
    file.write_text(EXPERIMENT.replace("RAYS", rays))
    return file


def test_what_a_file_holds_decides_the_identity_and_not_where_it_is(tmp_path: Path) -> None:
    rays = read_rays("munich-street")
    ids = []
    for number, content in enumerate((rays, rays, replace(rays, transfer=rays.transfer * np.complex64(1j)))):
        folder = tmp_path / str(number)
        write_rays(folder / "rays.npz", content)
        experiment = load(experiment_file(folder, "rays.npz"))
        assert experiment.resolved()["channel"]["rays"] == str(folder / "rays.npz")
        ids.append((scenario_id(experiment, 1.0), run_identity(experiment, {})))
    assert ids[0] == ids[1]
    assert ids[0][0] != ids[2][0]
    assert ids[0][1] != ids[2][1]


def test_other_channels_have_no_data_in_their_identity() -> None:
    assert "channel_data" not in physics(load("pusch-receivers"))


def test_splits_share_no_site(tmp_path: Path) -> None:
    experiment = load(experiment_file(tmp_path, "munich-street"))
    request = DataRequest.model_validate({"num_drops": 600, "split": {"train": 0.5, "val": 0.25, "test": 0.25}})
    write(experiment, request, tmp_path / "site.h5", 1)
    parts = [DropDataset(tmp_path / "site.h5", split=name) for name in ("train", "val", "test")]
    sites = [set(part.batch(range(len(part)))["site"].tolist()) for part in parts]
    assert sum(map(len, parts)) == 600
    assert not (sites[0] & sites[1] | sites[0] & sites[2] | sites[1] & sites[2])
    # drops return to the 259 places
    assert len(set.union(*sites)) < 300
    assert set.union(*sites) <= set(read_rays("munich-street").served.tolist())


@pytest.fixture
def tracer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own, and a tracer that finds the rays that ship."""
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    rays = read_rays("munich-street")
    monkeypatch.setattr(ray_cache, "trace", lambda options, say: replace(rays, details={"scene_sha256": "0" * 64}))
    monkeypatch.setattr(ray_cache, "scene_file", lambda scene: None)
    monkeypatch.setattr(ray_cache, "tracer_version", lambda: "2.2.0")


@pytest.mark.usefixtures("tracer")
def test_data_rays_writes_what_a_channel_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rays.npz"
    assert main(["data", "rays", "munich-street", "--out", str(out), "--set", "max_depth=2"]) == 0
    text = capsys.readouterr().out
    assert "1000 positions, 741 of them without rays, 2984 rays" in text
    assert read_rays(out).content_sha256 == read_rays("munich-street").content_sha256


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["munich-stret", "--out", "a.npz"], "TRACE: got 'munich-stret'; allowed: FILE.yaml, munich-street"),
        (["munich-street", "--out", "a.h5"], "--out: got 'a.h5'; allowed: a name that ends in .npz"),
        (["munich-street", "--out", "a.npz", "--set", "depth=1"], "trace: got 'depth'; allowed: "),
        (["munich-street", "--out", "a.npz", "--pair", "0,1"], "--pair: got '0,1'; allowed: 3 whole numbers"),
        ([".", "--out", "a.npz"], "params.json: cannot be read"),
        (["missing.yaml", "--out", "a.npz"], "missing.yaml: cannot be read"),
    ],
)
def test_data_rays_refuses_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "rays", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_set_without_any_ray_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rays = read_rays("munich-street")
    per_ray = {name: getattr(rays, name)[:0] for name in ray_file._PER_RAY}
    none = replace(rays, first=np.zeros_like(rays.first), **per_ray)
    monkeypatch.setattr("ran.datasets.rays.cached_rays", lambda options, say: none)
    assert main(["data", "rays", "munich-street", "--out", str(tmp_path / "none.npz")]) == 2
    assert "rays: got 1000 positions, none of which a ray reaches; allowed: at least one" in capsys.readouterr().err
    assert not (tmp_path / "none.npz").exists()


def test_a_damaged_file_stops_an_experiment_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rays.npz").write_bytes(shipped_sets()["munich-street"].read_bytes()[:5000])
    file = experiment_file(tmp_path, "rays.npz")
    assert main(["sim", str(file), "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert "rays.npz: got truncated or not a numpy archive" in err
    assert err.count("\n") == 1


@pytest.mark.rt
def test_the_shipped_rays_are_what_the_command_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In part: the first positions, found in as small a batch; the tracer sums in float32."""
    import yaml

    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    path = shipped_sets()["munich-street"]
    block = yaml.safe_load(path.with_suffix(".yaml").read_text())
    shipped: RaySet = read_rays(path)
    places = [int(position) for position in shipped.served[:8]]
    users = {"layout": "positions", "positions_m": shipped.positions_m[places].astype(float).tolist()}
    again = cached_rays(trace_options(block | {"users": users}))
    for number, place in enumerate(places):
        gain = again.path_gains[number] / shipped.path_gains[place]
        assert abs(10 * np.log10(gain)) < 0.2
