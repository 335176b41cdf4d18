"""Several processes that train together: an error in one of them ends the others, in place of their waiting for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

RECIPE = {
    "name": "tiny",
    "model": {"name": "refined-blind", "num_channels": 6, "dilations": [1], "num_passes": 1},
    "bits_per_symbol": [4],
    "num_layers": [1],
    "slots": {
        "carrier": {"num_prb": 2},
        "pusch": {"mcs_index": 14},
        "num_rx_ant": 2,
        "channel": "rayleigh-block",
        "esn0_db": {"uniform": [6, 10]},
    },
    "schedule": {"steps": 4, "batch_slots": 2, "checkpoint_every": 4, "log_every": 2, "warmup_steps": 2},
}
#: Both processes try a folder of something else, and then a training in which the first fails on the way. They live on
#: until their input ends, as a notebook would, so that no socket closes by the end of a process.
PROGRAM = """\
import os, sys
from pathlib import Path
from ran.training import train
from ran.training.loop import Trainer

recipe, folder, *ports = sys.argv[1:]
took = Trainer.one_step

def one_step(self):
    if self.processes.is_first and self.step == 1:
        raise OSError("no space left")
    return took(self)

Trainer.one_step = one_step
for port, out in zip(ports, ("foreign", "new")):
    os.environ["MASTER_PORT"] = port
    try:
        train.run(recipe, Path(folder) / out)
    except Exception as error:
        print(type(error).__name__, " ".join(str(error).split()), flush=True)
print("done", flush=True)
sys.stdin.read()
"""


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def test_a_process_that_fails_leaves_no_other_waiting(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("keep me")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "tiny.yaml"), str(tmp_path), free_port(), free_port()]
    root = Path(__file__).parents[2]
    started = []
    for rank in range(2):
        environment = {
            **os.environ,
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(root),
        }
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment))
    try:
        # a process that waits for another is ended by the limit of the whole test suite, or by this
        said = [[process.stdout.readline().strip() for _ in range(3)] for process in reversed(started)][::-1]  # type: ignore[union-attr]
    finally:
        for process in started:
            process.stdin.close()  # type: ignore[union-attr]
            process.kill()
            process.wait()
    for lines in said:
        assert lines[0].startswith("InputError --out: ")
        assert "holds other files and no recipe.yaml" in lines[0]
        assert lines[2] == "done"
    assert said[0][1] == "OSError no space left"
    assert said[1][1] == "RunStopped another process of the training failed: no space left"
    assert [path.name for path in (tmp_path / "foreign").iterdir()] == ["thesis.txt"]


#: The process of the given rank dies by SIGKILL at a step, the first time that it gets there.
KILLED = """\
import os, sys
from pathlib import Path
from ran.training import train
from ran.training.loop import Trainer

recipe, folder, rank, step = sys.argv[1:]
took = Trainer.one_step

def one_step(self):
    if os.environ["RANK"] == rank and self.step == int(step):
        os.kill(os.getpid(), 9)
    return took(self)

Trainer.one_step = one_step
train.run(recipe, Path(folder))
"""


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_rank_resumes_to_the_same_weights(rank: str, tmp_path: Path) -> None:
    """By torchrun with two processes, killed in step 13 after a checkpoint at 10, against two that nobody disturbs."""
    recipe, program = tmp_path / "tiny.yaml", tmp_path / "killed.py"
    schedule = {"steps": 24, "batch_slots": 4, "checkpoint_every": 5, "log_every": 2, "warmup_steps": 4}
    recipe.write_text(yaml.safe_dump({**RECIPE, "schedule": schedule}))
    program.write_text(KILLED)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def train(*arguments: str) -> int:
        return subprocess.run([*launch, *arguments], env=environment, capture_output=True, timeout=600).returncode

    plain = ["-m", "ran.cli.main", "train", str(recipe), "--out"]
    assert train(*plain, str(tmp_path / "whole")) == 0
    assert train(str(program), str(recipe), str(tmp_path / "cut"), rank, "13") != 0
    assert not (tmp_path / "cut" / "tiny.safetensors").exists()
    assert train(*plain, str(tmp_path / "cut")) == 0
    ours, theirs = (load_file(tmp_path / name / "tiny.safetensors") for name in ("cut", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
