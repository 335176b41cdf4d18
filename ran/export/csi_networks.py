"""The networks of delay-angle coders and of channel predictors as ONNX, run in their places and held against torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ran.config.provenance import versions
from ran.errors import bad_value
from ran.export.files import make_new_folder
from ran.sim.files import write_text
from ran.studies.csi.experiment import CsiExperiment, load
from ran.studies.csi.world import CsiWorld, precoders
from receivers.csi import ChannelPrediction, DelayAngleCoder, DelayAngleModel, LearnedPredictor, sgcs
from receivers.onnx.contract import Contract
from receivers.onnx.csi import CSI_CONTEXTS, CSI_PREDICTOR, CSI_RESTORATION
from receivers.onnx.export import write_onnx
from receivers.onnx.model import OnnxModel

#: Largest difference of an output of a network between the file and torch, over the largest output.
_TOLERANCE = 1e-4
#: SGCS that the files may lose.
_MOST_LOST_SGCS = 1e-3
#: Drops that the files are run on, and bits of a report.
_NUM_DROPS, _NUM_BITS = 16, 140


class _Network(nn.Module):
    """The network of a model as a module of its own."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        found: Tensor = self.model.network(*inputs)
        return found


@dataclass(frozen=True)
class NetworksExport:
    """What was written, and how it does. differences: of every file from torch, over the largest output. sgcs_before,
    sgcs_after: of the weights, and with the files in the places of their networks."""

    folder: Path
    differences: Mapping[str, float]
    sgcs_before: float
    sgcs_after: float

    @property
    def problems(self) -> tuple[str, ...]:
        found = [
            f"{name} differs by {value:.2g} of its largest output; allowed: {_TOLERANCE:g}"
            for name, value in self.differences.items()
            if not value <= _TOLERANCE
        ]
        if not self.sgcs_before - self.sgcs_after <= _MOST_LOST_SGCS:
            found.append(f"SGCS falls from {self.sgcs_before:.4f} to {self.sgcs_after:.4f}")
        return tuple(found)

    def lines(self) -> list[str]:
        return [f"SGCS {self.sgcs_before:.5f} before, {self.sgcs_after:.5f} after"]


def export_delay_angle(weights: str, out: Path, experiment: str, changes: tuple[str, ...] = ()) -> NetworksExport:
    """Write contexts.onnx, which both sides run, restoration.onnx, which the base station runs (and the user to compare
    what it could report), contract.json and REPORT.md into a new folder. `InputError` as of `export_csi`."""
    coder = DelayAngleCoder(weights, _NUM_BITS)
    model = coder.model
    loaded = load(experiment, changes)
    _check_fits(loaded, (("PMI units", len(loaded.band.units), model.num_units), *_ports(loaded, model.shape)))
    make_new_folder(out)
    v = torch.from_numpy(_test_precoders(loaded))
    before = _worth(v, coder.decode(coder.encode(v)))
    single = DelayAngleModel(**_options(coder.card)).eval()
    single.load_state_dict({name: tensor.float() for name, tensor in model.state_dict().items()})
    rows, restored = _seen(model, v, coder)
    example = (rows[0][:5], rows[1][:5].int())
    about = _about(coder.card)
    fixed = {"num_features": rows[0].shape[1], "num_outputs": single.contexts.leave.out_features}
    write_onnx(_Network(single.contexts), CSI_CONTEXTS, example, fixed, about, out / "contexts.onnx")
    shape = {"num_units": model.num_units, "groups": 2 * model.shape[1], "n1": model.shape[0]}
    fixed = {**shape, "num_features": restored.shape[-1], "num_outputs": single.restoration.leave.out_features}
    write_onnx(_Network(single.restoration), CSI_RESTORATION, (restored[:2],), fixed, about, out / "restoration.onnx")
    contexts, restoration = OnnxModel(out / "contexts.onnx"), OnnxModel(out / "restoration.onnx")
    files = {"contexts": CSI_CONTEXTS, "restoration": CSI_RESTORATION}

    def of_contexts(features: Tensor, positions: Tensor) -> Tensor:
        flat = features.reshape(-1, features.shape[-1])
        at = positions.expand(features.shape[:-1]).reshape(-1)
        said = _run(contexts, CSI_CONTEXTS, flat, at.int())
        return said.reshape(*features.shape[:-1], -1).to(features.dtype)

    def of_restoration(features: Tensor) -> Tensor:
        return _run(restoration, CSI_RESTORATION, features).to(features.dtype)

    with torch.no_grad():
        differences = {
            "contexts": _difference(of_contexts(*rows), single.contexts.network(*rows)),
            "restoration": _difference(of_restoration(restored), single.restoration.network(restored)),
        }
    model.contexts.network, model.restoration.network = of_contexts, of_restoration  # type: ignore[method-assign]
    outcome = NetworksExport(out, differences, before, _worth(v, coder.decode(coder.encode(v))))
    _describe(outcome, about, files, f"reports of {_NUM_BITS} bits, written and read with the files")
    return outcome


