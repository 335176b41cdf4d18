"""The results of a run, computed from its store alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ran.config.validation import validate
from ran.errors import InputError
from ran.sim.experiment import Experiment
from ran.sim.failures import ReceiverFailure, failures_in
from ran.sim.identity import PHYSICS_KEYS, SIMULATION_VERSION, digest
from ran.sim.outcomes import TaskOutcomes
from ran.sim.past_receivers import with_past
from ran.sim.plan import Plan, Point
from ran.sim.processor import mixed_processors
from ran.sim.run_folder import STORE
from ran.sim.segment import Content
from ran.sim.store import Store
from ran.sim.throughput import fraction_of_maximum
from ran.stats import Estimate, grouped_wilson
from ran.stats.counts import NUM_RECEIVED

#: Between kinds of processor in `PointResult.processor`.
_AND = " + "

_NOT_COUNTED = Estimate.missing("transmissions were not counted")


@dataclass(frozen=True)
class PointResult:
    """One receiver at one SNR: additive counts, and what follows from them.

    drops: independent channel draws; slots: slots in them; blocks: transport blocks of all users.
    error_rate: blocks in error of all, with drops as the independent unit (`ran.stats.grouped_wilson`); its parts are
    bler, bler_low and bler_high.
    bit_errors, bits: information bits of all blocks. throughput_mbps: bits of the blocks without error per air time,
    all users together. block_errors_per_drop int64 [drops]: all receivers of a run have common random numbers.

    With HARQ block errors are blocks that never arrived, and slots those in which any of a drop's blocks was sent.
    transmissions: of all blocks, transmissions_per_drop int64 [drops]; fraction: delivered blocks per transmission, of
    the maximum throughput (`ran.sim.throughput`); its parts are throughput_fraction, throughput_fraction_low and _high.
    bler_after: blocks in error after 1, 2, ... transmissions.

    bler_of_codewords: of the first and the second codeword; empty where there is one.

    With a link budget esn0_db is the transmit power in dBm, and received float32 [drops, users, 5] as in `Segment`.

    processor: the kind of processor that simulated it, several with " + " between them (`ran.sim.processor`).
    simulation_version: `ran.sim.identity.SIMULATION_VERSION` of then.

    counters_per_drop: what the receiver counted (`receivers.Receiver.counters`), by name, int64 [drops] each.
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
    processor: str = ""
    simulation_version: int = SIMULATION_VERSION
    transmissions_per_drop: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    counters_per_drop: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def counters(self) -> dict[str, int]:
        """What the receiver counted over all drops, by name."""
        return {name: int(values.sum()) for name, values in self.counters_per_drop.items()}

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
    warnings: why the numbers should be read with care, a sentence each: damage, kinds of processor, an old version.
    failures: receivers that failed on the way, by title.
    """

    experiment: Experiment
    points: tuple[PointResult, ...]
    genie_receivers: frozenset[str]
    blocks_per_drop: int
    meta: dict[str, str]
    warnings: tuple[str, ...] = ()
    failures: Mapping[str, ReceiverFailure] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The experiment's name, and the simulation version where it is not today's."""
        versions = sorted({point.simulation_version for point in self.points} - {SIMULATION_VERSION})
        if not versions:
            return self.experiment.name
        return f"{self.experiment.name} (simulation version {', '.join(str(v) if v else 'unknown' for v in versions)})"


@dataclass(frozen=True)
class Dimensions:
    """How much a drop carries, block by block, and how often at most it is sent."""

    bits_per_block: tuple[int, ...]
    slot_duration_s: float
    max_transmissions: int = 1
    simulation_version: int = SIMULATION_VERSION

    @property
    def blocks_per_drop(self) -> int:
        return len(self.bits_per_block)


def nothing_in(folder: Path) -> InputError:
    """For a folder without results."""
    why = f"no {STORE} in it" if folder.is_dir() else "no such folder"
    return InputError(
        f"{folder}: {why}; allowed: a folder that `ran sim`, `ran study` or the command of a study, such as "
        "`ran beams`, wrote"
    )


def load_results(run_dir: Path, all_receivers: bool = False) -> RunResults:
    """Results of the run in a folder, finished or not. InputError when there is none or nothing of it can be read.

    all_receivers: with those that were removed from the run, or were others under the same name; labelled as such.
    Of a damaged store what is intact, and warnings that name the rest.
    """
    file = Path(run_dir) / STORE
    if not file.is_file():
        raise nothing_in(Path(run_dir))
    store = Store(file)
    try:
        content = store.content()
        return results_of(store.path, content, content.meta, all_receivers, failures_in(content.meta))
    finally:
        store.close()


