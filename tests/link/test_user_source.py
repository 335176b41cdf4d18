"""What a user's receiver depends on enters the names of its outcomes."""

import json
import shutil

import pytest

from ran.link.catalogue import build_receiver, receiver_fingerprint
from ran.link.user_source import named_files_digest, source_digest
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.weights import card_path

RECEIVER = """
from receivers import LsLinear

class Mine(LsLinear):
    def __init__(self, table: str = "") -> None:
        super().__init__()
        self.table = table
"""


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path = path.with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / "main.py"


@pytest.mark.parametrize(
    ("line", "file"),
    [
        ("import helper", "helper"),
        ("from helper import gain", "helper"),
        ("import parts.gain", "parts__gain"),
        ("from parts import gain", "parts__gain"),
        ("from parts.gain import value", "parts__gain"),
        ("def f():\n    import helper", "helper"),
    ],
)
def test_a_module_beside_the_file_counts(tmp_path, line, file):
    main = write(tmp_path, main=line, **{file: "value = 1"})
    before = source_digest(main)
    assert source_digest(main) == before
    write(tmp_path, **{file: "value = 2"})
    assert source_digest(main) != before


def test_modules_of_modules_count_and_strangers_do_not(tmp_path):
    main = write(tmp_path, main="import helper", helper="import deeper\nimport main", deeper="x = 1", other="y = 1")
    before = source_digest(main)
    write(tmp_path, other="y = 2")
    assert source_digest(main) == before
    write(tmp_path, deeper="x = 2")
    assert source_digest(main) != before


def test_a_relative_import_counts(tmp_path):
    main = write(tmp_path, main="from parts import a", parts__a="from . import b", parts__b="x = 1")
    before = source_digest(main)
    write(tmp_path, parts__b="x = 2")
    assert source_digest(main) != before


def test_files_that_options_name_count(tmp_path):
    (tmp_path / "table.pt").write_bytes(b"one")
    options = {"nested": {"paths": ["table.pt", "no such file"]}, "count": 3}
    before = named_files_digest(options, tmp_path)
    (tmp_path / "table.pt").write_bytes(b"two")
    assert named_files_digest(options, tmp_path) != before
    assert named_files_digest({"count": 3, "text": "no such file", "long": "x" * 5000}, tmp_path) == ""


def test_the_fingerprint_of_a_users_receiver_has_all_of_it(tmp_path):
    (tmp_path / "mine.py").write_text(RECEIVER)
    (tmp_path / "table.pt").write_bytes(b"one")
    block = {"name": "mine.py:Mine", "table": "table.pt"}
    receiver = build_receiver(block, tmp_path)
    before = receiver_fingerprint(block, receiver, tmp_path)
    (tmp_path / "table.pt").write_bytes(b"two")
    assert receiver_fingerprint(block, receiver, tmp_path) != before


def test_the_card_of_weights_counts(tmp_path):
    for suffix in (".json", ".safetensors"):
        shutil.copy(card_path("pusch-hybrid").with_suffix(suffix), tmp_path / f"mine{suffix}")
    before = NeuralReceiver(str(tmp_path / "mine.safetensors"))
    card = json.loads((tmp_path / "mine.json").read_text())
    card["architecture"]["prior_delay_spread_ns"] = 77.0
    (tmp_path / "mine.json").write_text(json.dumps(card))
    after = NeuralReceiver(str(tmp_path / "mine.safetensors"))
    assert after.sha256 == before.sha256
    assert after.fingerprint() != before.fingerprint()
