"""Export of a beam predictor: an ONNX file for the codebooks of a beam experiment, run against its origin."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ran.config.provenance import versions
from ran.errors import InputError, bad_value
from ran.export.formats import OnnxFormat
from ran.export.interface import ONNX_INSTALL, ONNX_PACKAGES, ExportTarget, Say
from ran.export.request import Request
from ran.export.sidecar_files import write_consumers
from ran.export.vectors import write_vectors
from ran.link.latency import Latency
from ran.studies.beams.experiment import BeamExperiment, load
from ran.studies.beams.measurement import decide
from ran.studies.beams.world import BeamWorld
from receivers.beams import BeamObservation, NeuralBeams
from receivers.onnx.beams import BEAMS, BeamGraph, inputs_of
from receivers.onnx.export import write_onnx
from receivers.onnx.model import OnnxModel

#: Largest difference of powers in dB, and of logarithms of probabilities above the second number.
_MOST_DB, _MOST_LOG, _LEAST_LOG = 2e-2, 2e-2, -12.0
_NUM_DROPS, _LATENCY_RUNS, _WARM_UP = 8, 100, 10


@dataclass(frozen=True)
class BeamParity:
    """A file against the module that it was made from, on some drops. other_choices: drops with another best beam."""

    drops: str
    num_predictions: int
    max_difference_db: float
    max_difference_log: float
    other_choices: int

    @property
    def ok(self) -> bool:
        within = self.max_difference_db <= _MOST_DB and self.max_difference_log <= _MOST_LOG
        return bool(within and self.other_choices == 0)

    def text(self) -> str:
        return (
            f"{self.drops}: powers within {self.max_difference_db:.2g} dB, log probabilities within "
            f"{self.max_difference_log:.2g}, {self.other_choices} of {self.num_predictions} best beams differ"
        )


@dataclass(frozen=True)
class BeamOutcome:
    """folder: the export, or its rejected files. latency: batch 1, in torch before export and of the file."""

    folder: Path
    parities: tuple[BeamParity, ...]
    latency_before: Latency
    latency_after: Latency

    @property
    def problems(self) -> list[str]:
        return [parity.text() for parity in self.parities if not parity.ok]

    def lines(self) -> list[str]:
        return [parity.text() for parity in self.parities]


class BeamTarget(ExportTarget):
    """beam predictor for the codebooks of a beam experiment"""

    name = "beams"
    packages = ONNX_PACKAGES
    install = ONNX_INSTALL
    experiment = "beams-uma-30ghz"

    def export(self, request: Request, say: Say) -> BeamOutcome:
        request.check()
        return export_beams(request.weights, request.out, request.experiment, request.changes)


def export_beams(
    weights: str, out: Path, experiment_name: str = "beams-uma-30ghz", changes: tuple[str, ...] = ()
) -> BeamOutcome:
    """Export into a folder that appears when all is done; beside it, with `.rejected`, when the file does otherwise.

    The file holds the codebooks of the experiment's Set A and of what is measured, wide or not; the numbers of
    measurements, of their times and of times that are predicted stay open. `InputError` for what cannot be exported.
    """
    if out.exists():
        raise bad_value("--out", str(out), "a folder that is not there yet")
    if not out.absolute().parent.is_dir():
        raise bad_value("--out", str(out), "a new folder in one that is there")
    experiment = load(experiment_name, changes)
    world = BeamWorld(experiment)
    observation = decide(world, world.drops("test", 0, _NUM_DROPS)).observation
    try:
        predictor = NeuralBeams(weights)
        graph = BeamGraph(predictor, observation).eval()
    except ValueError as error:
        raise InputError(str(error)) from None
    temporary = out.absolute().with_name(f".{out.name}.{os.getpid()}.new")
    try:
        temporary.mkdir()
        outcome = _write(predictor, graph, experiment, observation, temporary, out)
        if outcome.folder.exists():
            shutil.rmtree(outcome.folder)  # rejected before
        os.replace(temporary, outcome.folder)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return outcome


def _write(
    predictor: NeuralBeams,
    graph: BeamGraph,
    experiment: BeamExperiment,
    observation: BeamObservation,
    folder: Path,
    out: Path,
) -> BeamOutcome:
    path = folder / "model.onnx"
    card = predictor.card
    measured = f"wide, {experiment.set_b.size} beams" if observation.is_wide else "Set A"
    if observation.num_rx_beams > 1:
        number = f"receive beam * {observation.num_tx_beams} + transmit beam"
        measured = f"Set A, pairs with {observation.num_rx_beams} receive beams: {number}"
    codebooks = {
        "panel": experiment.panel.model_dump(mode="json"),
        "set_a": experiment.set_a.model_dump(mode="json"),
        "measured_codebook": measured,
    }
    about = {
        "task": str(card.get("description", "")),
        "weights": card["name"],
        "weights_sha256": predictor.sha256,
        "training_commit": str(card["training"].get("commit", "")),
        "licence": card["licence"],
        "codebooks": json.dumps(codebooks),
    }
    # sizes that no two axes share by chance
    example = inputs_of(_random(observation, 3, 2, 5, 4))
    write_onnx(graph, BEAMS, example, {"num_set_a": observation.num_set_a}, about, path)
    file = _runtime(path)
    parities = tuple(
        _compare(graph, file, drops, what)
        for drops, what in (
            (_random(observation, _NUM_DROPS, 1, 5, 1), "random, one time"),
            (_random(observation, _NUM_DROPS, 3, 4, 2), "random, three times, two ahead"),
            (observation, "simulated"),
        )
    )
    one = inputs_of(observation.part(0, 1))
    outcome = BeamOutcome(out, parities, _latency(graph, one), _latency(file, one))
    if outcome.problems:
        outcome = replace(outcome, folder=out.with_name(out.name + ".rejected"))
    feeds = {spec.name: tensor.numpy() for spec, tensor in zip(BEAMS.inputs, one, strict=True)}
    found = {spec.name: tensor.numpy() for spec, tensor in zip(BEAMS.outputs, file(*one), strict=True)}
    write_vectors(folder / "vectors", feeds, found)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    described = {**asdict(BEAMS), "target": "beams", "files": [{"name": path.name, "sha256": digest, **codebooks}]}
    (folder / "contract.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    write_consumers(OnnxFormat(), folder)
    text = _report(predictor, experiment, outcome, path, digest)
    (folder / "REPORT.md").write_text(text, encoding="utf-8")
    return outcome


def _random(like: BeamObservation, batch: int, num_times: int, num_measured: int, num_horizon: int) -> BeamObservation:
    """Random measurements of the same codebooks."""
    generator = torch.Generator().manual_seed(batch)
    size = like.num_set_a if like.wide_weights is None else like.wide_weights.shape[1]
    shape = (batch, num_times, min(num_measured, size))
    return replace(
        like,
        rsrp_dbm=-80 + 10 * torch.randn(shape, generator=generator),
        measured=torch.rand((*shape[:2], size), generator=generator).argsort(-1)[..., : shape[2]],
        times_s=torch.arange(1 - num_times, 1, dtype=torch.float64) / 25,
        horizon_s=torch.arange(num_horizon, dtype=torch.float64) / 25,
        users_m=None,
        sounder=None,
    )


def _runtime(path: Path) -> Callable[..., tuple[Tensor, ...]]:
    model = OnnxModel(path)
    outputs = [spec.name for spec in BEAMS.outputs]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = {spec.name: tensor.numpy() for spec, tensor in zip(BEAMS.inputs, inputs, strict=True)}
        return tuple(torch.from_numpy(array) for array in model.run(arrays, outputs))

    return run


def _compare(
    graph: BeamGraph, file: Callable[..., tuple[Tensor, ...]], observation: BeamObservation, what: str
) -> BeamParity:
    inputs = inputs_of(observation)
    with torch.no_grad():
        expected, found = graph(*inputs), file(*inputs)
    there = expected[1] > _LEAST_LOG  # logarithms of what is next to impossible differ by more
    best, other = expected[1].argmax(-1), found[1].argmax(-1)
    # equal ones may change places
    lead = expected[1].gather(-1, best[..., None]) - expected[1].gather(-1, other[..., None])
    return BeamParity(
        what,
        best.numel(),
        float((expected[0] - found[0]).abs().max()),
        float((expected[1] - found[1]).abs()[there].max()),
        int((lead > _MOST_LOG).sum()),
    )


def _latency(run: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...]) -> Latency:
    seconds = np.empty(_LATENCY_RUNS)
    with torch.inference_mode():
        for i in range(-_WARM_UP, _LATENCY_RUNS):
            began = time.perf_counter()
            run(*inputs)
            if i >= 0:
                seconds[i] = time.perf_counter() - began
    median, p99, p999 = np.quantile(seconds, (0.5, 0.99, 0.999))
    return Latency(float(median), float(p99), float(p999), _LATENCY_RUNS)


def _report(predictor: NeuralBeams, experiment: BeamExperiment, outcome: BeamOutcome, path: Path, digest: str) -> str:
    lines = [f"# {predictor.card['name']} as beams", ""]
    if outcome.problems:
        lines += ["**Rejected:**", "", *[f"- {problem}" for problem in outcome.problems], ""]
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    return "\n".join(
        [
            *lines,
            f"{BEAMS.description}. For the beams of experiment `{experiment.name}`.",
            "",
            f"`{path.name}`: {path.stat().st_size:,} bytes, SHA-256 `{digest}`.",
            "",
            "The file in onnxruntime against the same module in torch:",
            "",
            *[f"- {parity.text()}: {'ok' if parity.ok else 'beyond tolerance'}" for parity in outcome.parities],
            "",
            f"One prediction on one core, median / p99 / p99.9 of {outcome.latency_after.num_slots}: module in torch "
            f"{outcome.latency_before.text()}, file {outcome.latency_after.text()}.",
            "",
            f"Made with {made} on {platform.machine()}.",
            "",
        ]
    )
