"""Every chunk is stored with the kind of processor that made it, and a folder that mixes kinds says so."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import fake_link
import numpy as np
import pytest
import torch
from in_process import run_here
from test_receivers_of_a_folder import GENIE, ONE, with_receivers

from ran.cli.main import main
from ran.cli.table import print_summary
from ran.report import write_report
from ran.sim.experiment import Experiment
from ran.sim.outcomes import TaskOutcomes
from ran.sim.processor import processor_kind
from ran.sim.results import load_results, merged_results
from ran.sim.segment import Segment
from ran.sim.simulation import Simulation, build_simulation
from ran.sim.worker import Done, simulate_chunk
from ran.stats.counts import Counts


def on_zen(experiment: Experiment) -> Simulation:
    return replace(fake_link.build(experiment), processor="znver4 torch:AVX512")


def on_haswell(experiment: Experiment) -> Simulation:
    return replace(fake_link.build(experiment), processor="haswell torch:AVX2")


def short(slots: int) -> Experiment:
    stopping = {"min_block_errors": None, "max_slots": slots, "min_bler": None}
    return with_receivers(GENIE, ONE).model_copy(
        update={"stopping": type(with_receivers(ONE).stopping).model_validate(stopping)}
    )


def test_the_kind_is_what_the_libraries_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = processor_kind()
    assert f"torch:{torch.backends.cpu.get_cpu_capability()}" in kind
    assert "numpy:" in kind
    assert "," not in kind
    assert ";" not in kind
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2")
    assert processor_kind.__wrapped__() == f"{kind} MKL_ENABLE_INSTRUCTIONS=AVX2"


def test_a_real_simulation_says_its_kind() -> None:
    small = {
        "name": "small",
        "carrier": {"num_prb": 2},
        "channel": "rayleigh-block",
        "receivers": ["ls-linear"],
        "num_rx_ant": 1,
        "esn0_db": [0],
    }
    assert build_simulation(Experiment.model_validate(small)).processor == processor_kind()


def test_a_chunk_carries_the_kind_of_its_worker(tmp_path: Path) -> None:
    ran = run_here(short(40), tmp_path / "run", build=on_zen)
    answer = simulate_chunk(on_haswell(short(40)), short(40), ran.chunks[0])
    assert isinstance(answer, Done)
    assert {s.processor for s in answer.outcomes.values()} == {"haswell torch:AVX2"}


def test_one_kind_is_no_news(tmp_path: Path) -> None:
    ran = run_here(short(40), tmp_path / "run", build=on_zen)
    assert ran.said == []
    assert ran.results.warnings == ()
    assert ran.results.meta["processor"] == "znver4 torch:AVX512"
    [header, *rows] = (tmp_path / "run" / "results.csv").read_text().splitlines()
    assert "processor" in header.split(",")
    assert all("znver4 torch:AVX512" in row for row in rows)
    page = write_report([ran.results], tmp_path / "page").read_text()
    assert "znver4 torch:AVX512" in page
    assert '<th scope="col">processor</th>' not in page


@pytest.mark.parametrize("there", [False, True])
def test_another_kind_goes_on_with_a_warning(there: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On another machine; or in workers on another one, as those of a cluster."""
    out = tmp_path / "run"
    first = run_here(short(40), out, build=on_zen)
    both = (
        run_here(short(120), out, build=on_zen, there=on_haswell)
        if there
        else run_here(short(120), out, build=on_haswell)
    )
    [warning] = both.said
    assert warning.startswith("warning: outcomes of 2 kinds of processor are in this run (")
    assert "znver4 torch:AVX512; haswell torch:AVX2" in warning
    # scenarios and tasks are named as before: the drops of the other kind count on
    assert {chunk.drops.start for chunk in both.chunks} == {40, 80}
    assert {c.scenario_id for c in both.chunks} == {c.scenario_id for c in first.chunks}
    [text] = load_results(out).warnings
    assert "haswell torch:AVX2; znver4 torch:AVX512" in text
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert {row["processor"] for row in rows} == {"znver4 torch:AVX512 + haswell torch:AVX2"}
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "outcomes of 2 kinds of processor" in page
    assert '<th scope="col">processor</th>' in page
    assert "warning: outcomes of 2 kinds of processor" in capsys.readouterr().out


def test_points_that_count_decide(tmp_path: Path) -> None:
    """Drops of another kind that are beyond those that count are no mixture."""
    out = tmp_path / "run"
    run_here(short(40), out, build=on_zen)
    run_here(short(120), out, build=on_haswell)
    again = run_here(short(40), out, build=on_zen)
    assert again.chunks == []
    assert again.results.warnings == ()


def test_merged_runs_of_two_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = run_here(with_receivers(GENIE), tmp_path / "a", build=on_zen).results
    two = run_here(with_receivers(ONE), tmp_path / "b", build=on_haswell).results
    merged = merged_results([one, two])
    assert len(merged.warnings) == 1
    assert merged.meta["processor"] == "haswell torch:AVX2; znver4 torch:AVX512"
    print_summary(merged)
    assert "2 kinds of processor" in capsys.readouterr().out


def test_kinds_of_the_prefix() -> None:
    def part(first: int, kind: str) -> Segment:
        return Segment(first, Counts.of(np.zeros(4), np.zeros(4)), kind)

    known = TaskOutcomes([part(0, "a"), part(4, "b"), part(8, "a"), part(16, "c")])
    assert known.counts.drops == 12
    assert known.processors(4) == ("a",)
    assert known.processors(5) == ("a", "b")
    assert known.processors(100) == ("a", "b")
