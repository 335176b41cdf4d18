"""The results of a run, computed from its store alone."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.files import write_text
from ran.sim.identity import digest, physics, task_id
from ran.sim.outcomes import TaskOutcomes
from ran.sim.plan import Plan, Point
from ran.sim.run_folder import STORE
from ran.sim.statistics import bler_interval
from ran.sim.store import Store
from ran.sim.throughput import throughput_fraction
from ran.sim.validation import validate

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


@dataclass(frozen=True)
class PointResult:
    """One receiver at one SNR: additive counts, and what follows from them.

    drops: independent channel draws; slots: slots in them; blocks: transport blocks of all users.
    bler_low, bler_high: 95 % interval that counts drops as the independent unit (`ran.sim.statistics`).
    bit_errors, bits: information bits of all blocks. throughput_mbps: bits of the blocks without error per air time,
    all users together. block_errors_per_drop int64 [drops]: all receivers of a run met the same drops.

    With HARQ block errors are blocks that never arrived, and slots those in which any of a drop's blocks was sent.
    transmissions: of all blocks; delivered blocks per transmission is throughput_fraction, of the maximum throughput,
    with its interval (`ran.sim.throughput`). bler_after: blocks in error after 1, 2, ... transmissions.
    """

    receiver: str
    esn0_db: float
    drops: int
    slots: int
    blocks: int
    block_errors: int
    bler: float
    bler_low: float
    bler_high: float
    bit_errors: int
    bits: int
    throughput_mbps: float
    block_errors_per_drop: np.ndarray
    transmissions: int = 0
    throughput_fraction: float = float("nan")
    throughput_fraction_low: float = 0.0
    throughput_fraction_high: float = 1.0
    bler_after: tuple[float, ...] = ()


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
    """How much a drop carries, and how often at most it is sent."""

    blocks_per_drop: int
    bits_per_block: int
    slot_duration_s: float
    max_transmissions: int = 1


def load_results(run_dir: Path) -> RunResults:
    """Results of the run in a folder, finished or not. InputError when there is none or it is damaged."""
    file = Path(run_dir) / STORE
    if not file.is_file():
        raise InputError(f"{run_dir}: no {STORE} in it; allowed: a folder that `ran sim` wrote")
    store = Store(file)
    try:
        return _from_store(store)
    finally:
        store.close()


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


def _from_store(store: Store) -> RunResults:
    meta = store.meta()
    try:
        experiment = validate(Experiment, json.loads(meta["experiment"]))
        receivers = json.loads(meta["receivers"])
        dimensions = Dimensions(
            int(json.loads(meta["blocks_per_drop"])),
            int(json.loads(meta["bits_per_block"])),
            float(json.loads(meta["slot_duration_s"])),
            experiment.max_transmissions,
        )
        genies = frozenset(json.loads(meta["genies"]))
        versions = json.loads(meta["versions"])
        run_id = digest(json.loads(meta["run_identity"]))
    except (KeyError, ValueError) as error:
        raise InputError(f"{store.path}: damaged: {error}; allowed: a results.sqlite that ran wrote") from None
    outcomes = known_outcomes(store, experiment, receivers)
    curves = Plan(experiment, dimensions.blocks_per_drop).curves(outcomes)
    points = tuple(
        point_result(point, outcomes[point.receiver, point.esn0_db], dimensions)
        for curve in curves
        for point in curve.points
    )
    complete = not any(need.certain for curve in curves for need in curve.needs)
    about = {
        "run_id": run_id,
        "scenario": digest(physics(experiment)),
        "complete": "yes" if complete else "no",
        **versions,
    }
    about |= {f"weights {title}": r["fingerprint"] for title, r in receivers.items() if r["fingerprint"]}
    about |= {key: meta[key] for key in ("started", "finished", "workers", "wall_time_s") if key in meta}
    return RunResults(experiment, points, genies, dimensions.blocks_per_drop, about)


def point_result(point: Point, known: TaskOutcomes, dimensions: Dimensions) -> PointResult:
    """Counts and rates of the drops that count."""
    per_drop = known.block_errors[: point.drops]
    blocks = point.drops * dimensions.blocks_per_drop
    block_errors = int(per_drop.sum())
    low, high = bler_interval(per_drop, dimensions.blocks_per_drop)
    per_block = dimensions.blocks_per_drop
    earlier = known.earlier_errors[: point.drops]
    transmissions = known.transmissions(per_block, point.drops)
    fraction = throughput_fraction(
        known.delivered(per_block, point.drops), transmissions, per_block, dimensions.max_transmissions
    )
    # every block of a drop has a transmission in each of its process's slots
    air_time_s = int(transmissions.sum()) / per_block * dimensions.slot_duration_s
    return PointResult(
        receiver=point.receiver,
        esn0_db=point.esn0_db,
        drops=point.drops,
        slots=point.drops + int((earlier > 0).sum()),
        blocks=blocks,
        block_errors=block_errors,
        bler=block_errors / blocks,
        bler_low=low,
        bler_high=high,
        bit_errors=int(known.bit_errors[: point.drops].sum()),
        bits=blocks * dimensions.bits_per_block,
        throughput_mbps=(blocks - block_errors) * dimensions.bits_per_block / air_time_s / 1e6,
        block_errors_per_drop=per_drop,
        transmissions=int(transmissions.sum()),
        throughput_fraction=fraction.value,
        throughput_fraction_low=fraction.low,
        throughput_fraction_high=fraction.high,
        bler_after=(*(earlier.sum(0) / blocks).tolist(), block_errors / blocks),
    )


def write_csv(results: RunResults, path: Path) -> None:
    """One row per point, with `CSV_COLUMNS`, and `HARQ_COLUMNS` where there is HARQ; equal results, equal bytes."""
    count = results.experiment.max_transmissions if results.experiment.harq else 0
    columns = (*CSV_COLUMNS, *(HARQ_COLUMNS if count else ()))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, *(f"bler_after_{i + 1}" for i in range(count))])
    for point in results.points:
        values = [*(getattr(point, column) for column in columns), *point.bler_after[:count]]
        writer.writerow([f"{v:.9g}" if isinstance(v, float) else v for v in values])
    write_text(path, text.getvalue())
