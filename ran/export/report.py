"""REPORT.md of an export: what was made, how close it is, how fast, and what it cost."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ran.config.provenance import versions
from ran.export.outcome import FileOutcome, Outcome
from ran.export.sweep import SweepPoint
from ran.sim.experiment import Experiment
from receivers.onnx.contracts import CONTRACTS

if TYPE_CHECKING:
    from ran.export.slot_target import SlotTarget

_ONE_SIZE = " This file takes one size, named below, and one slot at a time."


def report_text(outcome: Outcome, target: SlotTarget, experiment: Experiment) -> str:
    """The report as Markdown."""
    request, contract = outcome.request, CONTRACTS[target.contract]
    size = _ONE_SIZE if target.format.one_size else ""
    lines = [f"# {request.weights} as {target.name}", ""]
    if outcome.problems:
        lines += ["**Rejected:**", "", *[f"- {problem}" for problem in outcome.problems], ""]
    lines += [
        f"{contract.description}.{size} LLRs: {contract.llr_sign}, {contract.llr_scale}; valid at "
        f"{contract.valid_res}. "
        f"Inputs scaled: {contract.scaling}." + (f" Pilots: {contract.pilot_order}." if contract.pilot_order else ""),
        "",
        f"Slots of experiment `{experiment.name}`"
        + (
            f" with {', '.join(f'`{c}`' for c in (*target.changes, *request.changes))}"
            if target.changes or request.changes
            else ""
        )
        + ".",
        "",
    ]
    for file in outcome.files:
        lines += _of_file(file, outcome, target.format.runtime)
    lines += ["## In this folder", "", *[f"- {note}" for note in (*_beside(outcome, target), *outcome.notes)], ""]
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines += [f"Made with {made} on {platform.machine()}.", ""]
    return "\n".join(lines)


def _beside(outcome: Outcome, target: SlotTarget) -> list[str]:
    """What lies beside the model, and the commands that use it."""
    model = outcome.files[0].name
    several = len(outcome.request.num_prb) > 1
    vectors = f"vectors-{Path(model).stem.removeprefix('model-')}" if several else "vectors"
    notes = [
        f"`{model}`: the model; `ran export info {model}` says where it comes from and whether it is as exported.",
        "`contract.json`: names, order, types, shapes and meaning of its inputs and outputs.",
        f"`{vectors}/`: a slot's inputs and what must come out, in `vectors.npz` and as raw little-endian numbers that "
        "`manifest.txt` lists.",
        f"`consumer.py`: `python consumer.py {model} {vectors}` runs the model on them without this toolkit.",
    ]
    if target.format.runs_in_cpp:
        notes.append("`consumer.cpp`: the same in C++; its first lines say how it is built.")
    return notes


def _of_file(file: FileOutcome, outcome: Outcome, runtime: str) -> list[str]:
    request = outcome.request
    lines = [
        f"## {file.name}",
        "",
        f"{file.num_bytes:,} bytes, SHA-256 `{file.sha256}`, made for `{file.slot}`.",
        "",
        f"LLRs in {runtime} against the same module in torch, on two slots each: simulated ones, and "
        "random numbers in the place of what was received:",
        "",
        "| slots | largest difference | largest LLR | correlation | |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {llr.slots} | {llr.max_difference:.2g} | {llr.max_llr:.4g} | {llr.correlation:.7f} "
        f"| {'ok' if llr.ok(request.dtype) else 'beyond tolerance'} |"
        for llr in file.llrs
    ]
    if file.bler is not None:
        b = file.bler
        lines += [
            "",
            f"Blocks in error of {b.num_blocks} at {b.esn0_db:g} dB, on common random numbers: {b.before} with the "
            f"receiver before export, {b.module} with the exported module in torch, {b.after} with the file. "
            f"{b.other_decisions} of {b.num_slots} slots decode otherwise with the file than with the module.",
        ]
    if file.half is not None:
        lines += [
            "",
            f"`{file.engine_from}` is the same with float16 inputs and outputs, as the stack's engine has them: LLRs "
            f"differ by up to {file.half.max_difference:.2g}, correlation {file.half.correlation:.7f}.",
        ]
    if file.loss is not None:
        told = str(file.loss) + " dB" if file.loss.is_known else f"not known: {file.loss.reason}"
        lines += [
            "",
            f"Loss of {request.dtype} against f32 at a BLER of 10 %, paired: {told} "
            f"(limit {request.max_loss_db:g} dB).",
        ]
    lines += _of_sweep(f"`{file.name}`", file.sweep) + _of_sweep(f"`{file.engine_from}`", file.half_sweep)
    if file.latency_before is not None and file.latency_after is not None:
        lines += [
            "",
            f"From received slot to LLRs on one core, batch 1, median / p99 / p99.9 of {file.latency_after.num_slots}: "
            f"receiver {file.latency_before.text()}, file with what feeds it {file.latency_after.text()}.",
        ]
    return [*lines, ""]


def _of_sweep(name: str, points: list[SweepPoint]) -> list[str]:
    """Blocks in error from weak to strong signals."""
    if not points:
        return []
    lines = [
        "",
        f"{name} against float32 from weak to strong signals, blocks in error on the same drops. Far above the "
        "waterfall none may be lost by this file alone:",
        "",
        "| slots | Es/N0 in dB | blocks | float32 | this file | lost by this file alone | LLRs |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {p.slots} | {p.esn0_db:g} | {p.num_blocks} | {p.float32} | {p.smaller} | {p.lost} | "
        f"{'finite' if p.finite else 'not finite'} |"
        for p in points
    ]
