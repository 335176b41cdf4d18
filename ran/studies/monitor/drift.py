"""Drift of beam and CSI models without labels: windows of reports against those of the training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ran.errors import InputError
from ran.sim.files import write_text
from ran.studies.monitor.reference import reference_path
from ran.studies.monitor.windows import WINDOW, Window
from receivers.files import read_json

#: What is looked for, with what its score counts.
DRIFT_DETECTORS = {
    "inputs": "squared distance of the window's mean statistics from those of the training (Hotelling), a statistic",
    "worse": "by how much what would be done without the model serves better",
}
#: Reports of the training that a reference is made of at least.
LEAST_SAMPLES = 10 * WINDOW
#: Windows that are drawn from them, and the share that may be above a threshold.
_NUM_WINDOWS = 10_000
_FALSE_ALARMS = 1e-3
#: Directions in which statistics of the training differ by less, relative to the widest one, are left out.
_RANK_TOLERANCE = 1e-6


@dataclass(frozen=True)
class DriftReference:
    """What reports of the training are like.

    weights, sha256: of which model. setting: what a report is of, which data have to share. names: of the statistics,
    the first of which is by how much the model serves better than what would be done without it. mean, whitening:
    of the statistics, [num_statistics] and [num_directions, num_statistics]. thresholds: by detector; at most one of a
    thousand windows of the training is above, and "worse" is never below zero. num_samples: reports that it was made
    of. num_windows: that were drawn from them. source: the command.
    """

    weights: str
    sha256: str
    setting: dict[str, Any]
    names: tuple[str, ...]
    mean: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    thresholds: dict[str, float]
    num_samples: int
    num_windows: int
    source: str

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")

    def scores(self, statistics: np.ndarray) -> dict[str, float]:
        """Of a window of reports, float64 [window, num_statistics], by detector."""
        return {name: float(values[0]) for name, values in self._scores(statistics[None]).items()}

    def _scores(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        return _scores(windows, np.array(self.mean), np.array(self.whitening))

    def timeline(self, statistics: np.ndarray) -> list[Window]:
        """The windows that end at every report from the first whole one on."""
        views = np.lib.stride_tricks.sliding_window_view(statistics, WINDOW, 0).swapaxes(1, 2)
        found = self._scores(views)
        return [
            Window(
                WINDOW - 1 + place,
                score := {name: float(values[place]) for name, values in found.items()},
                tuple(name for name in DRIFT_DETECTORS if score[name] > self.thresholds[name]),
                (),
            )
            for place in range(len(views))
        ]


def _scores(windows: np.ndarray, mean: np.ndarray, whitening: np.ndarray) -> dict[str, np.ndarray]:
    """Of windows of reports, [num_windows, window, num_statistics]."""
    means = windows.mean(1)
    away = (means - mean) @ whitening.T
    return {"inputs": windows.shape[1] * (away**2).mean(1), "worse": -means[:, 0]}


def make_drift_reference(
    weights: str,
    sha256: str,
    setting: Mapping[str, Any],
    names: tuple[str, ...],
    statistics: np.ndarray,
    source: str,
) -> DriftReference:
    """From reports of the training, float64 [num_samples, num_statistics], each of another user.

    `InputError` for fewer than `LEAST_SAMPLES`.
    """
    if len(statistics) < LEAST_SAMPLES:
        raise InputError(f"--data: got {len(statistics)} reports; allowed: at least {LEAST_SAMPLES}")
    mean = statistics.mean(0)
    values, directions = np.linalg.eigh(np.atleast_2d(np.cov(statistics.T)))
    kept = values > _RANK_TOLERANCE * values[-1]
    # directions with little variance count relative to it, as all others
    whitening = (directions[:, kept] / np.sqrt(values[kept])).T
    rows = np.random.default_rng(1).integers(len(statistics), size=(_NUM_WINDOWS, WINDOW))
    found = _scores(statistics[rows], mean, whitening)
    thresholds = {name: float(np.quantile(score, 1 - _FALSE_ALARMS)) for name, score in found.items()}
    thresholds["worse"] = max(thresholds["worse"], 0.0)
    return DriftReference(
        weights,
        sha256,
        dict(setting),
        names,
        tuple(mean.tolist()),
        tuple(map(tuple, whitening.tolist())),
        thresholds,
        len(statistics),
        _NUM_WINDOWS,
        source,
    )


def load_drift_reference(weights: str, sha256: str) -> DriftReference:
    """The reference beside weights. `InputError` where there is none, for a damaged one, and for one of others."""
    path = reference_path(weights)
    make = f"`ran monitor reference {weights} --data TRAINING.h5` makes one"
    if not path.is_file():
        raise InputError(f"--weights: got {weights!r} without its reference {path.name} in {path.parent}; {make}")
    try:
        values = read_json(path)
        tuples = {name: tuple(values[name]) for name in ("names", "mean")}
        whitening = tuple(tuple(map(float, row)) for row in values["whitening"])
        thresholds = {name: float(values["thresholds"][name]) for name in DRIFT_DETECTORS}
        found = DriftReference(**{**values, **tuples, "whitening": whitening, "thresholds": thresholds})
        if {len(row) for row in whitening} != {len(found.names)} or len(found.mean) != len(found.names):
            raise ValueError("mean, whitening and names differ in length")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged: {type(error).__name__}: {' '.join(str(error).split())}; {make}") from None
    if found.sha256 != sha256:
        raise InputError(f"{path}: got the reference of other weights than {weights!r} are now; {make}")
    return found
