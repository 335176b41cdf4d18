"""The results of a run, computed from its store alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ran.config.validation import validate
from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.files import write_text
from ran.sim.identity import PHYSICS_KEYS, digest, task_id
from ran.sim.outcomes import TaskOutcomes
from ran.sim.plan import Plan, Point
from ran.sim.run_folder import STORE
from ran.sim.store import NUM_RECEIVED, Store
from ran.sim.throughput import fraction_of_maximum
from ran.stats import Estimate, grouped_wilson

CSV_COLUMNS = (
    "receiver",
    "esn0_db",
    "drops",
    "slots",
    "blocks",
    "block_errors",
    "bler",
    "bler_low",
    "bler_high",
    "bit_errors",
    "bits",
    "throughput_mbps",
)

#: More columns of runs with HARQ, before one `bler_after_N` per transmission.
HARQ_COLUMNS = ("transmissions", "throughput_fraction", "throughput_fraction_low", "throughput_fraction_high")


_NOT_COUNTED = Estimate.missing("transmissions were not counted")


@dataclass(frozen=True)
class PointResult:
    """One receiver at one SNR: additive counts, and what follows from them.

    drops: independent channel draws; slots: slots in them; blocks: transport blocks of all users.
    error_rate: blocks in error of all, with drops as the independent unit (`ran.stats.grouped_wilson`); its parts are
    bler, bler_low and bler_high.
    bit_errors, bits: information bits of all blocks. throughput_mbps: bits of the blocks without error per air time,
    all users together. block_errors_per_drop int64 [drops]: all receivers of a run met the same drops.

    With HARQ block errors are blocks that never arrived, and slots those in which any of a drop's blocks was sent.
    transmissions: of all blocks; fraction: delivered blocks per transmission, of the maximum throughput
    (`ran.sim.throughput`); its parts are throughput_fraction, throughput_fraction_low and _high. bler_after: blocks in
    error after 1, 2, ... transmissions.

    bler_of_codewords: of the first and the second codeword; empty where there is one.

    With a link budget esn0_db is the transmit power in dBm, and received float32 [drops, users, 5] as in `Segment`.
    """

    receiver: str
    esn0_db: float
    drops: int
    slots: int
    blocks: int
    block_errors: int
    error_rate: Estimate
    bit_errors: int
    bits: int
    throughput_mbps: float
    block_errors_per_drop: np.ndarray
    transmissions: int = 0
    fraction: Estimate = _NOT_COUNTED
    bler_after: tuple[float, ...] = ()
    bler_of_codewords: tuple[float, ...] = ()
    received: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, NUM_RECEIVED), np.float32))

    @property
    def bler(self) -> float:
        return self.error_rate.known

    @property
    def bler_low(self) -> float:
        return _number(self.error_rate.low)

    @property
    def bler_high(self) -> float:
        return _number(self.error_rate.high)

    @property
    def throughput_fraction(self) -> float:
        return _number(self.fraction.value)

    @property
    def throughput_fraction_low(self) -> float:
        return _number(self.fraction.low)

    @property
    def throughput_fraction_high(self) -> float:
        return _number(self.fraction.high)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


@dataclass(frozen=True)
class RunResults:
    """All points of a run, ordered by receiver as in the experiment, then by SNR. A point that was not run is absent.

    genie_receivers: titles of receivers that were told the truth.
    meta: text about the run by key: versions, commit, hashes, times; `complete` is "yes" or "no".
    """

    experiment: Experiment
    points: tuple[PointResult, ...]
    genie_receivers: frozenset[str]
    blocks_per_drop: int
    meta: dict[str, str]


@dataclass(frozen=True)
class Dimensions:
    """How much a drop carries, block by block, and how often at most it is sent."""

    bits_per_block: tuple[int, ...]
    slot_duration_s: float
    max_transmissions: int = 1

    @property
    def blocks_per_drop(self) -> int:
        return len(self.bits_per_block)


def load_results(run_dir: Path) -> RunResults:
    """Results of the run in a folder, finished or not. InputError when there is none or it is damaged."""
    file = Path(run_dir) / STORE
    if not file.is_file():
        raise InputError(f"{run_dir}: no {STORE} in it; allowed: a folder that `ran sim` wrote")
    store = Store(file)
    try:
        return results_of(store, store.meta())
    finally:
        store.close()


def merged_results(runs: Sequence[RunResults]) -> RunResults:
    """Runs of one link with different receivers as one: their receivers met the same drops, so gains are paired.

    The experiment and the text about the run are the first one's, the receivers those of all. InputError unless link,
    decoder and seed are the same and no receiver is there twice.
    """
    if not runs:
        raise InputError("runs to merge: got none; allowed: one or more")
    first = runs[0].experiment
    titles: list[str] = []
    for run in runs:
        for key, given, wanted in (
            ("link", run.meta.get("scenario"), runs[0].meta.get("scenario")),
            ("simulation version", run.meta.get("simulation_version"), runs[0].meta.get("simulation_version")),
            ("decoder", run.experiment.decoder, first.decoder),
            ("seed", run.experiment.seed, first.seed),
        ):
            if given != wanted:
                raise InputError(
                    f"runs to merge: {run.experiment.name!r} has another {key} than {first.name!r}; "
                    "allowed: runs of the same link, decoder and seed"
                )
        titles += [receiver.title for receiver in run.experiment.receivers]
    twice = next((title for title in titles if titles.count(title) > 1), None)
    if twice is not None:
        raise InputError(f"runs to merge: got receiver {twice!r} twice; allowed: different receivers")
    receivers = tuple(receiver for run in runs for receiver in run.experiment.receivers)
    complete = all(run.meta.get("complete", "yes") == "yes" for run in runs)
    weights = {key: text for run in runs for key, text in run.meta.items() if key.startswith("weights ")}
    return RunResults(
        first.model_copy(update={"receivers": receivers}),
        tuple(point for run in runs for point in run.points),
        frozenset().union(*(run.genie_receivers for run in runs)),
        runs[0].blocks_per_drop,
        {**runs[0].meta, **weights, "complete": "yes" if complete else "no"},
    )


def known_outcomes(
    store: Store, experiment: Experiment, receivers: dict[str, dict[str, Any]]
) -> dict[tuple[str, float], TaskOutcomes]:
    """What a store knows, by receiver title and Es/N0 in dB. receivers: `receiver_identity` by title."""
    known = {}
    for title, identity in receivers.items():
        for esn0_db in experiment.snr_grid:
            segments = store.load(task_id(experiment, identity, esn0_db))
            if segments:
                known[title, esn0_db] = TaskOutcomes(segments)
    return known


def results_of(store: Store, meta: Mapping[str, str]) -> RunResults:
    """Results of the run that `meta` describes, of those that a store holds."""
    try:
        experiment = validate(Experiment, json.loads(meta["experiment"]))
        receivers = json.loads(meta["receivers"])
        dimensions = Dimensions(
            _block_sizes(json.loads(meta["blocks_per_drop"]), json.loads(meta["bits_per_block"])),
            float(json.loads(meta["slot_duration_s"])),
            experiment.max_transmissions,
        )
        genies = frozenset(json.loads(meta["genies"]))
        versions = json.loads(meta["versions"])
        identity = json.loads(meta["run_identity"])
        version = int(identity.get("simulation_version", 0))
    except (KeyError, ValueError) as error:
        raise InputError(f"{store.path}: damaged: {error}; allowed: a results.sqlite that ran wrote") from None
    # what the store names them: neither today's version nor any file has a say in what was simulated
    # in a store of several experiments each says which tasks are its own, and what it calls their receivers
    stored = {t.task_id: (t.receiver, t.esn0_db) for t in store.tasks()}
    named: list[tuple[str, float, str]] = [(*place, task) for task, place in stored.items()]
    if "tasks" in meta:
        named = [(title, esn0_db, task) for title, esn0_db, task in json.loads(meta["tasks"])]
    outcomes = {(title, esn0_db): TaskOutcomes(store.load(task)) for title, esn0_db, task in named if task in stored}
    curves = Plan(experiment, dimensions.bits_per_block).curves(outcomes)
    points = tuple(
        point_result(point, outcomes[point.receiver, point.esn0_db], dimensions)
        for curve in curves
        for point in curve.points
    )
    complete = not any(need.certain for curve in curves for need in curve.needs)
    about = {
        "run_id": digest(identity),
        "scenario": meta.get("scenario") or digest({k: identity[k] for k in PHYSICS_KEYS if k in identity}),
        "simulation_version": str(version),
        "complete": "yes" if complete else "no",
        **versions,
    }
    about |= {f"weights {title}": r["fingerprint"] for title, r in receivers.items() if r["fingerprint"]}
    about |= {f"note {i + 1}": note for i, note in enumerate(json.loads(meta.get("notes", "[]")))}
    about |= {key: meta[key] for key in ("started", "finished", "workers", "wall_time_s") if key in meta}
    return RunResults(experiment, points, genies, dimensions.blocks_per_drop, about)


def _block_sizes(blocks_per_drop: int, bits_per_block: int | list[int]) -> tuple[int, ...]:
    """Sizes of the blocks of a drop; one number stands for blocks of equal size."""
    sizes = bits_per_block if isinstance(bits_per_block, list) else [bits_per_block] * blocks_per_drop
    if len(sizes) != blocks_per_drop:
        raise ValueError(f"{len(sizes)} block sizes for {blocks_per_drop} blocks")
    return tuple(int(size) for size in sizes)


def point_result(point: Point, known: TaskOutcomes, dimensions: Dimensions) -> PointResult:
    """Counts and rates of the drops that count."""
    per_drop = known.block_errors[: point.drops]
    blocks = point.drops * dimensions.blocks_per_drop
    block_errors = int(per_drop.sum())
    per_block = dimensions.blocks_per_drop
    earlier = known.earlier_errors[: point.drops]
    transmissions = known.transmissions(per_block, point.drops)
    streams = known.streams(dimensions.bits_per_block, point.drops)
    bits_per_s = sum(stream.bits_per_s(dimensions.slot_duration_s) for stream in streams)
    of_codewords = [1 - int(stream.delivered.sum()) / point.drops for stream in streams]
    return PointResult(
        receiver=point.receiver,
        esn0_db=point.esn0_db,
        drops=point.drops,
        slots=point.drops + int((earlier > 0).sum()),
        blocks=blocks,
        block_errors=block_errors,
        error_rate=grouped_wilson(per_drop, dimensions.blocks_per_drop),
        bit_errors=int(known.bit_errors[: point.drops].sum()),
        bits=point.drops * sum(dimensions.bits_per_block),
        throughput_mbps=bits_per_s / 1e6,
        block_errors_per_drop=per_drop,
        transmissions=int(transmissions.sum()),
        fraction=fraction_of_maximum(streams, dimensions.max_transmissions),
        bler_after=(*(earlier.sum(0) / blocks).tolist(), block_errors / blocks),
        bler_of_codewords=tuple(of_codewords) if len(streams) > 1 else (),
        received=known.received[: point.drops],
    )


def write_csv(results: RunResults, path: Path) -> None:
    """One row per point, with `CSV_COLUMNS`, and `HARQ_COLUMNS` where there is HARQ; equal results, equal bytes.

    With a link budget tx_power_dbm is in the place of esn0_db.
    With two codewords `bler_codeword_1` and `bler_codeword_2` are the last columns.
    """
    count = results.experiment.max_transmissions if results.experiment.harq else 0
    columns = (*CSV_COLUMNS, *(HARQ_COLUMNS if count else ()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    codewords = max((len(point.bler_of_codewords) for point in results.points), default=0)
    after = [f"bler_after_{i + 1}" for i in range(count)]
    axis = "esn0_db" if results.experiment.link_budget is None else "tx_power_dbm"
    shown = [axis if column == "esn0_db" else column for column in columns]
    writer.writerow([*shown, *after, *(f"bler_codeword_{i + 1}" for i in range(codewords))])
    for point in results.points:
        values = [*(getattr(point, column) for column in columns), *point.bler_after[:count], *point.bler_of_codewords]
        writer.writerow([f"{v:.9g}" if isinstance(v, float) else v for v in values])
    write_text(path, text.getvalue())
