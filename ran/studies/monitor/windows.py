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
    "worse": "slots that are lost more than by the reference, as estimated, plus overconfidence",
}
#: Ends of ranges that are none.
NO_BOUND = 1e9
#: Share of the sampled slots of a window that may be unlike the training without an alarm.
MOST_UNLIKE = 0.5
#: Claims without ground count so much at most beside slots of the comparison, bits per coded bit: a part of a slot, so
#: that they decide where slots are even, and no more.
_MOST_EXCESS = 0.2


#: Slots before a window of which received ones tell how many of those the reference loses: of them few are compared.
HISTORY = 380
#: Slots that the reference receives, counted in beside those: after few comparisons one slot is no rate.
_COUNTED_IN = 4


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


def scores(records: Sequence[SlotRecord], bounds: Bounds, before: Sequence[SlotRecord] = ()) -> dict[str, float]:
    """Of a window of records, by detector; see `DETECTORS`. before: the slots before it, for "worse"."""
    sampled = [record for record in records if not all(map(math.isnan, record.statistics))]
    outside = [bool(bounds.unlike(record)) for record in sampled]
    excess = [record.excess for record in records if not math.isnan(record.excess)]
    calibration = float(np.mean(excess)) if excess else 0.0
    return {
        "inputs": float(np.mean(outside)) if outside else 0.0,
        "calibration": calibration,
        "worse": lost_more(records, before) + min(max(calibration, 0.0), _MOST_EXCESS),
    }


def lost_more(records: Sequence[SlotRecord], before: Sequence[SlotRecord] = ()) -> float:
    """Estimate of how many more slots of a window are lost than the reference loses.

    Of lost slots up to all are compared, of received ones one in `Monitored.every`. Each kind therefore stands for all
    slots of its kind (stratified sampling), whatever the BLER. Received slots of `before` tell the share of them that
    the reference loses, besides the few of the window; that share begins low, and is right after some hundred slots.
    """
    lost = [record for record in records if not record.arrived]
    saved = [record.reference_arrived for record in lost if record.compared]
    spoilt = [not record.reference_arrived for record in (*before, *records) if record.arrived and record.compared]
    more = len(lost) * float(np.mean(saved)) if saved else 0.0
    less = (len(records) - len(lost)) * sum(spoilt) / (len(spoilt) + _COUNTED_IN)
    return more - less


def timeline(
    records: Sequence[SlotRecord], bounds: Bounds, thresholds: Mapping[str, float], window: int = WINDOW
) -> list[Window]:
    """The windows that end at every slot from the first whole one on."""
    found = []
    for end in range(window, len(records) + 1):
        part = records[end - window : end]
        score = scores(part, bounds, records[max(0, end - window - HISTORY) : end - window])
        alarms = tuple(name for name in DETECTORS if score[name] > thresholds[name])
        found.append(Window(end - 1, score, alarms, bounds.unlike(part[-1])))
    return found
