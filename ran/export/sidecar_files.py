"""What lies beside a model file: its contract, a report, something that runs it, and files that its stack reads."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ran.export.formats import FileFormat
from ran.export.outcome import Outcome
from ran.export.report import report_text
from ran.sim.experiment import Experiment
from receivers.onnx.contracts import CONTRACTS

if TYPE_CHECKING:
    from ran.export.slot_target import SlotTarget

_CONSUMER_PY = '''"""Runs an exported model on its test vectors: python consumer.py MODEL VECTORS."""

import sys

import numpy as np

model, vectors = sys.argv[1], np.load(f"{sys.argv[2]}/vectors.npz")
feeds = {name[3:]: vectors[name] for name in vectors.files if name.startswith("in_")}
{run}
for name, found in outputs.items():
    expected = vectors[f"out_{{name}}"]
    difference = np.abs(found - expected).max()
    print(f"{{name}} {{found.shape}}: largest difference {{difference:.3g}} of {{np.abs(expected).max():.3g}}")
'''


def write_sidecar_files(outcome: Outcome, experiment: Experiment, target: SlotTarget, folder: Path) -> Outcome:
    """Write them into `folder`; returns the outcome with notes on what was made, or could not be."""
    contract = CONTRACTS[target.contract]
    described = {
        **asdict(contract),
        "target": target.name,
        "files": [{"name": f.name, "sha256": f.sha256, "slot": json.loads(f.slot)} for f in outcome.files],
    }
    (folder / "contract.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    write_consumers(target.format, folder)
    outcome = replace(outcome, notes=tuple(target.describe(outcome.files, folder)))
    (folder / "REPORT.md").write_text(report_text(outcome, target, experiment), encoding="utf-8")
    return outcome


def write_consumers(form: FileFormat, folder: Path) -> None:
    """Programs that run the exported model on its vectors."""
    text = _CONSUMER_PY.replace("{run}", form.consumer).replace("{{", "{").replace("}}", "}")
    (folder / "consumer.py").write_text(text, encoding="utf-8")
    if form.runs_in_cpp:
        copy_consumer("consumer.cpp", folder)


def copy_consumer(name: str, folder: Path) -> None:
    """Copy a source file that ships with the toolkit beside a model."""
    (folder / name).write_text(resources.files("ran.export").joinpath("consumer", name).read_text(), encoding="utf-8")
