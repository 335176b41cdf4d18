"""Freed memory is kept in the command line's processes and in workers, and nobody else's settings are changed."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import fake_link
import numpy as np
import pytest

from ran.sim.executor import Executor
from ran.sim.experiment import Experiment
from ran.sim.simulation import Simulation
from ran.sim.worker import Chunk, Done

glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="the settings are those of glibc, seen from 2.33 on",
)

#: Whether 64 MiB would be mapped for itself, and given back when freed: glibc's default at whatever came before.
MAPPED = """
import ctypes
class Mallinfo2(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]
def mapped():
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Mallinfo2
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    before = libc.mallinfo2().hblkhd
    block = libc.malloc(64 * 2**20)
    found = libc.mallinfo2().hblkhd - before >= 64 * 2**20
    libc.free(block)
    return found
"""

CALLER = (
    MAPPED
    + """
import sys
from ran.studies.adaptation.experiment import built_in_experiments, load as load_adaptation
from ran.studies.adaptation.series import Series
from ran.sim.experiment import Experiment, load
from ran.sim.simulation import build_simulation
small = Experiment.model_validate({"name": "small", "carrier": {"num_prb": 2}, "channel": "rayleigh-block",
    "receivers": ["ls-linear"], "num_rx_ant": 1, "esn0_db": [0]})
simulation = build_simulation(small)
simulation.link.simulate(simulation.receivers, range(simulation.link.batch_drops), 0.0, 1, "s")
print("build_simulation", mapped())
Series(load_adaptation(next(iter(built_in_experiments()))))
print("Series", mapped())
from ran.cli.main import main
main(["list", "receivers"])
print("main", mapped())
"""
)


@glibc
def test_a_caller_keeps_its_settings() -> None:
    command = [sys.executable, "-c", CALLER]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.split()[0] in ("build_simulation", "Series", "main")]
    assert said == ["build_simulation True", "Series True", "main False"]


class Probe:
    """A link that counts a block error where memory is mapped anew."""

    receiver_seconds: ClassVar[dict[str, float]] = {}  # nothing is measured

    def __init__(self) -> None:
        self._link = fake_link.FakeLink()
        self.blocks_per_drop, self.bits_per_block = self._link.blocks_per_drop, self._link.bits_per_block
        self.slot_duration_s, self.batch_drops = self._link.slot_duration_s, self._link.batch_drops
        self.batch_bytes = self._link.batch_bytes

    def simulate(self, receivers, drops, esn0_db, seed, scenario_id):  # type: ignore[no-untyped-def]
        space: dict[str, object] = {}
        exec(MAPPED, space)
        found = self._link.simulate(receivers, drops, esn0_db, seed, scenario_id)
        errors = np.full((len(drops), 1, 1), int(space["mapped"]()))  # type: ignore[operator]
        return {title: replace(counts, errors=errors) for title, counts in found.items()}


def build_probe(experiment: Experiment) -> Simulation:
    return replace(fake_link.build(experiment), link=Probe())


@glibc
def test_workers_keep_freed_memory() -> None:
    experiment = fake_link.experiment(receivers=[{"name": "one"}])
    with Executor(experiment, build_probe, 1) as executor:
        executor.submit(Chunk(0.0, "s", range(4), ("one",)))
        [(_, answer)] = executor.wait(None)
    assert isinstance(answer, Done)
    assert answer.outcomes["one"].counts.block_errors.tolist() == [0] * 4


def test_no_module_of_the_library_changes_them_but_workers_and_the_command_line() -> None:
    """Brothers: whatever calls it does so in a process of its own."""
    root = Path(__file__).parents[2] / "ran"
    callers = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "keep_freed_memory()" in path.read_text() and path.name != "allocator.py"
    }
    assert callers == {"cli/main.py", "sim/cluster.py", "sim/worker.py"}
