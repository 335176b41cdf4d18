"""Is a data set what it says? Hashes are computed again, and some chunks are simulated again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ran.config.validation import validate
from ran.counted import counted
from ran.datasets.budget_tables import budget_tables
from ran.datasets.container import Container, content_hash, open_container, reading
from ran.datasets.field import Field
from ran.datasets.header import drop_sites
from ran.datasets.request import DataRequest, Kind, drop_esn0_db
from ran.datasets.slots import simulate_chunk
from ran.datasets.splits import shared_sites, split_of
from ran.datasets.write import link_of
from ran.sim.experiment import Experiment
from ran.sim.identity import SIMULATION_VERSION

#: Largest difference to a repeated simulation relative to the drop's largest number that rounding explains: other
#: processors add in another order.
ROUNDING = 1e-4


#: Simulates chunks of a data set again: problems, a line each, and a note of what was checked.
Repeat = Callable[[Container, list[int], Callable[[str], None]], tuple[list[str], str]]


@dataclass(frozen=True)
class Verdict:
    """problems: a line each, none when all is well. notes: what was checked and how. content: one hash of it all."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    content: str


def verify(
    path: Path,
    repeat: int = 2,
    say: Callable[[str], None] = lambda text: None,
    others: Mapping[str, Repeat] = MappingProxyType({}),
) -> Verdict:
    """Check every hash of a data set, then simulate `repeat` of its chunks again, spread over the file.

    others: how sets of kinds that are not slots or channels are simulated again; of unknown kinds hashes are checked.
    InputError for what is no data set, is truncated, or is damaged in its head.
    """
    container = open_container(path)
    try:
        with reading(path):
            return _verdict(container, repeat, say, others)
    finally:
        container.close()


def _verdict(container: Container, repeat: int, say: Callable[[str], None], others: Mapping[str, Repeat]) -> Verdict:
    problems = _hash_problems(container, say) + _split_problems(container)
    notes = [f"hashes: {container.header.num_chunks} chunks x {len(container.header.fields)} fields"]
    chunks = np.flatnonzero(container.written())
    if repeat and len(chunks):
        chosen = chunks[np.unique(np.linspace(0, len(chunks) - 1, repeat).astype(int))]
        found, note = _repeat(container, [int(chunk) for chunk in chosen], say, others)
        problems += found
        notes.append(note)
    return Verdict(tuple(problems), tuple(notes), content_hash(container))


def _hash_problems(container: Container, say: Callable[[str], None]) -> list[str]:
    header, path = container.header, container.path
    digests, written = container.digests(), container.written()
    problems = []
    if not written.all():
        problems.append(
            f"{path}: unfinished: {int(written.sum())} of {len(written)} chunks; the command that began it finishes it"
        )
    for chunk in np.flatnonzero(written):
        if chunk % 64 == 0:
            say(f"chunk {chunk} of {len(written)}")
        drops = header.chunk(int(chunk))
        damaged = container.damaged_fields(int(chunk), digests[chunk])
        if damaged:
            problems.append(
                f"{path}: damaged: {', '.join(damaged)} of drops {drops.start} to {drops.stop - 1} "
                "do not match their SHA-256; the command that wrote it repairs it"
            )
    return problems


def _split_problems(container: Container) -> list[str]:
    """Places that are in more than one part: what is measured on one part is then known from another."""
    tables = container.header.tables
    if "site" not in tables or "split" not in tables:
        return []
    site, split = tables["site"].array, tables["split"].array
    shared = shared_sites(site, split)
    if not len(shared):
        return []
    drops = int(np.isin(site, shared).sum())
    return [
        f"{container.path}: split: {len(shared)} of {len(np.unique(site))} places are in more than one part, with "
        f"{drops} of {len(site)} drops; allowed: every place in one part"
    ]


def _repeat(
    container: Container, chunks: list[int], say: Callable[[str], None], others: Mapping[str, Repeat]
) -> tuple[list[str], str]:
    """Simulate chunks again and compare; also sites, SNR and split of all drops."""
    header = container.header
    if header.attrs["kind"] in others:
        return others[header.attrs["kind"]](container, chunks, say)
    if header.attrs["kind"] not in get_args(Kind):
        return [], f"not repeated: of {header.attrs['kind']} hashes alone are checked"
    identity = header.json("identity")
    if identity["simulation_version"] != SIMULATION_VERSION:
        version = identity["simulation_version"]
        return [], f"not repeated: simulation version {version} there, {SIMULATION_VERSION} here"
    experiment = validate(Experiment, header.json("experiment"), str(container.path))
    request = DataRequest.model_validate_json(json.dumps(header.json("request")))
    link = link_of(experiment)
    sites = drop_sites(experiment, request.num_drops, link)
    expected: dict[str, NDArray] = {"site": sites, "split": split_of(sites, request.split)}
    if "esn0_db" in header.tables:
        expected["esn0_db"] = drop_esn0_db(experiment, request)
    if experiment.link_budget is not None:
        expected["tx_power_dbm"] = drop_esn0_db(experiment, request)
        found = budget_tables(link, expected["tx_power_dbm"], experiment.seed, str(header.attrs["stream_id"]))
        expected |= {name: array for name, (array, _, _) in found.items()}
    problems = [
        f"{container.path}: {name} is not what the experiment gives"
        for name, values in expected.items()
        if name not in header.tables or not _same(values, header.tables[name].array)
    ]
    worst, drops = 0.0, 0
    for chunk in chunks:
        say(f"simulating chunk {chunk} again")
        with torch.inference_mode():
            again = simulate_chunk(link, header, chunk)
        span = header.chunk(chunk)
        drops += len(span)
        stored = {field.name: container.read(field, span.start, span.stop) for field in header.fields}
        for field in header.fields:
            if np.array_equal(stored[field.name], again[field.name]):
                continue
            difference = _difference(field, stored, again)
            worst = max(worst, difference)
            if difference > ROUNDING:
                problems.append(
                    f"{container.path}: {field.name} of drops {span.start} to {span.stop - 1} is not what the "
                    f"experiment gives (largest difference {difference:.2g} of the largest number)"
                )
    how = "identical" if worst == 0 else f"equal within {worst:.2g} of the largest number"
    return problems, f"simulated again: {counted(drops, 'drop')} of {counted(len(chunks), 'chunk')}, {how}"


def _same(expected: NDArray, stored: NDArray) -> bool:
    """Whether a table is what it should be; float32 within what other processors may round."""
    if expected.dtype != np.float32 or stored.shape != expected.shape:
        return np.array_equal(expected, stored)
    return bool(np.allclose(stored, expected, rtol=ROUNDING, atol=1e-3, equal_nan=True))


def _difference(field: Field, stored: dict, again: dict) -> float:
    """Largest difference relative to the largest number; 1 and more for bits."""
    a = field.decode(stored[field.name], stored.get(field.scale_name))
    b = field.decode(again[field.name], again.get(field.scale_name))
    if field.dtype == "|u1":
        return float((a != b).any())
    largest = float(np.abs(b).max())
    return float(np.abs(a - b).max()) / largest if largest and np.isfinite(a).all() else 1.0
