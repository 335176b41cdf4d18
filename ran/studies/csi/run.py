"""`ran csi`: all ways to report over all drops, chunk by chunk; a chunk that is there is not computed again."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ran.config.yaml_file import dump
from ran.errors import InputError
from ran.sim.executor import ONE_THREAD, available_cores
from ran.sim.files import write_text
from ran.sim.identity import digest, first_difference
from ran.sim.npz_file import read_npz
from ran.sim.run_folder import claim_folder
from ran.studies.beams.link_rate import LinkRate
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.feedback import Bases, Point, points
from ran.studies.csi.outcome import PointOutcome
from ran.studies.csi.throughput import (
    one_user_sinr,
    served_together_sinr,
    spectral_efficiency,
    throughput_mbps,
)
from ran.studies.csi.world import BLOCK, CsiWorld
from receivers.csi import gcs, nmse, sgcs

#: Raised whenever figures of the same experiment move.
CSI_VERSION = 1
_MARK = ".ran-csi"
_IDENTITY, _EXPERIMENT, _CHUNKS = "identity.json", "experiment.yaml", "chunks"
#: MCS table of the PDSCH (TS 38.214 table 5.1.3.1-2).
_MCS_TABLE = 2

Say = Callable[[str], None]


@dataclass(frozen=True)
class CsiResults:
    """Outcomes of an experiment, in the order of its feedback."""

    experiment: CsiExperiment
    scenario_id: str
    outcomes: tuple[PointOutcome, ...]

    def curve(self, title: str) -> list[PointOutcome]:
        """The points of a curve."""
        return [o for o in self.outcomes if o.curve == title]

    @property
    def curves(self) -> list[str]:
        return list(dict.fromkeys(o.curve for o in self.outcomes))


def run_experiment(
    experiment: CsiExperiment, out: Path, workers: int | None = None, say: Say = lambda text: None
) -> CsiResults:
    """Run what is missing in the folder `out`, and collect everything.

    The same command resumes after an interruption; a folder of another experiment is refused. Results do not depend on
    the number of workers.
    """
    world, own = CsiWorld(experiment), points(experiment)
    _claim(experiment, world, own, out)
    for point in own:
        point.prepare(world, say)
    blocks = range(-(-experiment.num_drops // BLOCK))
    missing = [block for block in blocks if _load(out, block, own) is None]
    done = len(blocks) - len(missing)
    with _chunks(experiment, out, missing, workers) as finished:
        for _ in finished:
            done += 1
            say(f"{min(done * BLOCK, experiment.num_drops)} of {experiment.num_drops} drops")
    return CsiResults(experiment, world.scenario_id, _collected(experiment, out, own, blocks))


@contextmanager
def _chunks(experiment: CsiExperiment, out: Path, missing: list[int], workers: int | None) -> Iterator[Iterator[int]]:
    """The missing blocks as they are done, by so many processes; one computes here."""
    count = min(workers or available_cores(), len(missing))
    if count <= 1:
        prepared = _Chunk(experiment, out)
        yield (prepared(block) for block in missing)
        return
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start, (experiment, out))
    try:
        futures = [pool.submit(_work, block) for block in missing]
        yield (future.result() for future in as_completed(futures))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_chunk_of_worker: _Chunk | None = None


def _start(experiment: CsiExperiment, out: Path) -> None:
    global _chunk_of_worker
    torch.set_num_threads(1)
    _chunk_of_worker = _Chunk(experiment, out)


def _work(block: int) -> int:
    if _chunk_of_worker is None:
        raise RuntimeError("the worker was not started")
    return _chunk_of_worker(block)


class _Chunk:
    """Computes blocks of drops and writes what became of them."""

    def __init__(self, experiment: CsiExperiment, out: Path) -> None:
        self.experiment, self.out = experiment, out
        self.world, self.points = CsiWorld(experiment), points(experiment)
        for point in self.points:
            point.prepare(self.world, lambda text: None)
        band = experiment.band
        self.link = LinkRate(band.num_prb, band.subcarrier_spacing_khz, _MCS_TABLE)

    def __call__(self, block: int) -> int:
        e = self.experiment
        drops = self.world.drops("test", block)
        here = min(BLOCK, e.num_drops - block * BLOCK)
        channels = self.world.channels("test", block)
        known = self.world.estimates("test", block, channels)[:here, : e.timing.num_observed]
        # the channel that the data meet: at the last time
        h = channels[:here, -1]
        history, true = drops.v[:here, : e.timing.num_observed], drops.true[:here, -1]
        bases: dict[str, Bases] = {}
        found: dict[str, np.ndarray] = {}
        for number, point in enumerate(self.points):
            if point.predictor not in bases:
                bases[point.predictor] = Bases(e, point.wanted(self.world, history, known))
            of_point = bases[point.predictor]
            decoded, bits = point.feedback(of_point.wanted, of_point)
            values = {"bits": bits, **_similarities(true, decoded), **self._worth(h, decoded)}
            found |= {f"{number}/{name}": value for name, value in values.items()}
        _save(self.out, block, self.points, found)
        return block

    def _worth(self, h: np.ndarray, decoded: np.ndarray) -> dict[str, np.ndarray]:
        units, asked = self.experiment.band.units, self.experiment.throughput
        found = {}
        for users in asked.num_users:
            for snr_db in asked.snr_db:
                snr = 10 ** (snr_db / 10)
                if users == 1:
                    sinr = one_user_sinr(h, decoded, units, snr)
                else:
                    groups = len(h) // users
                    of_groups = (groups, users)
                    part, reported = h[: groups * users], decoded[: groups * users, 0]
                    sinr = served_together_sinr(
                        part.reshape(*of_groups, *h.shape[1:]),
                        reported.reshape(*of_groups, *reported.shape[1:]),
                        units,
                        snr,
                    )
                name = f"{users}_{snr_db:g}"
                found[f"se_{name}"] = spectral_efficiency(sinr).sum(1)
                found[f"mbps_{name}"] = throughput_mbps(sinr, self.link).sum(1)
        return found


def _similarities(true: np.ndarray, decoded: np.ndarray) -> dict[str, np.ndarray]:
    v, w = torch.from_numpy(true), torch.from_numpy(np.ascontiguousarray(decoded))
    found = {name: f(v, w).mean((1, 2)).double().numpy() for name, f in (("sgcs", sgcs), ("gcs", gcs), ("nmse", nmse))}
    layers = sgcs(v, w).mean(2).double().numpy()
    return found | {f"sgcs_layer{layer + 1}": layers[:, layer] for layer in range(layers.shape[1])}


def _identity(experiment: CsiExperiment, world: CsiWorld, own: list[Point]) -> dict[str, Any]:
    resolved = experiment.resolved()
    return {
        "version": CSI_VERSION,
        "drops": world.drops_id,
        "num_drops": experiment.num_drops,
        "num_fit_drops": experiment.num_fit_drops,
        "timing": resolved["timing"],
        "throughput": resolved["throughput"],
        "feedback": [{"title": point.title, **point.identity} for point in own],
    }


def _claim(experiment: CsiExperiment, world: CsiWorld, own: list[Point], out: Path) -> None:
    """Make the folder this experiment's, or refuse it."""
    claim_folder(out, _MARK, "ran csi", "ran csi")
    identity = json.loads(json.dumps(_identity(experiment, world, own)))
    path = out / _IDENTITY
    if path.is_file():
        difference = first_difference(json.loads(path.read_text()), identity)
        if difference:
            raise InputError(
                f"{out}: holds a run of a different experiment: {difference}; allowed: the same experiment, or another "
                "folder by --out"
            )
        return
    write_text(path, json.dumps(identity, indent=1) + "\n")
    write_text(out / _EXPERIMENT, dump(experiment.resolved(), allow_unicode=True, width=120))
    try:
        (out / _CHUNKS).mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None


