"""Every command has `--json`: one document on standard output, everything else on standard error."""

import json
from pathlib import Path

import pytest
import typer
import yaml

from ran.cli.answer import plain
from ran.cli.main import app, main
from ran.stats import Estimate

ROOT = Path(__file__).parent.parent
LINK = ["--set", "carrier.num_prb=4", "--set", "receivers=[ls-linear, lmmse]", "--workers", "1"]
POINT = ["--set", "esn0_db=[0, 30]", "--set", "stopping={max_slots: 16}"]


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        elif not command.hidden:
            yield (*path, name), command


TREE = dict(commands(typer.main.get_command(app)))


def answered(capsys, *arguments, status=0):
    """The document of a command, which is all that is on standard output."""
    capsys.readouterr()
    assert main([*map(str, arguments), "--json"]) == status
    out, _ = capsys.readouterr()
    return json.loads(out)


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_command_has_the_option_once(path):
    named = [parameter for parameter in TREE[path].params if "--json" in parameter.opts]
    assert len(named) == 1
    assert named[0].is_flag


def test_every_command_is_answered_somewhere_here():
    """A new verb fails here until a test shows what it answers."""
    assert {" ".join(path) for path in TREE} == set(LIGHT) | SHOWN | SLOW


#: Commands that answer at once, and a key of each answer.
LIGHT = {
    "list": (["list", "receivers"], "entries"),
    "schema": (["schema", "csi"], "schema"),
    "check": (["check", "rayleigh-block"], "findings"),
    "doctor": (["doctor"], "found"),
}
SHOWN = {"sim", "report", "status", "data write", "data info", "data verify", "data evaluate", "data sigmf"}
SLOW = {
    "calibrate", "bench rows", "bench latency", "conformance", "robustness", "adapt", "beams", "csi", "train", "decode",
    "data beams", "data csi", "data rays", "export model", "export check", "export info", "study",
    "data measure", "monitor watch", "monitor reference", "monitor measure", "bench profile", "bench driver",
}  # fmt: skip


@pytest.mark.parametrize("name", LIGHT)
def test_light_commands(name, capsys):
    arguments, key = LIGHT[name]
    found = answered(capsys, *arguments)
    assert found["command"] == name
    assert found[key]


def test_a_run_and_what_is_asked_of_it(tmp_path, capsys):
    folder = tmp_path / "run"
    found = answered(capsys, "sim", "pusch-receivers", *LINK, *POINT, "--out", folder)
    assert found["command"] == "sim"
    assert Path(found["report"]).is_file()
    rows = {(row["receiver"], row["esn0_db"]): row for row in found["rows"]}
    assert set(rows) == {(receiver, esn0_db) for receiver in ("ls-linear", "lmmse") for esn0_db in (0, 30)}
    assert all(row["blocks"] == 16 and 0 <= row["bler_low"] <= row["bler"] <= row["bler_high"] for row in rows.values())
    assert {target["target_bler"] for target in found["targets"]} == {0.1, 0.01}
    assert set(found["targets"][0]["crossing"]) >= {"value", "low", "high", "reason"}
    again = answered(capsys, "report", folder)
    assert again["rows"] == found["rows"]
    assert again["runs"][0]["targets"] == found["targets"]
    state = answered(capsys, "status", folder)
    assert state["is_complete"] is True
    assert {row["receiver"]: row["drops"] for row in state["rows"]} == {"ls-linear": 32, "lmmse": 32}


@pytest.mark.slow
def test_a_sweep(tmp_path, capsys):
    sweep = ["--set", "sweep={grid: {num_rx_ant: [1, 2]}}"]
    found = answered(capsys, "sim", "pusch-receivers", *LINK, *POINT, *sweep, "--out", tmp_path / "sweep")
    assert {row["num_rx_ant"] for row in found["rows"]} == {1, 2}
    assert answered(capsys, "report", tmp_path / "sweep")["rows"] == found["rows"]


def test_a_data_set(tmp_path, capsys):
    file = tmp_path / "set.h5"
    small = ["--set", "carrier.num_prb=4", "--set", "esn0_db=[10]", "--workers", "1"]
    written = answered(capsys, "data", "pusch-receivers", "--out", file, "--drops", "4", *small)
    assert (written["command"], written["num_drops"], written["drops_simulated"]) == ("data write", 4, 4)
    assert "4 drops" in answered(capsys, "data", "info", file)["about"]["data set"]
    assert answered(capsys, "data", "verify", file, "--repeat", "0")["is_whole"] is True
    told = answered(
        capsys, "data", "evaluate", file, "--receiver", "ls-linear", "--workers", "1", "--out", tmp_path / "e"
    )
    assert [row["blocks"] for row in told["rows"]] == [4]
    assert answered(capsys, "data", "sigmf", file, "--out", tmp_path / "recording")["num_samples"] > 0


