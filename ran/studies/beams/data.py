"""`ran data beams`: measurements and true powers of a beam experiment's drops in a data set file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ran.config.provenance import versions
from ran.datasets.container import Container, check_suffix, create, open_container
from ran.datasets.field import Field
from ran.datasets.header import FORMAT, FORMAT_VERSION, Header, Table
from ran.datasets.splits import SPLITS, ordered_by_hash
from ran.errors import InputError, bad_value
from ran.sim.identity import canonical_json, first_difference
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.beams.measurement import beams_outside, decide
from ran.studies.beams.world import BLOCK, WORLD_VERSION, BeamDrops, BeamWorld

#: Drops that are written, hashed and resumed together.
_CHUNK = 8 * BLOCK
KIND = "beams"
#: By which the places of a traced site are ordered.
_SALT = "ran6g"


def write_beams(
    experiment: BeamExperiment,
    num_drops: int,
    shares: tuple[float, float, float],
    path: Path,
    say: Callable[[str], None] = lambda text: None,
) -> Header:
    """Write drops to `path`, or finish the file that the same command began; `InputError` as `ran.datasets.write`.

    shares: of train, val and test, in this order. Drops of train are the experiment's drops for training, the others
    those that `ran beams` evaluates and further ones. On a traced site parts share no place: val and test have the
    places for testing in proportion to their shares, by a hash of the places, and the drops that are there.
    """
    check_suffix(path)
    if num_drops < 1:
        raise bad_value("--drops", num_drops, "1 or more")
    if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-9):  # also where one is no number
        raise bad_value("--split", ",".join(f"{s:g}" for s in shares), "three shares that add up to 1")
    world = BeamWorld(experiment)
    header = build_header(world, num_drops, shares)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        container = create(path, header)
    else:
        container = open_container(path, writable=True)
    try:
        _check_same(path, container, header)
        written = container.written()
        for chunk in np.flatnonzero(~written):
            say(f"{header.chunk(int(chunk)).start} of {num_drops} drops")
            container.write_chunk(int(chunk), chunk_values(world, header, int(chunk)))
    finally:
        container.close()
    return header


def _check_same(path: Path, container: Container, header: Header) -> None:
    identity = container.header.attrs["identity"]
    difference = first_difference(json.loads(identity), header.json("identity"))
    if difference:
        difference = difference.replace("this experiment", "this command").replace("the existing run", "the file")
        raise InputError(
            f"{path}: holds another data set: {difference}; allowed: the same command, or another file by --out"
        )


def build_header(world: BeamWorld, num_drops: int, shares: tuple[float, float, float]) -> Header:
    """Attributes, tables and fields."""
    experiment = world.experiment
    resolved = experiment.resolved()
    resolved.pop("stopping", None)
    for key in ("predictors", "evaluation", "num_drops", "num_fit_drops", "description", "name"):
        if key != "num_fit_drops" or experiment.set_b.pattern != "learned":
            del resolved[key]
    identity = {
        "kind": KIND,
        "physics": resolved,
        "num_drops": num_drops,
        "shares": list(shares),
        **({} if world.source.tested_sites is None else {"split_by": "place"}),
        "version": WORLD_VERSION,
    }
    attrs: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "name": experiment.name,
        "description": experiment.description,
        "num_drops": num_drops,
        "chunk_drops": _CHUNK,
        "stream_id": world.scenario_id,
        "seed": experiment.seed,
        "conventions": "L1-RSRP in dBm; beams are columns of set_a_weights, whose sum over elements is not conjugated; "
        "a drop is an independent user",
        "experiment": canonical_json(experiment.resolved()),
        "request": canonical_json({"kind": KIND, "num_drops": num_drops, "split": list(shares)}),
        "identity": canonical_json(identity),
        "versions": canonical_json(versions()),
        "split_names": canonical_json(list(SPLITS)),
    }
    header = Header(attrs, _tables(world, num_drops, shares), _fields(world))
    attrs["header_sha256"] = header.digest()
    return header


def _fields(world: BeamWorld) -> tuple[Field, ...]:
    experiment = world.experiment
    timing = experiment.timing
    of_decision = timing.num_decisions, timing.num_observed
    num_seen = {"all": experiment.num_set_a}.get(experiment.set_b.pattern, experiment.set_b.size)
    times, rx, tx = len(world.times_s), experiment.num_rx_beams, world.set_a.num_beams
    seen = ("decision", "observed", "beam")
    text = "entry of Set A, or number of the wide or learned beam, that was measured"
    return (
        Field("true_dbm", ("time", "rx_beam", "tx_beam"), (times, rx, tx), "<f4", "dBm", "true L1-RSRP of Set A"),
        Field("measured_dbm", seen, (*of_decision, num_seen), "<f4", "dBm", "reported L1-RSRP of Set B"),
        Field("measured", seen, (*of_decision, num_seen), "<i8", "", text),
        Field("users_m", ("time", "axis"), (times, 3), "<f4", "m", "place of the user from the site"),
    )


def _tables(world: BeamWorld, num_drops: int, shares: tuple[float, float, float]) -> dict[str, Table]:
    sites, split, about = _sites_and_split(world, num_drops, shares)
    timing = world.experiment.timing
    tables = {
        "site": Table(sites, ("drop",), "", about),
        "split": Table(split, ("drop",), "", "part of the drop: index into split_names"),
        "times_s": Table(world.times_s, ("time",), "s", "times of the track"),
        "decisions_s": Table(np.array(timing.decisions_ms) / 1e3, ("decision",), "s", "after the first decision"),
        "observed_s": Table(np.array(timing.observed_ms) / 1e3, ("observed",), "s", "before the decision"),
        "horizon_s": Table(np.array(timing.horizon_ms) / 1e3, ("horizon",), "s", "after the decision"),
        "set_a_weights": Table(
            world.set_a.weights.astype(np.complex64), ("place", "tx_beam"), "", "beams of one polarisation"
        ),
        "positions": Table(world.positions, ("place", "axis"), "wavelengths", "places of the elements"),
    }
    weights, _ = beams_outside(world, world.experiment.set_b)
    if weights is not None:
        tables["wide_weights"] = Table(weights.numpy(), ("place", "wide_beam"), "", "beams that were measured")
    return tables


def _sites_and_split(
    world: BeamWorld, num_drops: int, shares: tuple[float, float, float]
) -> tuple[NDArray[np.int64], NDArray[np.uint8], str]:
    """Site and part of every drop, and what a site is. `InputError` where a part would have no place."""
    split, places = _split(num_drops, shares), world.source.tested_sites
    if places is None:
        return np.arange(num_drops, dtype=np.int64), split, "number of the drop: each has a user of its own"
    num_train = int((split == 0).sum())
    # none: not even a block of drops
    parts = [world.sites("train", 0, num_train), world.sites("test", 0, num_drops - num_train)]
    sites = np.concatenate([part for part in parts if part is not None]).astype(np.int64)
    val, test = shares[1], shares[2]
    if val and test and len(places) < 2:
        raise bad_value(
            "--split", ",".join(f"{s:g}" for s in shares), f"val or test alone: {len(places)} place is for testing"
        )
    count = round(len(places) * val / (val + test)) if val + test else 0
    count = min(max(count, 1 if val else 0), len(places) - (1 if test else 0))
    of_val = ordered_by_hash(places, _SALT)[:count]
    split[num_train:] = np.where(np.isin(sites[num_train:], of_val), 1, 2)
    return sites, split, "number of the position of the traced site; drops with the same number share it"


def _split(num_drops: int, shares: tuple[float, float, float]) -> NDArray[np.uint8]:
    ends = np.rint(np.cumsum(shares) * num_drops).astype(np.int64)
    return np.searchsorted(ends, np.arange(num_drops), side="right").astype(np.uint8)


def chunk_values(world: BeamWorld, header: Header, chunk: int) -> dict[str, NDArray]:
    """Stored arrays of a chunk: runs of drops of one split."""
    span = header.chunk(chunk)
    split = header.tables["split"].array
    num_train = int((split == 0).sum())
    runs = []
    for training in (True, False):
        start, stop = (span.start, min(span.stop, num_train)) if training else (max(span.start, num_train), span.stop)
        if start < stop:
            first = start if training else start - num_train
            runs.append(_values(world, world.drops("train" if training else "test", first, stop - start)))
    return {field.name: field.encode(np.concatenate([run[field.name] for run in runs])) for field in header.fields}


def _values(world: BeamWorld, drops: BeamDrops) -> dict[str, NDArray]:
    decisions = [decide(world, drops, number).observation for number in range(world.experiment.timing.num_decisions)]
    return {
        "true_dbm": drops.rsrp_dbm[..., : world.set_a.num_beams],
        "measured_dbm": np.stack([d.rsrp_dbm.numpy() for d in decisions], 1),
        "measured": np.stack([d.measured.numpy() for d in decisions], 1),
        "users_m": drops.users_m,
    }
