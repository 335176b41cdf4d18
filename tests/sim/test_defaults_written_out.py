"""A default that is written out changes nothing, one that changes is noticed, and experiment.yaml has them all."""

import inspect

import pytest

from channels import CHANNELS
from ran.config.validation import validate
from ran.link import catalogue
from ran.link.catalogue import build_channel, options, with_defaults
from ran.sim.experiment import Experiment, built_in_experiments, load
from ran.sim.identity import filled_in, receiver_identity, run_identity, scenario_id, task_id
from receivers import RECEIVERS

LMMSE = {"name": "lmmse", "fingerprint": ""}


@pytest.mark.parametrize("name", sorted(built_in_experiments()))
def test_every_built_in_experiment_means_the_same_with_all_defaults(name):
    experiment = load(name)
    full = validate(Experiment, filled_in(experiment))
    assert scenario_id(full, 3.0) == scenario_id(experiment, 3.0)
    assert task_id(full, LMMSE, 3.0) == task_id(experiment, LMMSE, 3.0)
    assert run_identity(full, {}) | {"receivers": 0} == run_identity(experiment, {}) | {"receivers": 0}
    for ours, theirs in zip(full.receivers, experiment.receivers, strict=True):
        assert receiver_identity(ours, "f") == receiver_identity(theirs, "f")
        if ours.name in RECEIVERS:
            assert set(options(RECEIVERS[ours.name])) <= set(ours.block())
    blocks = full.channel if isinstance(full.channel, tuple) else (full.channel,)
    for block in blocks:
        assert set(options(CHANNELS[block.name])) <= set(block.block())
        build_channel(block.block())


@pytest.mark.parametrize("given", ["channel.correlation=low", "channel.max_doppler_hz=400.0"])
def test_writing_a_default_or_a_number_otherwise_changes_no_stream(given):
    plain = load("pusch-receivers")
    written = load("pusch-receivers", [given])
    assert scenario_id(written, 1.0) == scenario_id(plain, 1.0)


def test_another_value_is_another_scenario():
    plain = load("pusch-receivers")
    assert scenario_id(load("pusch-receivers", ["channel.correlation=high"]), 1.0) != scenario_id(plain, 1.0)


def test_a_default_that_changes_does_not_resume(monkeypatch):
    experiment = load("pusch-receivers")
    before = task_id(experiment, LMMSE, 1.0), run_identity(experiment, {})
    changed = inspect.Parameter("correlation", inspect.Parameter.KEYWORD_ONLY, default="medium")
    original = catalogue.options
    monkeypatch.setattr(catalogue, "options", lambda cls: {**original(cls), "correlation": changed})
    assert task_id(experiment, LMMSE, 1.0) != before[0]
    assert run_identity(experiment, {}) != before[1]


def test_a_receivers_defaults_are_in_its_identity():
    block = load("pusch-receivers").receivers[1]
    assert receiver_identity(block, "f")["detector"] == "lmmse"
    assert with_defaults({"name": "mine.py:Mine"}) == {"name": "mine.py:Mine"}
