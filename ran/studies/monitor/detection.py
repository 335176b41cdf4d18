"""How well monitoring tells that a receiver is worse than lmmse: measured with labels that it does not see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field

from ran.config.validation import validate
from ran.config.yaml_file import read_mapping
from ran.errors import ReceiverRefused
from ran.phy.config import Config
from ran.report.figures import as_file, new_figure, style
from ran.sim.experiment import EsN0Db
from ran.sim.files import write_text
from ran.stats import Estimate, Notation, area_under_roc, exact_share, percent, sign_test
from ran.studies.monitor.condition import link_under
from ran.studies.monitor.reference import Reference, load_reference, training_window
from ran.studies.monitor.windows import DETECTORS, HISTORY, WINDOW, scores, timeline
from ran.studies.robustness.conditions import load_conditions
from receivers import Lmmse, NeuralReceiver
from receivers.monitoring.monitored import Monitored, SlotRecord

#: Training windows that no reference was made of: draws of this seed.
_FRESH_SEED = 3
_SLOT_SEED = 77
_SIGNIFICANT = 0.025
#: Fresh windows of training after each of which every scene begins: what came before counts in "worse".
_STARTS = 20
_AUC = Notation(3)


class Scene(Config):
    """A condition at Es/N0, with the weights as they are or with normal numbers of `damage` mean magnitudes added."""

    condition: str
    esn0_db: Annotated[tuple[EsN0Db, ...], Field(min_length=1)]
    damage: Annotated[float, Field(ge=0, le=100)] = 0.0


class Scenes(Config):
    """What detection is measured on. num_prb: of all scenes."""

    num_prb: Annotated[int, Field(ge=1, le=275)]
    scenes: Annotated[tuple[Scene, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Measured:
    """A scene at one Es/N0.

    lost, reference_lost: of `slots` slots in which the receiver, and lmmse, lost a block. worse: whether the receiver
    loses significantly more of them (sign test, one-sided 2.5 %); None where it loses more and that is not significant.
    scores: of each window of as many other slots, by detector.
    delays: slots from where the scene begins to the first alarm of "worse", after each of some windows of training;
        None where there is none in the scene's first two windows.
    """

    title: str
    lost: int
    reference_lost: int
    slots: int
    worse: bool | None
    scores: tuple[dict[str, float], ...]
    delays: tuple[int | None, ...]

    @property
    def noticed(self) -> int:
        """After how many of the windows of training there is an alarm within a window."""
        return sum(delay is not None and delay <= WINDOW for delay in self.delays)


@dataclass(frozen=True)
class Detection:
    """All scenes, and the alarms in fresh windows of the training, by detector. refused: scenes that were not taken."""

    weights: str
    reference: Reference
    scenes: tuple[Measured, ...]
    false_alarms: dict[str, int]
    num_windows: int
    refused: tuple[str, ...]

    def auc(self, detector: str) -> Estimate:
        """Area under the ROC curve of windows, of which only those of different scenes are independent."""
        worse, not_worse = (
            [np.array([w[detector] for w in s.scores]) for s in self.scenes if s.worse is side]
            for side in (True, False)
        )
        return area_under_roc(worse, not_worse)


def measure_detection(
    weights: str,
    slots: int,
    num_windows: int,
    say: Callable[[str], None] = lambda text: None,
    scenes: Scenes | None = None,
) -> Detection:
    """Go through scenes, by default those shipped, and fresh windows of the training.

    Of each scene one half of the slots, `slots` of them, decides what is so, and the other is what detectors see.
    """
    reference = load_reference(weights)
    if scenes is None:
        text = resources.files("ran.studies.monitor").joinpath("scenes.yaml")
        scenes = validate(Scenes, read_mapping(Path(str(text))), "scenes.yaml")
    receiver = NeuralReceiver(weights)
    training, fresh = receiver.card["training"], []
    for draw in range(num_windows):
        say(f"training window {draw + 1} of {num_windows}")
        fresh.append(training_window(receiver, training, weights, draw, _FRESH_SEED))
    found = [scores(window, reference.bounds) for window in fresh]
    alarms = {name: sum(score[name] > reference.thresholds[name] for score in found) for name in DETECTORS}
    measured, refused = [], []
    for scene in scenes.scenes:
        for esn0_db in scene.esn0_db:
            say(f"{scene.condition} at {esn0_db:g} dB")
            try:
                measured.append(_measured(scene, esn0_db, scenes.num_prb, weights, reference, fresh[:_STARTS], slots))
            except ReceiverRefused as error:
                refused.append(f"{scene.condition}: {error}")
    return Detection(Path(weights).stem, reference, tuple(measured), alarms, num_windows, tuple(refused))


def damaged(weights: str, damage: float) -> NeuralReceiver:
    """The receiver with normal numbers added to its weights, of `damage` times each tensor's mean magnitude."""
    receiver = NeuralReceiver(weights)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in receiver.model.parameters():
            tensor.add_(damage * tensor.abs().mean() * torch.randn(tensor.shape, generator=generator))
    return receiver


