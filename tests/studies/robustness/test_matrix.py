"""Receivers that are better or worse by construction: gains, verdicts, resuming, files and cards."""

from __future__ import annotations

import csv
import json
import shutil

import fake_link
import numpy as np
import pytest
from paper_folder import check as check_paper

import ran.sim.experiment
from ran.cli.main import main
from ran.errors import InputError, ReceiverRefused
from ran.sim.results import merged_results
from ran.sim.simulation import Simulation
from ran.studies.folder import load_parts
from ran.studies.monitor import condition
from ran.studies.monitor.alarms import alarms_in, show_none
from ran.studies.robustness.card import matrix
from ran.studies.robustness.conditions import Conditions
from ran.studies.robustness.fixed_points import lost_at
from ran.studies.robustness.outcome import FLOOR, outcomes_of
from ran.studies.robustness.page import CSV, JSON, PAGE, by_condition, cell, competitors, summaries, write_results
from ran.studies.robustness.picture import gains_figure
from ran.studies.robustness.run import Request, run_conditions
from ran.training.card import add_matrix
from receivers.neural.weights import card_path, load_weights

#: The fake link's BLER is logistic in Es/N0 with the same slope for all: gains are differences of `at_db`.
FLOOR_AT, BASELINE_AT = 2.0, 1.2
BETTER, SLIGHTLY_WORSE, WORSE = 0.7, 2.02, 2.6
RECEIVERS = (
    {"name": "ls-linear", "at_db": FLOOR_AT},
    {"name": "lmmse", "at_db": BASELINE_AT},
    {"name": "better", "at_db": BETTER},
    {"name": "slightly-worse", "at_db": SLIGHTLY_WORSE},
    {"name": "worse", "at_db": WORSE},
    {"name": "has-a-floor", "at_db": 0.0, "floor": 0.3},
    {"name": "refuses", "at_db": BETTER},
)
CONDITIONS = Conditions.model_validate(
    {
        "base": {"channel": {"name": "fake"}},
        "range_db": (-6.0, 14.0),
        "conditions": (
            {"name": "one", "group": "own", "title": "One & only", "change": {}},
            {"name": "two", "group": "own", "title": "Two", "change": {"carrier": {"num_prb": 6}}},
            {"name": "dead", "group": "own", "title": "Nobody works", "range_db": (-6.0, -2.0), "change": {}},
            {"name": "fixed", "group": "own", "title": "At points", "points_db": (8.0, 12.0), "change": {}},
        ),
    }
)
SLOTS = 4000


def build(experiment):  # type: ignore[no-untyped-def]
    """The fake link, on which one receiver is refused under condition two."""
    for block in experiment.receivers:
        if block.name == "refuses" and experiment.carrier.num_prb == 6:
            raise ReceiverRefused("receivers.0: got 'refuses'; allowed: others")
    return fake_link.build(experiment)


def counting_build(experiment) -> Simulation:  # type: ignore[no-untyped-def]
    """A link that cannot simulate: whoever needs a single drop more fails."""
    simulation = build(experiment)
    simulation.link.simulate = None  # type: ignore[method-assign]
    return simulation


def request(names=("one", "two"), receivers=RECEIVERS, slots=SLOTS):  # type: ignore[no-untyped-def]
    return Request(CONDITIONS, CONDITIONS.select(names), tuple(receivers), slots)


