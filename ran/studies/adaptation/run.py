"""Run an adaptation experiment: simulate the tables that are missing, keep them, and play the loops on them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ran import __version__
from ran.config.yaml_file import dump
from ran.errors import InputError
from ran.sim.allocator import keep_freed_memory
from ran.sim.executor import available_cores
from ran.sim.files import write_text
from ran.sim.identity import SIMULATION_VERSION, first_difference, receiver_identity
from ran.sim.npz_file import read_npz
from ran.studies.adaptation.experiment import AdaptationExperiment
from ran.studies.adaptation.series import SERIES_PER_TABLE, Job, Series, series_physics
from ran.studies.adaptation.window import Window

IDENTITY, TABLES, EXPERIMENT = "identity.json", "tables", "experiment.yaml"

Table = dict[str, NDArray]


@dataclass(frozen=True)
class Point:
    """All tables of one SNR.

    sinr_db: per receiver and bits per symbol of the MCS in `window`, float32 [series, slots, samples].
    arrived: per receiver, bool [series, slots, mcs], over the MCS of `window`.
    """

    esn0_db: float
    window: range
    sinr_db: dict[str, dict[int, NDArray[np.float32]]]
    arrived: dict[str, NDArray[np.bool_]]


def run_tables(
    experiment: AdaptationExperiment,
    out: Path,
    *,
    workers: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Series, tuple[Point, ...]]:
    """Simulate what the folder `out` does not hold yet; returns the series' description and the tables of every SNR.

    workers: processes, by default one per core; with one, everything runs in this process. Interrupted, the same call
    goes on: every finished table is a file. `InputError` for a folder of something else.
    """
    series = Series(experiment)
    store = _Store(out, experiment, series)
    series.warm_up(say)
    progress = [_Progress(experiment, series, esn0_db, store) for esn0_db in experiment.snr_grid]
    count = workers or available_cores()
    if any(point.missing() for point in progress):
        if count == 1:
            for point in progress:
                while jobs := point.missing():
                    for job in jobs:
                        point.take(job, series.table(job))
                say(f"Es/N0 {point.esn0_db:g} dB: MCS {point.window.start} to {point.window.stop - 1}")
        else:
            _simulate_in_processes(experiment, progress, count, say)
    return series, tuple(point.result() for point in progress)


def _simulate_in_processes(
    experiment: AdaptationExperiment, progress: list[_Progress], count: int, say: Callable[[str], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _start_worker, (experiment.model_dump_json(exclude_unset=True),)) as pool:
        flying: dict[Future[Table], tuple[_Progress, Job]] = {}
        try:
            while True:
                wanted = ((point, job) for point in progress for job in point.missing())
                for point, job in wanted:
                    if len(flying) < count and job not in (known for _, known in flying.values()):
                        flying[pool.submit(_work, job)] = (point, job)
                if not flying:
                    return
                for done in wait(flying, return_when=FIRST_COMPLETED).done:
                    point, job = flying.pop(done)
                    point.take(job, done.result())
                    if not point.missing():
                        say(f"Es/N0 {point.esn0_db:g} dB: MCS {point.window.start} to {point.window.stop - 1}")
        except BaseException:
            for future in flying:
                future.cancel()
            raise


_series_of_worker: Series


def _start_worker(experiment: str) -> None:
    global _series_of_worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    import torch

    torch.set_num_threads(1)
    _series_of_worker = Series(AdaptationExperiment.model_validate_json(experiment))


def _work(job: Job) -> Table:
    return _series_of_worker.table(job)


@dataclass
class _Progress:
    """What is known of one SNR."""

    experiment: AdaptationExperiment
    series: Series
    esn0_db: float
    store: _Store
    tables: dict[Job, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        gain_db = 10 * np.log10(self.experiment.num_rx_ant / self.experiment.uplink.num_layers)
        middles = [self.series.code_blocks(m).snr_db(0.5) for m in range(self.experiment.num_mcs)]
        start = int(np.sum(np.array(middles) < self.esn0_db + gain_db)) - 1
        self._window = Window(start, self.experiment.num_mcs, self.experiment.adaptation.target_bler / 10)
        for job in [*self._jobs(*range(self.experiment.num_mcs)), *self._sinr_jobs(*self.series.measured_mcs)]:
            if (table := self.store.load(job)) is not None:
                self.tables[job] = table

    @property
    def _starts(self) -> range:
        return range(0, self.experiment.adaptation.num_series, SERIES_PER_TABLE)

    def _jobs(self, *mcs: int) -> list[Job]:
        return [Job(self.esn0_db, mcs_index, first) for mcs_index in mcs for first in self._starts]

    def _sinr_jobs(self, *bits_per_symbol: int) -> list[Job]:
        mcs = [self.series.measured_mcs[bits] for bits in bits_per_symbol]
        return [Job(self.esn0_db, mcs_index, first, of_sinr=True) for mcs_index in mcs for first in self._starts]

    @property
    def _modulations(self) -> list[int]:
        """Bits per symbol of the MCS in the window."""
        return sorted({self.series.code_blocks(mcs_index).entry.bits_per_symbol for mcs_index in self.window})

    @property
    def _blers(self) -> dict[int, tuple[float, ...]]:
        """BLER per receiver of every MCS whose tables are all there."""
        found = {}
        for mcs_index in range(self.experiment.num_mcs):
            if all(job in self.tables for job in self._jobs(mcs_index)):
                arrived = self._whole(self._jobs(mcs_index))
                found[mcs_index] = tuple(float(1 - arrived[title].mean()) for title in self.series.receivers)
        return found

    def _whole(self, jobs: list[Job]) -> Table:
        tables = [self.tables[job] for job in jobs]
        count = self.experiment.adaptation.num_series
        return {name: np.concatenate([table[name] for table in tables])[:count] for name in tables[0]}

    def missing(self) -> list[Job]:
        mcs = self._window.missing(self._blers)
        jobs = self._jobs(*mcs) if mcs else self._sinr_jobs(*self._modulations)
        return [job for job in jobs if job not in self.tables]

    def take(self, job: Job, table: Table) -> None:
        self.store.save(job, table)
        self.tables[job] = table

    @property
    def window(self) -> range:
        return self._window.range(self._blers)

    def result(self) -> Point:
        sinr = {bits: self._whole(self._sinr_jobs(bits)) for bits in self._modulations}
        of_mcs = [self._whole(self._jobs(mcs_index)) for mcs_index in self.window]
        return Point(
            self.esn0_db,
            self.window,
            {title: {bits: table[title] for bits, table in sinr.items()} for title in self.series.receivers},
            {title: np.stack([table[title] for table in of_mcs], axis=-1) for title in self.series.receivers},
        )


class _Store:
    """Tables as files of a folder that belongs to one physics, one set of receivers and one seed."""

    def __init__(self, out: Path, experiment: AdaptationExperiment, series: Series) -> None:
        self._titles = list(series.receivers)
        self._tables = out / TABLES
        receivers = {b.title: receiver_identity(b, series.fingerprints[b.title]) for b in experiment.receivers}
        identity: dict[str, Any] = {
            **series_physics(experiment),
            "receivers": receivers,
            "decoder": experiment.decoder.model_dump(mode="json"),
            "seed": experiment.seed,
            "series_per_table": SERIES_PER_TABLE,
            "simulation_version": SIMULATION_VERSION,
        }
        _check_folder(out, identity)
        text = dump(experiment.resolved(), allow_unicode=True, width=120)
        write_text(out / EXPERIMENT, f"# Resolved by ran {__version__}: every default filled in.\n{text}")

    def load(self, job: Job) -> Table | None:
        """A table that is there; None for one that is not, that was not written to its end or that is damaged."""
        stored = read_npz(self._tables / f"{job.name}.npz")
        if stored is None or any(self._key(title) not in stored for title in self._titles):
            return None
        return {title: stored[self._key(title)] for title in self._titles}

    def save(self, job: Job, table: Table) -> None:
        """Write the file in one step."""
        final, new = self._tables / f"{job.name}.npz", self._tables / f".{job.name}.new"
        try:
            with new.open("wb") as file:
                arrays: dict[str, Any] = {self._key(title): values for title, values in table.items()}
                np.savez_compressed(file, **arrays)
            os.replace(new, final)
        except OSError as error:
            raise InputError(f"{final}: cannot be written: {error.strerror or error}") from None

    def _key(self, title: str) -> str:
        return f"receiver{self._titles.index(title)}"


def _check_folder(out: Path, identity: dict[str, Any]) -> None:
    """Make the folder, or accept one of the same identity. `InputError` for any other, with nothing written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        names: Iterable[str] = sorted(path.name for path in out.iterdir())
        if IDENTITY in names:
            difference = first_difference(json.loads((out / IDENTITY).read_text(encoding="utf-8")), identity)
            if difference:
                raise InputError(
                    f"{out}: holds tables of a different experiment: {difference}; allowed: the same experiment, or "
                    "another folder by --out"
                )
        elif names:
            raise InputError(
                f"{out}: holds {next(iter(names))!r} and is no folder of `ran adapt`; allowed: a new or empty folder"
            )
        (out / TABLES).mkdir(exist_ok=True)
    except FileExistsError:
        raise InputError(f"{out}: is a file; allowed: a new or empty folder") from None
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{out / IDENTITY}: damaged: {error}; allowed: a folder that `ran adapt` wrote") from None
    write_text(out / IDENTITY, json.dumps(identity, indent=1) + "\n")
