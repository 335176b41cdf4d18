"""Latency of models: from a received slot to its LLRs, one slot at a time, against the slot's duration."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ran.bench.runtimes import RUNTIMES, in_runtime
from ran.bench.work import gemm_flops_per_s, product_flops
from ran.config.host import cpu_model
from ran.config.yaml_file import parse
from ran.errors import InputError, bad_value, unknown_name
from ran.link import Link, LinkConfig
from ran.link.catalogue import build_receiver
from ran.link.latency import Latency, slot_latency
from ran.sim.device import checked_device
from ran.sim.experiment import Experiment, load, refuse_link_budget
from ran.sim.files import write_text
from receivers import RECEIVERS, OnnxReceiver, Receiver, SlotObservation
from receivers.c_library.receiver import CLibrary
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.weights import shipped_weights

_TITLES = {"eager": "torch", "compile": "torch.compile"}
#: Subcarrier spacings of the numerologies 0 to 3, kHz.
SPACINGS_KHZ = (15, 30, 60, 120)
_NUM_OBSERVED = 8
_ESN0_DB = 10.0


@dataclass(frozen=True)
class LatencyRow:
    """A model on slots of one kind. runtime: torch, torch.compile, onnxruntime, LiteRT or C library. model_only:
    without what feeds the file. flops: of the convolutions and matrix products of a slot; None where they are not
    known. gemm_flops_per_s: what a matrix product reached beside it. load: processes that wanted a core in the minute
    before.
    """

    model: str
    runtime: str
    device: str
    num_prb: int
    latency: Latency
    model_only: Latency | None
    flops: int | None = None
    gemm_flops_per_s: float | None = None
    load: float | None = None

    @property
    def share_of_peak(self) -> float | None:
        """How much of its time on a core a matrix product would have taken for as many operations; None where not
        known."""
        if not self.flops or not self.gemm_flops_per_s:
            return None
        return self.flops / self.gemm_flops_per_s / (self.latency.core_s or self.latency.median_s)


class _WithoutFeeding(Receiver):
    """A model file on inputs that were made before: what its session alone takes."""

    name = "session"

    def __init__(self, receiver: OnnxReceiver, observation: SlotObservation) -> None:
        self._run = receiver.model.run
        self._calls: list[tuple[Any, list[str]]] = []
        run = receiver.model.run

        def record(feeds: Any, outputs: list[str]) -> Any:
            self._calls.append((feeds, outputs))
            return run(feeds, outputs)

        receiver.model.run = record  # type: ignore[method-assign]
        try:
            receiver(observation.part(0, 1))
        finally:
            receiver.model.run = run  # type: ignore[method-assign]

    def __call__(self, observation: SlotObservation, truth: Any = None) -> torch.Tensor:
        for feeds, outputs in self._calls:
            self._run(feeds, outputs)
        return observation.noise_var


def measure(
    models: Sequence[str],
    experiment: str,
    changes: Sequence[str],
    num_slots: int,
    device: str,
    show: Callable[[LatencyRow], None] = lambda row: None,
    runtimes: Sequence[str] = RUNTIMES[:1],
    say: Callable[[str], None] = lambda text: None,
    num_prb: Sequence[int] = (),
) -> list[LatencyRow]:
    """Time models (receivers, trained weights, model files) on an experiment's slots. `InputError` for bad names.

    runtimes: of trained weights, from `RUNTIMES`; one that a model cannot run in is left out, and `say` is told why.
    num_prb: sizes of the slots, by default the experiment's.
    """
    torch.set_num_threads(1)
    device = check_models(models, experiment, changes, device, runtimes, num_prb)
    rows = []
    for sized in _of_sizes(changes, num_prb):
        rows += _of_size(models, experiment, sized, num_slots, device, show, runtimes, say)
    return rows


def check_models(
    models: Sequence[str],
    experiment: str,
    changes: Sequence[str],
    device: str,
    runtimes: Sequence[str],
    num_prb: Sequence[int],
) -> str:
    """The device, if all of `measure`'s arguments are names of something; `InputError` otherwise. Measures nothing."""
    found = checked_device(device)
    if len(set(num_prb)) != len(num_prb):
        raise bad_value("--num-prb", list(num_prb), "different numbers")
    unknown = next((runtime for runtime in runtimes if runtime not in RUNTIMES), None)
    if unknown is not None:
        raise unknown_name("--runtime", unknown, RUNTIMES)
    for sized in _of_sizes(changes, num_prb):
        _uplink_experiment(experiment, sized)
    for name in models:
        _receiver(name)
    return found


