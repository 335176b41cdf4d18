"""What lies beside a model file: its contract, a report, something that runs it, and files that its stack reads."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from typing import Any

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
    run = {"torch": _TORCH_RUN, "LiteRT": _LITERT_RUN}.get(target.runtime, _ONNX_RUN)
    text = _CONSUMER_PY.replace("{run}", run).replace("{{", "{").replace("}}", "}")
    (folder / "consumer.py").write_text(text, encoding="utf-8")
    if target.runtime == "onnxruntime":
        _copy("consumer.cpp", folder)
    if target.name == "oai-nrx":
        _copy("oai_nrx.h", folder)
    if target.name == "cuphy-chest":
        for file in outcome.files:
            (folder / f"{Path(file.name).stem}.yaml").write_text(_cuphy_yaml(file.name, file.slot), encoding="utf-8")
        notes.append("The YAML names an engine: build it from the ONNX file with trtexec, as its first line says.")
    if target.name in ("tensorrt", "aerial-nrx", "oai-nrx"):
        for file in outcome.files:
            notes += _engine(file.name, folder, target.name, json.loads(file.slot), outcome.request.dtype)
    outcome = replace(outcome, notes=tuple(notes))
    (folder / "REPORT.md").write_text(report_text(outcome, experiment), encoding="utf-8")
    return outcome


def _copy(name: str, folder: Path) -> None:
    (folder / name).write_text(resources.files("ran.export").joinpath("consumer", name).read_text(), encoding="utf-8")


def _cuphy_yaml(file: str, slot: str) -> str:
    """What cuPHY reads beside an estimator (dims without batch, 0 is float32)."""
    about: dict[str, Any] = json.loads(slot)
    num_prb, num_dmrs = about["num_prb"], len(about["dmrs_symbols"])
    engine = Path(file).with_suffix(".engine").name
    return (
        f"# trtexec --onnx={file} --saveEngine={engine} --minShapes=z:1x{6 * num_prb}x4x4x{num_dmrs}x2\n"
        "chest_factory: trtengine\n"
        f"file: {engine}\n"
        "max_batch_size: 1\n"
        f"inputs:\n  - name: z\n    dataType: 0\n    dims: [{6 * num_prb}, 4, 4, {num_dmrs}, 2]\n"
        f"outputs:\n  - name: zout\n    dataType: 0\n    dims: [4, 4, {12 * num_prb}, {num_dmrs}, 2]\n"
    )


def engine_command(file: str, target: str, slot: dict[str, Any], dtype: str) -> list[str]:
    """The command that builds a TensorRT engine from a file.

    Types are those of the file, as TensorRT 11 wants it; of earlier versions this is `--stronglyTyped`.
    """
    command = ["trtexec", f"--onnx={file}", f"--saveEngine={Path(file).with_suffix('.engine').name}"]
    if target == "tensorrt":
        layers, prb, rx = slot["num_layers"], slot["num_prb"], slot["num_rx_ant"]
        grid = f"14x{12 * prb}"
        shapes = {
            "y": f"1x{rx}x{grid}x2",
            "pilots": f"{layers}x{grid}x2",
            "data_mask": grid,
            "noise_var": "1",
            "h_hat": f"1x{rx}x{layers}x{grid}x2",
            "err_var": f"1x{layers}x{grid}",
            "symbol_times_ms": "14",
        }
        command.append("--shapes=" + ",".join(f"{name}:{size}" for name, size in shapes.items()))
        return [*command, *(["--stronglyTyped"] if dtype == "f16" else [])]
    if target == "aerial-nrx":
        floats, integers = ["fp32:chw"] * 5, ["int32:chw"] * 2
        command += ["--inputIOFormats=" + ",".join(floats + integers), "--outputIOFormats=fp32:chw,fp32:chw"]
    else:
        halves, integers = ["fp16:chw"] * 3, ["int32:chw"] * 2
        command += ["--fp16", "--inputIOFormats=" + ",".join(halves + integers), "--outputIOFormats=fp16:chw"]
    return command


def _engine(file: str, folder: Path, target: str, slot: dict[str, Any], dtype: str) -> list[str]:
    command = engine_command(file, target, slot, dtype)
    text = f"Engine: `{' '.join(command)}`"
    with (folder / "build-engine.sh").open("a", encoding="utf-8") as script:
        script.write(" ".join(command) + "\n")
    if target != "tensorrt":
        return [text]
    if shutil.which("trtexec") is None:
        return [text, "No engine was built: there is no trtexec on this machine."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        return [
            text,
            f"No engine was built: trtexec ended with {done.returncode}: {done.stdout[-200:]}{done.stderr[-200:]}",
        ]
    timing = next((line for line in done.stdout.splitlines() if "GPU Compute Time" in line), "")
    return [text, f"Built here. {timing.strip()}"]
