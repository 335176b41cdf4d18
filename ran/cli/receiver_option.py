"""The option `--receiver` of commands that put receivers side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def receiver_blocks(given: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Receiver blocks of an experiment: from names, names or files of trained weights, FILE.onnx, FILE.py:CLASS or
    whole blocks in braces. `InputError` for one that cannot be built, and for two of one title.

    Files are named by their whole path, as workers have no current folder to share.
    """
    from ran.config.validation import validate
    from ran.errors import bad_value
    from ran.link.catalogue import build_receiver
    from ran.sim.experiment import ReceiverBlock

    blocks = tuple(_block(receiver) for receiver in given)
    for block in blocks:
        build_receiver({key: value for key, value in block.items() if key != "label"}, path="--receiver")
    titles = [validate(ReceiverBlock, block, "--receiver").title for block in blocks]
    twice = next((title for title in titles if titles.count(title) > 1), None)
    if twice is not None:
        raise bad_value("--receiver", f"{twice} twice", "different receivers")
    return blocks


def _block(receiver: str) -> dict[str, Any]:
    from ran.config.yaml_file import parse
    from ran.errors import bad_value, unknown_name
    from ran.registry.kinds import RECEIVER
    from ran.registry.lookup import names
    from receivers.neural.weights import HUB_WEIGHTS, shipped_weights

    block = parse(receiver, "--receiver") if receiver.lstrip().startswith("{") else {"name": receiver}
    name = block.get("name") if isinstance(block, dict) else None
    if not isinstance(name, str):
        raise bad_value("--receiver", receiver, "a name, or a block {name: ..., and its options}")
    if name in shipped_weights():
        return {"label": name, **block, "name": "neural", "weights": name}
    if name.endswith(".safetensors"):
        path = Path(os.path.expanduser(name)).resolve()
        label = path.parent.name if path.name == HUB_WEIGHTS else path.stem
        return {"label": label, **block, "name": "neural", "weights": str(path)}
    if name.endswith((".onnx", ".tflite")):
        return {**block, "name": str(Path(os.path.expanduser(name)).resolve())}
    if ".py:" in name:
        file, _, cls = name.rpartition(":")
        return {**block, "name": f"{Path(os.path.expanduser(file)).resolve()}:{cls}"}
    if name not in names(RECEIVER):
        files = ("FILE.py:ClassName", "FILE.onnx", "FILE.tflite", "FILE.safetensors")
        raise unknown_name("--receiver", name, [*names(RECEIVER), *shipped_weights("receiver"), *files])
    return block
