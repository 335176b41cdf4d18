"""Conditions as data: each one is an experiment that can be built, and bad ones are refused in one line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ran.cli.main import main
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.sim.identity import physics
from ran.studies.robustness.conditions import Condition, load_conditions, merged
from receivers.neural.weights import load_weights

CONDITIONS = load_conditions()


@pytest.mark.parametrize("condition", CONDITIONS.conditions, ids=lambda condition: condition.name)
def test_a_condition_is_an_experiment(condition):
    tried = CONDITIONS.experiment(condition, {"name": "ls-linear"}, 192)
    config = LinkConfig(
        carrier=tried.carrier,
        pusch=tried.pusch,
        users=tried.users,
        num_rx_ant=tried.num_rx_ant,
        channel=tried.resolved()["channel"],
        waveform=tried.waveform,
        link_budget=tried.link_budget,
    )
    assert Link(config).blocks_per_drop == tried.users.num_users
    # another receiver meets the same drops
    assert physics(tried) == physics(CONDITIONS.experiment(condition, {"name": "lmmse"}, 64))


def test_what_acceptance_asks_for_is_there():
    tried = [CONDITIONS.experiment(condition, {"name": "ls-linear"}, 192) for condition in CONDITIONS.conditions]
    channels = [experiment.channel.block() for experiment in tried]
    assert {channel["name"] for channel in channels} == {"tdl", "cdl", "umi", "uma", "ray-traced"}
    assert {channel.get("profile") for channel in channels if channel["name"] == "tdl"} == set("ABCDE")
    speeds = [channel["speed_mps"] * 3.6 for channel in channels]
    assert min(speeds) == pytest.approx(3, rel=1e-3)
    assert max(speeds) == pytest.approx(500, rel=1e-3)
    spreads = [channel["delay_spread_ns"] for channel in channels if "delay_spread_ns" in channel]
    assert (min(spreads), max(spreads)) == (10, 1000)
    assert {experiment.carrier.num_prb for experiment in tried} >= {1, 273}
    assert {experiment.uplink.num_layers * experiment.users.num_users for experiment in tried} == {1, 2, 4}
    assert any(experiment.waveform and experiment.waveform.transmit_impairments for experiment in tried)
    assert any(experiment.waveform and experiment.waveform.timing_offset_max_s for experiment in tried)
    assert any(experiment.waveform and experiment.waveform.cfo_max_hz for experiment in tried)


def test_strong_weak_and_damaged_slots_are_there():
    by_name = {c.name: CONDITIONS.experiment(c, {"name": "ls-linear"}, 192) for c in CONDITIONS.conditions}
    assert by_name["strong"].esn0_db == (40, 60, 80)
    assert by_name["strong"].stopping.min_block_errors is None
    assert {by_name[f"level-{sign}-150"].waveform.gain_db for sign in ("minus", "plus")} == {-150, 150}
    assert by_name["near-users"].link_budget.tx_power_dbm == (23,)
    assert by_name["timing-1us"].waveform.timing_offset_max_s == 1e-6
    names = [i["name"] for e in by_name.values() if e.waveform for i in e.waveform.receive_impairments]
    assert {"interference-bursts", "antenna-gains", "converter"} <= set(names)


def test_conditions_of_the_untrained_group_were_not_in_training():
    for name in ("pusch-realtime", "pusch-large", "pusch-hybrid", "pusch-munich"):
        training = load_weights(name).card["training"]
        blocks = [training["slots"], *training["cases"]]
        prbs = {prb for b in blocks for prb in b.get("carrier", {}).get("num_prb", {}).get("choice", ())}
        for condition in CONDITIONS.select(["untrained"]):
            change = condition.change
            if "carrier" in change:
                assert change["carrier"]["num_prb"] not in prbs
            for key in set(change.get("pusch", {})) - {"dmrs"}:
                assert not any(key in b.get("pusch", {}) for b in blocks)
            for key in change.get("pusch", {}).get("dmrs", {}):
                assert not any(key in b.get("pusch", {}).get("dmrs", {}) for b in blocks)


def test_points_and_a_range_do_not_go_together():
    both = {"name": "x", "group": "g", "title": "t", "change": {}, "range_db": (0.0, 5.0), "points_db": (1.0,)}
    with pytest.raises(ValidationError, match="allowed: range_db, points_db or a link budget"):
        Condition.model_validate(both)


def test_conditions_differ():
    tried = [CONDITIONS.experiment(c, {"name": "ls-linear"}, 192) for c in CONDITIONS.conditions]
    # the points of a waterfall and given ones may be of one link
    links = [(physics(experiment), isinstance(experiment.esn0_db, tuple)) for experiment in tried]
    assert all(link not in links[:place] for place, link in enumerate(links))


def test_select():
    assert CONDITIONS.select([]) == CONDITIONS.conditions
    assert [c.name for c in CONDITIONS.select(["delay", "uma"])] == ["uma", "delay-10ns", "delay-1000ns"]
    with pytest.raises(InputError, match=r"--condition: got 'umaa'.*did you mean 'uma'"):
        CONDITIONS.select(["umaa"])


def test_a_change_is_merged_and_a_model_replaced():
    base = {"channel": {"name": "tdl", "profile": "B"}, "carrier": {"num_prb": 16, "n_cell_id": 1}}
    assert merged(base, {"carrier": {"num_prb": 4}})["carrier"] == {"num_prb": 4, "n_cell_id": 1}
    assert merged(base, {"channel": {"profile": "C"}})["channel"] == {"name": "tdl", "profile": "C"}
    assert merged(base, {"channel": {"name": "awgn"}})["channel"] == {"name": "awgn"}
    assert base["carrier"]["num_prb"] == 16


OWN = """
base: {channel: {name: awgn}, carrier: {num_prb: 4}}
range_db: [-4, 12]
conditions:
  - {name: one, group: own, title: One, change: {CHANGE}}
  - {name: NAME, group: own, title: Two, change: {carrier: {num_prb: 2}}}
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (OWN.replace("NAME", "one").replace("CHANGE", ""), "got 'one' twice; allowed: different names"),
        (OWN.replace("NAME", "two").replace("CHANGE", "").replace("range_db", "rang_db"), "rang_db"),
        (OWN.replace("NAME", "two").replace("CHANGE", "carrier: {num_prb: 300}"), "condition 'one': carrier.num_prb"),
        (OWN.replace("NAME", "two").replace("{CHANGE}", "{}").replace("base: {", "base: {seeds: 1, "), "seeds"),
        (OWN.replace("NAME", "two").replace("{CHANGE}", "{}").replace("base: {", "base: {esn0_db: 1, "), "'esn0_db'"),
    ],
)
def test_bad_conditions_are_refused_in_one_line(text, says, tmp_path, capsys):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    arguments = ["robustness", "--conditions", str(file), "--receiver", "blind", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") <= 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--condition", "umaa"], "did you mean 'uma'"),
        (["--conditions", "nowhere.yaml"], "no such file"),
        (["--receiver", "blnd"], "did you mean 'blind'"),
        (["--receiver", "blind", "--receiver", "blind"], "'blind twice'"),
        (["--receiver", "pusch-hybird"], "--receiver"),
    ],
)
def test_bad_arguments_are_refused(arguments, says, tmp_path, capsys):
    assert main(["robustness", *arguments, "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    arguments = ["robustness", "--condition", "tdl-b", "--receiver", "blind", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "is no folder of a study" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
