"""What monitoring compares with: the training of some weights in a few numbers, kept in a file beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ran.config.validation import validate
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.streams import stream
from ran.sim.files import write_text
from ran.stats import upper_tolerance_limit
from ran.studies.monitor.windows import DETECTORS, MOST_UNLIKE, NO_BOUND, WINDOW, Bounds, scores
from ran.training import distribution
from ran.training.offsets import Offsets
from receivers import Lmmse, NeuralReceiver
from receivers.files import read_json
from receivers.monitoring.inputs import STATISTICS
from receivers.monitoring.monitored import Monitored, SlotRecord
from receivers.neural.weights import card_path, load_weights

#: Windows of training slots that a reference is made of unless said otherwise.
NUM_WINDOWS = 400
#: Share of the training's windows that may be above a threshold, with a confidence of 95 %: of "worse" what is asked
#: for, of "calibration", which warns, three quarters of it. Above the largest of 300 windows there may be 1 % of them,
#: and of overconfidence were 0.7 %: its tail is heavy, as few configurations of a training, of one DM-RS symbol at
#: speed, have far more of it than all others.
_FALSE_ALARMS = {"calibration": 7.5e-3, "worse": 1e-2}
_SEED = 1
#: Of the width of a range, on either side: what few slots of a training do not show.
_MARGIN = 0.25


@dataclass(frozen=True)
class Reference:
    """The training of weights, as monitoring sees it.

    weights, sha256: of which. bounds: of input statistics and configurations. thresholds: by detector; at most 0.75 %
        ("calibration") and 1 % ("worse") of the training's windows are above, with a confidence of 95 %, where 398
        windows or more were drawn (of fewer the highest score is taken); of "inputs" `MOST_UNLIKE`. num_windows: of
        `WINDOW` slots each, of one drawn configuration. source: the command.
    """

    weights: str
    sha256: str
    bounds: Bounds
    thresholds: dict[str, float]
    num_windows: int
    source: str

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")


def reference_path(weights: str) -> Path:
    """Where the reference of weights is: NAME.json in a folder `monitor` beside them. weights: as of `load_weights`."""
    card = card_path(weights)
    return card.parent / "monitor" / card.name


def load_reference(weights: str) -> Reference:
    """The reference of weights. `InputError` where there is none, and for one of other weights."""
    path, loaded = reference_path(weights), load_weights(weights)
    make = f"`ran monitor reference {weights}` makes one"
    if not path.is_file():
        raise InputError(f"--weights: got {weights!r} without its reference {path.name} in {path.parent}; {make}")
    try:
        values = read_json(path)
        bounds = Bounds(
            {int(bits): tuple(map(tuple, ranges)) for bits, ranges in values["bounds"]["ranges"].items()},
            {key: tuple(known) for key, known in values["bounds"]["configurations"].items()},
        )
        found = Reference(**{**values, "bounds": bounds})
        thresholds = {name: float(found.thresholds[name]) for name in DETECTORS}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged: {type(error).__name__}: {' '.join(str(error).split())}; {make}") from None
    if found.sha256 != loaded.sha256:
        raise InputError(f"{path}: got the reference of other weights than {weights!r} are now; {make}")
    return Reference(found.weights, found.sha256, bounds, thresholds, found.num_windows, found.source)


def make_reference(
    weights: str, num_windows: int = NUM_WINDOWS, say: Callable[[str], None] = lambda text: None
) -> Reference:
    """Draw windows of slots from the training of weights, as their card tells it, and note what they are like."""
    receiver = NeuralReceiver(weights)
    training = receiver.card["training"]
    windows: list[list[SlotRecord]] = []
    for draw in range(num_windows):
        say(f"window {draw + 1} of {num_windows}")
        windows.append(training_window(receiver, training, weights, draw, _SEED))
    bounds = bounds_of([record for window in windows for record in window])
    found = [scores(window, bounds) for window in windows]
    # the windows lie within the bounds that they made
    limits = {name: _threshold([score[name] for score in found], share) for name, share in _FALSE_ALARMS.items()}
    thresholds = {"inputs": MOST_UNLIKE, **limits}
    source = f"ran monitor reference {Path(weights).name} --windows {num_windows}"
    return Reference(Path(weights).stem, receiver.sha256, bounds, thresholds, num_windows, source)


def _threshold(found: Sequence[float], share: float) -> float:
    limit = upper_tolerance_limit(np.array(found), share)
    return max(found) if limit is None else limit


def training_window(
    receiver: NeuralReceiver, training: dict[str, Any], name: str, draw: int, seed: int
) -> list[SlotRecord]:
    """Records of the slots of one configuration, drawn from a card's training; by seed and number alone."""
    if not training.get("slots"):
        raise InputError(f"weights: got {name!r}, trained on a data set; allowed: those trained on simulated slots")
    config, esn0_db = _drawn(training, name, draw, seed)
    link = Link(config)
    monitored = Monitored(receiver, Lmmse())
    link.check_receiver(name, monitored)
    drops = range(draw * WINDOW, (draw + 1) * WINDOW)
    stream_name = f"monitor/{Path(name).stem}"
    with torch.inference_mode():
        # offsets turn the known channel as well, so it has to be there
        batch = link.batch(drops, esn0_db, seed, stream_name)
        offsets = validate(Offsets, training.get("offsets", {}), "training.offsets")
        if offsets != Offsets():
            batch = offsets.applied(batch, drops, seed, stream_name)
        for i in range(0, WINDOW, link.batch_drops):
            link.receive(monitored, batch.select(np.arange(i, min(i + link.batch_drops, WINDOW))))
    return monitored.records


def _drawn(training: dict[str, Any], name: str, draw: int, seed: int) -> tuple[LinkConfig, float]:
    """Link and Es/N0 of a draw."""
    generator = stream(seed, f"monitor/{Path(name).stem}", draw, "configuration")
    cases = training.get("cases") or [{}]
    case = cases[int(generator.integers(len(cases)))]
    drawn = distribution.draw(distribution.merge(training["slots"], case), generator)
    esn0_db = float(drawn.pop("esn0_db"))
    return validate(LinkConfig, drawn, "training"), esn0_db


def bounds_of(records: Sequence[SlotRecord]) -> Bounds:
    """Least and greatest of every statistic by modulation, with a margin, and all configurations that occur."""
    by_bits: dict[int, list[tuple[float, ...]]] = {}
    known: dict[str, set[int]] = {}
    for record in records:
        by_bits.setdefault(record.configuration["bits per symbol"], []).append(record.statistics)
        for key, value in record.configuration.items():
            known.setdefault(key, set()).add(value)
    ranges = {bits: tuple(_ends(np.array(rows).T)) for bits, rows in sorted(by_bits.items())}
    return Bounds(ranges, {key: tuple(sorted(values)) for key, values in known.items()})


def _ends(columns: np.ndarray) -> Iterator[tuple[float, float]]:
    """Of each statistic; no bounds where it never was known."""
    for name, column in zip(STATISTICS, columns, strict=True):
        seen = column[~np.isnan(column)]
        if not len(seen):
            yield -NO_BOUND, NO_BOUND
            continue
        low, high = float(seen.min()), float(seen.max())
        margin = _MARGIN * (high - low)
        # correlations have no upper bound: the more a channel is like itself, the easier it is
        yield low - margin, NO_BOUND if name.endswith("correlation") else high + margin
