"""Receivers on the slots of a data set: the experiment that this is, and what a process needs to run it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ran.config.validation import validate
from ran.datasets.container import content_hash, open_container
from ran.datasets.header import Header
from ran.datasets.reader import DropDataset
from ran.datasets.recorded import RecordedLink, points_of
from ran.datasets.splits import SPLITS
from ran.errors import InputError, bad_value, unknown_name
from ran.link import Link
from ran.link.catalogue import receiver_notes
from ran.sim.experiment import MAX_POINTS, Experiment, RecordedSlots, with_absolute_files
from ran.sim.identity import SIMULATION_VERSION
from ran.sim.simulation import Simulation, build_simulation


def experiment_on(path: Path, receivers: Sequence[dict[str, Any]] = (), split: str | None = None) -> Experiment:
    """The experiment that runs receivers on the slots of a data set, at the SNR points of its drops.

    receivers: blocks {name: ..., options}; none: those of the experiment that the file was written with.
    split: train, val or test; None: all drops. Every point has as many drops as the point with the fewest.
    InputError in one line for a file that is no finished data set of slots, or that has no SNR points.
    """
    if split is not None and split not in SPLITS:
        raise unknown_name("--split", split, SPLITS)
    dataset = DropDataset(path, split)
    header = dataset.header
    points = _points(header, dataset, path)
    values = header.json("experiment")
    drops = min(points.values())
    what = "transmit power" if "link_budget" in values else "Es/N0"
    part = "all drops" if split is None else f"the {split} drops"
    values |= {
        "description": f"Receivers on {part} of a data set of {header.attrs['name']}: {drops} at every {what}.",
        "stopping": {"min_block_errors": None, "max_slots": drops, "min_bler": None},
        "data": {"file": str(path.resolve()), "content": _content(path), "split": split},
    }
    if "link_budget" in values:
        values["link_budget"] = {**values["link_budget"], "tx_power_dbm": sorted(points)}
    else:
        values["esn0_db"] = sorted(points)
    if receivers:
        values["receivers"] = list(receivers)
    experiment = validate(Experiment, values, str(path))
    return with_absolute_files(experiment, Path.cwd())


def _points(header: Header, dataset: DropDataset, path: Path) -> dict[float, int]:
    """Drops by Es/N0."""
    if header.attrs["kind"] != "slots":
        raise InputError(f"{path}: kind: got {header.attrs['kind']}; allowed: slots, which hold grids and bits")
    request = header.json("request")
    if request["esn0_db"] is not None:
        low, high = request["esn0_db"]["low"], request["esn0_db"]["high"]
        raise InputError(
            f"{path}: esn0_db: got a value of its own per drop, {low:g} to {high:g} dB; allowed: drops at the points "
            "of an experiment, as `ran data` writes them without --esn0-db"
        )
    if not len(dataset):
        raise bad_value(f"{path}: --split", "a split without drops", "one with drops, or none for all drops")
    version = header.json("identity")["simulation_version"]
    if version != SIMULATION_VERSION:
        raise InputError(
            f"{path}: simulation_version: got {version}; allowed: {SIMULATION_VERSION}, by which the bits are decoded"
        )
    esn0_db = points_of(dataset)
    points = {float(point): int((esn0_db == point).sum()) for point in sorted(set(esn0_db.tolist()))}
    if len(points) > MAX_POINTS:
        raise bad_value(f"{path}: esn0_db", f"{len(points)} points", f"at most {MAX_POINTS}")
    return points


def _content(path: Path) -> str:
    container = open_container(path)
    try:
        return content_hash(container)
    finally:
        container.close()


def build_evaluation(experiment: Experiment, device: str = "cpu") -> Simulation:
    """Link and receivers of an experiment with `data`; a worker process builds it too. InputError for what does not
    fit: another file under the name, receivers that need a channel which the file does not hold, a GPU."""
    asked = experiment.data
    if asked is None:
        raise TypeError("data: got None; allowed: an experiment of `experiment_on`")
    if device != "cpu":
        raise bad_value("--device", device, "cpu, where slots of a file are read")
    path = Path(asked.file)
    dataset = DropDataset(path, asked.split)
    _check_same(experiment, asked, dataset, path)
    simulation = build_simulation(experiment.model_copy(update={"data": None}))
    if simulation.genies and "h" not in dataset.fields:
        raise InputError(
            f"receivers.{sorted(simulation.genies)[0]}: got a receiver that is told the channel, which {path} does not "
            "hold; allowed: receivers without it, by --receiver, or a file written --with-channel"
        )
    if not isinstance(simulation.link, Link):
        raise TypeError(f"link: got {type(simulation.link).__name__}; allowed: Link")
    recorded = RecordedLink(simulation.link, dataset)
    _check_points(experiment, recorded, path)
    return Simulation(
        recorded,
        simulation.receivers,
        simulation.fingerprints,
        simulation.genies,
        simulation.non_finite,
        simulation.warm_up,
        simulation.device,
        notes=receiver_notes(simulation.receivers),
        processor=simulation.processor,
    )


def _check_same(experiment: Experiment, asked: RecordedSlots, dataset: DropDataset, path: Path) -> None:
    """That the file is the one that was asked for, and that it is read as it was written."""
    found = _content(path)
    if found != asked.content:
        raise InputError(
            f"data.file: {path} holds {found[:16]}; allowed: the data set {asked.content[:16]} that the run began with"
        )
    written = validate(Experiment, dataset.header.json("experiment"), str(path)).resolved()
    given = experiment.resolved()
    for values in (written, given):
        # the powers are points, which `_check_points` looks at
        values.get("link_budget", {}).pop("tx_power_dbm", None)
    for key in ("carrier", "pusch", "pdsch", "precoding", "users", "num_rx_ant", "waveform", "harq", "link_budget"):
        if written.get(key) != given.get(key):
            raise InputError(
                f"{key}: got {json.dumps(given.get(key))}; allowed: {json.dumps(written.get(key))}, as in {path}"
            )


def _check_points(experiment: Experiment, recorded: RecordedLink, path: Path) -> None:
    """That there are drops enough at every point."""
    if experiment.snr_search is not None or experiment.requirement is not None:
        raise InputError(f"esn0_db: got points that are chosen during a run; allowed: a list of those of {path}")
    there = recorded.num_drops
    for point in experiment.snr_grid:
        if point not in there:
            known = ", ".join(f"{value:g}" for value in there)
            raise bad_value("esn0_db", point, f"{known}, the points of {path}")
    fewest = min(there[point] for point in experiment.snr_grid)
    if experiment.stopping.max_slots > fewest:
        allowed = f"at most {fewest}, the drops that {path} has at every point"
        raise bad_value("stopping.max_slots", experiment.stopping.max_slots, allowed)
