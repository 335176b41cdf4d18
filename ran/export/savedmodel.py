"""TensorFlow SavedModels: the network as StableHLO inside one operation, as jax2tf and torch_xla write them too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ran.export.litert import quiet
from receivers.onnx.contract import Contract

_SIGNATURE = "serving_default"
#: Where TensorFlow leaves what others put beside a model.
_METADATA = Path("assets.extra") / "ran6g.json"


def write_savedmodel(
    module: nn.Module, contract: Contract, example: Sequence[Tensor], about: Mapping[str, str], path: Path
) -> None:
    """Write a module for the sizes of `example` (in the contract's order) as a folder; TensorFlow runs it on CPUs."""
    with quiet(), torch.no_grad():
        # before TensorFlow: it loads triton where that is, which after TensorFlow ends the process (two LLVMs in one)
        from litert_torch.backend.export import exported_program_to_mlir  # isort: split
        import tensorflow as tf

        program = torch.export.export(module, tuple(example), strict=False)
        lowered = exported_program_to_mlir(program).tf_function
        specs = [
            tf.TensorSpec(tensor.shape, tf.as_dtype(str(tensor.dtype).removeprefix("torch.")), name=spec.name)
            for spec, tensor in zip(contract.inputs, example, strict=True)
        ]

        @tf.function(input_signature=specs, autograph=False)
        def run(*inputs: Any) -> dict[str, Any]:
            names = [spec.name for spec in contract.outputs]
            return dict(zip(names, lowered(*inputs), strict=False))

        holder = tf.Module()
        holder.run = run
        holder.weights = list(lowered.get_concrete_function().variables)
        tf.saved_model.save(holder, str(path), signatures={_SIGNATURE: run})
    (path / _METADATA).parent.mkdir(exist_ok=True)
    (path / _METADATA).write_text(json.dumps(dict(about), indent=1) + "\n", encoding="utf-8")


class SavedModel:
    """A SavedModel as something that runs: arrays in the contract's order to the outputs in the contract's order."""

    def __init__(self, path: Path, contract: Contract) -> None:
        with quiet():
            import tensorflow as tf

            self._constant = tf.constant
            self._loaded = tf.saved_model.load(str(path))  # the signature borrows its weights
        self._run = self._loaded.signatures[_SIGNATURE]
        self._contract = contract

    def __call__(self, *arrays: NDArray) -> tuple[NDArray, ...]:
        names = [spec.name for spec in self._contract.inputs]
        found = self._run(**{name: self._constant(array) for name, array in zip(names, arrays, strict=True)})
        return tuple(found[spec.name].numpy() for spec in self._contract.outputs if spec.name in found)


def savedmodel_metadata(path: Path) -> dict[str, str]:
    """Our metadata in a SavedModel's folder. `ValueError` for a foreign one."""
    try:
        found: dict[str, str] = json.loads((path / _METADATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(f"{path.name}: is no export of this toolkit: has no {_METADATA}") from None
    return found
