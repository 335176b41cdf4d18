"""TensorRT: the command that builds an engine from a file, and the engine where the tool is there.

Types are those of the file. TensorRT 11 builds nothing else and ignores `--stronglyTyped`; TensorRT 10 needs the flag,
and would otherwise be free to take others. Flags that ask for types (`--fp16`, `--int8`, `--best`) are gone in 11
(NVIDIA, Migrating trtexec Usage from TensorRT 10.x to 11.x), so a float16 engine is built from a float16 file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ran.export.outcome import FileOutcome

#: Targets whose stack runs an engine.
ENGINE_TARGETS = ("tensorrt", "aerial-nrx", "cuphy-chest", "oai-nrx")


def engine_command(file: str, target: str, slot: dict[str, Any]) -> list[str]:
    """The command, right for TensorRT 10 and 11. file: for `oai-nrx` the one with float16 buffers."""
    engine = Path(file).with_suffix(".engine").name
    command = ["trtexec", f"--onnx={file}", f"--saveEngine={engine}", "--stronglyTyped"]
    layers, prb, rx = slot["num_layers"], slot["num_prb"], slot["num_rx_ant"]
    grid = f"14x{12 * prb}"
    if target == "tensorrt":
        shapes = {
            "y": f"1x{rx}x{grid}x2",
            "pilots": f"{layers}x{grid}x2",
            "data_mask": grid,
            "noise_var": "1",
            "h_hat": f"1x{rx}x{layers}x{grid}x2",
            "err_var": f"1x{layers}x{grid}",
            "symbol_times_ms": "14",
        }
        return [*command, "--shapes=" + ",".join(f"{name}:{size}" for name, size in shapes.items())]
    if target == "cuphy-chest":
        return [*command, f"--shapes=z:1x{6 * prb}x4x4x{len(slot['dmrs_symbols'])}x2"]
    floats = "fp32:chw" if target == "aerial-nrx" else "fp16:chw"
    inputs, outputs = (5, 2) if target == "aerial-nrx" else (3, 1)
    formats = [floats] * inputs + ["int32:chw"] * 2
    return [*command, "--inputIOFormats=" + ",".join(formats), "--outputIOFormats=" + ",".join([floats] * outputs)]


def write_engine(file: FileOutcome, folder: Path, target: str) -> list[str]:
    """Add a file's command to build-engine.sh, and build where trtexec is; notes for the report.

    Only for `tensorrt` is it run: engines hold for one GPU and one version, and the stacks build theirs in place.
    """
    command = engine_command(file.engine_from or file.name, target, json.loads(file.slot))
    with (folder / "build-engine.sh").open("a", encoding="utf-8") as script:
        script.write(" ".join(command) + "\n")
    text = f"Engine, with TensorRT 10 or 11: `{' '.join(command)}`"
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
