"""A small data set for tests: its experiment, and the command that writes it."""

from __future__ import annotations

import sys
from pathlib import Path

from ran.datasets.request import DataRequest
from ran.datasets.write import Written, write
from ran.sim.experiment import Experiment, load

EXPERIMENT = """\
name: small
carrier: {num_prb: 2}
pusch: {mcs_index: 5}
num_rx_ant: 2
channel: {name: tdl, profile: B, delay_spread_ns: 100, max_doppler_hz: 100}
receivers: [ls-linear]
esn0_db: [0, 10]
seed: 3
"""


def experiment_file(folder: Path) -> Path:
    file = folder / "small.yaml"
    file.write_text(EXPERIMENT)
    return file


def experiment(folder: Path) -> Experiment:
    return load(experiment_file(folder))


def write_small(path: Path, workers: int = 1, num_drops: int = 50, **request: object) -> Written:
    """50 drops in chunks of 8 unless told otherwise."""
    values = {"num_drops": num_drops, "chunk_drops": 8, **request}
    return write(experiment(path.parent), DataRequest.model_validate(values), path, workers)


def command(path: Path, *options: str) -> list[str]:
    """The same as a command of its own, slowed down so that it can be killed in the middle."""
    file = experiment_file(path.parent)
    program = [sys.executable, str(Path(__file__).with_name("slow_data.py")), "data", str(file), "--out", str(path)]
    return [*program, "--drops", "50", "--chunk-drops", "8", *options]
