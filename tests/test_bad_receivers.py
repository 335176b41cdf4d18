"""Eleven kinds of bad receivers beside a good one, from the command line: each fails alone, and is mended alone."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: What goes wrong at 4 dB, and words of the line about it.
KINDS = {
    "nan": ("return llr * float('nan')", "non-finite numbers"),
    "raise": ("raise KeyError('no such pilot')", "KeyError: 'no such pilot' ("),
    "shape": ("return llr[..., :-1]", "returned torch.float32 ["),
    "text": ("return 'soft bits'", "returned str; allowed: LLRs torch.float32 ["),
    "exit": ("raise SystemExit(0)", "SystemExit: 0 ("),
    "segfault": ("ctypes.string_at(0)", "was killed by SIGSEGV"),
    "sleep": ("time.sleep(10_000)", "gave no answer in 20 s"),
    "memory": ("torch.ones(2**40)", "can't allocate memory"),
    "fork": ("os.fork()", ""),
    "dtype": ("torch.set_default_dtype(torch.float64)", "changed the default dtype of the process to torch.float64"),
    "in-place": ("observation.y.mul_(2)", "changed observation.y of its input in place"),
}
_SOURCE = """
import ctypes, os, time
import torch
from receivers import LsLinear

class Mine(LsLinear):
    def __call__(self, observation, truth=None):
        llr = super().__call__(observation, truth)
        if observation.noise_var.max() < 0.5:
            {what}
        return llr
"""


def ran(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    receivers = ",".join(["ls-linear", *(f'{{name: "{name}", label: mine}}' for name in names)])
    more = [
        "carrier.num_prb=6",
        "stopping={min_block_errors: null, max_slots: 96, min_bler: null, receiver_timeout_s: 20}",
        "esn0_db=[2,4]",
        f"receivers=[{receivers}]",
    ]
    sets = [part for setting in more for part in ("--set", setting)]
    command = [sys.executable, "-m", "ran", "sim", "pusch-receivers", *sets, "--workers", "2", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def counts(folder: Path) -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    with (folder / "run" / "results.csv").open() as file:
        for row in csv.DictReader(file):
            values = tuple(row[name] for name in ("esn0_db", "drops", "block_errors", "bit_errors"))
            found.setdefault(row["receiver"], []).append(values)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ...]]:
    folder = tmp_path_factory.mktemp("alone")
    assert ran(folder).returncode == 0
    return counts(folder)["ls-linear"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_receiver_fails_alone_and_is_mended_alone(
    kind: str, alone: list[tuple[str, ...]], tmp_path: Path
) -> None:
    what, words = KINDS[kind]
    mine = tmp_path / "mine.py"
    mine.write_text(_SOURCE.format(what=what))
    ended = ran(tmp_path, "mine.py:Mine")
    last = ended.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ended.stderr
    if words:
        assert ended.returncode == 1, ended.stderr
        assert "receiver 'mine' failed" in last
        assert words in last
        assert "mine" in (tmp_path / "run" / "report.html").read_text()
    else:
        assert ended.returncode == 0, ended.stderr
        assert counts(tmp_path)["mine"] == alone
    assert counts(tmp_path)["ls-linear"] == alone
    # mended, its own slots are simulated and none of the others'
    mine.write_text(_SOURCE.format(what="pass"))
    started = time.time()
    assert ran(tmp_path, "mine.py:Mine").returncode == 0
    assert counts(tmp_path) == {"ls-linear": alone, "mine": alone}
    print(f"{kind}: {last} (mended in {time.time() - started:.0f} s)")
