"""One loader for all kinds of experiments: constellations, files and labels mean the same in each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ran.sim.experiment
import ran.studies.adaptation.experiment
import ran.studies.beams.experiment
from ran.config.file_name import checked_file_name
from ran.errors import InputError
from ran.sim.experiment import ReceiverBlock

LINK = "pusch: {mcs_table: 1}\nchannel: awgn\nreceivers: [ls-linear]\nesn0_db: [0]\n"
BEAMS = "channel: {name: umi, carrier_frequency_hz: 30.0e9}\npredictors: [strongest]\n"
KINDS: list[Any] = [
    pytest.param(ran.sim.experiment.load, LINK, "receivers", id="sim"),
    pytest.param(ran.studies.adaptation.experiment.load, LINK, "receivers", id="adapt"),
    pytest.param(ran.studies.beams.experiment.load, BEAMS, "predictors", id="beams"),
]


def written(folder: Path, text: str) -> str:
    (folder / "own.yaml").write_text(text)
    return str(folder / "own.yaml")


@pytest.mark.parametrize(("load", "text", "blocks"), KINDS)
@pytest.mark.parametrize("name", ["mine.tflite", "mine.onnx", "mine.py:Mine"])
def test_files_of_receivers_are_beside_the_experiment(
    tmp_path: Path, load: Any, text: str, blocks: str, name: str
) -> None:
    path = written(tmp_path, text)
    found = getattr(load(path, [f"{blocks}=[{{name: '{name}', label: best.onnx}}]"]), blocks)
    assert found[0].name == str(tmp_path / name)
    assert found[0].title == "best.onnx"


@pytest.mark.parametrize(("load", "text", "blocks"), KINDS)
def test_files_inside_blocks_are_beside_the_experiment(tmp_path: Path, load: Any, text: str, blocks: str) -> None:
    path = written(tmp_path, text)
    found = getattr(load(path, [f"{blocks}=[{{name: x, nested: {{weights: own.safetensors}}}}]"]), blocks)
    assert found[0].block()["nested"] == {"weights": str(tmp_path / "own.safetensors")}


@pytest.mark.parametrize(("load", "text", "blocks"), KINDS[:2])
def test_constellations_may_be_weights(tmp_path: Path, load: Any, text: str, blocks: str) -> None:
    loaded = load(written(tmp_path, text), ["pusch.constellation=pusch-pilotless", "pusch.pilotless=true"])
    assert len(loaded.pusch.constellation) in (4, 16, 64, 256)
    with pytest.raises(InputError, match=r"pusch\.constellation: "):
        load(written(tmp_path, text), ["pusch.constellation=pusch-pilotles"])


@pytest.mark.parametrize(("load", "text", "blocks"), KINDS)
@pytest.mark.parametrize("label", ["../../x", "a/b", "..", ".hidden", "a\\b", "C:x", "two\nlines", " ", "x" * 101, ""])
def test_labels_stay_in_the_run_folder(tmp_path: Path, load: Any, text: str, blocks: str, label: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=rf"{blocks}\.0\.label: got ") as refused:
        load(path, [f"{blocks}.0.label={json.dumps(label)}"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("label", ["ls-linear, 2 paths", "blind + olla", "größer", "net (30 %)", "v1.2"])
def test_labels_in_words_are_taken(label: str) -> None:
    assert checked_file_name(label) == label
    assert ReceiverBlock(name="blind", label=label).title == label


@pytest.mark.parametrize("command", [["conformance", "--table", "8.2.1.2-4-row4"], ["robustness"]])
def test_labels_of_the_command_line_stay_in_the_run_folder(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from ran.cli.main import main

    out = tmp_path / "runs" / "one"
    given = [*command, "--receiver", "{name: blind, label: ../../x}", "--out", str(out)]
    assert main(given) == 2
    error = capsys.readouterr().err
    assert error.startswith("ran: error: --receiver: label: got '../../x', with '/'; allowed: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
