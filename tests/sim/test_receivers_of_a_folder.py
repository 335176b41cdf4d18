"""Receivers of a run folder change, join and leave: only what is new is simulated, nothing that is stored is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_link
import pytest
from in_process import run_here

from ran.cli.main import main
from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.results import RunResults, load_results
from ran.sim.simulation import Simulation

GENIE, ONE, TWO = ({"name": name, "at_db": at} for name, at in (("genie", 0.0), ("one", 1.0), ("two", 2.5)))


def with_receivers(*receivers: dict[str, Any], **changes: Any) -> Experiment:
    stopping = {"min_block_errors": 20, "max_slots": 120, "min_bler": 0.01}
    return fake_link.experiment(receivers=list(receivers), esn0_db=[0, 2], stopping=stopping, **changes)


def counts(results: RunResults) -> dict[tuple[str, float], tuple[int, int]]:
    return {(p.receiver, p.esn0_db): (p.drops, p.block_errors) for p in results.points}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    run_here(with_receivers(GENIE, ONE), tmp_path / "run")
    return tmp_path / "run"


def test_other_options_start_one_receiver_again(out: Path, tmp_path: Path) -> None:
    changed = {**ONE, "at_db": 2.0}
    again = run_here(with_receivers(GENIE, changed), out)
    assert again.simulated == {"one"}
    assert "note: receiver 'one' has changed (at_db is 1 there and 2 here): it starts again" in again.said[0]
    assert again.said[0].endswith("outcomes of the one before stay in the store")
    fresh = run_here(with_receivers(GENIE, changed), tmp_path / "fresh").results
    assert counts(again.results) == counts(fresh)
    assert again.results.meta["run_id"] == fresh.meta["run_id"]
    # and back: everything is there
    back = run_here(with_receivers(GENIE, ONE), out)
    assert back.chunks == []
    assert "it goes on from what is stored of it" in back.said[0]


def other_weights(experiment: Experiment) -> Simulation:
    simulation = fake_link.build(experiment)
    return replace(simulation, fingerprints={**simulation.fingerprints, "one": "f" * 64})


def test_another_file_starts_one_receiver_again(out: Path) -> None:
    again = run_here(with_receivers(GENIE, ONE), out, build=other_weights)
    assert again.simulated == {"one"}
    assert "fingerprint" in again.said[0]


def test_a_receiver_joins_and_leaves(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joined = run_here(with_receivers(ONE, GENIE, TWO), out)
    assert joined.simulated == {"two"}
    assert joined.said == ["note: receiver 'two' joins the run"]
    assert counts(joined.results) == counts(run_here(with_receivers(ONE, GENIE, TWO), tmp_path / "fresh").results)

    left = run_here(with_receivers(TWO), out)
    assert left.chunks == []
    assert [text.split(":")[0] for text in left.said] == [
        "note",
        "note",
    ]
    assert all("has left the run: its outcomes stay in the store" in text for text in left.said)
    assert {p.receiver for p in left.results.points} == {"two"}
    everyone = load_results(out, all_receivers=True)
    assert {p.receiver for p in everyone.points} == {"two", "genie (removed)", "one (removed)"}
    assert everyone.genie_receivers == {"genie (removed)"}
    named = {title.removesuffix(" (removed)"): of for (title, snr), of in counts(everyone).items() if snr == 2}
    assert named == {title: of for (title, snr), of in counts(joined.results).items() if snr == 2}

    assert main(["report", str(out)]) == 0
    assert "(removed)" not in (out / "report.html").read_text()
    assert main(["report", str(out), "--all-receivers"]) == 0
    assert "one (removed)" in (out / "report.html").read_text()
    assert "one (removed)" in capsys.readouterr().out

    returned = run_here(with_receivers(ONE, TWO), out)
    assert returned.chunks == []
    assert returned.said == ["note: receiver 'one' joins the run, with the outcomes that are stored"]
    assert {p.receiver for p in load_results(out, all_receivers=True).points} == {"one", "two", "genie (removed)"}


def test_what_was_another_under_the_same_name(out: Path) -> None:
    run_here(with_receivers(GENIE, {**ONE, "at_db": 2.0}), out)
    run_here(with_receivers(GENIE, {**ONE, "at_db": 3.0}), out)
    found = load_results(out, all_receivers=True)
    titles = {p.receiver for p in found.points}
    assert {"genie", "one"} < titles
    assert len(titles) == 4
    assert all(t in ("genie", "one") or t.startswith("one (before, ") for t in titles)


def test_another_label_is_the_same_receiver(out: Path) -> None:
    again = run_here(with_receivers(GENIE, {**ONE, "label": "uno"}), out)
    assert again.chunks == []
    assert {p.receiver for p in again.results.points} == {"genie", "uno"}


def test_receivers_that_are_equal_share_their_outcomes(tmp_path: Path) -> None:
    results = run_here(with_receivers(ONE, {**ONE, "label": "uno"}), tmp_path / "run").results
    found = counts(results)
    assert found["one", 0.0] == found["uno", 0.0]
    assert found["one", 2.0] == found["uno", 2.0]


def on_a_gpu(experiment: Experiment) -> Simulation:
    return replace(fake_link.build(experiment), device="cuda")


def test_a_gpu_does_not_go_on_where_a_processor_began(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ran.sim.run_folder.device_title", lambda name: name)
    with pytest.raises(InputError, match=r'different experiment: device is \["cpu"\] there and \["cuda"\] here'):
        run_here(with_receivers(GENIE, ONE), out, build=on_a_gpu)


def test_another_experiment_is_refused_whatever_its_receivers(out: Path) -> None:
    with pytest.raises(InputError, match="seed is 1 there and 2 here"):
        run_here(with_receivers(TWO, seed=2), out)
