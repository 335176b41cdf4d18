"""What `ran bench` writes and says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ran.bench import run as bench_run
from ran.bench.catalogue import ROWS
from ran.bench.machine import Limits
from ran.bench.measure import Measured
from ran.bench.page import Result, as_json, as_markdown, quantity, spread, verdict
from ran.bench.row import Parity
from ran.bench.run import check_page
from ran.bench.scaling import Axis, describe_cost, worker_axis, workers_to_try
from ran.cli.main import main
from ran.stats import Estimate

LIMITS = Limits(1e12, 2.5e11, 1.6e11, 4e10)


def samples(median: float, low: float, high: float, number: int) -> Estimate:
    return Estimate(median, low, high, 0.5, num_units=number)


def result(**changes: object) -> Result:
    fast, slow = samples(250.0, 240.0, 255.0, 7), samples(0.05, 0.04, 0.06, 7)
    row = Measured(
        ROWS["ldpc-bg1-r13-i8"],
        ours=fast,
        settings="int8",
        floor=750.0,
        floor_text="10 M int8 operations",
        peer=slow,
        peer_settings="boxplus",
        ratio=samples(5000.0, 4800.0, 5100.0, 7),
        parity=Parity("block errors on the same 48 blocks: ours 5, Sionna 48", True),
        again=samples(240.0, 235.0, 250.0, 7),
        notes=("a note",),
    )
    axes = tuple(Axis(what, "fixed", (1, 2), (fast, slow), "linear", what != "w") for what in "abcw")
    fields = {
        "command": "ran bench --against sionna",
        "when": "2030-01-01 00:00 UTC",
        "cpu": "a CPU",
        "machine": "2 cores",
        "gpu": None,
        "versions": {"ran6g": "0"},
        "load": 0.1,
        "limits": LIMITS,
        "rows": (row,),
        "scaling": axes,
        "seconds": 60.0,
    }
    return Result(**(fields | changes))


def test_page_shows_target_verdict_floor_and_parity() -> None:
    page = as_markdown(result(), "picture.png")
    line = next(line for line in page.splitlines() if line.startswith("| LDPC BG1"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == [
        "250 Mb/s (240 to 255)",
        "0.0500 Mb/s (0.0400 to 0.0600)",
        "5,000× (4,800 to 5,100)",
        "2 × floor and 1000×",
        "floor not met",
        "3.00",
        "-4 %",
    ]
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 120
    for text in ("ours 5, Sionna 48: parity holds", "a CPU", "ran6g 0", "boxplus", "a note", "(picture.png)"):
        assert text in page


@pytest.mark.parametrize(
    ("ours", "ratio", "text"),
    [(400, 5000, "met"), (400, 900, "ratio not met"), (200, 5000, "floor not met"), (200, 900, "not met")],
)
def test_verdict_names_the_part_that_is_missed(ours: float, ratio: float, text: str) -> None:
    (row,) = result().rows
    assert verdict(replace(row, ours=samples(ours, ours, ours, 1), ratio=samples(ratio, ratio, ratio, 1))) == text


def test_a_receiver_is_held_against_lmmse() -> None:
    (row,) = result().rows
    of_receiver = replace(
        row, row=ROWS["receiver-lmmse-ep-2"], peer=None, ratio=None, times_lmmse=samples(1.25, 1.2, 1.3, 7)
    )
    assert verdict(of_receiver) == "met"
    assert verdict(replace(of_receiver, times_lmmse=samples(3.5, 3.2, 3.7, 7))) == "not met"
    page = as_markdown(result(rows=(row, of_receiver)), None)
    head = next(line for line in page.splitlines() if line.startswith("| row"))
    cells = dict(
        zip(head.split("|"), page[page.index("| receiver lmmse ep") :].splitlines()[0].split("|"), strict=True)
    )
    assert cells[" times lmmse "] == " 1.25× (1.20 to 1.30) "
    assert cells[" target "] == " 3 × lmmse "
    found = as_json(result(rows=(of_receiver,)))["rows"][0]
    assert found["times_lmmse"]["median"] == 1.25


def test_a_wrong_result_is_not_hidden() -> None:
    (row,) = result().rows
    wrong = replace(row, parity=Parity("bits differ", False))
    assert "bits differ: **parity fails**" in as_markdown(result(rows=(wrong,)), None)


def test_json_holds_every_figure(tmp_path: Path) -> None:
    values = json.loads(json.dumps(as_json(result())))
    (row,) = values["rows"]
    assert row["ours"]["median"] == 250.0
    assert row["sionna"]["high"] == 0.06
    assert row["ratio"]["low"] == 4800.0
    assert row["target"] == {"ratio": 1000, "times_floor": 2.0, "times_lmmse": None, "is_met": False}
    assert row["again"]["median"] == 240.0
    assert row["drift"] == pytest.approx(-0.04)
    assert row["times_floor"] == 3.0
    assert row["parity"]["ok"] is True
    assert values["limits"]["int8_per_s"] == 1e12
    assert len(values["scaling"]) == 4


def test_files(tmp_path: Path) -> None:
    page = tmp_path / "BENCHMARKS.md"
    written = bench_run.write(result(), tmp_path / "", page)
    assert {path.name for path in written} == {
        "bench.json",
        "bench.md",
        "bench-scaling.png",
        "BENCHMARKS.md",
        "benchmarks-scaling.png",
        "benchmarks-history.json",
        "benchmarks-trend.md",
        "benchmarks-trend.png",
    }
    assert "[benchmarks-trend.md](benchmarks-trend.md)" in page.read_text(encoding="utf-8")
    assert "(benchmarks-scaling.png)" in page.read_text(encoding="utf-8")
    assert (tmp_path / "benchmarks-scaling.png").read_bytes().startswith(b"\x89PNG")


def test_assets_in_another_folder(tmp_path: Path) -> None:
    page, assets = tmp_path / "BENCHMARKS.md", tmp_path / "docs" / "benchmarks"
    check_page(page, assets)
    bench_run.write(result(), tmp_path, page, assets)
    assert {path.name for path in assets.iterdir()} == {
        "benchmarks-scaling.png",
        "benchmarks-history.json",
        "benchmarks-trend.md",
        "benchmarks-trend.png",
    }
    text = page.read_text(encoding="utf-8")
    assert "[benchmarks-trend.md](docs/benchmarks/benchmarks-trend.md)" in text
    assert "(docs/benchmarks/benchmarks-scaling.png)" in text


def test_assets_without_a_page_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tb-encode", "--quick", "--out", str(tmp_path / "o"), "--assets", str(tmp_path / "a")]) == 2
    assert "together with --write" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_line_is_called_a_line_and_other_growth_is_not() -> None:
    x = np.array([4, 12, 51, 273])
    assert re.fullmatch(
        r"linear: 1 ms \+ 0\.5 ms per PRB a slot, within 0 %", describe_cost("PRBs", x, 1e-3 + 5e-4 * x)
    )
    text = describe_cost("layers", (1, 2, 4, 8), (1e-3, 4e-3, 16e-3, 64e-3), "as it must")
    assert text.startswith("not a line")
    assert text.endswith("layer^2.00; as it must")


def test_workers() -> None:
    assert workers_to_try(1) == (1,)
    assert workers_to_try(2) == (1, 2)
    assert workers_to_try(6) == (1, 2, 4, 6)
    axis = worker_axis((1,), 4, 0.05)
    assert axis.values == (1,)
    assert axis.rates[0].value > 0
    assert "1 processes do 1.00 times" in axis.finding


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1234.5, "1,234"), (0.05, "0.0500"), (99.94, "99.9"), (3e-7, "3.00e-07")]
)
def test_quantity(value: float, text: str) -> None:
    assert quantity(value) == text


def test_single_sample_has_no_spread() -> None:
    assert spread(samples(2.0, 2.0, 2.0, 1), " x/s") == "2.00 x/s"
    assert spread(None) == "—"


class TestCommand:
    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (["ldpc-bg1-r13-i9"], r"NAME: got 'ldpc-bg1-r13-i9'; .*did you mean 'ldpc-bg1-r13-i8'"),
            (["tb-encode", "--against", "sionnna"], r"--against: got 'sionnna'; allowed: sionna; did you mean"),
            (["tb-encode", "--write", "/proc/nowhere/B.md"], r"/proc/nowhere: cannot be written"),
        ],
    )
    def test_bad_input_is_one_line(
        self, arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", *arguments, "--out", str(tmp_path)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert re.search(text, err)

    def test_a_row_from_the_command_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["bench", "tdl-response", "--quick", "--out", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert "tdl-response" in out
        assert "target 7×: —" in out
        assert "measured twice, rows moved by" in out
        assert "Nothing was compared" in (tmp_path / "bench.md").read_text(encoding="utf-8")
        (row,) = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))["rows"]
        assert row["sionna"] is None
