"""Monitoring under a condition of `ran robustness`: a link of it, and what would be an alarm there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ran.errors import ReceiverRefused
from ran.link import Link
from ran.link.catalogue import build_receiver
from ran.sim.identity import digest
from ran.sim.simulation import build_simulation
from ran.studies.folder import StudyFolder
from ran.studies.monitor.alarms import FOUND, SHOWN, Alarms, runs_in, watched_point
from ran.studies.monitor.reference import Reference, load_reference, reference_path
from ran.studies.monitor.windows import WINDOW, timeline
from ran.studies.robustness.conditions import Condition, Conditions
from ran.studies.robustness.outcome import Outcome
from ran.studies.robustness.run import KIND
from receivers import Lmmse
from receivers.monitoring.monitored import Monitored

#: Of the slots that are looked at.
_SEED = 77
#: Slots that are looked at under a condition.
_SLOTS = 2 * WINDOW


def link_under(conditions: Conditions, condition: Condition, num_prb: int | None = None) -> Link:
    """The link of a condition, of so many PRBs in place of its own."""
    experiment = conditions.experiment(condition, {"name": "lmmse"}, _SLOTS)
    if num_prb is not None:
        carrier = experiment.carrier.model_copy(update={"num_prb": num_prb})
        experiment = experiment.model_copy(update={"carrier": carrier})
    link = build_simulation(experiment).link
    if not isinstance(link, Link):
        raise TypeError(f"link: got {type(link).__name__}; allowed: Link")
    return link


def watch(
    conditions: Conditions, outcomes: Sequence[Outcome], blocks: Sequence[Mapping[str, Any]], folder: Path
) -> Alarms:
    """What monitoring says under the conditions of a study, whose folder keeps it: what is there is not done again.

    Only of trained weights that have a reference. blocks: of the receivers that are tried, with `weights` and `label`.
    """
    found: Alarms = {}
    receivers = _watched_receivers(blocks)
    runs = runs_in(folder)
    names = []
    with StudyFolder(folder, KIND) as study:
        for outcome in outcomes:
            place, esn0_db = (outcome.condition.name, outcome.receiver), watched_point(outcome)
            if outcome.receiver not in receivers or esn0_db is None:
                continue
            block, reference = receivers[outcome.receiver]
            content = hashlib.sha256(reference_path(str(block["weights"])).read_bytes()).hexdigest()
            name = digest({"run": runs[place], "at": esn0_db, "reference": content, "slots": _SLOTS, "seed": _SEED})
            stored = study.content.meta.get(FOUND + name)
            if stored is None:
                said = _alarms_at(conditions, outcome.condition, block, reference, esn0_db)
                stored = json.dumps({"run": runs[place], "at": esn0_db, "alarms": said})
                study.store.set_meta({FOUND + name: stored})
            found[place] = json.loads(stored)["alarms"]
            names.append(name)
        study.store.set_meta({SHOWN: json.dumps(names)})
    return found


def _watched_receivers(blocks: Sequence[Mapping[str, Any]]) -> dict[str, tuple[dict[str, Any], Reference]]:
    """Receivers that are trained weights with a reference, by title."""
    found = {}
    for block in blocks:
        if block["name"] == "neural":
            weights = str(block["weights"])
            if not reference_path(weights).is_file():
                continue  # without one there is nothing to compare with; one that is damaged is an error
            reference = load_reference(weights)
            plain = {key: value for key, value in block.items() if key != "label"}
            found[str(block.get("label", "neural"))] = plain, reference
    return found


def _alarms_at(
    conditions: Conditions, condition: Condition, block: Mapping[str, Any], reference: Reference, esn0_db: float
) -> str:
    """The detectors that have an alarm within `_SLOTS` slots under a condition, in words; why not, where the receiver
    cannot be watched there. block: of a trained receiver, with `weights`."""
    link = link_under(conditions, condition)
    monitored = Monitored(build_receiver(block), Lmmse())
    try:
        link.check_receiver(monitored.name, monitored)
    except ReceiverRefused as error:
        return str(error)
    with torch.inference_mode():
        for start in range(0, _SLOTS, link.batch_drops):
            drops = range(start, start + link.batch_drops)
            batch = link.batch(drops, esn0_db, _SEED, f"monitor/{condition.name}", with_channel=False)
            link.receive(monitored, batch)
    line = timeline(monitored.records[:_SLOTS], reference.bounds, reference.thresholds)
    raised = {name for window in line for name in window.alarms}
    return ", ".join(name for name in reference.thresholds if name in raised) or "none"
