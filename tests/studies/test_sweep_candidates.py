"""Candidates of a sweep: what is compared with what, against the counts and the fake link's closed form."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import fake_link
import numpy as np
import pytest

from ran.errors import InputError
from ran.studies.folder import load_parts
from ran.studies.part import PartResult
from ran.studies.sweep.candidates import best_candidates, candidates_csv, delivered
from ran.studies.sweep.page import write_sweep
from ran.studies.sweep.request import SweepRequest, load_any
from ran.studies.sweep.run import run_sweep

TEXT = """
channel: {name: fake, slot_s: 0}
receivers: [{name: one, at_db: 1}]
esn0_db: [0, 2, 4]
stopping: {min_block_errors: null, max_slots: 400, min_bler: null}
sweep:
  grid:
    users.num_users: [1, 2]
    decoder.num_iterations: [10, 20]
  candidates:
    plain: {receivers.0.at_db: 1.5}
    strong: {receivers.0.at_db: 1.0}
    new: {receivers.0.at_db: 0.0}
  references: [plain, strong]
"""


def request(tmp_path: Path, text: str = TEXT) -> SweepRequest:
    file = tmp_path / "swept.yaml"
    file.write_text(text)
    found = load_any(file)
    assert isinstance(found, SweepRequest)
    return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[PartResult, ...]]:
    folder = tmp_path_factory.mktemp("candidates")
    return folder, run_sweep(request(folder), folder / "out", workers=1, build=fake_link.build)


def test_every_candidate_in_every_combination(tmp_path: Path) -> None:
    found = request(tmp_path)
    assert len(found.parts) == 4 * 3
    assert [part.title for part in found.parts[:3]] == [
        f"num_users 1, num_iterations 10, {name}" for name in ("plain", "strong", "new")
    ]
    assert found.parts[5].facts == {"num_users": 1, "num_iterations": 20, "candidate": "new", "reference": False}
    assert found.parts[5].experiment.receivers[0].block()["at_db"] == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "references: [plain, strong]",
            "references: [plian]",
            ["'plian'", "plain, strong, new", "did you mean 'plain'"],
        ),
        ("  references: [plain, strong]\n", "", ["3 with 0 references", "two or more"]),
        ("new: {receivers.0.at_db: 0.0}", "new: {users.num_users: 3}", ["'users.num_users'", "every key once"]),
        ("new: {receivers.0.at_db: 0.0}", "new: {users.num_usres: 3}", ["num_usres", "did you mean 'num_users'"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        request(tmp_path, TEXT.replace(old, new))
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


def test_gains_are_over_the_best_reference(shown: tuple[Path, tuple[PartResult, ...]]) -> None:
    rows = delivered(shown[1])
    assert len(rows) == 4 * 3 * 3
    for row in rows:
        assert row.best_reference == "strong"
        assert row.is_best == (row.candidate == "strong")
        if row.is_best:
            assert row.gain.reason == "compared with itself"
    for row in (r for r in rows if r.candidate == "new"):
        users = row.condition["num_users"]
        reference = next(
            r for r in rows if (r.condition, r.esn0_db, r.candidate) == (row.condition, row.esn0_db, "strong")
        )
        bler = {level: fake_link.FakeReceiver(at_db=level).bler(row.esn0_db) for level in (0.0, 1.0)}
        # the measured share within four standard deviations of a binomial count (users of a drop are independent)
        deviation = np.sqrt(bler[0.0] * (1 - bler[0.0]) / (400 * users))
        assert row.share == pytest.approx(1 - bler[0.0], abs=4 * deviation)
        assert row.bits_per_slot.known == pytest.approx(row.share * users * fake_link.BITS_PER_BLOCK)
        assert row.gain.known == pytest.approx(row.bits_per_slot.known / reference.bits_per_slot.known - 1)
        assert row.gain.low is not None
        assert row.gain.high is not None
        assert row.gain.low < row.gain.known < row.gain.high


def test_the_working_point_is_the_lowest_at_which_the_reference_works(
    shown: tuple[Path, tuple[PartResult, ...]],
) -> None:
    """Of 0, 2 and 6 dB: 50 % of the blocks fail at 1 dB, so 2 dB delivers 82 % and 4 dB 99 %."""
    rows = delivered(shown[1])
    assert {row.esn0_db for row in rows if row.is_working} == {4.0}
    best = best_candidates(rows)
    assert [row.candidate for row in best] == ["new"] * 4
    low = [part for part in shown[1] if part.facts["num_users"] == 1]
    without = [row for row in delivered(low) if row.condition["num_iterations"] == 20]
    assert {row.candidate for row in without if row.is_working} == {"plain", "strong", "new"}


def test_with_harq_blocks_are_counted_per_transmission(tmp_path: Path) -> None:
    text = TEXT.replace("[1, 2]", "[2]").replace("[10, 20]", "[10]").replace("max_slots: 400", "max_slots: 100")
    found = request(tmp_path, text + "harq: {max_transmissions: 3}\n")
    parts = run_sweep(found, tmp_path / "out", workers=1, build=fake_link.build)
    for row in delivered(parts):
        part = next(p for p in parts if p.facts["candidate"] == row.candidate)
        assert part.results is not None
        point = next(p for p in part.results.points if p.esn0_db == row.esn0_db)
        assert point.transmissions_per_drop.sum() == point.transmissions > point.blocks
        assert row.share == pytest.approx(point.throughput_fraction)
        assert row.share == pytest.approx((point.blocks - point.block_errors) / point.transmissions)


def test_files_and_page_from_the_store_alone(shown: tuple[Path, tuple[PartResult, ...]]) -> None:
    folder, parts = shown
    page = write_sweep("swept", "", parts, folder / "out").read_text()
    assert "What the candidates deliver" in page
    table = list(csv.DictReader((folder / "out" / "candidates.csv").open()))
    assert len(table) == 36
    assert {line["best_reference"] for line in table} == {"strong"}
    values = json.loads((folder / "out" / "candidates.json").read_text())["rows"]
    assert sum(value["is_working_point"] for value in values) == 12
    for kind in ("svg", "png"):
        assert (folder / "out" / f"candidates.{kind}").stat().st_size > 1000
    assert candidates_csv(delivered(load_parts(folder / "out"))) == (folder / "out" / "candidates.csv").read_text()


def test_one_combination_has_a_page_without_a_map(shown: tuple[Path, tuple[PartResult, ...]], tmp_path: Path) -> None:
    page = write_sweep("swept", "", shown[1][:3], tmp_path).read_text()
    assert "What the candidates deliver" in page
    assert "break-even" not in page
    assert not (tmp_path / "candidates.png").exists()
