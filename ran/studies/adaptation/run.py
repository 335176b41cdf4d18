"""Run an adaptation experiment: simulate the tables that are missing, as jobs of a study, for the loops to run on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ran import __version__
from ran.config.yaml_file import dump
from ran.sim.files import write_text
from ran.sim.identity import SIMULATION_VERSION, digest, receiver_identity
from ran.stats import student_mean
from ran.studies import job as studies
from ran.studies.adaptation.experiment import AdaptationExperiment
from ran.studies.adaptation.series import SERIES_PER_TABLE, Job, McsBlocks, Series, series_physics
from ran.studies.adaptation.window import Window
from ran.studies.folder import check_folder
from ran.studies.jobs import JobListener, JobStudy, Silent, run_jobs

KIND = "link adaptation study"
EXPERIMENT = "experiment.yaml"
#: What the study writes into its folder beside the store.
PAGES = (EXPERIMENT, "results.csv", "report.html", "receivers.png", "modes.png", "bler.png")

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
    listener: JobListener | None = None,
    executor: studies.JobWorkers | None = None,
) -> tuple[Series, tuple[Point, ...]]:
    """Simulate what the folder `out` does not hold yet; returns the series' description and the tables of every SNR.

    A receiver that joins or changes is simulated alone: what the others made of the same slots is there. Arguments and
    errors as of `ran.studies.jobs.run_jobs`.
    """
    listener = listener or Silent()
    check_folder(out, KIND, PAGES)
    series = Series(experiment)
    known = run_jobs(_study(series, listener), out, workers=workers, listener=listener, executor=executor)
    return series, points_of(experiment, series, receiver_ids(experiment, series), known)


def write_experiment(experiment: AdaptationExperiment, out: Path) -> None:
    """Write the experiment with its defaults filled in into the folder."""
    text = dump(experiment.resolved(), allow_unicode=True, width=120)
    write_text(out / EXPERIMENT, f"# Resolved by ran {__version__}: every default filled in.\n{text}")


def table_study(experiment: AdaptationExperiment, listener: JobListener) -> JobStudy:
    """The jobs of an experiment. `InputError` for what does not fit together."""
    return _study(Series(experiment), listener)


def _study(series: Series, listener: JobListener) -> JobStudy:
    experiment = series.experiment
    progress = _Progress(experiment, series, listener)
    receivers = {
        title: {"id": name, "needs_truth": series.receivers[title].needs_truth}
        for title, name in receiver_ids(experiment, series).items()
    }
    return JobStudy(
        KIND,
        experiment,
        build_worker,
        identity_of(experiment),
        named,
        (progress.missing,),
        PAGES,
        {"experiment": experiment.resolved(), "receivers": receivers},
        TableWorker(series),
        lambda: series.warm_up(listener.say),
        progress.width if experiment.adaptation.relative_half_width is not None else None,
    )


def points_of(
    experiment: AdaptationExperiment, blocks: McsBlocks, receivers: Mapping[str, str], known: studies.Results
) -> tuple[Point, ...]:
    """The tables of every SNR, from results of the jobs. receivers: `receiver_ids`. `KeyError` where some are
    missing."""
    return tuple(_GrowingPoint(experiment, blocks, snr, receivers).result(known) for snr in experiment.snr_grid)


def build_worker(experiment: AdaptationExperiment) -> TableWorker:
    """What a worker process has."""
    return TableWorker(Series(experiment))


def identity_of(experiment: AdaptationExperiment) -> dict[str, Any]:
    """What tables depend on beside their SNR, MCS, series and receiver."""
    return {
        **series_physics(experiment),
        "decoder": experiment.decoder.model_dump(mode="json"),
        "seed": experiment.seed,
        "series_per_table": SERIES_PER_TABLE,
        "simulation_version": SIMULATION_VERSION,
    }


def receiver_ids(experiment: AdaptationExperiment, series: Series) -> dict[str, str]:
    """Names of the receivers by title: equal receivers have equal names."""
    return {b.title: digest(receiver_identity(b, series.fingerprints[b.title])) for b in experiment.receivers}


def named(experiment: AdaptationExperiment) -> dict[str, Any]:
    """What tables are named by on this machine."""
    return {**identity_of(experiment), "receivers": receiver_ids(experiment, Series(experiment))}


@dataclass(frozen=True)
class Wanted:
    """The work of a job: a table of some receivers, in the order of the job's keys."""

    table: Job
    titles: tuple[str, ...]


