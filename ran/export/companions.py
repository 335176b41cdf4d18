"""What lies beside a model file: its contract, a report, something that runs it, and files that its stack reads."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ran.export.engine import ENGINE_TARGETS, engine_command, write_engine
from ran.export.outcome import Outcome
from ran.export.report import report_text
from ran.sim.experiment import Experiment
from receivers.onnx.contracts import CONTRACTS

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
_ONNX_RUN = """import onnxruntime

session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
outputs = dict(zip(names, session.run(names, feeds)))"""
_TORCH_RUN = """import torch

program = torch.export.load(model).module()
with torch.no_grad():
    outputs = {{"llr": program(*[torch.from_numpy(array) for array in feeds.values()]).numpy()}}"""
_LITERT_RUN = """from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path=model)
run = interpreter.get_signature_runner()
outputs = run(**{name: array if array.ndim else array.reshape(1) for name, array in feeds.items()})"""

_TENSORFLOW_RUN = """import tensorflow as tf

loaded = tf.saved_model.load(model)
run = loaded.signatures["serving_default"]
found = run(**{name: tf.constant(array) for name, array in feeds.items()})
outputs = {name: tensor.numpy() for name, tensor in found.items()}"""


def write_companions(outcome: Outcome, experiment: Experiment, folder: Path) -> Outcome:
    """Write them into `folder`; returns the outcome with notes on what was made, or could not be."""
    target, notes = outcome.request.target, []
    contract = CONTRACTS[target.contract]
    described = {
        **asdict(contract),
        "target": target.name,
        "files": [{"name": f.name, "sha256": f.sha256, "slot": json.loads(f.slot)} for f in outcome.files],
    }
    (folder / "contract.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    write_consumers(target.runtime, folder)
    if target.name == "oai-nrx":
        _copy("oai_nrx.h", folder)
    if target.name == "cuphy-chest":
        for file in outcome.files:
            (folder / f"{Path(file.name).stem}.yaml").write_text(_cuphy_yaml(file.name, file.slot), encoding="utf-8")
        notes.append("The YAML names an engine, which is built by the command below.")
    if target.name in ENGINE_TARGETS:
        for file in outcome.files:
            notes += write_engine(file, folder, target.name)
    outcome = replace(outcome, notes=tuple(notes))
    (folder / "REPORT.md").write_text(report_text(outcome, experiment), encoding="utf-8")
    return outcome


def write_consumers(runtime: str, folder: Path) -> None:
    """Programs that run the exported model on its vectors."""
    run = {"torch": _TORCH_RUN, "LiteRT": _LITERT_RUN, "TensorFlow": _TENSORFLOW_RUN}.get(runtime, _ONNX_RUN)
    text = _CONSUMER_PY.replace("{run}", run).replace("{{", "{").replace("}}", "}")
    (folder / "consumer.py").write_text(text, encoding="utf-8")
    if runtime == "onnxruntime":
        _copy("consumer.cpp", folder)


def _copy(name: str, folder: Path) -> None:
    (folder / name).write_text(resources.files("ran.export").joinpath("consumer", name).read_text(), encoding="utf-8")


def _cuphy_yaml(file: str, slot: str) -> str:
    """What cuPHY reads beside an estimator (dims without batch, 0 is float32)."""
    about: dict[str, Any] = json.loads(slot)
    num_prb, num_dmrs = about["num_prb"], len(about["dmrs_symbols"])
    engine = Path(file).with_suffix(".engine").name
    return (
        f"# {' '.join(engine_command(file, 'cuphy-chest', about))}\n"
        "chest_factory: trtengine\n"
        f"file: {engine}\n"
        "max_batch_size: 1\n"
        f"inputs:\n  - name: z\n    dataType: 0\n    dims: [{6 * num_prb}, 4, 4, {num_dmrs}, 2]\n"
        f"outputs:\n  - name: zout\n    dataType: 0\n    dims: [4, 4, {12 * num_prb}, {num_dmrs}, 2]\n"
    )
