"""Data sets of beam measurements: written, resumed, verified, read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from beam_cases import experiment, world

from ran.cli.main import main
from ran.config.validation import validate
from ran.datasets.container import create, open_container
from ran.datasets.header import Header
from ran.datasets.reader import DropDataset
from ran.studies.beams.data import build_header, write_beams
from ran.studies.beams.experiment import BeamExperiment, load
from ran.studies.beams.measurement import decide
from ran.studies.beams.world import BeamWorld


def test_a_file_holds_what_the_world_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "case.yaml", tmp_path / "beams.h5"
    file.write_text(yaml.safe_dump(experiment().resolved()))
    command = ["data", "beams", str(file), "--out", str(out), "--drops", "80", "--split", "0.5,0.25,0.25"]
    assert main(command) == 0
    written = out.read_bytes()
    assert main(command) == 0
    assert out.read_bytes() == written
    assert main(["data", "verify", str(out)]) == 0
    assert main(["data", "info", str(out)]) == 0
    said = capsys.readouterr().out
    assert "80 drops of beams" in said
    assert "simulated again: 80 drops of 2 chunks, true powers equal within" in said
    here = world()
    for split, name, first, count in (("train", "train", 0, 40), ("val", "test", 0, 20), ("test", "test", 20, 20)):
        drops = here.drops(name, first, count)  # type: ignore[arg-type]
        stored = DropDataset(out, split).batch(np.arange(count))
        np.testing.assert_array_equal(stored["true_dbm"], drops.rsrp_dbm[..., :32])
        observation = decide(here, drops).observation
        np.testing.assert_array_equal(stored["measured_dbm"][:, 0], observation.rsrp_dbm)
        np.testing.assert_array_equal(stored["measured"][:, 0], observation.measured)


def test_another_command_does_not_touch_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "case.yaml", tmp_path / "beams.h5"
    file.write_text(yaml.safe_dump(experiment().resolved()))
    command = ["data", "beams", str(file), "--out", str(out), "--drops", "8"]
    assert main(command) == 0
    before = out.read_bytes()
    assert main([*command, "--set", "set_b.size=4"]) == 2
    assert "holds another data set: physics.set_b.size" in capsys.readouterr().err
    for split in ("1,1,0", "nan,0.5,0.5", "2,-1,0"):
        assert main([*command, "--split", split]) == 2
        assert f"--split: got '{split}'; allowed: three shares that add up to 1" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("measured_dbm", 120.0, "allowed: -171.5 to -43.5 dBm (TS 38.133 §10.1.6)"),
        ("measured_dbm", -8.0, "measured_dbm of drops 0 to 7 is not what the experiment gives"),
        ("true_dbm", 0.5, "true_dbm of drops 0 to 7 is not what the experiment gives"),
        ("true_dbm", float("nan"), "true_dbm of drops 0 to 7: got nan to nan; allowed: finite values"),
        ("measured", 32, "allowed: 0 to 31"),
    ],
)
def test_values_with_matching_hashes_that_no_simulation_gives_are_found(
    name: str, change: float, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "beams.h5"
    header = write_beams(experiment(), 8, (0.5, 0.0, 0.5), out)
    container = open_container(out, writable=True)
    values = {field.name: container.read(field, 0, 8) for field in header.fields}
    values[name] = (values[name] + change).astype(values[name].dtype)
    container.write_chunk(0, values)
    container.close()
    assert main(["data", "verify", str(out)]) == 1
    assert words in capsys.readouterr().out


def _on_a_site(**more: object) -> BeamExperiment:
    block = load("beams-munich-street").resolved()
    return validate(BeamExperiment, {**block, "predictors": ["genie"], **more})


def test_parts_of_a_traced_site_share_no_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "site.h5"
    header = write_beams(_on_a_site(), 96, (0.5, 0.25, 0.25), out)
    site, split = header.tables["site"].array, header.tables["split"].array
    places = [set(site[split == part].tolist()) for part in range(3)]
    assert all(places)
    assert len(set.union(*places)) == sum(map(len, places))
    # there are more drops than places: a number of its own for each drop would prove nothing
    assert len(np.unique(site)) < 96
    assert main(["data", "verify", str(out)]) == 0


def test_verify_refuses_parts_that_share_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "site.h5"
    world = BeamWorld(_on_a_site())
    header = build_header(world, 32, (0.5, 0.25, 0.25))
    site = header.tables["site"]
    mixed = (np.arange(32) % 3).astype(np.uint8)
    tables = {**header.tables, "site": replace(site, array=site.array % 4), "split": replace(site, array=mixed)}
    attrs = {k: v for k, v in header.attrs.items() if k != "header_sha256"}
    foreign = Header(attrs, tables, header.fields)
    attrs["header_sha256"] = foreign.digest()
    create(out, foreign).close()
    assert main(["data", "verify", str(out)]) == 1
    assert "split: 4 of 4 places are in more than one part, with 32 of 32 drops" in capsys.readouterr().out


def test_users_of_a_traced_site_move_with_their_powers() -> None:
    world = BeamWorld(_on_a_site(speed_kmh=30.0, timing={"period_ms": 80, "num_observed": 7}))
    drops = world.drops("test", 0, 8)
    way = np.linalg.norm(drops.users_m[:, -1] - drops.users_m[:, 0], axis=-1)
    np.testing.assert_allclose(way, 30 / 3.6 * (world.times_s[-1] - world.times_s[0]), rtol=1e-3)
    assert np.abs(drops.rsrp_dbm[:, -1] - drops.rsrp_dbm[:, 0]).max() > 0.1
