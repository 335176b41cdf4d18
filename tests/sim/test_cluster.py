"""Runs on a Ray cluster: the same counts as on this machine, machines that leave, workers that do not fit."""

from __future__ import annotations

import builtins
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_link
import pytest
from in_process import Heard

from ran.errors import InputError
from ran.sim.cluster import ClusterExecutor
from ran.sim.experiment import Experiment
from ran.sim.failures import ReceiversFailed
from ran.sim.results import RunResults
from ran.sim.run import run
from ran.sim.worker import ChunkProgram


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
def head_with_a_token(tmp_path, monkeypatch):
    """A head on this machine that asks for the token of its user's home folder; its address and that folder."""
    ray = Path(sys.executable).with_name("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    own = {**os.environ, "HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_DISABLE_USAGE_STATS": "1"}
    short = tempfile.mkdtemp(prefix="ray")  # sockets have paths of at most 107 characters
    options = ["--port", str(port), "--num-cpus", "1", "--include-dashboard=false", "--temp-dir", short, "--block"]
    log = (tmp_path / "head.log").open("w")
    head = subprocess.Popen([ray, "start", "--head", *options], env=own, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(120):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.5)
        time.sleep(3)
        yield f"127.0.0.1:{port}", home
    finally:
        os.killpg(head.pid, signal.SIGTERM)
        head.wait(timeout=60)
        log.close()
        shutil.rmtree(short, ignore_errors=True)


#: Connects and leaves; a process of its own, because Ray reads its settings once.
CONNECT = """
import sys, fake_link
from test_cluster import experiment
from ran.errors import InputError
from ran.sim.cluster import ClusterExecutor
try:
    with ClusterExecutor(experiment(), fake_link.build, 1, sys.argv[1]) as executor:
        print("workers:", executor.workers)
except InputError as error:
    print("refused:", error)
"""


@pytest.mark.cluster
def test_a_cluster_with_a_token(head_with_a_token, tmp_path):
    """Without its token the line says how to share it, and never to do without; with it, there are workers."""
    address, home = head_with_a_token
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])])
    without = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"PYTHONPATH": path}

    def connect(**own: str) -> str:
        command = [sys.executable, "-c", CONNECT, address]
        done = subprocess.run(command, env=without | own, capture_output=True, text=True, timeout=200, check=False)
        return done.stdout

    (tmp_path / "none").mkdir()
    for own in ({}, {"RAY_AUTH_MODE": "token"}):
        told = connect(HOME=str(tmp_path / "none"), **own)
        assert told.startswith(f"refused: --cluster: {address}: "), told
        assert "`ray get-auth-token`, put it into ~/.ray/auth_token" in told
        assert "RAY_AUTH_MODE=token" in told
        assert "disabled" not in told
        assert len(told.splitlines()) == 1
    assert connect(HOME=str(home), RAY_AUTH_MODE="token") == "workers: 1\n"


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

    @pytest.mark.parametrize(
        ("option", "text"),
        [("die_at", "its worker process ended: "), ("hang_at", "its worker process gave no answer in 10 s")],
    )
    def test_a_receiver_that_takes_its_workers_along_fails_alone(self, tmp_path, option, text):
        stopping = {**experiment().stopping.model_dump(), "receiver_timeout_s": 10}
        doomed = Experiment.model_validate({**experiment(**{option: 20}).resolved(), "stopping": stopping})
        with (
            ClusterExecutor(doomed, fake_link.build, 2, "local") as executor,
            pytest.raises(ReceiversFailed, match=rf"^receiver 'one' failed: {text}") as caught,
        ):
            run(doomed, tmp_path / "there", chunk_slots=8, build=fake_link.build, executor=executor)
        here = run(experiment(), tmp_path / "here", workers=1, chunk_slots=8, build=fake_link.build)
        genie = [row for row in counts(here) if row[0] == "genie"]
        assert [row for row in counts(caught.value.results) if row[0] == "genie"] == genie

    @pytest.mark.parametrize(
        ("option", "text"),
        [("crash_at", "divides by zero"), ("refuse_at", "allowed: others")],
    )
    def test_failures_reach_the_command(self, tmp_path, option, text):
        failing = experiment(**{option: 20})
        with (
            ClusterExecutor(failing, fake_link.build, 1, "local") as executor,
            pytest.raises(ReceiversFailed, match=text),
        ):
            run(failing, tmp_path, chunk_slots=8, build=fake_link.build, executor=executor)

    def test_another_kind_of_processor_on_a_node_is_noticed(self, tmp_path):
        stopping = {"min_block_errors": None, "max_slots": 16}
        few = Experiment.model_validate({**experiment().resolved(), "stopping": stopping})
        run(few, tmp_path, workers=1, chunk_slots=8, build=fake_link.build)
        more = Experiment.model_validate({**few.resolved(), "stopping": {**stopping, "max_slots": 32}})
        heard = Heard()
        with ClusterExecutor(more, of_another_kind, 1, "local") as executor:
            results = run(more, tmp_path, chunk_slots=8, build=fake_link.build, executor=executor, listener=heard)
        [warning] = [text for text in heard.texts if text.startswith("warning")]
        assert "outcomes of 2 kinds of processor are in this run (unknown; another)" in warning
        assert {point.processor for point in results.points} == {"unknown + another"}
        assert len(results.warnings) == 1

    def test_other_weights_on_a_node_are_noticed(self, tmp_path):
        with ClusterExecutor(experiment(), fake_link.build, 1, "local") as executor:
            executor._program = ChunkProgram(other_weights, experiment())
            with pytest.raises(InputError, match="has other weights for 'one'; allowed: those that are here"):
                run(experiment(), tmp_path, chunk_slots=8, build=fake_link.build, executor=executor)


def of_another_kind(given: Experiment) -> Any:
    return replace(fake_link.build(given), processor="another")


def other_weights(given: Experiment) -> Any:
    simulation = fake_link.build(given)
    return replace(simulation, fingerprints={**simulation.fingerprints, "one": "0" * 64})


def test_a_node_that_does_not_start_is_one_line(monkeypatch):
    """Ray raises a plain Exception there, after the half minute that it waits for a node."""
    ended = []

    def init(**options: Any) -> None:
        raise Exception("The current node timed out during startup. This could happen because\nthe GCS is overloaded.")

    ray = SimpleNamespace(
        init=init, shutdown=lambda: ended.append(True), exceptions=SimpleNamespace(AuthenticationError=KeyError)
    )
    pool = ClusterExecutor.__new__(ClusterExecutor)
    monkeypatch.setattr(pool, "_ray", ray, raising=False)
    monkeypatch.setattr(pool, "_address", "local", raising=False)
    with pytest.raises(InputError, match=r"^--cluster: local: The current node timed out .* because; allowed: auto"):
        pool.__enter__()
    assert ended
