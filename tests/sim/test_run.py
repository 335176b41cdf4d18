"""A run with real worker processes on the fake link: one result for every way to get there, and clean failures."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sqlite3
from pathlib import Path

import fake_link
import numpy as np
import pytest
import yaml
from in_process import Heard

from ran.cli.replay_text import print_replay
from ran.errors import InputError
from ran.sim.executor import RunStopped
from ran.sim.experiment import Experiment, load
from ran.sim.failures import ReceiversFailed
from ran.sim.identity import replay_key
from ran.sim.replay import replay
from ran.sim.results import RunResults, load_results
from ran.sim.results_csv import CSV_COLUMNS
from ran.sim.run import Status, run
from ran.sim.run_folder import RunFolder
from ran.sim.simulation import Simulation

SMALL = {"esn0_db": [0, 2, 4], "stopping": {"min_block_errors": 20, "max_slots": 120, "min_bler": 0.01}}


def run_fake(experiment: Experiment, out: Path, **options: object) -> bytes:
    run(experiment, out, build=fake_link.build, **options)  # type: ignore[arg-type]
    return (out / "results.csv").read_bytes()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return run_fake(fake_link.experiment(**SMALL), tmp_path_factory.mktemp("reference"), workers=1)


@pytest.mark.parametrize(("workers", "chunk"), [(3, None), (2, 1), (1, 64)])
def test_csv_is_identical(reference: bytes, tmp_path: Path, workers: int, chunk: int | None) -> None:
    assert run_fake(fake_link.experiment(**SMALL), tmp_path / "a", workers=workers, chunk_slots=chunk) == reference


def test_results(tmp_path: Path) -> None:
    experiment = fake_link.experiment(**SMALL, users={"num_users": 2})
    results = run(experiment, tmp_path, workers=1, build=fake_link.build)
    assert results.genie_receivers == {"genie"}
    assert results.blocks_per_drop == 2
    assert results.meta["complete"] == "yes"
    assert {"run_id", "scenario", "ran6g", "python", "numpy", "wall_time_s", "started", "finished"} <= set(results.meta)
    order = [(p.receiver, p.esn0_db) for p in results.points]
    titles = [r.title for r in experiment.receivers]
    assert order == sorted(order, key=lambda item: (titles.index(item[0]), item[1]))
    for p in results.points:
        assert p.blocks == 2 * p.drops == 2 * p.slots
        assert p.block_errors == p.block_errors_per_drop.sum()
        assert len(p.block_errors_per_drop) == p.drops
        assert p.block_errors >= 20 or p.drops == 120
        assert p.bler_low <= p.bler == p.block_errors / p.blocks <= p.bler_high
        assert p.bits == p.blocks * fake_link.BITS_PER_BLOCK
        assert p.bit_errors == 7 * p.block_errors
        delivered = (p.blocks - p.block_errors) * fake_link.BITS_PER_BLOCK
        assert p.throughput_mbps == pytest.approx(delivered / (p.slots * 1e-3) / 1e6)
    rows = (tmp_path / "results.csv").read_text().splitlines()
    assert rows[0] == ",".join(CSV_COLUMNS)
    assert len(rows) == 1 + len(results.points)


def test_all_receivers_meet_the_same_drops(tmp_path: Path) -> None:
    results = run(fake_link.experiment(**SMALL), tmp_path, workers=1, build=fake_link.build)
    at_2_db = {p.receiver: p.block_errors_per_drop for p in results.points if p.esn0_db == 2}
    common = min(map(len, at_2_db.values()))
    assert np.all(at_2_db["genie"][:common] <= at_2_db["two"][:common])


def test_run_folder(tmp_path: Path) -> None:
    experiment = fake_link.experiment(**SMALL)
    run_fake(experiment, tmp_path, workers=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["experiment.yaml", "results.csv", "results.sqlite"]
    assert load(tmp_path / "experiment.yaml") == experiment
    assert yaml.safe_load((tmp_path / "experiment.yaml").read_text())["decoder"]["num_iterations"] == 20


def test_a_finished_run_simulates_nothing_again(tmp_path: Path) -> None:
    experiment = fake_link.experiment(**SMALL)
    first = run_fake(experiment, tmp_path, workers=2)

    class Listener:
        heard: list[str] = []  # noqa: RUF012

        def say(self, text: str) -> None:
            self.heard.append(text)

        def update(self, status: Status) -> None:
            self.heard.append("update")

    assert run_fake(experiment, tmp_path, workers=2, listener=Listener()) == first
    assert Listener.heard == []


def test_another_stopping_rule_goes_on_in_the_same_folder(tmp_path: Path) -> None:
    longer = {**SMALL, "stopping": {"min_block_errors": 60, "max_slots": 200, "min_bler": 0.01}}
    run_fake(fake_link.experiment(**SMALL), tmp_path / "a", workers=2)
    stored = (tmp_path / "a" / "results.sqlite").stat().st_size
    continued = run_fake(fake_link.experiment(**longer), tmp_path / "a", workers=2)
    assert continued == run_fake(fake_link.experiment(**longer), tmp_path / "b", workers=1)
    assert (tmp_path / "a" / "results.sqlite").stat().st_size >= stored
    shorter_again = run_fake(fake_link.experiment(**SMALL), tmp_path / "a", workers=1)
    assert shorter_again == run_fake(fake_link.experiment(**SMALL), tmp_path / "c", workers=1)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"seed": 2}, "seed"),
        ({"esn0_db": [0, 2]}, "esn0_db"),
        ({"carrier": {"num_prb": 25}}, "carrier.num_prb is 24 there and 25 here"),
        ({"decoder": {"num_iterations": 8}}, "decoder.num_iterations"),
        ({"channel": {"name": "fake", "slot_s": 0.001}}, "channel.slot_s"),
    ],
)
def test_a_different_experiment_is_refused(tmp_path: Path, changes: dict[str, object], key: str) -> None:
    run_fake(fake_link.experiment(**SMALL), tmp_path, workers=1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match="holds a run of a different experiment") as caught:
        run_fake(fake_link.experiment(**{**SMALL, **changes}), tmp_path)
    assert key in str(caught.value)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("irreplaceable")
    with pytest.raises(InputError, match=r"holds 'thesis.tex' and is no run folder"):
        run_fake(fake_link.experiment(**SMALL), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_or_an_unwritable_place_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        run_fake(fake_link.experiment(**SMALL), file)
    with pytest.raises(InputError, match="cannot be written"):
        run_fake(fake_link.experiment(**SMALL), file / "below")
    with pytest.raises(InputError, match="cannot be written"):
        run_fake(fake_link.experiment(**SMALL), Path("/proc/ran-test"))
    assert file.read_text() == "mine"


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    run_fake(fake_link.experiment(**SMALL), tmp_path, workers=1)
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        db.execute("DELETE FROM meta WHERE key = 'run_identity'")
    db.close()
    with pytest.raises(InputError, match="damaged"):
        run_fake(fake_link.experiment(**SMALL), tmp_path)


def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    experiment = fake_link.experiment(**SMALL)
    receivers = {r.title: {"name": r.name} for r in experiment.receivers}
    with (
        RunFolder(tmp_path, experiment, fake_link.build(experiment), receivers),
        pytest.raises(InputError, match="another ran process"),
    ):
        run_fake(experiment, tmp_path)


def test_leftovers_of_a_killed_creation_do_not_matter(tmp_path: Path, reference: bytes) -> None:
    (tmp_path / "results.sqlite.new").write_bytes(b"half a file")
    assert run_fake(fake_link.experiment(**SMALL), tmp_path, workers=1) == reference
    assert not (tmp_path / "results.sqlite.new").exists()


def failing(**how: int) -> Experiment:
    receivers = [{"name": "one", "at_db": 1.0}, {"name": "bad", **how}]
    stopping = {
        **fake_link.experiment(**SMALL).stopping.model_dump(),
        "receiver_timeout_s": 20 if "hang_at" in how else 900,
    }
    return fake_link.experiment(**{**SMALL, "receivers": receivers, "stopping": stopping})


def errors_of_one(results: RunResults) -> list[list[int]]:
    return [p.block_errors_per_drop.tolist() for p in results.points if p.receiver == "one"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"crash_at": 9}, ["ZeroDivisionError: the fake receiver divides by zero (", "fake_link.py, line ", "at 0 dB"]),
        ({"refuse_at": 9}, ["the fake receiver: got this drop; allowed: others, at 0 dB"]),
        ({"exit_at": 9}, ["SystemExit: 3", "fake_link.py, line "]),
        ({"non_finite_at": 9}, ["non-finite numbers in the LLRs of the fake receiver, drop 9 at 0 dB", "--replay"]),
        (
            {"die_at": 9},
            [
                "its worker process was killed by SIGKILL (out of memory?",
                "4 drops at once (by estimate a classical receiver takes 1.5 MiB for 4), at ",
                "dB, drops 8 to 11; ",
                "--replay",
            ],
        ),
        (
            {"die_at": 9, "signal": signal.SIGSEGV},
            ["its worker process was killed by SIGSEGV, at ", "dB, drops 8 to 11; "],
        ),
        pytest.param({"hang_at": 9}, ["its worker process gave no answer in 20 s, at "], marks=pytest.mark.slow),
    ],
)
def test_a_receiver_fails_alone(tmp_path: Path, how: dict[str, int], words: list[str]) -> None:
    with pytest.raises(ReceiversFailed) as caught:
        run_fake(failing(**how), tmp_path / "run", workers=2)
    text = str(caught.value)
    assert text.startswith("receiver 'bad' failed: ")
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert multiprocessing.active_children() == []
    # the other has all that it has without it
    without = fake_link.experiment(**{**SMALL, "receivers": [{"name": "one", "at_db": 1.0}]})
    alone = run(without, tmp_path / "alone", workers=1, build=fake_link.build)
    results = load_results(tmp_path / "run")
    assert errors_of_one(results) == errors_of_one(caught.value.results) == errors_of_one(alone)
    assert list(results.failures) == ["bad"]
    assert results.meta["complete"] == "no"
    assert any("receiver 'bad' failed" in line for line in results.warnings)
    if "crash_at" in how:
        assert "in fail" in (tmp_path / "run" / "failures.txt").read_text()
    # mended, the same command goes on with it alone
    mended = run(failing(), tmp_path / "run", workers=1, build=fake_link.build)
    assert not mended.failures
    assert mended.meta["complete"] == "yes"


def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ReceiversFailed, match="divides by zero"):
            run_fake(failing(crash_at=9), tmp_path, workers=1)


def test_input_that_every_receiver_is_refused_for(tmp_path: Path) -> None:
    both = [{"name": "one", "refuse_at": 9}, {"name": "two", "refuse_at": 9}]
    with pytest.raises(InputError, match="allowed: others"):
        run_fake(fake_link.experiment(**{**SMALL, "receivers": both}), tmp_path, workers=2)
    assert multiprocessing.active_children() == []


def test_a_worker_that_is_killed_by_chance_loses_nothing(tmp_path: Path, reference: bytes) -> None:
    heard = Heard()
    dying = {"name": "one", "at_db": 1.0, "die_at": 21, "die_once": str(tmp_path / "died")}
    others = [r.block() for r in fake_link.experiment(**SMALL).receivers if r.title != "one"]
    receivers = [others[0], dying, *others[1:]]
    results = run(
        fake_link.experiment(**{**SMALL, "receivers": receivers}),
        tmp_path / "run",
        workers=2,
        build=fake_link.build,
        listener=heard,
    )
    assert (tmp_path / "died").exists()
    assert any("a worker process was killed by SIGKILL" in text for text in heard.texts)
    assert results.meta["complete"] == "yes"
    assert (tmp_path / "run" / "results.csv").read_bytes() == reference


def test_a_worker_that_dies_of_its_preparation_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunStopped, match="killed by SIGKILL"):
        run(failing(), tmp_path, workers=2, build=dies_in_workers)
    assert multiprocessing.active_children() == []


def dies_in_workers(experiment: Experiment) -> Simulation:
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return fake_link.build(experiment)


def test_non_finite_numbers_can_be_replayed(tmp_path: Path) -> None:
    experiment = failing(non_finite_at=30)
    with pytest.raises(ReceiversFailed, match="the LLRs of the fake receiver, drop 30 at 0 dB") as caught:
        run_fake(experiment, tmp_path, workers=2)
    key = re.search(r"--replay (\S+) ", str(caught.value))
    assert key is not None
    found = replay(experiment, key[1], build=fake_link.build)
    assert (found.esn0_db, found.drop, found.batch) == (0.0, 30, range(28, 32))
    good, bad = found.outcomes
    assert (bad.receiver, bad.drop, bad.non_finite) == ("bad", 30, "the LLRs of the fake receiver")
    assert (good.receiver, good.non_finite) == ("one", "")


def test_exceptions_can_be_replayed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    experiment = failing(crash_at=30)
    with pytest.raises(ReceiversFailed, match="divides by zero") as caught:
        run_fake(experiment, tmp_path, workers=1)
    key = re.search(r"--replay (\S+) ", str(caught.value))
    assert key is not None
    assert key[1] == replay_key(experiment, 0.0, 28)  # the first of the batch of 4
    with pytest.raises(RunStopped, match="exception with bad"):
        print_replay(experiment, key[1], fake_link.build)
    printed = capfd.readouterr().out
    assert "one: " in printed
    assert "bad: ZeroDivisionError: the fake receiver divides by zero" in printed
    assert "in fail" in printed


def test_replay_gives_what_the_run_had(tmp_path: Path) -> None:
    experiment = fake_link.experiment(**SMALL)
    results = run(experiment, tmp_path, workers=2, build=fake_link.build)
    found = replay(experiment, replay_key(experiment, 2.0, 17), build=fake_link.build)
    in_run = {p.receiver: int(p.block_errors_per_drop[17]) for p in results.points if p.esn0_db == 2}
    assert {o.receiver: o.block_errors for o in found.outcomes} == in_run


def test_a_replay_key_belongs_to_its_experiment() -> None:
    experiment = fake_link.experiment(**SMALL)
    key = replay_key(experiment, 2.0, 17)
    other = fake_link.experiment(**{**SMALL, "num_rx_ant": 2})
    for wrong in (other, fake_link.experiment(**{**SMALL, "seed": 5})):
        with pytest.raises(InputError, match="allowed: a key of the same experiment"):
            replay(wrong, key, build=fake_link.build)
    for malformed in ("", "1:2:3", key + ":1", key.replace("2:17", "x:17"), key.replace(":17", ":-17")):
        with pytest.raises(InputError, match="SCENARIO:SEED:ESN0_DB:DROP"):
            replay(experiment, malformed, build=fake_link.build)


def test_no_worker_is_left(tmp_path: Path, reference: bytes) -> None:
    before = os.listdir("/proc/self/fd")
    assert run_fake(fake_link.experiment(**SMALL), tmp_path, workers=3) == reference
    assert multiprocessing.active_children() == []
    assert len(os.listdir("/proc/self/fd")) <= len(before) + 1  # the resource tracker's pipe, once per process