CSI = {
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "band": {"num_prb": 24, "subband_size": 4},
    "feedback": ["ideal", {"name": "enhanced-type-two", "combination": [1, 3]}],
    "throughput": {"num_users": [1], "snr_db": [10]},
    "num_drops": 8,
    "num_fit_drops": 8,
}
RECIPE = {
    "name": "tiny",
    "model": {"name": "hybrid", "num_channels": 8, "dilations": [1], "num_passes": 2},
    "bits_per_symbol": [4],
    "slots": {
        "carrier": {"num_prb": 2}, "pusch": {"mcs_index": 14}, "num_rx_ant": 2, "channel": "rayleigh-block",
        "esn0_db": {"uniform": [4, 8]},
    },
    "schedule": {"steps": 4, "batch_slots": 2, "checkpoint_every": 2, "log_every": 2, "warmup_steps": 2},
}  # fmt: skip
ONE = ["--workers", "1", "--out", "run"]
RAYS = str(ROOT / "tests/channels/deepmimo-4.0.5-random-rays")
SMALL = ["--set", "num_drops=8", "--set", "num_fit_drops=8", "--workers", "1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "key", "statuses"),
    [
        (["csi", "csi.yaml", "--out", "run", "--workers", "1"], "rows", (0,)),
        (["beams", "beams-uma-30ghz", "--set", "predictors=[sweep, last-beam]", *SMALL, "--out", "run"], "rows", (0,)),
        (
            ["conformance", "--table", "8.2.1.2-4-row3", "--slots", "64", "--workers", "1", "--out", "run"],
            "rows",
            (0, 1),
        ),
        (["calibrate", "umi-30ghz", "--drops", "1", "--workers", "1", "--out", "run"], "rows", (0, 1)),
        (
            ["study", "robustness", "--set", "conditions=[tdl-a]", "--set", "max_slots=16", "--out", "run"],
            "report",
            (0,),
        ),
        (["train", "tiny.yaml", "--out", "run", "--workers", "1"], "weights", (0,)),
        (["bench", "latency", "lmmse", "--slots", "10", "--num-prb", "4", "--out", "run"], "rows", (0,)),
        (["bench", "profile", "pusch-receivers", "--set", "carrier.num_prb=4", "--out", "run"], "result", (0,)),
        (["bench", "driver", "pusch-receivers", "2", "--set", "receivers=[ls-linear]"], "costs", (0,)),
        (["data", "csi", "csi.yaml", "--out", "set.h5", "--drops", "8"], "shapes", (0,)),
        (["data", "rays", RAYS, "--out", "rays.npz"], "num_rays", (0,)),
        (["data", "beams", "beams-uma-30ghz", "--out", "beams.h5", "--drops", "8"], "num_drops", (0,)),
        (
            ["robustness", "--receiver", "blind", "--condition", "tdl-a", "--slots", "16", "--out", "run"],
            "rows",
            (0, 1),
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_heavy_commands(arguments, key, statuses, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("csi.yaml").write_text(yaml.safe_dump(CSI))
    Path("tiny.yaml").write_text(yaml.safe_dump(RECIPE))
    assert main([*arguments, "--json"]) in statuses
    found = json.loads(capsys.readouterr().out)
    assert found["command"].split()[0] == arguments[0]
    assert found[key]


@pytest.mark.slow
def test_exports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--num-prb", "4", "--slots", "8", "--set", "num_rx_ant=2"]
    made = answered(capsys, "export", "pusch-hybrid", "--target", "onnx", "--out", "out", *small)
    assert made["is_accepted"] is True
    file = Path(made["folder"]) / made["files"][0]["file"]
    assert answered(capsys, "export", "info", file)["facts"]["weights"] == "pusch-hybrid"
    held = answered(capsys, "export", "check", file, "--contract", "generic")
    assert all(clause["met"] for clause in held["clauses"] if clause["kind"] == "demanded")


def test_a_command_that_fails_answers_nothing(capsys):
    assert main(["sim", "gone.yaml", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ran: error: gone.yaml")


def test_without_the_option_nothing_is_json(capsys):
    assert main(["list", "channels"]) == 0
    assert not capsys.readouterr().out.startswith("{")


def test_values_as_json_has_them():
    estimate = Estimate(1.0, 0.5, float("inf"), reason="no point above")
    told = plain({"a": estimate, "b": (Path("x"), None, True), 3: float("nan")})
    assert told["a"]["high"] is None
    assert told["b"] == ["x", None, True]
    assert told["3"] is None
    with pytest.raises(TypeError, match="object"):
        plain(object())