def _measured(
    scene: Scene,
    esn0_db: float,
    num_prb: int,
    weights: str,
    reference: Reference,
    before: list[list[SlotRecord]],
    slots: int,
) -> Measured:
    conditions = load_conditions()
    condition = conditions.select([scene.condition])[0]
    link = link_under(conditions, condition, num_prb)
    receiver = damaged(weights, scene.damage) if scene.damage else NeuralReceiver(weights)
    monitored, other = Monitored(receiver, Lmmse()), Lmmse()
    link.check_receiver(weights, monitored)
    own, theirs = [], []
    with torch.inference_mode():
        for start in range(0, 2 * slots, WINDOW):
            drops = range(start, min(start + WINDOW, 2 * slots))
            batch = link.batch(drops, esn0_db, _SLOT_SEED, f"monitor/{scene.condition}", with_channel=False)
            if start < slots:
                link.receive(monitored, batch)
                continue
            own.append(link.count_errors(link.receive(receiver, batch), batch).block_errors > 0)
            theirs.append(link.count_errors(link.receive(other, batch), batch).block_errors > 0)
    mine, its = np.concatenate(own), np.concatenate(theirs)
    records = monitored.records
    windows = [
        (records[end - WINDOW : end], records[max(0, end - WINDOW - HISTORY) : end - WINDOW])
        for end in range(WINDOW, len(records) + 1, WINDOW)
    ]
    title = f"{condition.title}, {esn0_db:g} dB" + (f", damage {scene.damage:g}" if scene.damage else "")
    return Measured(
        title,
        int(mine.sum()),
        int(its.sum()),
        len(mine),
        _is_worse(mine, its),
        tuple(scores(window, reference.bounds, earlier) for window, earlier in windows),
        tuple(_delay(window, records[: 2 * WINDOW], reference) for window in before),
    )


def _delay(before: list[SlotRecord], records: list[SlotRecord], reference: Reference) -> int | None:
    """Slots until the first alarm of "worse" after a window of training."""
    line = timeline([*before, *records], reference.bounds, reference.thresholds)
    alarms = (w.slot - WINDOW + 1 for w in line if w.slot >= WINDOW and "worse" in w.alarms)
    return next(alarms, None)


def _is_worse(own: np.ndarray, other: np.ndarray) -> bool | None:
    more, less = int((own & ~other).sum()), int((other & ~own).sum())
    if more <= less:
        return False
    return True if sign_test(more, less) < _SIGNIFICANT else None


def lines(found: Detection) -> list[str]:
    """What was measured, a line each."""
    said = []
    for scene in found.scenes:
        truth = {True: "worse", False: "not worse", None: "not significant"}[scene.worse]
        delay = f"alarm within {WINDOW} slots after {scene.noticed} of {len(scene.delays)} windows of training"
        if known := sorted(delay for delay in scene.delays if delay is not None):
            delay += f", after {known[0]} to {known[-1]} slots, the median {known[len(known) // 2]}"
        means = ", ".join(f"{name} {np.mean([w[name] for w in scene.scores]):.3g}" for name in DETECTORS)
        lost = f"lost {scene.lost} of {scene.slots}, lmmse {scene.reference_lost}"
        said.append(f"{scene.title}: {lost}: {truth}; {means}; {delay}")
    said += [f"refused: {line}" for line in found.refused]
    undecided = [scene.title for scene in found.scenes if scene.worse is None]
    if undecided:
        said.append(
            f"left out of the areas, as it loses more and not significantly so: {len(undecided)} of "
            f"{len(found.scenes)} scenes: {'; '.join(undecided)}"
        )
    for name in DETECTORS:
        alarms = found.false_alarms[name]
        low, high = (percent(end or 0.0) for end in exact_share(alarms, found.num_windows).numbers[1:])
        false = f"{alarms} of {found.num_windows} windows of the training [{low}, {high}]"
        above = f"alarm above {found.reference.thresholds[name]:.3g}"
        said.append(f"{name}: AUC {_AUC.text(found.auc(name))}; {above}; false alarms in {false}")
    worse = [scene for scene in found.scenes if scene.worse]
    within, starts = sum(scene.noticed for scene in worse), sum(len(scene.delays) for scene in worse)
    whole = sum(scene.noticed == len(scene.delays) for scene in worse)
    said.append(
        f"scenes in which it is worse: {len(worse)}; an alarm within {WINDOW} slots after {within} of {starts} windows "
        f"of training, after all of them in {whole} scenes"
    )
    return said


def write_detection(found: Detection, out: Path) -> None:
    """Write detection.json and roc.png into a folder that exists."""
    values: dict[str, Any] = {
        "weights": found.weights,
        "window": WINDOW,
        "scenes": [
            {
                "title": s.title,
                "slots": s.slots,
                "lost": s.lost,
                "lmmse_lost": s.reference_lost,
                "worse": s.worse,
                "delays": s.delays,
                "scores": s.scores,
            }
            for s in found.scenes
        ],
        "refused": found.refused,
        "left_out": [s.title for s in found.scenes if s.worse is None],
        "auc": {name: found.auc(name).plain() for name in DETECTORS},
        "thresholds": found.reference.thresholds,
        "false_alarms": found.false_alarms,
        "training_windows": found.num_windows,
        "summary": lines(found),
    }
    write_text(out / "detection.json", json.dumps(values, indent=1) + "\n")
    (out / "roc.png").write_bytes(_roc_png(found))


def _roc_png(found: Detection) -> bytes:
    """ROC curves of all detectors over windows."""
    with style():
        figure = new_figure(5, 4.6)
        axes = figure.subplots()
        for name in DETECTORS:
            sides = [[w[name] for s in found.scenes if s.worse is side for w in s.scores] for side in (True, False)]
            if not all(sides):
                continue
            limits = np.unique(np.concatenate([*map(np.array, sides), [-np.inf, np.inf]]))[::-1]
            hit, false = ([float(np.mean(np.array(side) > limit)) for limit in limits] for side in sides)
            axes.plot(false, hit, label=f"{name}, AUC {_AUC.value(found.auc(name))}")
        axes.set(xlabel="alarms where the receiver is not worse", ylabel="alarms where it is worse")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=f"{found.weights}: worse than lmmse, {WINDOW} slots")
        axes.grid(True)
        axes.legend(frameon=False, loc="lower right")
        return as_file(figure, "png")
