"""LiteRT files, in LiteRT's interpreter. The extra wants an environment of its own:

python -m venv litert && litert/bin/pip install '.[litert]' pytest && litert/bin/python -m pytest -m litert tests/export
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ran.errors import InputError
from ran.export.catalogue import target_of
from ran.export.check import check_file
from ran.export.info import describe
from ran.export.outcome import Outcome
from ran.export.request import Request
from ran.export.run import export
from ran.export.slots import experiment_of, link_of
from ran.export.targets import TARGETS
from receivers import NeuralReceiver, OnnxReceiver

pytestmark = pytest.mark.litert


class Exports(dict[str, Outcome]):
    """An export by its numbers, made when it is asked for: each takes half a minute."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, dtype: str) -> Outcome:
        request = Request(
            "pusch-hybrid",
            target_of("litert"),
            self._folder / dtype,
            num_prb=(4,),
            dtype=dtype,
            num_slots=64,
            loss_slots=256,
            max_loss_db=0.5,
            latency_slots=20,
        )
        self[dtype] = export(request)
        return self[dtype]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Exports:
    return Exports(tmp_path_factory.mktemp("exports"))


def test_file_is_its_origin(made):
    (file,) = made["f32"].files
    assert not made["f32"].problems
    assert max(llr.max_difference for llr in file.llrs) < 1e-3
    assert file.bler is not None
    assert file.bler.other_decisions == 0
    assert file.bler.before == file.bler.module == file.bler.after


@pytest.mark.parametrize("dtype", ["f16", "int8"])
def test_smaller_numbers(dtype, made):
    """Smaller, within the limit, and not the same file by another name."""
    (file,), (whole,) = made[dtype].files, made["f32"].files
    assert not made[dtype].problems
    assert file.num_bytes < whole.num_bytes
    assert file.loss is not None
    assert file.loss.value is not None
    assert abs(file.loss.value) < 0.5
    assert max(llr.max_difference for llr in file.llrs) > 10 * max(llr.max_difference for llr in whole.llrs)
    assert f"dtype: {dtype}" in describe(made[dtype].folder / file.name)
    assert [point.esn0_db for point in file.sweep] == [-10.0, 10.0, 30.0, 40.0, 60.0, 80.0]
    assert all(point.finite for point in file.sweep)
    assert [point.smaller for point in file.sweep[2:]] == [point.float32 for point in file.sweep[2:]]


def test_python_consumer(made):
    folder, (file,) = made["f32"].folder, made["f32"].files
    command = [sys.executable, "consumer.py", file.name, "vectors"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "llr (1, 1, 14, 48, 4): largest difference 0 of" in done.stdout


def test_it_is_a_receiver(made):
    """`ran sim` takes the file by its name, and counts the blocks that the weights lose."""
    path = made["f32"].folder / made["f32"].files[0].name
    link = link_of(experiment_of("pusch-receivers", TARGETS["litert"].changes, ()), 4)
    receivers = {"weights": NeuralReceiver("pusch-hybrid"), "file": OnnxReceiver(str(path))}
    found = link.simulate(receivers, range(32), 3.0, seed=3, scenario_id="litert")
    np.testing.assert_array_equal(found["file"].block_errors, found["weights"].block_errors)
    with pytest.raises(ValueError, match="got num_subcarriers 72; allowed: 48, which the file fixes"):
        link_of(experiment_of("pusch-receivers", TARGETS["litert"].changes, ()), 6).check_receiver(
            "file", receivers["file"]
        )


def test_its_contract(made):
    clauses = check_file(made["f32"].folder / made["f32"].files[0].name, "generic")
    assert [clause.text for clause in clauses if clause.met is not True] == []


def test_tampered(made, tmp_path):
    path = made["f32"].folder / made["f32"].files[0].name
    assert "weights: pusch-hybrid" in describe(path)
    content = bytearray(path.read_bytes())
    where = content.index(b"generic")
    content[where : where + 7] = b"generix"
    other = tmp_path / "other.tflite"
    other.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.tflite: its content has SHA-256 .*, its metadata say"):
        describe(other)
    other.write_bytes(b"none of it")
    with pytest.raises(InputError, match=r"other\.tflite: is no LiteRT file"):
        describe(other)
    other.write_bytes(path.read_bytes()[: len(content) // 2])
    with pytest.raises(InputError, match=r"other\.tflite: is no LiteRT file"):
        describe(other)
    assert json.loads((path.parent / "contract.json").read_text())["target"] == "litert"


def test_savedmodel(tmp_path):
    """TensorFlow runs the file: LLRs and decisions of the weights, its metadata, its consumer, tampering."""
    outcome = export(
        Request(
            "pusch-hybrid",
            target_of("savedmodel"),
            tmp_path / "tensorflow",
            num_prb=(4,),
            num_slots=64,
            latency_slots=20,
        )
    )
    (file,) = outcome.files
    assert not outcome.problems
    assert max(llr.max_difference for llr in file.llrs) < 1e-3
    assert file.bler is not None
    assert file.bler.other_decisions == 0
    path = outcome.folder / file.name
    assert "weights: pusch-hybrid" in describe(path)
    command = [sys.executable, "consumer.py", file.name, "vectors"]
    done = subprocess.run(command, cwd=outcome.folder, capture_output=True, text=True, check=True)
    assert "llr (1, 1, 14, 48, 4): largest difference 0 of" in done.stdout
    (path / "assets.extra" / "ran6g.json").write_text('{"weights": "others"}')
    with pytest.raises(InputError, match=r"has SHA-256 .*, the contract\.json beside it says"):
        describe(path)
    with pytest.raises(InputError, match="allowed: an exported file, or the folder of a SavedModel"):
        describe(tmp_path)


def test_savedmodel_in_a_process_of_its_own(tmp_path):
    """Nothing has been imported before: with triton installed, TensorFlow must not come first."""
    command = [sys.executable, "-m", "ran.cli.main", "export", "pusch-hybrid", "--target", "savedmodel"]
    command += ["--num-prb", "4", "--slots", "8", "--out", str(tmp_path / "alone")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
