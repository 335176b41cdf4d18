"""Sweeps: what the block means, one folder and one store, the same counts as alone, whatever the interruption."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import fake_link
import pytest

from ran.cli.main import main
from ran.errors import InputError, ReceiverRefused
from ran.sim.executor import RunStopped
from ran.sim.experiment import Experiment, load
from ran.sim.failures import ReceiversFailed
from ran.sim.run import run
from ran.sim.simulation import Simulation
from ran.sim.store import Store
from ran.studies.folder import load_parts
from ran.studies.sweep.page import sweep_figures, write_sweep, write_sweep_paper
from ran.studies.sweep.request import SweepRequest, load_any, short_names
from ran.studies.sweep.rows import rows_of
from ran.studies.sweep.run import run_sweep

TEXT = """
channel: {name: fake, slot_s: 0}
receivers: [{name: genie, at_db: 0}, {name: one, at_db: 1}]
esn0_db: [0, 2, 4]
stopping: {min_block_errors: 20, max_slots: 120, min_bler: 0.01}
sweep:
  grid:
    users.num_users: [1, 2]
    receivers.1.at_db: [1.0, 2.0, 3.0]
"""
PROGRAM = Path(__file__).parent.parent / "sim" / "fake_ran.py"


def request(tmp_path: Path, text: str = TEXT) -> SweepRequest:
    file = tmp_path / "swept.yaml"
    file.write_text(text)
    found = load_any(file)
    assert isinstance(found, SweepRequest)
    return found


def refused(tmp_path: Path, sweep: str) -> str:
    with pytest.raises(InputError) as caught:
        request(tmp_path, TEXT[: TEXT.index("sweep:")] + f"sweep: {sweep}\n")
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_every_combination_in_order(tmp_path: Path) -> None:
    found = request(tmp_path)
    assert [part.title for part in found.parts] == [
        f"num_users {users}, at_db {level}" for users in (1, 2) for level in (1, 2, 3)
    ]
    assert found.parts[4].experiment.users.num_users == 2
    assert found.parts[4].experiment.receivers[1].block()["at_db"] == 2
    assert found.parts[4].facts == {"num_users": 2, "at_db": 2.0}
    assert len({part.key for part in found.parts}) == 6


def test_a_list_with_a_grid(tmp_path: Path) -> None:
    text = TEXT[: TEXT.index("sweep:")] + (
        "sweep:\n  list: [{users.num_users: 1, seed: 1}, {users.num_users: 2, seed: 7}]\n"
        "  grid: {stopping.max_slots: [100, 200]}\n"
    )
    found = request(tmp_path, text)
    assert [tuple(part.facts.values()) for part in found.parts] == [(1, 1, 100), (1, 1, 200), (2, 7, 100), (2, 7, 200)]


def test_keys_are_as_short_as_they_can_be() -> None:
    assert short_names(["pusch.mcs_index", "channel.0.speed", "channel.1.speed", "seed"]) == {
        "pusch.mcs_index": "mcs_index",
        "channel.0.speed": "channel.0.speed",
        "channel.1.speed": "channel.1.speed",
        "seed": "seed",
    }


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ("{}", ["no keys", "grid"]),
        ("{grdi: {seed: [1]}}", ["grdi", "did you mean 'grid'"]),
        ("{grid: {seed: []}}", ["grid.seed"]),
        ("{grid: {users.num_usres: [1]}}", ["num_usres 1", "unknown key", "did you mean 'num_users'"]),
        ("{grid: {users.num_users: [1, many]}}", ["num_users many", "'many'"]),
        ("{list: [{seed: 1}, {users.num_users: 2}]}", ["the same in every block"]),
        ("{grid: {seed: [1]}, list: [{seed: 2}]}", ["'seed'", "every key once"]),
        ("{grid: {seed: [1], receivers.7.at_db: [1]}}", ["receivers.7", "0 to 1"]),
        (f"{{grid: {{seed: {list(range(1001))}}}}}", ["1001 combinations", "1000"]),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, sweep: str, words: list[str]) -> None:
    text = refused(tmp_path, sweep)
    assert all(word in text for word in words), text


def test_only_ran_sim_takes_a_sweep(tmp_path: Path) -> None:
    request(tmp_path)
    with pytest.raises(InputError, match="sweep: got one; allowed: with `ran sim`, `ran adapt`"):
        load(tmp_path / "swept.yaml")


def test_counts_are_those_of_every_experiment_alone(tmp_path: Path) -> None:
    found = request(tmp_path)
    together = run_sweep(found, tmp_path / "sweep", workers=2, build=fake_link.build)
    for part, result in zip(found.parts, together, strict=True):
        alone = run(part.experiment, tmp_path / part.key, workers=1, build=fake_link.build)
        assert result.results is not None
        assert [p.block_errors_per_drop.tolist() for p in result.results.points] == [
            p.block_errors_per_drop.tolist() for p in alone.points
        ]
        assert result.results.meta["complete"] == "yes"
    # the receiver whose options are not swept is simulated once for all values of the other's
    store = Store(tmp_path / "sweep" / "results.sqlite")
    tasks = [task.receiver for task in store.tasks()]
    store.close()
    assert tasks.count("genie") <= 2 * 3 < tasks.count("one")


def test_equal_receivers_under_two_labels_have_equal_curves(tmp_path: Path) -> None:
    text = TEXT.replace("{name: one, at_db: 1}]", "{name: one, at_db: 1}, {name: genie, at_db: 0, label: again}]")
    text = text.replace("    receivers.1.at_db: [1.0, 2.0, 3.0]\n", "")
    for part in run_sweep(request(tmp_path, text), tmp_path / "out", workers=1, build=labelled_build):
        assert part.results is not None
        curves = {t: [p.bler for p in part.results.points if p.receiver == t] for t in ("genie", "again")}
        assert curves["again"] == curves["genie"] != []


def labelled_build(experiment: Experiment, device: str = "cpu") -> Simulation:
    built = fake_link.build(
        experiment.model_copy(
            update={"receivers": tuple(r.model_copy(update={"label": None}) for r in experiment.receivers[:2])}
        )
    )
    names = {receiver.title: receiver.name for receiver in experiment.receivers}
    receivers = {title: built.receivers[name] for title, name in names.items()}
    return Simulation(built.link, receivers, dict.fromkeys(receivers, ""))


def picky_build(experiment: Experiment, device: str = "cpu") -> Simulation:
    """`one` does not take two users."""
    if experiment.users.num_users == 2 and any(receiver.title == "one" for receiver in experiment.receivers):
        raise ReceiverRefused("receivers.one: got 2 users; allowed: 1")
    return fake_link.build(experiment)


def test_a_receiver_that_refuses_a_combination_is_named_with_its_reason(tmp_path: Path) -> None:
    found = request(tmp_path)
    shown = run_sweep(found, tmp_path / "out", workers=1, build=picky_build)
    rows = rows_of(shown)
    refusals = {(row.part, row.receiver): row.refusal for row in rows if row.refusal}
    assert set(refusals) == {(f"num_users 2, at_db {level}", "one") for level in (1, 2, 3)}
    assert set(refusals.values()) == {"receivers.one: got 2 users; allowed: 1"}
    assert all(row.points for row in rows if not row.refusal)
    page = write_sweep(found.name, "", shown, tmp_path / "out").read_text()
    assert "refused" in page
    # the same from the store alone
    assert [row.refusal for row in rows_of(load_parts(tmp_path / "out"))] == [row.refusal for row in rows]


def test_a_receiver_that_fails_in_some_combinations_fails_there_alone(tmp_path: Path) -> None:
    text = TEXT.replace("receivers.1.at_db: [1.0, 2.0, 3.0]", "receivers.1.crash_at: [-1, 9]")
    with pytest.raises(ReceiversFailed, match=r"num_users 2, crash_at 9: one.*divides by zero") as caught:
        run_sweep(request(tmp_path, text), tmp_path / "out", workers=1, build=fake_link.build)
    page = write_sweep("swept", "", caught.value.results, tmp_path / "out").read_text()
    assert page.count("divides by zero") == 2
    done = {(row.part, row.receiver): row.is_complete for row in rows_of(caught.value.results)}
    assert done["num_users 1, crash_at -1", "one"]
    assert not done["num_users 1, crash_at 9", "one"]
    assert all(row.points for row in rows_of(caught.value.results) if row.receiver == "genie")


def test_files_hold_every_point_and_gain(tmp_path: Path) -> None:
    found = request(tmp_path)
    shown = run_sweep(found, tmp_path / "out", workers=1, build=fake_link.build)
    write_sweep(found.name, "", shown, tmp_path / "out")
    table = list(csv.DictReader((tmp_path / "out" / "sweep.csv").open()))
    assert len(table) == sum(len(row.points) for row in rows_of(shown))
    assert {line["num_users"] for line in table} == {"1", "2"}
    values = json.loads((tmp_path / "out" / "sweep.json").read_text())["rows"]
    assert len(values) == 12
    assert {entry["values"]["at_db"] for entry in values} == {1.0, 2.0, 3.0}
    for picture in ("sweep.svg", "sweep.png", "curves.svg", "curves.png"):
        assert (tmp_path / "out" / picture).stat().st_size > 1000
    page = (tmp_path / "out" / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert len(page) < 2e6


def test_the_page_says_where_there_is_a_floor_and_why(tmp_path: Path) -> None:
    """Only with one of two values of the swept key: that combination is named, and the genie that has none."""
    text = """