@pytest.fixture(scope="module", autouse=True)
def fake_options():
    """ls-linear and lmmse, which are always there, have the options of the fake link's receivers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ran.sim.experiment, "refuse_unknown_options", lambda block, kind, path: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="module")
def outcomes(folder):
    shown = []
    found = run_conditions(request(), folder, workers=1, show=shown.append, build=build)
    assert tuple(outcome for line in shown for outcome in line) == found
    return found


def of(outcomes, receiver, condition="one"):
    return next(o for o in outcomes if o.receiver == receiver and o.condition.name == condition)


@pytest.mark.parametrize("condition", ["one", "two"])
@pytest.mark.parametrize(
    ("receiver", "at_db"), [("better", BETTER), ("slightly-worse", SLIGHTLY_WORSE), ("worse", WORSE)]
)
def test_gains_are_those_of_the_construction(outcomes, condition, receiver, at_db):
    found = of(outcomes, receiver, condition)
    for gain, reference_db in ((found.gain, BASELINE_AT), (found.gain_over_floor, FLOOR_AT)):
        # five standard deviations of the measured interval: one false alarm in a million
        sigma = (gain.high - gain.low) / (2 * 1.96)
        assert sigma < 0.1
        assert gain.value == pytest.approx(reference_db - at_db, abs=5 * sigma)


def test_verdicts(outcomes):
    assert of(outcomes, "ls-linear").verdict == "reference"
    assert of(outcomes, "lmmse").verdict == "not worse"
    assert of(outcomes, "better").verdict == "not worse"
    assert of(outcomes, "slightly-worse").verdict in ("not worse", "undecided")
    assert of(outcomes, "worse").verdict == "worse"
    assert of(outcomes, "has-a-floor").verdict == "worse"
    assert of(outcomes, "has-a-floor").crossing.value is None
    assert of(outcomes, "refuses").verdict == "not worse"
    assert of(outcomes, "refuses", "two").verdict == "refused"
    assert of(outcomes, "refuses", "two").reason == "receivers.0: got 'refuses'; allowed: others"


def test_few_slots_leave_it_undecided(tmp_path):
    receivers = [*RECEIVERS[:2], {"name": "slightly-worse", "at_db": 2.1}]
    found = run_conditions(request(("one",), receivers, 32), tmp_path, workers=1, build=build)
    assert of(found, "slightly-worse").verdict == "undecided"


def test_where_nobody_works_there_is_no_verdict(tmp_path):
    found = run_conditions(request(("dead",), RECEIVERS[:3], 64), tmp_path, workers=1, build=build)
    assert of(found, "better", "dead").verdict == "undecided"
    assert "still above 10 %" in of(found, "better", "dead").reason


def test_at_given_points_blocks_are_compared(tmp_path):
    found = run_conditions(request(("fixed",), RECEIVERS[:6], 400), tmp_path, workers=1, build=build)
    assert [o.verdict for o in found] == ["reference", *["not worse"] * 4, "worse"]
    floor = of(found, "has-a-floor", "fixed")
    assert [p.drops for p in floor.points] == [400, 400]
    assert floor.crossing.why_missing == "counted at given points"
    assert cell(floor) == f"lost {lost_at(floor.points)}"
    page = write_results(found, tmp_path).read_text()
    assert "At points" in page
    assert "at 12 dB" in page
    limits = matrix(found, "has-a-floor", "x")["limits"]
    assert limits == ["At points: worse than ls-linear"]
    assert matrix(found, "better", "x")["limits"] == []


def results_in(folder, condition, receiver):
    return next(part.results for part in load_parts(folder, every=True) if part.key == f"{condition} {receiver}")


def test_a_receiver_that_works_where_the_floor_does_not_is_not_worse(folder, outcomes):
    runs = {name: results_in(folder, "one", name) for name in ("has-a-floor", "lmmse", "better")}
    renamed = runs["has-a-floor"]
    points = tuple(type(point)(**{**point.__dict__, "receiver": "ls-linear"}) for point in renamed.points)
    block = renamed.experiment.receivers[0].model_copy(update={"name": "ls-linear"})
    experiment = renamed.experiment.model_copy(update={"receivers": (block,)})
    floor = type(renamed)(experiment, points, renamed.genie_receivers, 1, renamed.meta)
    found = outcomes_of(CONDITIONS.conditions[0], {"ls-linear": floor, **runs})
    assert of(found, "better").gain_over_floor.value is None
    assert of(found, "better").verdict == "not worse"


def test_it_resumes_and_takes_more_receivers(folder, outcomes):
    again = run_conditions(request(), folder, workers=1, build=counting_build)
    assert [(o.receiver, o.verdict, o.crossing) for o in again] == [
        (o.receiver, o.verdict, o.crossing) for o in outcomes
    ]
    more = [*RECEIVERS[:2], {"name": "late", "at_db": BETTER}]
    late = of(run_conditions(request(("one",), more), folder, workers=1, build=build), "late")
    # the same drops: a receiver of the same construction has the same outcomes
    earlier = of(outcomes, "better")
    assert [(p.esn0_db, p.block_errors, p.drops) for p in late.points] == [
        (p.esn0_db, p.block_errors, p.drops) for p in earlier.points
    ]
    assert late.gain_over_floor.value == earlier.gain_over_floor.value


def test_a_receiver_that_takes_nothing_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no other condition can be taken"):
        run_conditions(request(("two",), [*RECEIVERS[:2], {"name": "refuses"}], 16), tmp_path, workers=1, build=build)


def test_only_runs_of_one_link_are_merged(folder, outcomes):
    one, two = (results_in(folder, name, "better") for name in ("one", "two"))
    with pytest.raises(InputError, match="has another link"):
        merged_results([one, two])
    with pytest.raises(InputError, match="got receiver 'better' twice"):
        merged_results([one, one])
    with pytest.raises(InputError, match="got none"):
        merged_results([])


def test_files(outcomes, folder):
    page = write_results(outcomes, folder).read_text()
    assert "One &amp; only" in page
    lines = by_condition(outcomes)
    (axes,) = gains_figure(lines, [FLOOR, *competitors(outcomes)]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [condition.title for condition, _ in lines]
    drawn = {container.get_label(): container.lines[0].get_xydata() for container in axes.containers}
    for receiver, points in drawn.items():
        gains = [line[receiver].gain for _, line in lines if receiver in line and line[receiver].gain.is_known]
        low, high = axes.get_xlim()
        np.testing.assert_allclose(points[:, 0], np.clip([gain.value for gain in gains], low, high))
    assert len(drawn) >= 2
    assert "refused" in page
    lines = list(csv.DictReader((folder / CSV).open()))
    assert [(line["condition"], line["receiver"]) for line in lines] == [
        (o.condition.name, o.receiver) for o in outcomes
    ]
    assert float(lines[2]["gain_over_lmmse_db"]) == pytest.approx(of(outcomes, "better").gain.value, abs=1e-4)
    values = json.loads((folder / JSON).read_text())
    assert values[2]["verdict"] == "not worse"
    assert values[2]["points"][0]["block_errors"] > 0
    assert (folder / PAGE).is_file()


def test_alarms_of_monitoring_are_a_column(outcomes, tmp_path):
    page = write_results(outcomes, tmp_path, {("one", "better"): "inputs, worse"}).read_text()
    assert page.count("alarms: inputs, worse") == 1
    lines = list(csv.DictReader((tmp_path / CSV).open()))
    said = {(line["condition"], line["receiver"]): line["monitor"] for line in lines}
    assert said.pop(("one", "better")) == "inputs, worse"
    assert set(said.values()) == {""}


def test_the_report_is_made_from_the_folder_alone(outcomes, folder, tmp_path, capsys):
    """Whatever the last request was: its conditions and receivers."""
    run_conditions(request(), folder, workers=1, build=counting_build)
    write_results(outcomes, folder)
    assert main(["report", str(folder), "--out", str(tmp_path / "new"), "--paper"]) == 0
    check_paper(tmp_path / "new/paper", {"robustness"}, folder / CSV)
    assert "significantly worse than ls-linear" in capsys.readouterr().out
    for name in (CSV, JSON, PAGE):
        assert (tmp_path / "new" / name).read_bytes() == (folder / name).read_bytes()


def test_alarms_are_reported_from_the_folder_alone(outcomes, folder, tmp_path, monkeypatch):
    """Until the link, the receiver or where it is watched changes."""
    copy, again = tmp_path / "copy", tmp_path / "again"
    shutil.copytree(folder, copy)
    reference = tmp_path / "reference.json"
    reference.write_text("{}")
    watched: list[tuple[str, float]] = []

    def alarms_at(conditions, condition, block, reference, esn0_db) -> str:  # type: ignore[no-untyped-def]
        watched.append((condition.name, esn0_db))
        return "inputs, worse" if condition.name == "two" else "none"

    monkeypatch.setattr(condition, "_alarms_at", alarms_at)
    monkeypatch.setattr(condition, "reference_path", lambda weights: reference)
    receivers = dict.fromkeys(("better", "refuses"), ({"weights": "tiny"}, None))
    monkeypatch.setattr(condition, "_watched_receivers", lambda blocks: receivers)
    alarms = condition.watch(CONDITIONS, outcomes, (), copy)
    assert alarms == {("one", "better"): "none", ("two", "better"): "inputs, worse", ("one", "refuses"): "none"}
    write_results(outcomes, copy, alarms)
    assert main(["report", str(copy), "--out", str(again)]) == 0
    for name in (CSV, JSON, PAGE):
        assert (again / name).read_bytes() == (copy / name).read_bytes()
    assert "inputs, worse" in (again / CSV).read_text()
    # what was found is not looked for again, unless the reference is another one
    count = len(watched)
    assert condition.watch(CONDITIONS, outcomes, (), copy) == alarms
    assert len(watched) == count == 3
    reference.write_text("{} ")
    assert condition.watch(CONDITIONS, outcomes, (), copy) == alarms
    assert len(watched) == 2 * count
    # with more slots the receiver is at 10 % elsewhere, and what was found is of another point
    less = run_conditions(request(("one",), RECEIVERS[:4], SLOTS // 8), copy, workers=1, build=build)
    assert condition.watched_point(less[2]) != condition.watched_point(outcomes[2])
    assert alarms_in(copy) == {}
    # a request without monitoring shows none
    run_conditions(request(), copy, workers=1, build=counting_build)
    assert alarms_in(copy) == alarms
    show_none(copy)
    assert alarms_in(copy) == {}


def test_summaries_name_what_is_worse(outcomes):
    lines = {line.partition(",")[0]: line for line in summaries(outcomes)}
    assert "significantly worse than ls-linear (by more than 0.1 dB) on One & only, Two" in lines["worse"]
    assert "nowhere significantly worse" in lines["better"]
    assert "1 not worse; 1 refused" in lines["refuses"]


def test_a_card_gets_the_matrix_and_its_limits(outcomes, tmp_path):
    card = {
        "name": "tiny",
        "description": "A model.",
        "licence": "Apache-2.0",
        "sha256": "0" * 64,
        "architecture": {"name": "hybrid"},
        "parameters": 10,
        "bits_per_symbol": [2],
        "num_layers": [1],
        "training": {"slots_seen": 1, "steps": 1, "seed": 1, "seconds": 1, "threads": 1, "torch": "2", "slots": {}},
        "measured": [],
    }
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(card))
    add_matrix(path, matrix(outcomes, "worse", "ran robustness --receiver worse"))
    text = path.with_suffix(".md").read_text()
    assert "## Robustness: `ran robustness --receiver worse`" in text
    assert "- One & only: worse than ls-linear by more than 0.1 dB" in text
    add_matrix(path, matrix(outcomes, "better", "ran robustness --receiver better"))
    text = path.with_suffix(".md").read_text()
    assert text.count("## Robustness") == 1
    assert "Limits seen there" not in text
    assert str(of(outcomes, "better").gain) in text


def test_command_with_a_card(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for suffix in (".safetensors", ".json"):
        shutil.copy(card_path("pusch-hybrid").with_suffix(suffix), tmp_path / f"mine{suffix}")
    command = ["robustness", "--condition", "prb-1", "--condition", "users-4", "--receiver", "mine.safetensors"]
    status = main([*command, "--slots", "16", "--workers", "1", "--out", "out", "--write-card"])
    printed = capsys.readouterr().out
    # sixteen slots may say anything about one PRB, but the exit status and the summary say the same
    assert status == int("mine, 2 conditions: worse than" in printed)
    assert "4 users QPSK" in printed
    card = (tmp_path / "mine.md").read_text()
    assert "## Robustness: `ran robustness --receiver mine.safetensors --slots 16" in card
    assert "4 users QPSK: refused" in card
    assert "| 1 PRB |" in card
    assert load_weights(str(tmp_path / "mine.safetensors")).card["generalisation"]["rows"][0]["slots"] >= 16
