"""An experiment on other rays than its own is not titled after the old ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from channels.raytraced import shipped_sets
from ran.report.facts import link_facts
from ran.sim.experiment import load
from ran.studies.beams.experiment import load as load_beams


@pytest.fixture
def florence(tmp_path: Path) -> str:
    file = tmp_path / "florence.npz"
    file.write_bytes(shipped_sets()["munich-street"].read_bytes())
    return str(file)


@pytest.mark.parametrize(
    ("experiment", "name"), [("munich-street", "florence"), ("munich-one-pilot", "florence-one-pilot")]
)
def test_other_rays_give_their_name(florence: str, experiment: str, name: str) -> None:
    found = load(experiment, [f"channel.rays={florence}"])
    assert found.name == name
    assert "florence.npz" in found.description
    assert "streets in Munich" not in found.description
    assert ("Channel", "ray-traced florence.npz 10 m/s") in link_facts(found.resolved()).items()


def test_a_traced_scene_gives_its_name() -> None:
    trace = "{scene: florence, carrier_frequency_hz: 3.5e9, base_position_m: [0, 0, 20], users: {layout: grid}}"
    found = load("munich-street", [f"channel={{name: ray-traced, trace: {trace}}}"])
    assert found.name == "florence"


def test_beams_too(florence: str) -> None:
    found = load_beams("beams-munich-street", [f"channel.rays={florence}"])
    assert found.name == "florence-beams"
    assert "Munich" not in found.description


@pytest.mark.parametrize(
    ("change", "name", "described"),
    [
        ("channel.speed_mps=3", "munich-street", "streets in Munich"),
        ("channel.rays=munich-street", "munich-street", "streets in Munich"),
        ("channel={name: tdl, profile: A, delay_spread_ns: 30}", "munich-street", "streets in Munich"),
    ],
)
def test_other_changes_leave_the_title(change: str, name: str, described: str) -> None:
    found = load("munich-street", [change])
    assert found.name == name
    assert described in found.description


def test_a_name_that_is_given_is_kept(florence: str) -> None:
    changes: list[Any] = [f"channel.rays={florence}", "name=mine", "description=my own words"]
    found = load("munich-street", changes)
    assert (found.name, found.description) == ("mine", "my own words")
