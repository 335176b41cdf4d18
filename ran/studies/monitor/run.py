"""A monitored receiver on the slots of a data set or of a recording."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ran.config.validation import validate
from ran.datasets.reader import DropDataset
from ran.errors import InputError, ReceiverRefused
from ran.link import Link
from ran.link.catalogue import build_receiver
from ran.recordings.config import DecodeConfig
from ran.recordings.decode import Decoding
from ran.recordings.read import read
from ran.sim.experiment import Experiment, ReceiverBlock
from ran.sim.loading import load_as
from ran.sim.simulation import build_simulation
from ran.studies.monitor.reference import Reference
from ran.studies.monitor.windows import WINDOW, Window, timeline
from receivers import Lmmse
from receivers.monitoring.monitored import Monitored, SlotRecord

SUFFIXES = (".h5", ".hdf5", ".zarr")


@dataclass(frozen=True)
class Monitoring:
    """What monitoring found.

    source: name of the data. receiver: what ran, as a title. records: of every slot, in order; names: theirs. windows:
    those that end at each slot from the first whole one on. problems: slots that could not be read, a line each.
    """

    source: str
    receiver: str
    reference: Reference
    names: tuple[str, ...]
    records: tuple[SlotRecord, ...]
    windows: tuple[Window, ...]
    problems: tuple[str, ...] = ()

    @property
    def alarms(self) -> dict[str, int]:
        """Windows with an alarm, by detector."""
        return {name: sum(name in w.alarms for w in self.windows) for name in self.reference.thresholds}


def monitor(
    source: Path,
    block: dict[str, Any],
    reference: Reference,
    config: Path | None = None,
    overrides: tuple[str, ...] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Monitoring:
    """Run a receiver over a data set of slots, or with a configuration of `ran decode` over a recording.

    block: the receiver, {"name": ..., options}. `InputError` for what does not fit together, and for data of fewer
    slots than a window has.
    """
    receiver = build_receiver({key: value for key, value in block.items() if key != "label"}, path="--receiver")
    if receiver.needs_truth:
        raise InputError(f"--receiver: got {receiver.name!r}, which needs the truth; allowed: receivers without")
    monitored = Monitored(receiver, Lmmse())
    problems: tuple[str, ...] = ()
    if config is None:
        names = _on_data_set(source, monitored, say)
    else:
        names, problems = _on_recording(source, config, overrides, monitored)
    records = tuple(monitored.records)
    if len(records) < WINDOW:
        raise InputError(f"{source}: got {len(records)} slots; allowed: at least {WINDOW}, a window")
    windows = timeline(records, reference.bounds, reference.thresholds)
    title = str(block.get("label", block["name"]))
    return Monitoring(source.name, title, reference, names, records, tuple(windows), problems)


def _on_data_set(path: Path, monitored: Monitored, say: Callable[[str], None]) -> tuple[str, ...]:
    """All drops of a data set in their order."""
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"DATA: got {str(path)!r}; allowed: a data set, {', '.join(SUFFIXES)}, or a recording with --config"
        )
    dataset = DropDataset(path)
    if dataset.header.attrs["kind"] != "slots":
        raise InputError(f"{path}: kind: got {dataset.header.attrs['kind']}; allowed: slots, which hold grids and bits")
    link = _link_of(dataset, path)
    _check(link, monitored)
    with torch.inference_mode():
        for start in range(0, len(dataset), link.batch_drops):
            places = range(start, min(start + link.batch_drops, len(dataset)))
            say(f"slot {places.stop} of {len(dataset)}")
            values = dataset.batch(list(places))
            noise = values["noise_var"].to(torch.float32)
            batch = link.recorded(values["y"], noise, values["transport_blocks"].numpy(), values["coded_bits"], None)
            link.receive(monitored, batch)
    return tuple(f"drop {drop}" for drop in dataset.drops)


def _link_of(dataset: DropDataset, path: Path) -> Link:
    experiment = validate(Experiment, dataset.header.json("experiment"), str(path))
    plain = experiment.model_copy(update={"receivers": (ReceiverBlock(name="ls-linear"),), "data": None})
    link = build_simulation(plain).link
    if not isinstance(link, Link):
        raise TypeError(f"link: got {type(link).__name__}; allowed: Link")
    return link


def _check(link: Link, monitored: Monitored) -> None:
    try:
        link.check_receiver(monitored.name, monitored)
    except ReceiverRefused as error:
        raise InputError(str(error)) from None


def _on_recording(
    path: Path, config: Path, overrides: tuple[str, ...], monitored: Monitored
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All slots of a recording that can be decoded, and a line for each that cannot."""
    loaded, _ = load_as(DecodeConfig, config, list(overrides), {})
    found = read(path, loaded)
    decoded = Decoding(loaded, {monitored.name: monitored}).run(found)
    names = tuple(result.name for result in decoded.results)
    problems = (*found.problems, *decoded.problems)
    if len(names) != len(monitored.records):
        # a slot that failed after it was received has a record and no result
        names = tuple(f"slot {number}" for number in range(len(monitored.records)))
    return names, tuple(problems)