def merged_results(runs: Sequence[RunResults]) -> RunResults:
    """Runs of one link with different receivers as one: their receivers have common random numbers, gains are paired.

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
    points = tuple(point for run in runs for point in run.points)
    kinds = processors_of(points)
    mixed = [mixed_processors(kinds)] if len(kinds) > 1 else []
    weights = {key: text for run in runs for key, text in run.meta.items() if key.startswith("weights ")}
    return RunResults(
        first.model_copy(update={"receivers": receivers}),
        points,
        frozenset().union(*(run.genie_receivers for run in runs)),
        runs[0].blocks_per_drop,
        {
            **runs[0].meta,
            **weights,
            "complete": "yes" if complete else "no",
            **({"processor": "; ".join(kinds)} if kinds else {}),
        },
        tuple(dict.fromkeys([*(text for run in runs for text in run.warnings), *mixed])),
    )


def results_of(
    path: Path,
    content: Content,
    meta: Mapping[str, str],
    all_receivers: bool = False,
    failures: Mapping[str, ReceiverFailure] | None = None,
) -> RunResults:
    """Results of the run that `meta` describes, from what the store at `path` holds of it."""
    try:
        identity = json.loads(meta["run_identity"])
        version = int(identity.get("simulation_version", 0))
        experiment = _stored_experiment(path, json.loads(meta["experiment"]), version)
        receivers = json.loads(meta["receivers"])
        dimensions = Dimensions(
            _block_sizes(json.loads(meta["blocks_per_drop"]), json.loads(meta["bits_per_block"])),
            float(json.loads(meta["slot_duration_s"])),
            experiment.max_transmissions,
            version,
        )
        genies = set(json.loads(meta["genies"]))
        versions = json.loads(meta["versions"])
    except (KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        if content.damage:
            raise InputError(
                f"{path}: damaged: {content.damage[0]}; allowed: to run the same `ran sim` again, "
                "which keeps what is intact"
            ) from None
        raise InputError(f"{path}: damaged: {error}; allowed: a results.sqlite that ran wrote") from None
    run_id = digest({**identity, "receivers": receivers})
    if all_receivers:
        experiment, past = with_past(experiment, meta)
        receivers |= {title: receiver.identity for title, receiver in past.items()}
        genies |= {title for title, receiver in past.items() if receiver.is_genie}
    outcomes = _outcomes(content, receivers)
    curves = Plan(experiment, dimensions.bits_per_block).curves(outcomes)
    reached = [point for curve in curves for point in curve.points]
    points = tuple(
        point_result(point, outcomes[point.receiver, point.esn0_db], dimensions)
        for point in _with_stored(reached, outcomes, experiment, version, bool(content.damage))
    )
    complete = not any(need.certain for curve in curves for need in curve.needs)
    about = {
        "run_id": run_id,
        "scenario": meta.get("scenario") or digest({k: identity[k] for k in PHYSICS_KEYS if k in identity}),
        "simulation_version": str(version),
        "complete": "yes" if complete else "no",
        **versions,
    }
    if points:
        about["processor"] = "; ".join(processors_of(points))
    about |= {f"weights {title}": r["fingerprint"] for title, r in receivers.items() if r["fingerprint"]}
    about |= {f"note {i + 1}": note for i, note in enumerate(json.loads(meta.get("notes", "[]")))}
    about |= {key: meta[key] for key in ("started", "finished", "workers", "wall_time_s") if key in meta}
    failed = dict(failures or {})
    warnings = [
        *(f"receiver {title!r} failed: {failure.line}" for title, failure in failed.items()),
        *_warnings(version, points),
        *_damage(path, content, outcomes),
    ]
    return RunResults(experiment, points, frozenset(genies), dimensions.blocks_per_drop, about, tuple(warnings), failed)


def _stored_experiment(path: Path, values: Any, version: int) -> Experiment:
    """The experiment of a store. InputError, with the version, where it is an old one that is not read any more."""
    try:
        return validate(Experiment, values)
    except InputError as error:
        if version == SIMULATION_VERSION:
            raise
        raise InputError(
            f"{path}: made by simulation version {version}, whose experiment version {SIMULATION_VERSION} does "
            f"not read ({error}); allowed: the report.html and results.csv that were written with it"
        ) from None


def _outcomes(content: Content, receivers: dict[str, dict[str, Any]]) -> dict[tuple[str, float], TaskOutcomes]:
    """What the store holds of these receivers (`receiver_identity` by title), by title and Es/N0 in dB.

    By what the store names them: neither today's version nor any file has a say in what was simulated.
    """
    titles: dict[str, list[str]] = {}
    for title, identity in receivers.items():
        titles.setdefault(digest(identity), []).append(title)
    return {
        (title, task.esn0_db): TaskOutcomes(content.segments.get(task.task_id, ()))
        for task in content.tasks.values()
        for title in titles.get(task.receiver_id, ())
    }


def _with_stored(
    reached: list[Point],
    outcomes: dict[tuple[str, float], TaskOutcomes],
    experiment: Experiment,
    version: int,
    damaged: bool,
) -> list[Point]:
    """The points of the plan, and those that only the store knows of, in the order of the experiment.

    A damaged point can keep the plan from those behind it, and a plan may be another one than that of an old version:
    nothing that was simulated disappears for that.
    """
    found = {(point.receiver, point.esn0_db): point for point in reached}
    planned = {point.receiver for point in reached}
    for (title, esn0_db), known in outcomes.items():
        lost = damaged or (version != SIMULATION_VERSION and title not in planned)
        if lost and known.prefix and (title, esn0_db) not in found:
            found[title, esn0_db] = Point(title, esn0_db, known.prefix, False)
    order = [receiver.title for receiver in experiment.receivers]
    return sorted(found.values(), key=lambda point: (order.index(point.receiver), point.esn0_db))


def _warnings(version: int, points: Sequence[PointResult]) -> list[str]:
    found = []
    if version != SIMULATION_VERSION:
        found.append(
            f"simulated by version {version or 'unknown'} of the simulation, today's is {SIMULATION_VERSION}: its "
            "numbers are not those that it would give today (CHANGELOG), and it is not resumed"
        )
    kinds = processors_of(points)
    return [*found, mixed_processors(kinds)] if len(kinds) > 1 else found


def _damage(path: Path, content: Content, outcomes: dict[tuple[str, float], TaskOutcomes]) -> list[str]:
    """A line for each thing in the store that is damaged, and for each point that is without drops for it."""
    if not content.damage:
        return []
    lines = [f"{path.name}: damaged, and not counted: {line}" for line in content.damage]
    empty = [f"{title} at {esn0_db:g}" for (title, esn0_db), known in sorted(outcomes.items()) if not known.prefix]
    if empty:
        lines.append(f"without a result, because the first drops are damaged: {', '.join(empty)}")
    lines.append("the same `ran sim` command keeps what is intact and simulates the rest again")
    return lines


def processors_of(points: Sequence[PointResult]) -> list[str]:
    """Kinds of processor that points were simulated on."""
    return sorted({kind for point in points for kind in point.processor.split(_AND)} - {""})


def _block_sizes(blocks_per_drop: int, bits_per_block: int | list[int]) -> tuple[int, ...]:
    """Sizes of the blocks of a drop; one number stands for blocks of equal size."""
    sizes = bits_per_block if isinstance(bits_per_block, list) else [bits_per_block] * blocks_per_drop
    if len(sizes) != blocks_per_drop:
        raise ValueError(f"{len(sizes)} block sizes for {blocks_per_drop} blocks")
    return tuple(int(size) for size in sizes)


def point_result(point: Point, known: TaskOutcomes, dimensions: Dimensions) -> PointResult:
    """Counts and rates of the drops that count."""
    per_drop = known.counts.block_errors[: point.drops]
    blocks = point.drops * dimensions.blocks_per_drop
    block_errors = int(per_drop.sum())
    per_block = dimensions.blocks_per_drop
    earlier = known.counts.earlier_errors[: point.drops]
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
        bit_errors=int(known.counts.bit_errors[: point.drops].sum()),
        bits=point.drops * sum(dimensions.bits_per_block),
        throughput_mbps=bits_per_s / 1e6,
        block_errors_per_drop=per_drop,
        transmissions=int(transmissions.sum()),
        fraction=fraction_of_maximum(streams, dimensions.max_transmissions),
        bler_after=(*(earlier.sum(0) / blocks).tolist(), block_errors / blocks),
        bler_of_codewords=tuple(of_codewords) if known.counts.second_errors.shape[1] else (),
        received=known.counts.received[: point.drops],
        processor=_AND.join(known.processors(point.drops)),
        simulation_version=dimensions.simulation_version,
        transmissions_per_drop=transmissions,
        counters_per_drop={name: v[: point.drops] for name, v in known.counts.own_counters.items()},
    )