channel: {name: fake, slot_s: 0}
receivers: [{name: genie, at_db: 0}, {name: one, at_db: 1}]
esn0_db: [0, 4, 8, 12]
stopping: {min_block_errors: null, max_slots: 600, min_bler: null}
sweep: {grid: {receivers.1.floor: [0.0, 0.3]}}
"""
    found = request(tmp_path, text)
    parts = run_sweep(found, tmp_path / "out", workers=1, build=fake_link.build)
    write_sweep(found.name, "", parts, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    section = page[page.index("Where there is an error floor") : page.index("Every point")]
    assert re.findall("<summary>(.*?)</summary>", section) == ["floor 0.3"]
    assert section.count("one has an error floor: ") == 1
    assert "genie" in section
    run_sweep(request(tmp_path, text.replace("0.3", "0.001")), tmp_path / "no", workers=1, build=fake_link.build)
    write_sweep(found.name, "", load_parts(tmp_path / "no"), tmp_path / "no")
    assert "error floor" not in (tmp_path / "no" / "report.html").read_text()


def test_the_pictures_show_what_the_rows_say(tmp_path: Path) -> None:
    found = request(tmp_path)
    parts = run_sweep(found, tmp_path / "out", workers=1, build=fake_link.build)
    rows, drawn = rows_of(parts), sweep_figures(parts)
    by_panel = [
        {tuple(xy) for box in axes.containers for xy in box.lines[0].get_xydata()} for axes in drawn["sweep"].axes
    ]
    known = [(row.facts["at_db"], row.crossings[0].value, row.facts["num_users"]) for row in rows]
    expected = [{(x, y) for x, y, users in known if users == panel and y is not None} for panel in (1, 2)]
    assert by_panel == expected
    titles = [axes.get_title(loc="left") for axes in drawn["curves"].axes]
    assert titles == list(dict.fromkeys(row.part for row in rows))
    paper = write_sweep_paper(parts, tmp_path / "paper")
    assert {path.suffix for path in paper.iterdir()} == {".pdf", ".svg", ".png", ".tex", ".csv", ".mat"}
    assert (paper / "sweep-1col.pdf").read_bytes().startswith(b"%PDF")
    (header, *lines) = csv.reader((paper / "curves.csv").open())
    assert header[0] == "experiment"
    assert {"num_users", "at_db", "receiver", "esn0_db"} <= set(header)
    assert len(lines) == sum(len(row.points) for row in rows)


def test_status_says_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_sweep(request(tmp_path), tmp_path / "out", workers=1, build=fake_link.build)
    assert main(["status", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "sweep: 6 of 6 complete" in printed
    assert "num_users 2, at_db 3" in printed
    assert main(["status", str(tmp_path)]) == 2
    store = Store(tmp_path / "out" / "results.sqlite")
    part = next(key for key in store.meta() if key.startswith("part "))
    store.set_meta({part: '{"title": "x", "facts": {}, "refused": {}, "run": {"tasks": "[[1]]"}}'})
    store.close()
    capsys.readouterr()
    assert main(["status", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_another_sweep_is_refused_and_more_of_it_is_welcome(tmp_path: Path) -> None:
    run_sweep(request(tmp_path), tmp_path / "out", workers=1, build=fake_link.build)
    before = (tmp_path / "out" / "results.sqlite").read_bytes()
    with pytest.raises(InputError, match="different study: seed is 1 there and 2 here"):
        run_sweep(request(tmp_path, TEXT + "seed: 2\n"), tmp_path / "out", workers=1, build=fake_link.build)
    assert (tmp_path / "out" / "results.sqlite").read_bytes() == before
    more = request(tmp_path, TEXT.replace("[1.0, 2.0, 3.0]", "[1.0, 2.0, 3.0, 4.0]"))
    assert len(run_sweep(more, tmp_path / "out", workers=1, build=fake_link.build)) == 8
    with pytest.raises(InputError, match="holds a sweep; allowed"):
        run(more.parts[0].experiment, tmp_path / "out", workers=1, build=fake_link.build)
    run(more.parts[0].experiment, tmp_path / "single", workers=1, build=fake_link.build)
    with pytest.raises(InputError, match="holds a run of one experiment"):
        run_sweep(more, tmp_path / "single", workers=1, build=fake_link.build)


def test_a_stop_loses_nothing(tmp_path: Path) -> None:
    whole = request(tmp_path)
    write_sweep("swept", "", run_sweep(whole, tmp_path / "whole", workers=1, build=fake_link.build), tmp_path / "whole")
    # a worker dies in the middle; what it had simulated before stays
    dying = request(tmp_path, TEXT.replace("{name: one, at_db: 1}", "{name: one, at_db: 1, die_at: 60}"))
    for part, other in zip(dying.parts, whole.parts, strict=True):
        assert part.key == other.key
    with pytest.raises(RunStopped):
        run_sweep(dying, tmp_path / "stopped", workers=1, build=fake_link.build)
    assert any(part.results and part.results.points for part in load_parts(tmp_path / "stopped"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_killed_and_resumed_it_ends_with_the_same_file(tmp_path: Path, how: signal.Signals) -> None:
    file = tmp_path / "swept.yaml"
    file.write_text(TEXT.replace("slot_s: 0", "slot_s: 0.002"))

    def command(out: str) -> list[str]:
        return [sys.executable, str(PROGRAM), "sim", str(file), "--out", str(tmp_path / out), "--workers", "2"]

    subprocess.run(command("whole"), check=True, capture_output=True)
    for chunks in (2, 12):
        process = subprocess.Popen(command("killed"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0)
        while process.poll() is None and _stored(tmp_path / "killed") < chunks:
            pass
        process.send_signal(how)
        process.communicate()
    subprocess.run(command("killed"), check=True, capture_output=True)
    assert (tmp_path / "killed" / "sweep.csv").read_bytes() == (tmp_path / "whole" / "sweep.csv").read_bytes()


def _stored(folder: Path) -> int:
    import sqlite3
    import time

    time.sleep(0.02)
    try:
        with sqlite3.connect(f"file:{folder / 'results.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM outcomes").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_replay_is_of_single_experiments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request(tmp_path)
    assert main(["sim", str(tmp_path / "swept.yaml"), "--replay", "a:1:2:3"]) == 2
    assert "allowed: with a single experiment" in capsys.readouterr().err