class TableWorker:
    """Makes tables (`ran.studies.job.JobWorker`)."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def work(self, job: studies.Job) -> dict[str, studies.Arrays]:
        wanted: Wanted = job.work
        tables = self._series.table(wanted.table, wanted.titles)
        return {key: {"table": tables[title]} for key, title in zip(job.keys, wanted.titles, strict=True)}


class _Progress:
    """The jobs that an experiment needs."""

    def __init__(self, experiment: AdaptationExperiment, series: Series, listener: JobListener) -> None:
        self._listener = listener
        self._receivers = receiver_ids(experiment, series)
        self.points = [_GrowingPoint(experiment, series, snr, self._receivers) for snr in experiment.snr_grid]
        self._open: set[float] = set()

    def missing(self, known: studies.Results) -> Iterable[studies.Job]:
        """The jobs that can be done now, given the tables that are there."""
        found = []
        for point in self.points:
            tables = point.missing(known)
            found += [self._job(table, known) for table in tables]
            if tables:
                self._open.add(point.esn0_db)
            elif point.esn0_db in self._open:
                self._open.remove(point.esn0_db)
                window = point.window(known)
                self._listener.say(f"Es/N0 {point.esn0_db:g} dB: MCS {window.start} to {window.stop - 1}")
        return found

    def width(self, known: studies.Results) -> float:
        """The widest interval of all SNRs, in units of what the stopping rule asks for."""
        return max(point.width(known) for point in self.points)

    def _job(self, table: Job, known: studies.Results) -> studies.Job:
        """With the receivers whose tables are not there; of those that are equal only the first."""
        titles: dict[str, str] = {}
        for title, receiver_id in self._receivers.items():
            key = _key(table, receiver_id)
            if key not in known:
                titles.setdefault(key, title)
        return studies.Job(tuple(titles), Wanted(table, tuple(titles.values())), f"Es/N0 {table.esn0_db:g} dB")


def _key(table: Job, receiver_id: str) -> str:
    return f"{table.name} {receiver_id}"


class _GrowingPoint:
    """One SNR with as many series as the stopping rule asks for."""

    def __init__(
        self, experiment: AdaptationExperiment, blocks: McsBlocks, esn0_db: float, receivers: Mapping[str, str]
    ) -> None:
        self.esn0_db = esn0_db
        self._half_width = experiment.adaptation.relative_half_width
        most = experiment.adaptation.num_series
        counts = [most]
        if self._half_width is not None:
            counts = [*range(SERIES_PER_TABLE, most, SERIES_PER_TABLE), most]
        self._steps = [_Point(_with_series(experiment, count), blocks, esn0_db, receivers) for count in counts]
        self._widest: dict[int, float] = {}

    def _now(self, known: studies.Results) -> _Point:
        """With the fewest series that are enough, or whose tables are missing."""
        for number, point in enumerate(self._steps[:-1]):
            if number not in self._widest:
                if point.missing(known):
                    return point
                of_receivers = throughput_half_widths(point.result(known), point.blocks, point.experiment)
                self._widest[number] = max(of_receivers)
            if self._half_width is not None and self._widest[number] <= self._half_width:
                return point
        return self._steps[-1]

    def width(self, known: studies.Results) -> float:
        """How wide the widest interval is with the series whose tables are all there, in units of what is asked for;
        infinite where none are yet, 0 where nothing is missing."""
        if not self._now(known).missing(known):
            return 0.0
        last = self._widest[max(self._widest)] if self._widest else np.inf
        return last / (self._half_width or np.inf)

    def missing(self, known: studies.Results) -> list[Job]:
        return self._now(known).missing(known)

    def window(self, known: studies.Results) -> range:
        return self._now(known).window(known)

    def result(self, known: studies.Results) -> Point:
        return self._now(known).result(known)


def _with_series(experiment: AdaptationExperiment, count: int) -> AdaptationExperiment:
    adaptation = experiment.adaptation.model_copy(update={"num_series": count})
    return experiment.model_copy(update={"adaptation": adaptation})


def throughput_half_widths(point: Point, blocks: McsBlocks, experiment: AdaptationExperiment) -> list[float]:
    """Of every receiver, half the 95 % interval of its throughput with the best fixed MCS, as a share of it; infinite
    where nothing arrives. Series are the independent units."""
    bits = np.array([blocks.transport_block(m).tb_size for m in point.window], np.int64)
    found = []
    for arrived in point.arrived.values():
        delivered = (arrived[:, experiment.adaptation.warm_up_slots :] * bits).sum(1)
        rate = student_mean(delivered[:, delivered.sum(0).argmax()].astype(float))
        half = rate.half_width
        found.append(half / rate.known if half is not None and rate.known > 0 else np.inf)
    return found


class _Point:
    """What is needed of one SNR. known: results of jobs, by key."""

    def __init__(
        self, experiment: AdaptationExperiment, blocks: McsBlocks, esn0_db: float, receivers: Mapping[str, str]
    ) -> None:
        self.experiment, self.blocks, self.esn0_db = experiment, blocks, esn0_db
        self._receivers = receivers
        gain_db = 10 * np.log10(experiment.num_rx_ant / experiment.uplink.num_layers)
        middles = [blocks.code_blocks(m).snr_db(0.5) for m in range(experiment.num_mcs)]
        start = int(np.sum(np.array(middles) < esn0_db + gain_db)) - 1
        self._window = Window(start, experiment.num_mcs, experiment.adaptation.target_bler / 10)

    @property
    def _starts(self) -> range:
        return range(0, self.experiment.adaptation.num_series, SERIES_PER_TABLE)

    def _jobs(self, *mcs: int) -> list[Job]:
        return [Job(self.esn0_db, mcs_index, first) for mcs_index in mcs for first in self._starts]

    def _sinr_jobs(self, *bits_per_symbol: int) -> list[Job]:
        mcs = [self.blocks.measured_mcs[bits] for bits in bits_per_symbol]
        return [Job(self.esn0_db, mcs_index, first, of_sinr=True) for mcs_index in mcs for first in self._starts]

    def _modulations(self, known: studies.Results) -> list[int]:
        """Bits per symbol of the MCS in the window."""
        window = self.window(known)
        return sorted({self.blocks.code_blocks(mcs_index).entry.bits_per_symbol for mcs_index in window})

    def _is_there(self, job: Job, known: studies.Results) -> bool:
        return all(_key(job, receiver_id) in known for receiver_id in self._receivers.values())

    def _blers(self, known: studies.Results) -> dict[int, tuple[float, ...]]:
        """BLER per receiver of every MCS whose tables are all there."""
        found = {}
        for mcs_index in range(self.experiment.num_mcs):
            if all(self._is_there(job, known) for job in self._jobs(mcs_index)):
                arrived = self._whole(self._jobs(mcs_index), known)
                found[mcs_index] = tuple(float(1 - arrived[title].mean()) for title in self._receivers)
        return found

    def _whole(self, jobs: list[Job], known: studies.Results) -> Table:
        count = self.experiment.adaptation.num_series
        return {
            title: np.concatenate([known[_key(job, receiver_id)]["table"] for job in jobs])[:count]
            for title, receiver_id in self._receivers.items()
        }

    def missing(self, known: studies.Results) -> list[Job]:
        mcs = self._window.missing(self._blers(known))
        jobs = self._jobs(*mcs) if mcs else self._sinr_jobs(*self._modulations(known))
        return [job for job in jobs if not self._is_there(job, known)]

    def window(self, known: studies.Results) -> range:
        return self._window.range(self._blers(known))

    def result(self, known: studies.Results) -> Point:
        window = self.window(known)
        sinr = {bits: self._whole(self._sinr_jobs(bits), known) for bits in self._modulations(known)}
        of_mcs = [self._whole(self._jobs(mcs_index), known) for mcs_index in window]
        return Point(
            self.esn0_db,
            window,
            {title: {bits: table[title] for bits, table in sinr.items()} for title in self._receivers},
            {title: np.stack([table[title] for table in of_mcs], axis=-1) for title in self._receivers},
        )
