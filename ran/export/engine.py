"""TensorRT: the command that builds an engine from a file, and the engine where the tool is there.

Types are those of the file. TensorRT 11 builds nothing else and ignores `--stronglyTyped`; TensorRT 10 needs the flag,
and would otherwise be free to take others. Flags that ask for types (`--fp16`, `--int8`, `--best`) are gone in 11
(NVIDIA, Migrating trtexec Usage from TensorRT 10.x to 11.x), so a float16 engine is built from a float16 file.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ran.export.outcome import FileOutcome

#: From what a slot is to the options that say what the file's tensors are.
Options = Callable[[Mapping[str, Any]], str]


def shapes(sizes: Mapping[str, str]) -> str:
    """Sizes of the inputs that a file leaves open."""
    return "--shapes=" + ",".join(f"{name}:{size}" for name, size in sizes.items())


def io_formats(floats: str, num_inputs: int, num_outputs: int) -> str:
    """Types of the engine's buffers: inputs of floats and then two of integers, outputs of floats."""
    formats = [floats] * num_inputs + ["int32:chw"] * 2
    return f"--inputIOFormats={','.join(formats)} --outputIOFormats={','.join([floats] * num_outputs)}"


def engine_command(file: FileOutcome, options: Options) -> list[str]:
    """The command, right for TensorRT 10 and 11; of the file with float16 buffers where there is one."""
    model = file.engine_from or file.name
    engine = Path(model).with_suffix(".engine").name
    command = ["trtexec", f"--onnx={model}", f"--saveEngine={engine}", "--stronglyTyped"]
    return [*command, *options(json.loads(file.slot)).split(" ")]


def write_engine(file: FileOutcome, folder: Path, options: Options, builds: bool) -> list[str]:
    """Add a file's command to build-engine.sh, and with `builds` run it where trtexec is; notes for the report."""
    command = engine_command(file, options)
    with (folder / "build-engine.sh").open("a", encoding="utf-8") as script:
        script.write(" ".join(command) + "\n")
    text = f"Engine, with TensorRT 10 or 11: `{' '.join(command)}`"
    if not builds:
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
