"""A file with float16 inputs and outputs beside a float32 one, for engines whose buffers are float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ran.export.graphs import Graph
from ran.export.outcome import FileOutcome
from ran.export.parity import compare_llrs
from ran.export.quantisation import with_half_buffers
from ran.export.runtime_model import ModelReceiver, RuntimeModel
from ran.export.sweep import sweep, sweep_problems
from ran.link import Link
from receivers.onnx.receiver import open_model

_SEED = 1


def write_half_buffers(
    path: Path, graph: Graph, module: ModelReceiver, link: Link, esn0_db: float, found: FileOutcome
) -> None:
    """The file that the plugin's engine is built from. `found` notes its loss, and what is beyond limits."""
    half = path.with_name(f"{path.stem}-f16{path.suffix}")
    with_half_buffers(path, half)
    model = open_model(half)

    def run(*arrays: NDArray) -> tuple[NDArray, ...]:
        feeds = {
            spec.name: array.astype(np.float16) if spec.dtype == "float32" else array
            for spec, array in zip(graph.contract.inputs, arrays, strict=True)
        }
        return tuple(array.astype(np.float32) for array in model.run(feeds, [s.name for s in graph.contract.outputs]))

    receiver = ModelReceiver(RuntimeModel(run, graph.contract, graph.about), graph.contract, graph.fixed)
    found.engine_from = half.name
    found.half = compare_llrs(link, module, receiver, esn0_db, _SEED, "simulated, its slots")
    if not found.half.ok("f16"):
        found.problems.append(f"with float16 buffers LLRs have a correlation of {found.half.correlation:.6f}")
    found.half_sweep = sweep([("its slots", link)], module, receiver, esn0_db, _SEED)
    found.problems += [f"with float16 buffers {problem}" for problem in sweep_problems(found.half_sweep)]
