"""Export of a receiver as a C library: source, shared objects, model file, vectors and programs."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ran.config.provenance import versions
from ran.errors import InputError, bad_value
from ran.export.interface import ExportTarget, Say
from ran.export.parity import BlerParity, LlrParity, compare_bler, parity_of
from ran.export.request import Request
from ran.export.slots import SCENARIO, experiment_of, link_of
from ran.export.vectors import write_vectors
from ran.link import Link
from ran.link.catalogue import build_receiver
from ran.link.latency import Latency, slot_latency
from ran.phy.codeword import scrambling_c_init
from ran.phy.sequences import gold_sequence
from receivers import Blind, Lmmse, NeuralReceiver
from receivers.c_library import build, model_file
from receivers.c_library.library import Handle
from receivers.c_library.network_arrays import Precision
from receivers.c_library.receiver import CLibrary
from receivers.c_library.work import Work, work_of
from receivers.neural.weights import shipped_weights

TARGET = "c-library"
#: Version of what the folder holds and of the contract below; that of the interface is in the header.
CONTRACT_VERSION = 1
_NUM_VECTORS, _SEED, _INT8_SCALE = 4, 1, 8.0
#: Where block errors are compared.
_ESN0_DB = 4.0
_FILES = ("harness.c", "gnb_example.cpp", "library.mk")
_PRECISIONS: dict[str, Precision] = {"f32": "float32", "bf16": "bfloat16"}
#: Of int8 soft bits between the readable receiver and the library, on any processor: rounding to the next step; with a
#: network in bfloat16 an LLR of 1.
_MOST_STEPS = {"f32": 1, "bf16": 8}
_ALLOWED = "lmmse or blind, weights of the architecture soft-pilots, or {name: ..., and its options}"


@dataclass(frozen=True)
class LibraryOutcome:
    """folder: the export, or where it went when it was rejected.

    latency: of a slot, the readable receiver and the library called from Python. built: names of the shared objects.
    harness: what the programs printed, "" where they could not be built here. work: the floor of a slot.
    dtype: "f32" or "bf16". notes: what a reader of these figures should know of this machine.
    """

    folder: Path
    llrs: tuple[LlrParity, ...]
    bler: BlerParity
    latency_before: Latency
    latency_after: Latency
    built: tuple[str, ...]
    harness: str
    work: Work
    dtype: str
    notes: tuple[str, ...] = ()

    @property
    def problems(self) -> list[str]:
        found = [
            f"LLRs differ by up to {llr.max_difference:.3g} of {llr.max_llr:.3g} ({llr.slots})"
            for llr in self.llrs
            if not llr.ok(self.dtype)
        ]
        if not self.bler.ok:
            found.append(f"{self.bler.other_decisions} of {self.bler.num_slots} slots decode otherwise")
        return found

    def lines(self) -> list[str]:
        worst = max(self.llrs, key=lambda llr: llr.max_difference / max(llr.max_llr, 1e-30))
        return [
            f"LLRs within {worst.max_difference:.2g} of {worst.max_llr:.3g}; "
            f"{self.bler.before} blocks in error with the receiver, {self.bler.after} with the library",
            *self.notes,
        ]


class CLibraryTarget(ExportTarget):
    """C library with lmmse, blind or a small network for one allocation: source, shared objects, gNB example"""

    name = TARGET
    options = frozenset({"num_prb", "esn0_db", "num_slots", "dtype"})
    dtypes = ("f32", "bf16")

    def export(self, request: Request, say: Say) -> LibraryOutcome:
        request.check()
        if len(request.num_prb) > 1:
            raise bad_value(f"--num-prb of {TARGET}", list(request.num_prb), "one, a library is for one allocation")
        num_prb = request.num_prb[0] if request.num_prb else None
        return export_c_library(
            request.weights,
            request.out,
            request.experiment,
            request.changes,
            num_prb,
            request.esn0_db,
            request.num_slots,
            say,
            request.dtype,
        )


def export_c_library(
    name: str,
    out: Path,
    experiment_name: str = "pusch-receivers",
    changes: Sequence[str] = (),
    num_prb: int | None = None,
    esn0_db: float | None = None,
    num_slots: int = 256,
    say: Say = lambda text: None,
    dtype: str = "f32",
) -> LibraryOutcome:
    """Export into a folder that appears when all is done; beside it, with `.rejected`, where LLRs are not those of the
    receiver.

    name: lmmse, blind, weights of the architecture soft-pilots, or a block of options in braces.
    dtype: "f32", or "bf16" where a network may round what it multiplies. `InputError` for what cannot be exported.
    """
    if out.exists():
        raise bad_value("--out", str(out), "a folder that is not there yet")
    if not out.absolute().parent.is_dir():
        raise bad_value("--out", str(out), "a new folder in one that is there")
    block = _block(name)
    receiver = build_receiver(block, path="MODEL")
    if not isinstance(receiver, Lmmse | Blind | NeuralReceiver):
        raise bad_value("MODEL of c-library", name, _ALLOWED)
    if dtype != "f32" and not isinstance(receiver, NeuralReceiver):
        raise bad_value(f"--dtype of {TARGET}", dtype, "f32; bf16 for a network")
    if build.compiler() is None:
        raise InputError(
            "--target: got 'c-library' without a C++ compiler; allowed: with g++, clang++ or $CXX installed"
        )
    experiment = experiment_of(experiment_name, (), changes)
    link = link_of(experiment, num_prb)
    temporary = out.absolute().with_name(f".{out.name}.{os.getpid()}.new")
    try:
        temporary.mkdir()
        snr = _ESN0_DB if esn0_db is None else esn0_db
        outcome = _write(receiver, block, link, snr, num_slots, temporary, out, say, dtype)
        if outcome.folder.exists():
            shutil.rmtree(outcome.folder)  # rejected before
        os.replace(temporary, outcome.folder)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None
    except RuntimeError as error:
        raise InputError(str(error)) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return outcome


def _block(name: str) -> dict[str, Any]:
    """The receiver that is meant, as a block of an experiment. Weights by their name alone are without the rejection of
    bursts, which the library has not."""
    from ran.config.yaml_file import parse

    if not name.lstrip().startswith("{"):
        is_weights = name in shipped_weights("receiver") or name.endswith(".safetensors")
        return {"name": "neural", "weights": name, "reject_bursts": False} if is_weights else {"name": name}
    block = parse(name, "MODEL")
    if not isinstance(block, dict):
        raise bad_value("MODEL of c-library", name, _ALLOWED)
    return block


def _write(
    receiver: model_file.Readable,
    block: dict[str, Any],
    link: Link,
    esn0_db: float,
    num_slots: int,
    folder: Path,
    out: Path,
    say: Say,
    dtype: str,
) -> LibraryOutcome:
    precision = _PRECISIONS[dtype]
    observation = link.batch(range(_NUM_VECTORS), esn0_db, _SEED, SCENARIO, False).observation
    try:
        model = model_file.model_bytes(receiver, observation, precision)
    except ValueError as error:
        raise InputError(f"{TARGET}: {error}") from None
    say("compiling the library")
    (folder / "source").mkdir()
    for path in build.sources():
        shutil.copy(path, folder / "source" / path.name)
    (folder / "model.bin").write_bytes(model)
    for file in _FILES:
        text = resources.files("ran.export").joinpath("consumer", "c_library", file).read_text(encoding="utf-8")
        (folder / ("Makefile" if file == "library.mk" else file)).write_text(text, encoding="utf-8")
    built = {"native": build.LIBRARY}
    if platform.machine() == "x86_64":
        built["avx2"] = "libran6g_receiver-avx2.so"
    for kind, file in built.items():
        shutil.copy(build.built_library(kind), folder / file)
    say("running it against the receiver")
    compiled = CLibrary.of(receiver, precision)
    llrs = _compare(link, receiver, compiled, esn0_db)
    bler = compare_bler(link, receiver, receiver, compiled, esn0_db, num_slots, _SEED)
    before, after = slot_latency(receiver, observation, 50), slot_latency(compiled, observation, 200)
    feeds, outputs = _vectors(receiver, model, link, esn0_db, _MOST_STEPS[dtype])
    write_vectors(folder / "vectors", feeds, outputs)
    say("building and running the harness")
    harness = _run_harness(folder)
    floor, notes = work_of(receiver, observation), compiled.notes
    outcome = LibraryOutcome(out, tuple(llrs), bler, before, after, tuple(built.values()), harness, floor, dtype, notes)
    if outcome.problems:
        outcome = replace(outcome, folder=out.with_name(out.name + ".rejected"))
    (folder / "contract.json").write_text(
        json.dumps(_contract(block, link, model, esn0_db, precision), indent=1) + "\n", encoding="utf-8"
    )
    (folder / "REPORT.md").write_text(_report(block, outcome, link), encoding="utf-8")
    return outcome


def _compare(link: Link, receiver: model_file.Readable, compiled: CLibrary, esn0_db: float) -> list[LlrParity]:
    """LLRs on simulated slots at three levels of the grid, and on one of noise alone."""
    slots = link.batch(range(2), esn0_db, _SEED, SCENARIO, False).observation
    generator = torch.Generator().manual_seed(_SEED)
    noise = torch.view_as_complex(torch.randn(*slots.y.shape, 2, generator=generator))
    cases = [("simulated", slots), ("random numbers", replace(slots, y=noise))]
    for scale in (1e-9, 1e9):
        scaled = replace(slots, y=slots.y * scale, noise_var=slots.noise_var * scale * scale)
        cases.append((f"simulated, times {scale:g}", scaled))
    found = []
    for what, observation in cases:
        # statistics are those of each slot: one at a time, as the library has them
        expected = torch.cat([receiver(observation.part(i, i + 1)) for i in range(len(observation.y))])
        found.append(parity_of(expected, compiled(observation), what))
    return found


def _vectors(
    receiver: model_file.Readable, model: bytes, link: Link, esn0_db: float, most_steps: int
) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """Slots, and what the readable receiver makes of them; beside them what the example is to put out, and how far int8
    soft bits may be from either."""
    observation = link.batch(range(_NUM_VECTORS), esn0_db, _SEED, SCENARIO, False).observation
    llr = torch.cat([receiver(observation.part(i, i + 1)) for i in range(_NUM_VECTORS)])
    brain = torch.view_as_real(observation.y).to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
    library = Handle(build.built_library(), model, 1, "int8", _INT8_SCALE, 120)
    users = observation.layer_to_user
    pusch, carrier = link.config.pusch, link.config.carrier
    assert pusch is not None
    n_id = carrier.n_cell_id if pusch.n_id is None else pusch.n_id
    c_init = [scrambling_c_init(pusch.n_rnti + user, 0, n_id) for user in range(max(users) + 1)]
    feeds = {
        "grid": np.ascontiguousarray(observation.y.numpy()).view(np.float32).reshape(*observation.y.shape, 2),
        "grid_bf16": brain,
        "noise_var": observation.noise_var.numpy(),
        "dmrs": model_file.dmrs_values(observation),
        "c_init": np.array(c_init, np.uint32),
        "layer_to_user": np.array(users, np.uint32),
        "most_steps": np.array([most_steps], np.uint32),
    }
    results = [library(grid, float(v)) for grid, v in zip(brain, feeds["noise_var"], strict=True)]
    soft = np.stack([result.llr for result in results if result.llr is not None])
    for user, start in enumerate(c_init):
        layers = [layer for layer, owner in enumerate(users) if owner == user]
        own = soft[:, :, layers]
        sequence = gold_sequence(start, own[0].size).reshape(own[0].shape)
        soft[:, :, layers] = np.where(sequence, -own, own)
    return feeds, {"llr": llr.transpose(1, 2).contiguous().numpy(), "descrambled": soft}


def _run_harness(folder: Path) -> str:
    """What the harness prints after a short run; "" where there is no C compiler or no make."""
    if shutil.which("make") is None or shutil.which(os.environ.get("CC", "gcc")) is None:
        return ""
    # the library is there, and newer than its source: only the programs are built
    for file in folder.glob("*.so"):
        file.touch()
    command = ["make", "-s", "-o", build.LIBRARY, "harness", "gnb_example"]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"make: {(made.stderr.splitlines() or ['?'])[0]}")
    lines = []
    for command in (["./harness", "model.bin", "vectors", "1000"], ["./gnb_example", "model.bin", "vectors"]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        lines.append(done.stdout)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {(done.stderr or done.stdout).splitlines()[-1]}")
    return "".join(lines)


def _contract(block: dict[str, Any], link: Link, model: bytes, esn0_db: float, precision: Precision) -> dict[str, Any]:
    config = link.config
    return {
        "name": TARGET,
        "version": CONTRACT_VERSION,
        "interface": "source/ran6g_receiver.h",
        "interface_version": 1,
        "receiver": block,
        "model": {"file": "model.bin", "version": model_file.VERSION, "sha256": hashlib.sha256(model).hexdigest()},
        "slot": {
            "num_prb": config.carrier.num_prb,
            "subcarrier_spacing_khz": config.carrier.subcarrier_spacing_khz,
            "num_rx_ant": config.num_rx_ant,
            "num_layers": link.grid.num_layers,
            "bits_per_symbol": link.grid.bits_per_symbol,
            "dmrs_symbols": list(link.grid.dmrs_symbols),
        },
        "networks_multiply": precision,
        "vectors": {"esn0_db": esn0_db, "num_slots": _NUM_VECTORS},
        "llr": "positive means bit 0, natural logarithm, [data RE, layer, bit], before descrambling; int8 is 8 LLR",
        "depths": ["channel and noise", "equalised symbols and noise", "soft bits with SINR, timing and CFO"],
        "platform": {
            "follows": "the published contract of an app platform of a gNB on a GPU; this version changes with it",
            "budget_us": [100, 150],
            "published_us": {"case": "51 PRB, 2 antennas", "p50": 82, "p99_9": 112},
            "not_qualified": "273 PRB",
        },
    }


def _report(block: dict[str, Any], outcome: LibraryOutcome, link: Link) -> str:
    config = link.config
    lines = [f"# {block.get('weights', block['name'])} as {TARGET}", ""]
    if outcome.problems:
        lines += ["**Rejected:**", "", *[f"- {problem}" for problem in outcome.problems], ""]
    lines += [*(line for note in outcome.notes for line in (f"Note: {note}.", ""))]
    lines += [
        f"For {config.carrier.num_prb} PRB, {config.num_rx_ant} antennas, {link.grid.num_layers} layers, "
        f"{link.grid.bits_per_symbol} bits per symbol. Options: `{json.dumps(block)}`.",
        "",
        "LLRs of the library against those of the readable receiver, two slots each:",
        "",
        "| slots | largest difference | largest LLR | correlation |",
        "|---|---|---|---|",
        *[f"| {p.slots} | {p.max_difference:.2g} | {p.max_llr:.4g} | {p.correlation:.7f} |" for p in outcome.llrs],
        "",
        f"Blocks in error of {outcome.bler.num_blocks} at {outcome.bler.esn0_db:g} dB, the same drops: "
        f"{outcome.bler.before} with the receiver, {outcome.bler.after} with the library; "
        f"{outcome.bler.other_decisions} slots decode otherwise.",
        "",
        f"A slot from Python, median / P99 / P99.9: receiver {outcome.latency_before.text()}, library "
        f"{outcome.latency_after.text()}.",
        "",
        f"The floor of a slot: {outcome.work.flops / 1e6:.3g} million floating-point operations, "
        f"{outcome.work.num_bytes / 1e6:.3g} MB of grid, tables and soft bits.",
        "",
    ]
    if outcome.harness:
        lines += ["From C, with whatever else this machine was doing:", "", "```", outcome.harness.rstrip(), "```", ""]
    lines += [
        "## In this folder",
        "",
        f"- {' and '.join(f'`{name}`' for name in outcome.built)}: the library for this machine, and for any x86-64 "
        "with AVX2. They need libc and libm alone.",
        "- `source/`: the library; `source/ran6g_receiver.h` is its interface. `make` builds all of it anew.",
        "- `model.bin`: what the receiver works by, for this allocation.",
        "- `vectors/`: slots and what must come out, raw little-endian numbers that `manifest.txt` lists.",
        "- `harness.c`: checks the library on the vectors and measures P50, P99 and P99.9: `make latency`.",
        "- `gnb_example.cpp`: the library behind a gNB's channel estimator and demodulator: `make check`.",
        "- `contract.json`: the slot, the interface, and the published contract that it follows.",
        "",
        f"Made with {', '.join(f'{name} {version}' for name, version in versions().items())} on {platform.machine()}.",
        "",
    ]
    return "\n".join(lines)
