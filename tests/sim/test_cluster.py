"""Runs on a Ray cluster: the same counts as on this machine, machines that leave, workers that do not fit."""

from __future__ import annotations

import builtins
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_link
import pytest

from ran.errors import InputError
from ran.sim.cluster import ClusterExecutor
from ran.sim.executor import RunStopped, WorkerCrashed
from ran.sim.experiment import Experiment
from ran.sim.results import RunResults
from ran.sim.run import run


def experiment(**receiver: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "cluster",
            "channel": {"name": "fake", "slot_s": 0.001},
            "receivers": [{"name": "genie", "at_db": 0}, {"name": "one", "at_db": 1.0, **receiver}],
            "esn0_db": [-1, 0, 1, 2],
            "stopping": {"min_block_errors": 30, "max_slots": 200},
        }
    )


def counts(results: RunResults) -> list[tuple[Any, ...]]:
    return [(p.receiver, p.esn0_db, p.drops, p.block_errors, p.bit_errors) for p in results.points]


def without_ray(name: str, *rest: Any) -> Any:
    if name == "ray":
        raise ImportError(name)
    return _import(name, *rest)


_import = builtins.__import__


def test_without_ray_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(InputError, match=r"--cluster: ray is not installed; allowed: after pip install 'ran6g\[ray\]'"):
        ClusterExecutor(experiment(), fake_link.build, 1, "local")


@pytest.mark.cluster
def test_no_cluster_there():
    with (
        pytest.raises(InputError, match=r"--cluster: 127\.0\.0\.1:1: .*; allowed: auto, local, HOST:PORT"),
        ClusterExecutor(experiment(), fake_link.build, 1, "127.0.0.1:1"),
    ):
        pass


@pytest.fixture
def importable(monkeypatch):
    """The workers find `fake_link`, as those of a real cluster find what is installed there."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.cluster
@pytest.mark.usefixtures("importable")
class TestOnACluster:
    """With Ray on this machine alone."""

    def test_counts_are_those_of_this_machine(self, tmp_path):
        here = run(experiment(), tmp_path / "here", workers=1, chunk_slots=8, build=fake_link.build)
        with ClusterExecutor(experiment(), fake_link.build, 2, "local") as executor:
            assert executor.workers == 2
            there = run(experiment(), tmp_path / "there", chunk_slots=8, build=fake_link.build, executor=executor)
            other = experiment(floor=0.5)
            again = run(other, tmp_path / "again", chunk_slots=8, build=fake_link.build, executor=executor)
        assert counts(there) == counts(here)
        assert counts(again) != counts(here)

    def test_a_worker_that_dies_loses_its_chunk_alone(self, tmp_path):
        doomed = experiment(die_at=20)
        with (
            ClusterExecutor(doomed, fake_link.build, 2, "local") as executor,
            pytest.raises(RunStopped, match=r"the last worker on the cluster has gone .*the same command resumes"),
        ):
            run(doomed, tmp_path, chunk_slots=8, build=fake_link.build, executor=executor)
        with pytest.raises(RunStopped, match="was killed by SIGKILL"):
            # what is stored is gone on with: again up to the drop that kills
            run(doomed, tmp_path, workers=1, chunk_slots=8, build=fake_link.build)

    @pytest.mark.parametrize(
        ("option", "error", "text"),
        [("crash_at", WorkerCrashed, "divides by zero"), ("refuse_at", InputError, "allowed: others")],
    )
    def test_failures_reach_the_command(self, tmp_path, option, error, text):
        failing = experiment(**{option: 20})
        with (
            ClusterExecutor(failing, fake_link.build, 1, "local") as executor,
            pytest.raises(error, match=text),
        ):
            run(failing, tmp_path, chunk_slots=8, build=fake_link.build, executor=executor)

    def test_other_weights_on_a_node_are_noticed(self, tmp_path):
        with ClusterExecutor(experiment(), fake_link.build, 1, "local") as executor:
            executor._build = other_weights
            with pytest.raises(InputError, match="has other weights for 'one'; allowed: those that are here"):
                run(experiment(), tmp_path, chunk_slots=8, build=fake_link.build, executor=executor)


def other_weights(given: Experiment) -> Any:
    simulation = fake_link.build(given)
    return replace(simulation, fingerprints={**simulation.fingerprints, "one": "0" * 64})