def export_prediction(weights: str, out: Path, experiment: str, changes: tuple[str, ...] = ()) -> NetworksExport:
    """Write predictor.onnx, contract.json and REPORT.md into a new folder. `InputError` as of `export_csi`."""
    predictor = LearnedPredictor(weights)
    model: ChannelPrediction = predictor.model
    loaded = load(experiment, changes)
    times = (("timing.num_observed", loaded.timing.num_observed, model.num_times),)
    _check_fits(loaded, (*times, *_ports(loaded, model.shape)))
    if not loaded.timing.ahead_ms:
        raise bad_value("timing.ahead_ms", loaded.timing.ahead_ms, "above 0, a time to predict")
    make_new_folder(out)
    world = CsiWorld(loaded)
    h = world.channels("test", 0)[:_NUM_DROPS]
    known, units = h[:, : model.num_times], loaded.band.units
    wanted = torch.from_numpy(precoders(h[:, model.num_times], units, 1)[0])

    def worth() -> float:
        return _worth(wanted, torch.from_numpy(precoders(predictor(known), units, 1)[0]))

    before, seen = worth(), []

    def watched(features: Tensor) -> Tensor:
        seen.append(features.reshape(-1, features.shape[-1]))
        return ChannelPrediction.network(model, features)

    model.network = watched  # type: ignore[method-assign]
    predictor(known[:1])
    rows = seen[0]
    fixed = {"num_features": rows.shape[1], "num_outputs": model.leave.out_features}
    about = _about(predictor.card)
    del model.network
    write_onnx(_Network(model), CSI_PREDICTOR, (rows[:5],), fixed, about, out / "predictor.onnx")
    file = OnnxModel(out / "predictor.onnx")

    def of_file(features: Tensor) -> Tensor:
        flat = features.reshape(-1, features.shape[-1])
        return _run(file, CSI_PREDICTOR, flat).reshape(*features.shape[:-1], -1)

    with torch.no_grad():
        difference = _difference(of_file(rows), model.network(rows))
    model.network = of_file  # type: ignore[method-assign]
    outcome = NetworksExport(out, {"predictor": difference}, before, worth())
    _describe(outcome, about, {"predictor": CSI_PREDICTOR}, "the precoder of the first layer one period ahead")
    return outcome


def _seen(model: DelayAngleModel, v: Tensor, coder: DelayAngleCoder) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """What both networks see while drops are coded: rows of features with positions, and features of the restoration,
    float32."""
    rows: list[tuple[Tensor, Tensor]] = []
    grids: list[Tensor] = []

    def contexts(features: Tensor, positions: Tensor) -> Tensor:
        at = positions.expand(features.shape[:-1])
        rows.append((features.reshape(-1, features.shape[-1]).float(), at.reshape(-1)))
        return type(model.contexts).network(model.contexts, features, positions)

    def restoration(features: Tensor) -> Tensor:
        grids.append(features.float())
        return type(model.restoration).network(model.restoration, features)

    model.contexts.network, model.restoration.network = contexts, restoration  # type: ignore[method-assign]
    coder.decode(coder.encode(v[:2]))
    del model.contexts.network, model.restoration.network
    # the last pass is the decoder's: all steps of coding
    last = rows[-len(model.contexts.steps()) :]
    return (torch.cat([part for part, _ in last]), torch.cat([at for _, at in last])), grids[-1]


def _options(card: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in card["architecture"].items() if key != "name"}


def _about(card: Mapping[str, Any]) -> dict[str, str]:
    names = {"task": "description", "weights": "name", "weights_sha256": "sha256", "licence": "licence"}
    return {key: str(card.get(name, "")) for key, name in names.items()}


def _ports(experiment: CsiExperiment, made: tuple[int, int]) -> tuple[tuple[str, Any, Any], ...]:
    return (("ports", (experiment.panel.n1, experiment.panel.n2), made),)


def _check_fits(experiment: CsiExperiment, pairs: Sequence[tuple[str, Any, Any]]) -> None:
    for what, given, made in pairs:
        if given != made:
            raise bad_value(f"--experiment {experiment.name}: {what}", given, f"{made}, of the weights")


def _test_precoders(experiment: CsiExperiment) -> np.ndarray:
    drops = CsiWorld(experiment).kept("test", _NUM_DROPS).v[:, -1]
    return np.ascontiguousarray(drops.reshape(-1, *drops.shape[2:]))


def _run(file: OnnxModel, contract: Contract, *inputs: Tensor) -> Tensor:
    types: dict[str, Callable[[Tensor], Tensor]] = {"float32": torch.Tensor.float, "int32": torch.Tensor.int}
    given = {spec.name: types[spec.dtype](x).numpy() for spec, x in zip(contract.inputs, inputs, strict=True)}
    return torch.from_numpy(file.run(given, [contract.outputs[0].name])[0])


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def _worth(v: Tensor, decoded: Tensor) -> float:
    return float(sgcs(v, decoded).mean())


def _describe(outcome: NetworksExport, about: Mapping[str, str], contracts: Mapping[str, Contract], what: str) -> None:
    files = {
        name: {
            "contract": asdict(contract),
            "sha256": hashlib.sha256((outcome.folder / f"{name}.onnx").read_bytes()).hexdigest(),
        }
        for name, contract in contracts.items()
    }
    write_text(outcome.folder / "contract.json", json.dumps({**about, "files": files}, indent=1) + "\n")
    problems = [f"- {problem}" for problem in outcome.problems]
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    parity = ", ".join(f"{name} within {value:.2g}" for name, value in outcome.differences.items())
    shared = (
        "Encoder and decoder have to run the same contexts.onnx on the same kind of machine: a report is understood by "
    )
    shared += "who has the same probabilities. "
    lines = [
        f"# Networks of {about['weights']}",
        "",
        *(["**Rejected:**", "", *problems, ""] if problems else []),
        f"The files in onnxruntime against torch, over the largest output: {parity}. Over {_NUM_DROPS} drops, {what}: "
        f"SGCS {outcome.sgcs_before:.5f} before, {outcome.sgcs_after:.5f} after.",
        "",
        f"{shared if 'contexts' in contracts else ''}What is made outside of the files, frames, quantisation, codes, "
        "filters and transforms, is in `receivers.csi`.",
        "",
        f"Made with {made}.",
        "",
    ]
    write_text(outcome.folder / "REPORT.md", "\n".join(lines))
