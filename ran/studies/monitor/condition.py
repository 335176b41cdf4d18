"""Monitoring under a condition of `ran robustness`: a link of it, and what would be an alarm there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ran.errors import ReceiverRefused
from ran.link import Link
from ran.link.catalogue import build_receiver
from ran.sim.simulation import build_simulation
from ran.studies.monitor.reference import Reference, load_reference, reference_path
from ran.studies.monitor.windows import WINDOW, timeline
from ran.studies.robustness.conditions import Condition, Conditions
from ran.studies.robustness.outcome import Outcome
from receivers import Lmmse
from receivers.monitoring.monitored import Monitored

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


def alarms_of(
    conditions: Conditions, outcomes: Sequence[Outcome], blocks: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], str]:
    """By condition and receiver, the detectors that have an alarm within two windows of slots there, in words.

    Only of trained weights that have a reference. At the Es/N0 of the receiver's own 10 % BLER, or at the last point
    where it is not known. blocks: of the receivers that are tried, with `weights` and `label`.
    """
    found: dict[tuple[str, str], str] = {}
    references = _references(blocks)
    for outcome in outcomes:
        block, reference = references.get(outcome.receiver, (None, None))
        if block is None or reference is None or outcome.verdict == "refused" or not outcome.points:
            continue
        value = outcome.crossing.value
        esn0_db = outcome.points[-1].esn0_db if value is None else value
        alarms = _alarms_at(conditions, outcome.condition, block, reference, esn0_db)
        found[outcome.condition.name, outcome.receiver] = alarms
    return found


def _references(blocks: Sequence[Mapping[str, Any]]) -> dict[str, tuple[dict[str, Any], Reference]]:
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