def _names(own: list[Point]) -> str:
    return digest([point.identity for point in own])[:16]


def _path(out: Path, block: int, own: list[Point]) -> Path:
    return out / _CHUNKS / f"{_names(own)}-{block:05d}.npz"


def _save(out: Path, block: int, own: list[Point], values: dict[str, np.ndarray]) -> None:
    """Write a chunk beside its place, then swap: a kill leaves whole chunks."""
    path = _path(out, block, own)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **values)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _load(out: Path, block: int, own: list[Point]) -> dict[str, np.ndarray] | None:
    """A chunk, or None where it is missing or damaged."""
    return read_npz(_path(out, block, own))


def _collected(experiment: CsiExperiment, out: Path, own: list[Point], blocks: range) -> tuple[PointOutcome, ...]:
    chunks = [_load(out, block, own) for block in blocks]
    whole = [chunk for chunk in chunks if chunk is not None]
    if len(whole) < len(chunks):
        raise InputError(f"{out}: chunks are missing or damaged; allowed: the same command again, which computes them")
    outcomes = []
    for number, point in enumerate(own):
        prefix = f"{number}/"
        names = [name.removeprefix(prefix) for name in whole[0] if name.startswith(prefix)]
        values = {name: np.concatenate([chunk[prefix + name] for chunk in whole]) for name in names}
        bits = values.pop("bits")
        outcomes.append(PointOutcome(point.curve, point.title, point.predictor, bits, values, point.feedback.cost()))
    del experiment
    return tuple(outcomes)
