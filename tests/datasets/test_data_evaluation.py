"""Receivers on the slots of a data set: counts are those of the link that made them; one line for what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_set import experiment, write_small

from ran.cli.main import main
from ran.datasets.evaluate import build_evaluation, experiment_on
from ran.datasets.reader import DropDataset
from ran.datasets.request import stream_id
from ran.datasets.write import link_of
from ran.errors import InputError
from ran.link.catalogue import build_receiver
from ran.sim.identity import task_id
from ran.sim.results import RunResults
from ran.sim.run import run
from ran.sim.simulation import build_simulation

LS = {"name": "ls-linear"}


@pytest.fixture(scope="module")
def slots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slots") / "slots.h5"
    write_small(path, num_drops=201)
    return path


@pytest.fixture(scope="module")
def finished(slots: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResults]:
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, run(experiment_on(slots, [LS]), folder, workers=1, build=build_evaluation)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ran: error: ")
    assert err.count("\n") == 1
    return err


def test_counts_are_those_of_the_link_on_the_same_draws(slots: Path) -> None:
    evaluation = experiment_on(slots, [LS, {"name": "perfect-csi"}])
    # 201 drops at two points: 101 and 100, of which as many as both have count
    assert evaluation.snr_grid == (0.0, 10.0)
    assert evaluation.stopping.max_slots == 100
    built = build_evaluation(evaluation)
    ours = experiment(slots.parent)
    link = link_of(ours)
    for point, first in ((0.0, 0), (10.0, 1)):
        drops = list(range(first, 201, 2))[:100]
        with torch.inference_mode():
            batch = link.batch(drops, point, ours.seed, stream_id(ours))
            found = built.link.simulate(built.receivers, range(100), point, 0, "any")
            for name in ("ls-linear", "perfect-csi"):
                expected = link.count_errors(link.receive(build_receiver({"name": name}), batch), batch)
                np.testing.assert_array_equal(found[name].block_errors, expected.block_errors)
                np.testing.assert_array_equal(found[name].bit_errors, expected.bit_errors)
    assert found["ls-linear"].block_errors.sum() < 100
    # a chunk of a run may end beyond the file
    assert len(built.link.simulate(built.receivers, range(64, 128), 0.0, 0, "any")["ls-linear"].block_errors) == 37


def test_a_run_goes_on_wherever_the_file_lies(
    slots: Path, finished: tuple[Path, RunResults], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, first = finished
    assert first.meta["complete"] == "yes"
    assert [point.drops for point in first.points] == [100, 100]
    moved = tmp_path / "moved.h5"
    shutil.copy(slots, moved)
    again = run(experiment_on(moved, [LS]), folder, workers=1, build=build_evaluation)
    assert [p.block_errors for p in again.points] == [p.block_errors for p in first.points]
    # the command, and what a folder says of itself, find the same run
    assert main(["data", "evaluate", str(slots), "--receiver", "ls-linear", "--out", str(folder)]) == 0
    assert "100 at every Es/N0" in capsys.readouterr().out
    assert (folder / "report.html").exists()
    assert main(["sim", str(folder / "experiment.yaml"), "--out", str(folder)]) == 0


def test_results_are_never_taken_for_those_of_simulated_drops(slots: Path) -> None:
    whole, part = experiment_on(slots, [LS]), experiment_on(slots, [LS], "train")
    simulated = whole.model_copy(update={"data": None})
    assert len({task_id(e, LS, 0.0) for e in (whole, part, simulated)}) == 3
    with pytest.raises(InputError, match="data: got slots"):
        build_simulation(whole)


def test_a_split_has_its_drops_alone(slots: Path) -> None:
    dataset = DropDataset(slots, "train")
    built = build_evaluation(experiment_on(slots, [LS], "train"))
    counts = built.link.num_drops  # type: ignore[attr-defined]
    assert sum(counts.values()) == len(dataset)
    assert experiment_on(slots, [LS], "train").stopping.max_slots == min(counts.values())


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"kind": "channels"}, "kind: got channels; allowed: slots"),
        ({"esn0_db": {"low": 0.0, "high": 5.0}}, "a value of its own per drop, 0 to 5 dB"),
    ],
)
def test_other_data_sets(request_: dict, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_small(tmp_path / "other.h5", num_drops=8, **request_)
    assert expected in refused(capsys, "data", "evaluate", tmp_path / "other.h5")


def test_no_channel_for_a_genie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_small(tmp_path / "blind.h5", num_drops=8, with_channel=False)
    error = refused(
        capsys, "data", "evaluate", tmp_path / "blind.h5", "--receiver", "perfect-csi", "--out", tmp_path / "run"
    )
    assert "receivers.perfect-csi" in error
    assert "does not hold" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--split", "tset"], "did you mean 'test'"),
        (["--receiver", "lmse"], "did you mean 'lmmse'"),
        (["--receiver", "[1"], "--receiver: not valid YAML: line 1, column 3"),
        (["--receiver", "{label: a}"], "receivers.0.name: missing"),
    ],
)
def test_options(slots: Path, options: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in refused(capsys, "data", "evaluate", slots, *options)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("carrier.num_prb=3", "carrier: got"),
        ("esn0_db=[3]", "esn0_db: got 3.0; allowed: 0, 10, the points of"),
        ("stopping.max_slots=500", "stopping.max_slots: got 500; allowed: at most 100"),
        ("data.content=" + "f" * 64, "allowed: the data set ffffffffffffffff"),
        ("data.split=all", "data.split: got 'all'; allowed: train, val, test or null"),
    ],
)
def test_changes_that_the_file_does_not_follow(
    finished: tuple[Path, RunResults],
    tmp_path: Path,
    change: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = finished[0] / "experiment.yaml"
    assert expected in refused(capsys, "sim", file, "--set", change, "--out", tmp_path / "other")


def test_a_damaged_chunk(slots: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.h5"
    shutil.copy(slots, bad)
    with bad.open("r+b") as file:
        file.seek(bad.stat().st_size // 2)
        file.write(b"\xff" * 64)
    built = build_evaluation(experiment_on(bad, [LS]))
    with pytest.raises(InputError, match="do not match their SHA-256"):
        built.link.simulate(built.receivers, range(100), 0.0, 0, "any")
