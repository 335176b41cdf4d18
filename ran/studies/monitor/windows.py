"""Scores of a window of slots, and when they are alarms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from receivers.monitoring.inputs import STATISTICS
from receivers.monitoring.monitored import SlotRecord

#: Slots of a window.
WINDOW = 20
#: What is looked for, with what its score counts.
DETECTORS = {
    "inputs": "share of the sampled slots that are unlike the training",
    "calibration": "bits per coded bit by which LLRs are overconfident",
    "worse": "slots that the reference receives and the network loses, less the reverse, plus overconfidence",
}
#: Ends of ranges that are none.
NO_BOUND = 1e9
#: Share of the sampled slots of a window that may be unlike the training without an alarm.
MOST_UNLIKE = 0.5
#: Claims without ground count so much at most beside slots of the comparison, bits per coded bit: a part of a slot, so
#: that they decide where slots are even, and no more.
_MOST_EXCESS = 0.2


@dataclass(frozen=True)
class Bounds:
    """What of the inputs a training showed.

    ranges: by bits per symbol, least and greatest of every statistic. configurations: what occurred, by key.
    """

    ranges: Mapping[int, tuple[tuple[float, float], ...]]
    configurations: Mapping[str, tuple[int, ...]]

    def unlike(self, record: SlotRecord) -> tuple[str, ...]:
        """In what a slot is unlike the training, in words; empty where it is not, or was not sampled."""
        said = [
            f"{key} {value}, trained {', '.join(map(str, self.configurations[key]))}"
            for key, value in record.configuration.items()
            if value not in self.configurations[key]
        ]
        ranges = self.ranges.get(record.configuration["bits per symbol"], ())
        for (name, unit), value, (low, high) in zip(STATISTICS.items(), record.statistics, ranges, strict=False):
            if value < low or value > high:
                trained = f"{low:.3g} or more" if high >= NO_BOUND else f"{low:.3g} to {high:.3g}"
                said.append(f"{name} {value:.3g}{unit and ' ' + unit}, trained {trained}")
        return tuple(said)


@dataclass(frozen=True)
class Window:
    """The scores at a slot, over it and those before it. alarms: detectors whose score is above its threshold."""

    slot: int
    scores: Mapping[str, float]
    alarms: tuple[str, ...]
    unlike: tuple[str, ...]


def scores(records: Sequence[SlotRecord], bounds: Bounds) -> dict[str, float]:
    """Of a window of records, by detector; see `DETECTORS`."""
    sampled = [record for record in records if not all(map(math.isnan, record.statistics))]
    outside = [bool(bounds.unlike(record)) for record in sampled]
    excess = [record.excess for record in records if not math.isnan(record.excess)]
    calibration = float(np.mean(excess)) if excess else 0.0
    compared = [int(r.reference_arrived) - int(r.arrived) for r in records if r.compared]
    return {
        "inputs": float(np.mean(outside)) if outside else 0.0,
        "calibration": calibration,
        "worse": sum(compared) + min(max(calibration, 0.0), _MOST_EXCESS),
    }


def timeline(
    records: Sequence[SlotRecord], bounds: Bounds, thresholds: Mapping[str, float], window: int = WINDOW
) -> list[Window]:
    """The windows that end at every slot from the first whole one on."""
    found = []
    for end in range(window, len(records) + 1):
        part = records[end - window : end]
        score = scores(part, bounds)
        alarms = tuple(name for name in DETECTORS if score[name] > thresholds[name])
        found.append(Window(end - 1, score, alarms, bounds.unlike(part[-1])))
    return found
