"""Experiments: what a file may say, and how names of what was simulated follow from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from ran.config.validation import validate
from ran.errors import InputError
from ran.sim.experiment import Experiment, SnrSearch, built_in_experiments, load
from ran.sim.identity import canonical_json, first_difference, receiver_identity, scenario_id, task_id

MINIMAL = "channel: awgn\nreceivers: [ls-linear]\nesn0_db: [0]\n"


def write(folder: Path, text: str, name: str = "my-run.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_short_forms(tmp_path: Path) -> None:
    experiment = load(write(tmp_path, MINIMAL))
    assert experiment.name == "my-run"
    assert experiment.channel == load(write(tmp_path, MINIMAL.replace("awgn", "{name: awgn}"))).channel
    assert experiment.receivers[0].block() == {"name": "ls-linear"}
    assert experiment.snr_grid == (0.0,)


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("[3, 1, 2.5, 1]", (1.0, 2.5, 3.0)),
        ("{start: -1, stop: 1}", (-1.0, 0.0, 1.0)),
        ("{start: 0, stop: 0.35, step: 0.1}", (0.0, 0.1, 0.2, 0.3)),
        ("{start: 0, stop: 0.3, step: 1e-1}", (0.0, 0.1, 0.2, 0.3)),
        ("{start: 2, stop: 2}", (2.0,)),
        ("{auto: {low_db: 0, high_db: 2}}", (0.0, 1.0, 2.0)),
    ],
)
def test_snr_points(tmp_path: Path, text: str, grid: tuple[float, ...]) -> None:
    assert load(write(tmp_path, MINIMAL), [f"esn0_db={text}"]).snr_grid == grid


@pytest.mark.parametrize("text", ["auto", "{auto: }", "{auto: {}}", "{auto: {target_bler: [0.1, 0.01]}}"])
def test_auto(tmp_path: Path, text: str) -> None:
    search = load(write(tmp_path, MINIMAL), [f"esn0_db={text}"]).snr_search
    assert search is not None
    assert search.target_bler == (0.1, 0.01)


def test_overrides(tmp_path: Path) -> None:
    changes = ["carrier.num_prb=7", "channel.fading=2e-1", "receivers.0.label=mine", "stopping.min_bler=null"]
    experiment = load(write(tmp_path, MINIMAL), changes)
    assert experiment.carrier.num_prb == 7
    assert experiment.channel.block() == {"name": "awgn", "fading": 0.2}  # type: ignore[union-attr]
    assert experiment.receivers[0].title == "mine"
    assert experiment.stopping.min_bler is None


def test_resolved_experiment_is_the_same_experiment(tmp_path: Path) -> None:
    for name in built_in_experiments():
        experiment = load(name)
        assert validate(Experiment, experiment.resolved()) == experiment
    auto = load(write(tmp_path, MINIMAL), ["esn0_db=auto", "users={num_users: 2, dmrs_ports: [[0], [2]]}"])
    assert validate(Experiment, auto.resolved()) == auto


def test_files_are_relative_to_the_experiment(tmp_path: Path) -> None:
    text = MINIMAL.replace("[ls-linear]", "['mine.py:Mine', {name: neural, weights: w/best.safetensors}]")
    first, second = load(write(tmp_path, text)).receivers
    assert first.name == f"{tmp_path}/mine.py:Mine"
    assert first.title == "Mine"
    assert second.block()["weights"] == f"{tmp_path}/w/best.safetensors"


def test_experiments_are_immutable(tmp_path: Path) -> None:
    experiment = load(write(tmp_path, MINIMAL))
    with pytest.raises(ValueError, match="frozen"):
        experiment.seed = 3  # type: ignore[misc]


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1.0, "a": (-0.0, 0.1, True, None)}) == '{"a":[0,0.1,true,null],"b":1}'


def test_what_a_task_is_named_by(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)

    def names(*changes: str, fingerprint: str = "") -> tuple[str, str]:
        experiment = load(path, changes)
        identity = receiver_identity(experiment.receivers[0], fingerprint)
        return scenario_id(experiment, 0.0), task_id(experiment, identity, 0.0)

    scenario, task = names()
    assert len(scenario) == len(task) == 64
    for irrelevant in ("name=x", "description=x", "stopping.max_slots=7", "esn0_db=[0, 1]", "receivers.0.label=x"):
        assert names(irrelevant) == (scenario, task)
    for receiving in ("receivers.0.option=1", "decoder.num_iterations=3", "seed=9"):
        assert names(receiving)[0] == scenario
        assert names(receiving)[1] != task
    assert names(fingerprint="other weights")[1] != task
    for physical in ("carrier.num_prb=3", "pusch.mcs_index=3", "num_rx_ant=1", "channel.x=1", "users.num_users=2"):
        assert names(physical)[0] != scenario
        assert names(physical)[1] != task
    assert scenario_id(load(path), 1.0) != scenario


def test_the_folder_of_a_file_does_not_name_a_receiver(tmp_path: Path) -> None:
    text = MINIMAL.replace("ls-linear", "'mine.py:Mine'")
    (tmp_path / "elsewhere").mkdir()
    here = load(write(tmp_path, text)).receivers[0]
    there = load(write(tmp_path / "elsewhere", text)).receivers[0]
    assert here != there
    assert receiver_identity(here, "f") == receiver_identity(there, "f")


def test_first_difference() -> None:
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1.0}}) == ""
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "a.b is 1 there and 2 here"
    assert first_difference({"a": {}}, {"a": {"b": 2}}) == "a.b is only in this experiment"


def test_yaml_merge_keys_work(tmp_path: Path) -> None:
    text = MINIMAL + "carrier: &c {num_prb: 5}\n"
    assert load(write(tmp_path, text)).carrier.num_prb == 5
    with pytest.raises(InputError, match="'esn0_db' is given twice"):
        load(write(tmp_path, MINIMAL + "esn0_db: [1]\n"))


def test_outcomes_of_a_gpu_have_another_name(tmp_path: Path) -> None:
    block = load(write(tmp_path, MINIMAL)).receivers[0]
    of_processor = receiver_identity(block, "f")
    assert receiver_identity(block, "f", "cpu") == of_processor
    assert receiver_identity(block, "f", "cuda") == receiver_identity(block, "f", "cuda:1") != of_processor


def test_where_a_search_starts() -> None:
    assert SnrSearch().threshold == 0.55
    assert SnrSearch(start_bler=0.2).threshold == 0.2
    # a search of before keeps its name
    assert "start_bler" not in SnrSearch().model_dump()
    with pytest.raises(ValidationError, match=r"start_bler 0\.1 is not above the highest target"):
        SnrSearch(start_bler=0.1)
