"""Weights, model cards and model files from anywhere: one line for each fault, and no memory beyond what they hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from receivers.allocation_limit import AllocationLimit
from receivers.files import MOST_BYTES, read_bytes
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.weights import card_path, load_weights
from receivers.onnx.receiver import OnnxReceiver

SHIPPED = card_path("pusch-hybrid")


def written(folder: Path, card: dict[str, Any] | bytes | None = None, data: bytes | None = None) -> str:
    """Weights with another card or other content, whose hash the card states: who can change one can change both."""
    path = folder / "given.safetensors"
    content = SHIPPED.with_suffix(".safetensors").read_bytes() if data is None else data
    path.write_bytes(content)
    if not isinstance(card, bytes):
        stated = json.loads(SHIPPED.read_text()) | (card or {})
        card = json.dumps({**stated, "sha256": hashlib.sha256(content).hexdigest()}).encode()
    path.with_suffix(".json").write_bytes(card)
    return str(path)


def refused(weights: str) -> str:
    with pytest.raises(ValueError, match="weights: ") as error:
        NeuralReceiver(weights)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


def test_copied_weights_are_as_good(tmp_path: Path) -> None:
    assert NeuralReceiver(written(tmp_path)).sha256 == NeuralReceiver("pusch-hybrid").sha256


@pytest.mark.parametrize(
    "options",
    [
        {"num_channels": 500_000},
        {"num_channels": 10**9},
        {"num_channels": 10**400},
        {"num_channels": -1},
        {"num_channels": "many"},
        {"num_channels": None},
        {"num_passes": 10**7},
        {"num_passes": 1.5},
        {"dilations": [1] * 5000},
        {"dilations": 4},
        {"dilations": {"1": 2}},
        {"dilations": [[[[[1]]]]]},
        {"prior_delay_spread_ns": "x"},
        {"no_such_option": 1},
        {"name": "no-such-architecture"},
        {"name": ["hybrid"]},
    ],
    ids=str,
)
def test_architectures_that_do_not_fit(options: dict[str, Any], tmp_path: Path) -> None:
    architecture = {**json.loads(SHIPPED.read_text())["architecture"], **options}
    refused(written(tmp_path, {"architecture": architecture}))


@pytest.mark.parametrize(
    "card",
    [
        {"architecture": []},
        {"architecture": "hybrid"},
        {"bits_per_symbol": 4},
        {"bits_per_symbol": ["4"]},
        {"bits_per_symbol": [10**30]},
        {"num_layers": {"1": 2}},
        {"training": []},
        {"trained_range": None, "training": {"slots": {"esn0_db": "high"}}},
        {"trained_range": None, "training": {"slots": {"esn0_db": {"uniform": []}}}},
        {"trained_range": None, "training": {"slots": {"esn0_db": 1e999}}},
        {"trained_range": None, "training": {"cases": 3}},
        {"trained_range": 17},
        {"trained_range": {"highest_esn0_db": {}, "fewest_dmrs_positions": 1}},
        {"trained_range": {"highest_esn0_db": {"4": 1e999}, "fewest_dmrs_positions": 1}},
        {"trained_range": {"highest_esn0_db": {"16QAM": 11}, "fewest_dmrs_positions": 1}},
        {"trained_range": {"highest_esn0_db": {"4": 11}}},
        {"trained_range": {"highest_esn0_db": {"4": 11}, "fewest_dmrs_positions": 1.5}},
        {"trained_range": {"highest_esn0_db": {"4": 11}, "fewest_dmrs_positions": 9}},
        {"task": ["receiver"]},
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{" * 100_000,
        b'{"a": ' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"sha256": 1, "architecture": {"name": "hybrid"}}',
    ],
    ids=lambda card: str(card)[:100],
)
def test_cards_that_are_none(card: dict[str, Any] | bytes, tmp_path: Path) -> None:
    refused(written(tmp_path, card))


def tensors(head: dict[str, Any] | bytes, body: bytes = b"", length: int | None = None) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        tensors(b"{}", length=2**63),
        tensors(b"[]"),
        tensors(b"[" * 5000),
        tensors(b"\xff"),
        tensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        tensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"\0" * 4),
        tensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}),
        tensors({"a": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        tensors({"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}}, b"\0" * 4),
        tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"\0" * 4),
        tensors({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
        tensors({"a": 1}),
        tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4),
    ],
    ids=lambda data: data[:60].hex()[:40],
)
def test_tensors_that_are_none(data: bytes, tmp_path: Path) -> None:
    refused(written(tmp_path, data=data))


def test_only_regular_files(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    pipe.with_suffix(".json").write_bytes(SHIPPED.read_bytes())
    assert "is no regular file" in refused(str(pipe))
    os.mkfifo(tmp_path / "card.json")
    (tmp_path / "card.safetensors").write_bytes(b"")
    assert "is no regular file" in refused(str(tmp_path / "card.safetensors"))
    assert "is not there" in refused("x" * 5000 + ".safetensors")
    assert "is not there" in refused("a\0b.safetensors")
    for name, target in (("zero.onnx", "/dev/zero"), ("zero.tflite", "/dev/zero"), ("pipe.onnx", str(pipe))):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(ValueError, match="is no regular file"):
            read_bytes(tmp_path / name)
        if name.endswith(".onnx"):
            with pytest.raises(ValueError, match="is no regular file"):
                OnnxReceiver(str(tmp_path / name))
    with (tmp_path / "large.onnx").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=f"allowed: up to {MOST_BYTES}"):
        OnnxReceiver(str(tmp_path / "large.onnx"))


def test_a_mutated_byte_is_one_line(tmp_path: Path) -> None:
    generator = np.random.default_rng(23)
    whole = SHIPPED.with_suffix(".safetensors").read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(60):
        data = bytearray(whole)
        for place in generator.integers(0, head, generator.integers(1, 4)):
            data[place] = generator.integers(0, 256)
        with contextlib.suppress(ValueError):
            load_weights(written(tmp_path, data=bytes(data)))


def test_a_card_takes_no_memory(tmp_path: Path) -> None:
    architecture = {**json.loads(SHIPPED.read_text())["architecture"], "num_channels": 500_000}  # 4 TB
    weights = written(tmp_path, {"architecture": architecture})
    code = (
        "import sys, resource; from receivers.neural.receiver import NeuralReceiver\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20,) * 2)\n"
        "try: NeuralReceiver(sys.argv[1])\n"
        "except ValueError as error: print(error); sys.exit(2)"
    )
    done = subprocess.run([sys.executable, "-c", code, weights], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "got a model of more than" in done.stdout


def test_the_limit_counts_before_it_allocates() -> None:
    import torch

    with AllocationLimit(10_000), pytest.raises(ValueError, match="more than 10000 bytes"):
        torch.empty(2**50)
    with AllocationLimit(10_000):
        assert torch.zeros(2, 3).sum() == 0
        assert torch.zeros(3, dtype=torch.float64).dtype == torch.float64
        with pytest.raises(ValueError, match="more than 10000 bytes"):
            torch.zeros(1)
