"""One export: build, write, run the file against its origin, measure, and only then put the folder in its place."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import torch

from ran.errors import InputError, bad_value
from ran.export.files import size_and_sha256
from ran.export.formats import FileFormat
from ran.export.graphs import Graph, build_graph
from ran.export.interface import Say
from ran.export.loss import decided_loss, is_within, measured_loss, unknown
from ran.export.outcome import FileOutcome, Outcome
from ran.export.parity import compare_bler, compare_llrs
from ran.export.request import Request
from ran.export.runtime_model import ModelReceiver, Runtime, RuntimeModel, torch_runtime
from ran.export.sidecar_files import write_sidecar_files
from ran.export.slot_target import SlotTarget
from ran.export.slots import SCENARIO, empty_slot, experiment_of, link_of
from ran.export.sweep import smallest_slots, sweep, sweep_problems
from ran.export.vectors import write_vectors
from ran.link import Link
from ran.link.latency import slot_latency
from ran.sim.experiment import Experiment
from receivers import NeuralReceiver

#: Slots on which int8 activations are scaled, and how far around the SNR of the comparison they lie.
_CALIBRATION_SLOTS, _CALIBRATION_DB = 48, 6.0
_SEED = 1


def export(request: Request, say: Say = lambda text: None) -> Outcome:
    """Export into a folder that appears when all is done; beside it, with `.rejected`, where a file is not good enough.

    `InputError` for what cannot be exported; then nothing is left behind.
    """
    request.check()
    experiment = experiment_of(request.experiment, _slot_target(request).changes, request.changes)
    try:
        # a graph has no branches: what is exported detects once
        receiver = NeuralReceiver(request.weights, reject_bursts=False)
    except ValueError as error:
        raise InputError(str(error)) from None
    temporary = request.out.absolute().with_name(f".{request.out.name}.{os.getpid()}.new")
    try:
        temporary.mkdir()
        files = [_file(request, experiment, receiver, size, temporary, say) for size in request.num_prb or (None,)]
        outcome = Outcome(request, _place(request.out, files), tuple(files), ())
        outcome = write_sidecar_files(outcome, experiment, _slot_target(request), temporary)
        if outcome.problems and outcome.folder.exists():
            shutil.rmtree(outcome.folder)  # rejected before
        os.replace(temporary, outcome.folder)
    except OSError as error:
        raise InputError(f"{request.out}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return outcome


def _slot_target(request: Request) -> SlotTarget:
    if not isinstance(request.target, SlotTarget):
        raise TypeError(f"target: got {type(request.target).__name__}; allowed: a SlotTarget")
    return request.target


def _place(out: Path, files: list[FileOutcome]) -> Path:
    return out.with_name(out.name + ".rejected") if any(file.problems for file in files) else out


def _file(
    request: Request, experiment: Experiment, receiver: NeuralReceiver, num_prb: int | None, folder: Path, say: Say
) -> FileOutcome:
    """Write and measure one file with its vectors."""
    target = _slot_target(request)
    link = link_of(experiment, num_prb)
    like = empty_slot(link)
    esn0_db = target.esn0_db if request.esn0_db is None else request.esn0_db
    settings = {} if request.planes is None else {"planes": request.planes}
    graph = build_graph(target, receiver, like, esn0_db, settings)
    sized = target.per_prb or "num_subcarriers" in graph.fixed
    stem = f"model-{like.data_mask.shape[1] // 12}prb" if sized else "model"
    path = folder / f"{stem}{target.format.suffix}"
    say(f"writing {path.name}")
    # a slot as it is received: the one size of files for torch, and the test vectors
    module_runtime = torch_runtime(graph.module)
    feeds = _feeds(link, graph, module_runtime, esn0_db, 1)[0][0]
    target.format.write(graph, tuple(torch.from_numpy(array) for array in feeds.values()), path)
    wide = None
    if request.dtype != "f32":
        wide = path.with_name(f"{stem}-f32{path.suffix}")
        shutil.copy(path, wide)
        _make_smaller(path, request.dtype, target.format, link, graph, esn0_db)
    sizes = target.format.sizes(graph)
    module = ModelReceiver(RuntimeModel(module_runtime, graph.contract, graph.about), graph.contract, sizes)
    file = target.format.receiver(path, graph)
    found = FileOutcome(path.name, *size_and_sha256(path), graph.about["slot"])
    try:
        module.check_slot(like)
    except ValueError as error:
        raise InputError(f"{target.name}: {error}") from None
    say(f"{path.name}: running it against its origin")
    links = [("its slots", link)]
    if "num_subcarriers" not in graph.fixed:
        links += [(f"{n} PRB, {a} antennas", link_of(experiment, n, a)) for n, a in target.other_slots]
    for what, of in links:
        found.llrs.append(compare_llrs(of, module, file, None, _SEED, f"random, {what}"))
        found.llrs.append(compare_llrs(of, module, file, esn0_db, _SEED, f"simulated, {what}"))
    found.bler = compare_bler(link, receiver, module, file, esn0_db, request.num_slots, _SEED)
    observation = link.batch(range(8), esn0_db, _SEED, SCENARIO, False).observation
    found.latency_before = slot_latency(receiver, observation, request.latency_slots)
    found.latency_after = slot_latency(file, observation, request.latency_slots)
    found.problems += [
        f"LLRs differ by up to {llr.max_difference:.3g} of {llr.max_llr:.3g}, correlation {llr.correlation:.6f} "
        f"({llr.slots})"
        for llr in found.llrs
        if not llr.ok(request.dtype)
    ]
    if request.dtype == "f32" and not found.bler.ok:
        found.problems.append(f"{found.bler.other_decisions} of {found.bler.num_slots} slots decode otherwise")
    if wide is not None:
        links = [("its slots", link), *(smallest_slots(experiment) if links[1:] else ())]
        found.sweep = sweep(links, target.format.receiver(wide, graph), file, esn0_db, _SEED)
        found.problems += sweep_problems(found.sweep)
        _measure_loss(request, experiment, link, graph, (wide, path), esn0_db, found, say)
        wide.unlink()
    target.add_files(path, graph, module, link, esn0_db, found)
    vectors = folder / ("vectors" if len(request.num_prb) < 2 else f"vectors-{stem.removeprefix('model-')}")
    outputs = target.format.open(path, graph)(*feeds.values())
    names = [spec.name for spec in graph.contract.outputs]
    write_vectors(vectors, feeds, dict(zip(names, outputs, strict=False)))
    return found


def _make_smaller(path: Path, dtype: str, form: FileFormat, link: Link, graph: Graph, esn0_db: float) -> None:
    """Rewrite a file with its networks in the numbers asked for."""
    if not any(isinstance(module, torch.nn.Conv2d) for module in graph.module.modules()):
        raise bad_value("--dtype", dtype, "f32, for a model without networks")
    if dtype == "f16":
        form.to_f16(path)
        return
    recorded = []
    for index, offset in enumerate((-_CALIBRATION_DB, -_CALIBRATION_DB / 2, 0.0, _CALIBRATION_DB)):
        found = _feeds(link, graph, torch_runtime(graph.module), esn0_db + offset, _CALIBRATION_SLOTS // 4, index + 2)
        recorded += [feeds for feeds, _ in found]
    form.to_int8(path, recorded)


def _feeds(link: Link, graph: Graph, runtime: Runtime, esn0_db: float, num_slots: int, seed: int = _SEED):  # type: ignore[no-untyped-def]
    """Inputs and outputs of a module on simulated slots, one by one."""
    model = RuntimeModel(runtime, graph.contract, graph.about, keep=num_slots)
    receiver = ModelReceiver(model, graph.contract, graph.fixed)
    observation = link.batch(range(num_slots), esn0_db, seed, SCENARIO, False).observation
    for i in range(num_slots):
        receiver(observation.part(i, i + 1))
    return model.recorded


def _measure_loss(
    request: Request,
    experiment: Experiment,
    link: Link,
    graph: Graph,
    files: tuple[Path, Path],
    esn0_db: float,
    found: FileOutcome,
    say: Say,
) -> None:
    """SNR loss of the smaller file, which is a problem above the limit."""
    say(f"{found.name}: measuring the loss of {request.dtype}")
    sized = experiment.model_copy(update={"carrier": link.config.carrier})
    with tempfile.TemporaryDirectory() as folder:
        # the same folder: more slots go on from those that are there
        run_folder = Path(folder) / "run"
        loss = decided_loss(
            lambda num_slots: measured_loss(sized, *files, graph.contract.name, esn0_db, num_slots, run_folder),
            request.loss_slots,
            request.max_loss_db,
        )
    found.loss = loss
    if not is_within(loss, request.max_loss_db):
        reason = unknown(loss)
        told = f"not known: {reason}" if reason else f"{loss} dB"
        if not reason and not loss.is_above(request.max_loss_db):
            told += ", undecided (take more --loss-slots)"
        found.problems.append(
            f"loss of {request.dtype} is {told}; allowed: an interval that ends at {request.max_loss_db:g} dB or below"
        )
