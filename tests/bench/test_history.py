"""The history of the benchmarks: an entry per commit and processor, none lost, and the trend."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_bench_page import result, samples

from ran.bench import history
from ran.bench.page import STEADY, steadiness
from ran.cli.main import main
from ran.errors import InputError


def of(commit: str, cpu: str = "a CPU", **rows: float) -> dict[str, object]:
    named = {
        n: {"title": n.upper(), "unit": "x/s", "ours": 1.0, "ratio": None, "times_floor": v} for n, v in rows.items()
    }
    return {"commit": commit, "when": "2030-01-01 00:00 UTC", "cpu": cpu, "load": 0.0, "drift": 0.01, "rows": named}


def test_an_entry_per_commit_and_processor() -> None:
    one = history.joined([], of("a" * 40, x=3.0, y=2.0))
    two = history.joined(one, of("b" * 40, x=2.5))
    assert [each["commit"][0] for each in two] == ["a", "b"]
    elsewhere = history.joined(two, of("b" * 40, "another", x=9.0))
    assert len(elsewhere) == 3
    again = history.joined(elsewhere, of("b" * 40, y=1.5))
    assert len(again) == 3
    assert {name: row["times_floor"] for name, row in again[-1]["rows"].items()} == {"x": 2.5, "y": 1.5}


def test_writing_twice_keeps_both(tmp_path: Path) -> None:
    page = tmp_path / "BENCHMARKS.md"
    history.write(result(versions={"commit": "a" * 40}), page, tmp_path)
    (row,) = result().rows
    faster = replace(row, ours=samples(500.0, 490.0, 510.0, 7), again=samples(300.0, 290.0, 310.0, 7))
    history.write(result(versions={"commit": "b" * 40}, rows=(faster,)), page, tmp_path)
    entries = json.loads((tmp_path / "benchmarks-history.json").read_text())
    assert [each["rows"]["ldpc-bg1-r13-i8"]["times_floor"] for each in entries] == [3.0, 1.5]
    assert [each["drift"] > STEADY for each in entries] == [False, True]
    trend = (tmp_path / "benchmarks-trend.md").read_text()
    assert "| a CPU, steady (4 %) | a CPU, disturbed (40 %) |" in trend
    assert "| LDPC BG1 Z=384 R=1/3, 8 iterations | 3.00 × floor | 1.50 × floor |" in trend
    assert (tmp_path / "benchmarks-trend.png").read_bytes().startswith(b"\x89PNG")


def test_a_row_without_a_floor_is_shown_by_its_ratio() -> None:
    entry = of("a" * 40, x=3.0)
    entry["rows"]["x"] |= {"times_floor": None, "ratio": 12.5}  # type: ignore[index]
    assert "| X | 12.5× |" in history.as_markdown([entry], "p.png")


def test_the_page_says_whether_the_machine_was_steady() -> None:
    (row,) = result().rows
    assert "The machine was steady: measured twice, rows moved by 4 % in the median" in steadiness([row])
    moved = replace(row, again=samples(150.0, 150.0, 150.0, 7))
    assert steadiness([moved]).startswith("The machine was disturbed")
    assert "at most by -40 % (LDPC BG1" in steadiness([moved])
    assert "not known" in steadiness([replace(row, again=None)])


@pytest.mark.parametrize("content", ["[{", '[{"commit": "a"}]', "3"])
def test_what_is_no_history_is_refused_before_anything_is_measured(content: str, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "benchmarks-history.json"
    file.write_text(content)
    with pytest.raises(InputError, match="cannot be read"):
        history.load(file)
    page = tmp_path / "BENCHMARKS.md"
    assert main(["bench", "tb-encode", "--quick", "--out", str(tmp_path / "o"), "--write", str(page)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert file.read_text() == content
