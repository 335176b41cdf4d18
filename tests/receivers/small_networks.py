"""Small networks of the architecture soft-pilots with random weights, for tests of the C library."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from receivers.neural.receiver import NeuralReceiver
from receivers.neural.soft_pilots import SoftPilotReceiver

OPTIONS: dict[str, Any] = {"num_channels": 8, "dilations": [1, 4], "num_passes": 2, "node_subcarriers": 6}
_RANGE = {"highest_esn0_db": {"2": 40, "4": 40}, "fewest_dmrs_positions": 0}


def small_network(
    folder: Path, trained_range: dict[str, Any] | None = None, reject_bursts: bool = False, **options: Any
) -> NeuralReceiver:
    """A receiver whose weights, written to the folder, move LLRs by a good part of themselves."""
    torch.manual_seed(3)
    chosen = {**OPTIONS, **options}
    model = SoftPilotReceiver(**chosen)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    data = save(model.state_dict())
    card = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "architecture": {"name": "soft-pilots", **chosen},
        "bits_per_symbol": [2, 4, 6, 8],
        "num_layers": [1, 2],
        "trained_range": trained_range or _RANGE,
    }
    (folder / "net.safetensors").write_bytes(data)
    (folder / "net.json").write_text(json.dumps(card), encoding="utf-8")
    return NeuralReceiver(str(folder / "net.safetensors"), reject_bursts=reject_bursts)
