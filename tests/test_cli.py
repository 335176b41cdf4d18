"""The command line: what it prints, its exit status, and one line for everything that is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ran.cli.main import main

GOOD = """\
carrier: {num_prb: 4}
channel: awgn
receivers: [perfect-csi, ls-linear]
num_rx_ant: 1
esn0_db: [8]
stopping: {min_block_errors: 3, max_slots: 16}
"""


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail with one line and status 2; returns the line."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ran: error: ")
    assert err.count("\n") == 1
    return err


MALFORMED = {
    "not YAML": ("carrier: {num_prb: 4", "not valid YAML: line 1, column"),
    "a tab": ("carrier:\n\tnum_prb: 4", "not valid YAML: line 2"),
    "a Python object": ("!!python/object/apply:os.system ['false']", "not valid YAML"),
    "two documents": (f"{GOOD}---\n{GOOD}", "not valid YAML"),
    "a key twice": (f"{GOOD}num_rx_ant: 2\n", "key 'num_rx_ant' is given twice"),
    "empty": ("", "got an empty file; allowed: a mapping"),
    "a list": ("- carrier\n- pusch\n", "got a list; allowed: a mapping"),
    "a number": ("42\n", "got a int; allowed: a mapping"),
    "binary": (b"\xff\xfe\x00\x80", "not UTF-8"),
    "no receivers": ("channel: awgn\nesn0_db: [1]\n", "receivers: missing"),
    "unknown key": (
        f"{GOOD}chanel: awgn\n",
        "chanel: unknown key, got 'awgn'; allowed: name, .*did you mean 'channel'",
    ),
    "unknown key below": (
        GOOD.replace("num_prb", "num_prbs"),
        r"carrier\.num_prbs: unknown key.*did you mean 'num_prb'",
    ),
    "0 PRBs": (GOOD.replace("num_prb: 4", "num_prb: 0"), r"carrier\.num_prb: got 0; allowed: a whole number, 1 to 275"),
    "text as number": (GOOD.replace("num_prb: 4", "num_prb: many"), r"carrier\.num_prb: got 'many'"),
    "true as number": (GOOD.replace("num_prb: 4", "num_prb: true"), r"carrier\.num_prb: got True"),
    "a spacing that is not": (
        f"{GOOD}".replace("num_prb: 4", "subcarrier_spacing_khz: 20"),
        "got 20; allowed: 15, 30, 60, 120",
    ),
    "no such receiver": (
        GOOD.replace("ls-linear", "ls-liner"),
        r"receivers\.1\.name: got 'ls-liner'.*did you mean 'ls-linear'",
    ),
    "no such channel": (GOOD.replace("awgn", "agwn"), r"channel\.name: got 'agwn'.*did you mean 'awgn'"),
    "a channel option that is not": (GOOD.replace("awgn", "{name: tdl, profil: A}"), r"channel\.profil: .*'profile'"),
    "a receiver twice": (
        GOOD.replace("ls-linear", "perfect-csi"),
        "receivers: got 'perfect-csi' twice; allowed: .*label",
    ),
    "missing weights": (GOOD.replace("ls-linear", "{name: neural, weights: none.safetensors}"), "none.safetensors"),
    "a receiver file that is not there": (GOOD.replace("ls-linear", "'gone.py:Mine'"), "gone.py"),
    "an allocation without room for DM-RS": (f"{GOOD}pusch: {{num_symbols: 3}}\n", "num_symbols 3.*allowed: 4 to 14"),
    "DM-RS positions that are not": (
        f"{GOOD}pusch: {{dmrs: {{type_a_position: 3, additional_position: 3}}}}\n",
        "pusch: dmrs.additional_position 3 needs dmrs.type_a_position 2, got 3",
    ),
    "an MCS without a rate": (f"{GOOD}pusch: {{mcs_table: 2, mcs_index: 28}}\n", "mcs_index 28.*allowed: 0 to 27"),
    "more users than ports": (
        f"{GOOD}users: {{num_users: 9}}\n",
        r"users\.num_users x num_layers: got 9 DM-RS ports; allowed: at most 4",
    ),
    "ports that collide": (f"{GOOD}users: {{num_users: 2, dmrs_ports: [[0], [0]]}}\n", "dmrs_ports"),
    "channels for other users": (GOOD.replace("awgn", "[awgn, awgn]"), "channel: got a list of 2"),
    "SNR points of no kind": (GOOD.replace("[8]", "high"), "esn0_db: got 'high'; allowed: a list of numbers"),
    "no SNR points": (GOOD.replace("[8]", "[]"), r"esn0_db: got \[\]"),
    "a range that goes down": (GOOD.replace("[8]", "{start: 5, stop: 1}"), r"esn0_db: stop 1\.0 is below start 5\.0"),
    "a range without end": (
        GOOD.replace("[8]", "{start: 5, stop: 6, step: 0}"),
        r"esn0_db\.step: got 0; allowed: .*above 0",
    ),
    "an infinite SNR": (GOOD.replace("[8]", "[.inf]"), r"esn0_db\.0: got inf"),
    "a target that is no rate": (
        GOOD.replace("[8]", "{auto: {target_bler: [1.5]}}"),
        r"esn0_db\.auto\.target_bler\.0: got 1\.5",
    ),
    "no rule that can hold": (GOOD.replace("max_slots: 16", "max_slots: 0"), r"stopping\.max_slots: got 0"),
    "a decoder that is not": (
        f"{GOOD}decoder: {{precision: int4}}\n",
        r"decoder\.precision: got 'int4'.*did you mean 'int8'",
    ),
    "a negative seed": (f"{GOOD}seed: -3\n", "seed: got -3"),
    "a name that is a path": (f"{GOOD}name: ../../etc\n", "name: got '../../etc'; allowed: letters"),
    "several at once": (GOOD.replace("[8]", "[x, y]").replace("num_prb: 4", "num_prb: 0"), r"\(and 2 more\)"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_experiment(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names key, value and what is allowed; nothing is written."""
    text, expected = MALFORMED[what]
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "experiment.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    line = fails(capsys, "sim", "experiment.yaml")
    assert re.search(expected, line), line
    assert os.listdir(tmp_path) == ["experiment.yaml"]