def _uplink_experiment(name: str, changes: Sequence[str]) -> Experiment:
    """An experiment with a PUSCH in simulated slots; `InputError` for others."""
    experiment = load(name, changes)
    refuse_link_budget(experiment, "ran bench")
    for key, allowed in (("pdsch", "an experiment with a PUSCH"), ("data", "null, slots are simulated")):
        if getattr(experiment, key) is not None:
            raise InputError(f"{key}: got one in {experiment.name!r} with `ran bench`; allowed: {allowed}")
    return experiment


def _of_sizes(changes: Sequence[str], num_prb: Sequence[int]) -> list[list[str]]:
    """Changes of the experiment for every number of PRBs."""
    return [[*changes, f"carrier.num_prb={size}"] for size in num_prb] or [list(changes)]


def _of_size(
    models: Sequence[str],
    experiment: str,
    changes: Sequence[str],
    num_slots: int,
    device: str,
    show: Callable[[LatencyRow], None],
    runtimes: Sequence[str],
    say: Callable[[str], None],
) -> list[LatencyRow]:
    loaded = _uplink_experiment(experiment, changes)
    receivers = [(name, _receiver(name)) for name in models]
    rows = []
    config = LinkConfig(
        carrier=loaded.carrier,
        pusch=loaded.pusch,
        users=loaded.users,
        num_rx_ant=loaded.num_rx_ant,
        channel=loaded.resolved()["channel"],
    )
    links = {on: Link(config, loaded.decoder, on) for on in dict.fromkeys(("cpu", device))}
    for name, receiver in receivers:
        if receiver.needs_truth:
            raise InputError(f"model: got {name!r}, a genie; allowed: receivers that a base station could have")
        links["cpu"].check_receiver(name, receiver)
    observations = {
        on: link.batch(range(_NUM_OBSERVED), _ESN0_DB, 1, "latency", False).observation for on, link in links.items()
    }
    bits = links["cpu"].grid.bits_per_symbol
    for name, receiver in receivers:
        slot = observations["cpu"].part(0, 1)
        flops = None if isinstance(receiver, OnnxReceiver) else product_flops(partial(receiver, slot))
        for runtime in runtimes if isinstance(receiver, NeuralReceiver) else ("eager",):
            try:
                prepared = in_runtime(receiver, runtime, bits, slot.num_layers)
            except ValueError as error:
                say(f"{name}, {runtime}: not possible: {error}")
                continue
            # onnxruntime's package for processors is what is installed; it has no device to move to
            on = "cpu" if isinstance(prepared, OnnxReceiver) else device
            observation = observations[on]
            timed = slot_latency(prepared.to(on), observation, num_slots)
            alone = None
            if isinstance(prepared, OnnxReceiver):
                alone = slot_latency(_WithoutFeeding(prepared, observation), observation, num_slots)
            title = prepared.model.runtime if isinstance(prepared, OnnxReceiver) else _TITLES[runtime]
            if isinstance(prepared, CLibrary):
                title = "C library"
            peak, load_1 = gemm_flops_per_s(on), os.getloadavg()[0]
            prb = loaded.carrier.num_prb
            rows.append(LatencyRow(_title(name), title, on, prb, timed, alone, flops or None, peak, load_1))
            show(rows[-1])
    return rows


def _receiver(name: str) -> Receiver:
    if name.lstrip().startswith("{"):
        block = parse(name, "model")
        if not isinstance(block, dict):
            raise bad_value("model", name, "a name, or a block {name: ..., and its options}")
        return build_receiver(block, path="model")
    if name in RECEIVERS or name.endswith((".onnx", ".tflite", ".py")) or ".py:" in name:
        return build_receiver({"name": name}, path="model")
    if name in shipped_weights("receiver") or name.endswith(".safetensors"):
        return build_receiver({"name": "neural", "weights": name}, path="model")
    raise unknown_name(
        "model", name, [*RECEIVERS, *shipped_weights("receiver"), "FILE.onnx", "FILE.tflite", "FILE.safetensors"]
    )


def _title(name: str) -> str:
    """A name, or a block of options as it is; of a file also its folder's, as exports are all called alike."""
    if name.lstrip().startswith("{"):
        return name
    path = Path(name)
    return "/".join(path.resolve().parts[-2:]) if path.suffix else name


