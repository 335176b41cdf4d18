"""Counts of receivers and of every channel family as they were recorded: a number that moves is seen.

`make references` simulates them all again. Where the simulation version has risen, or a case is new,
`make references RECORD=1` writes the counts of today and prints what moved, for the CHANGELOG.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import reference
from cases import CASES

from channels import CHANNELS
from ran.sim.identity import SIMULATION_VERSION

RECORD = bool(os.environ.get("RECORD_REFERENCES"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_counts_are_those_recorded(name: str, tmp_path: Path) -> None:
    now = reference.simulate(CASES[name], tmp_path / "run")
    if RECORD:
        lines = ""
        if (reference.FOLDER / f"{name}.json").exists():
            before = reference.read(name)
            if [p[:4] for p in before.points] == [p[:4] for p in now.points]:
                lines = reference.moved(before.points, now.points)
                if not lines and before.simulation_version == now.simulation_version:
                    return
        print(f"\n{name}: recorded\n{lines}")
        reference.write(name, now)
        return
    before = reference.read(name)
    assert [p[:4] for p in before.points] == [p[:4] for p in now.points]
    lines, chance = reference.moved(before.points, now.points), reference.probability(before.points, now.points)
    if before.processor != now.processor:
        assert chance > reference.FALSE_ALARM, f"recorded on {before.processor}, here {now.processor}\n{lines}"
    else:
        assert not lines, f"raise the simulation version and say so in the CHANGELOG (chance {chance:.2g}):\n{lines}"


@pytest.mark.parametrize("name", CASES)
def test_recorded_counts_are_of_this_version(name: str) -> None:
    found = reference.read(name)
    assert found.command == CASES[name]
    assert found.simulation_version == SIMULATION_VERSION, (
        "`make references RECORD=1`, and what moved into CHANGELOG.md"
    )


@pytest.mark.parametrize("name", CASES)
def test_recorded_counts_can_move_both_ways(name: str) -> None:
    """Some blocks are lost and some received, at some point of some receiver that does not know the channel."""
    points = reference.read(name).points
    tried = [p for p in points if p.receiver != "perfect-csi"] or points
    assert any(0 < p.block_errors < p.blocks for p in tried)


def test_the_changelog_tells_of_this_version() -> None:
    text = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    assert f"simulation version {SIMULATION_VERSION}" in text


def test_every_channel_family_has_a_curve() -> None:
    # impulse responses of another program come from a file of the user's
    assert {name for name in CHANNELS if name != "recorded"} <= set(CASES)


def test_the_likelihood_ratio_is_that_of_the_closed_form() -> None:
    # 10 of 100 against 30 of 100: G = 2 sum O ln(O / E) with E = 20 and 80
    before, after = ([reference.Point("x", "1", 100, 100, errors)] for errors in (10, 30))
    assert reference.probability(before, after) == pytest.approx(3.163e-4, rel=1e-3)
    assert reference.probability(before, before) == 1.0