def test_corrupted_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(bytes(range(256)))
    (tmp_path / "e.yaml").write_text(GOOD.replace("ls-linear", "{name: neural, weights: bad.safetensors}"))
    assert "bad.safetensors" in fails(capsys, "sim", "e.yaml")
    assert sorted(os.listdir(tmp_path)) == ["bad.safetensors", "e.yaml"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sim", "pusch-recievers"], "did you mean 'pusch-receivers'"),
        (["sim", "pusch-receivers", "--device", "cuda:99"], "--device: got 'cuda:99' ("),
        (
            ["sim", "pusch-receivers", "--device", "meta"],
            "--device: got 'meta' (neither a processor nor a CUDA device); allowed: cpu",
        ),
        (["train", "pusch-hybrid", "--out", "x", "--device", "gpu"], "--device: got 'gpu' ("),
        (["sim", "gone.yaml"], "gone.yaml: cannot be read: No such file"),
        (["sim", "."], "cannot be read"),
        (["sim", "pusch-receivers", "--set", "carrier"], "allowed: KEY.PATH=VALUE"),
        (["sim", "pusch-receivers", "--set", "carrier.num_prb=[1"], "--set carrier.num_prb: not valid YAML"),
        (["sim", "pusch-receivers", "--set", "receivers.7.label=x"], "allowed: a list index"),
        (["sim", "pusch-receivers", "--set", "seed.deep.x=1"], "seed holds 1; allowed: a block"),
        (["sim", "pusch-receivers", "--seed", "9223372036854775808"], "seed: got"),
        (["sim", "pusch-receivers", "--workers", "0"], "--workers"),
        (["sim", "pusch-receivers", "--workers", "two"], "--workers"),
        (["sim", "pusch-receivers", "--replay", "1"], "SCENARIO:SEED:ESN0_DB:DROP"),
        (["sim"], "Missing argument"),
        (["simulate"], "command: got 'simulate'; allowed: adapt, "),
        (["list", "reciever"], "did you mean 'receivers'"),
        (
            ["report", "nowhere"],
            "nowhere: no such folder; allowed: a folder that `ran sim`, `ran study` or the command of",
        ),
        (
            ["status", "nowhere"],
            "nowhere: no such folder; allowed: a folder that `ran sim`, `ran study` or the command of",
        ),
        (
            ["report", "."],
            ".: no results.sqlite in it; allowed: a folder that `ran sim`, `ran study` or the command of",
        ),
        (["decode", "nothing", "--config", "nowhere"], "nowhere: "),
        (["--workers"], "No such option"),
    ],
)
def test_malformed_command(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in fails(capsys, *arguments)
    assert os.listdir(tmp_path) == []


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, member in (("receivers", "ls-linear"), ("channels", "tdl"), ("experiments", "pusch-receivers")):
        assert main(["list", kind]) == 0
        assert any(line.split()[0] == member for line in capsys.readouterr().out.splitlines())
    assert main(["list", "weights"]) == 0


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ran 0.")
    assert main(["sim", "--help"]) == 0
    assert "--set" in capsys.readouterr().out
    assert main([]) == 2
    assert "Usage" in capsys.readouterr().out


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for row in ("ran6g", "torch", "cores", "GPU", "sionna-rt", "ray tracing", "LDPC decoder"):
        assert row in out


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, json\nfrom ran.cli.main import main\nmain(['--help'])\n"
        "print(json.dumps([m for m in ('torch', 'numpy', 'numba', 'matplotlib', 'sionna') if m in sys.modules]))"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert time.perf_counter() - started < 5  # it takes 0.3 s; a loaded machine is no failure


def test_an_unexpected_exception_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("ran.sim.run.run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["sim", "pusch-receivers", "--out", str(tmp_path / "run")])