def budgets_s() -> dict[int, float]:
    """Slot duration of every subcarrier spacing in kHz (TS 38.211 §4.3.2)."""
    return {spacing: 1e-3 * SPACINGS_KHZ[0] / spacing for spacing in SPACINGS_KHZ}


def markdown(rows: Sequence[LatencyRow], command: str) -> str:
    """The rows as a Markdown table, with what they were measured on."""
    lines = [
        "# Latency",
        "",
        f"{cpu_model()}, one core, batch 1, {date.today().isoformat()}: `{command}`. "
        "Milliseconds: median / 99 % / 99.9 % of the slots; on a core: the median without waiting for one.",
        "",
        "Operations: of convolutions and matrix products. Peak: what a float32 matrix product reached beside.",
        "",
        "Shares of a slot are of the 99.9 % quantile: 100 % or less is in time for all but one slot of a thousand.",
        "",
        "| model | runtime | PRB | slot to LLRs | on a core | session alone | GFLOP | of peak | load "
        + "".join(f"| of {budget * 1e3:g} ms ({spacing} kHz) " for spacing, budget in budgets_s().items())
        + "|",
        "|---|---|---|---|---|---|---|---|---|" + "---|" * len(SPACINGS_KHZ),
    ]
    for row in rows:
        alone = "" if row.model_only is None else row.model_only.text()
        core = "" if row.latency.core_s is None else f"{row.latency.core_s * 1e3:.3g} ms"
        lines.append(
            f"| {row.model} | {row.runtime}, {row.device} | {row.num_prb} | {row.latency.text()} | {core} | {alone} "
            f"| {_amount(row.flops)} | {_share(row)} | {'' if row.load is None else f'{row.load:.1f}'} "
            + "".join(f"| {_per_cent(share)} " for share in shares(row.latency))
            + "|"
        )
    return "\n".join([*lines, ""])


def _per_cent(share: float) -> str:
    return f"{share:,.0f} %" if share >= 10 else f"{share:.2g} %"


def shares(latency: Latency) -> list[float]:
    """The 99.9 % quantile as a part of each slot duration, per cent."""
    return [100 * latency.p999_s / budget for budget in budgets_s().values()]


def _amount(flops: int | None) -> str:
    return "" if flops is None else f"{flops / 1e9:.3g}"


def _share(row: LatencyRow) -> str:
    if row.share_of_peak is None or row.gemm_flops_per_s is None:
        return ""
    return f"{row.share_of_peak:.0%} of {row.gemm_flops_per_s / 1e9:.3g} GFLOP/s"


def verdict(latency: Latency) -> str:
    """The numerologies whose slot is longer than the 99.9 % quantile."""
    fits = [f"{spacing} kHz" for spacing, budget in budgets_s().items() if latency.p999_s <= budget]
    return ", ".join(fits) or "none"


def write(rows: Sequence[LatencyRow], folder: Path, command: str) -> list[Path]:
    """latency.json, latency.md and latency.png."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"latency.{suffix}" for suffix in ("json", "md", "png")]
    write_text(files[0], json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    write_text(files[1], markdown(rows, command))
    _plot(rows, files[2])
    return files


def _plot(rows: Sequence[LatencyRow], file: Path) -> None:
    """Quantiles per model as bars, slot durations as lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 + 0.6 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        found = row.latency
        axes.plot([found.median_s * 1e3, found.p999_s * 1e3], [place] * 2, color="#4878a8", linewidth=6, alpha=0.4)
        axes.plot(found.median_s * 1e3, place, "o", color="#1f3f5f", label="median" if place == 0 else None)
        axes.plot(found.p99_s * 1e3, place, "|", color="#1f3f5f", markersize=14, label="99 %" if place == 0 else None)
        axes.plot(found.p999_s * 1e3, place, "x", color="#b03030", label="99.9 %" if place == 0 else None)
    for spacing, budget in budgets_s().items():
        axes.axvline(budget * 1e3, color="0.6", linestyle="--", linewidth=1)
        axes.text(budget * 1e3, len(rows) - 0.45, f"{spacing} kHz", rotation=90, va="top", ha="right", color="0.4")
    axes.set_yticks(range(len(rows)), [f"{row.model}\n{row.runtime}, {row.num_prb} PRB" for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xscale("log")
    axes.set_xlabel("from received slot to LLRs, ms (dashed: slot durations)")
    figure.legend(loc="outside upper right", ncols=3)
    figure.savefig(file, dpi=120)
