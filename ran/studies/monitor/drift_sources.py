"""Reports of beam and CSI models from data sets, and what each of them tells of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ran.config.validation import validate
from ran.datasets.reader import DropDataset
from ran.errors import InputError, bad_value
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.beams.measurement import decide
from ran.studies.beams.report import reported_dbm
from ran.studies.beams.world import BeamDrops, BeamWorld
from ran.training.csi_exchange import read_exchange
from receivers.beams import NeuralBeams
from receivers.csi import NeuralCoder, pair_of
from receivers.monitoring.outcomes import BEAM_STATISTICS, CSI_STATISTICS, beam_statistics, csi_statistics
from receivers.neural.weights import load_weights

#: Drops that go through a model together.
_AT_ONCE = 256
#: Power of a drop of which nothing is looked at, dBm.
_NOTHING_DBM = -100.0


@dataclass(frozen=True)
class Reports:
    """Reports of a model, each of another user.

    source: name of the data. sha256: of the weights. setting: what a report is of. names: of the statistics. values
    float64 [num_reports, len(names)]. titles: of every report.
    """

    source: str
    sha256: str
    setting: dict[str, Any]
    names: tuple[str, ...]
    values: np.ndarray
    titles: tuple[str, ...]


def reports_on(path: Path, weights: str, task: str, say: Callable[[str], None] = lambda text: None) -> Reports:
    """Reports of weights of the task "beams" or "csi" on a data set of `ran data beams` or `ran data csi --weights`.

    `InputError` for data that are not of that kind, or not of these weights.
    """
    if task == "csi":
        return _csi_reports(path, weights)
    if task == "beams":
        return _beam_reports(path, weights, say)
    raise bad_value("--weights", weights, "weights of receivers, of beam models, or of CSI models over a codebook")


def _csi_reports(path: Path, weights: str) -> Reports:
    import h5py

    data = read_exchange(str(path))
    try:
        coder = NeuralCoder(weights, data.num_values)
    except ValueError as error:
        raise InputError(f"--weights: {error}") from None
    if data.pair != pair_of(coder.card):
        raise InputError(f"{path}: got reports of other weights than {weights!r}; allowed: the same weights")
    parts = []
    with torch.no_grad():
        for start in range(0, len(data.v), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            found = coder.model.decode(data.indices[rows], data.base[rows])
            parts.append(csi_statistics(data.v[rows], data.base[rows], found, data.shape))
    with h5py.File(path) as opened:
        drops = opened["drop"][:]
    # layers of a user share its channel: their mean is one report
    users, first = np.unique(drops, return_index=True)
    values = np.add.reduceat(torch.cat(parts).numpy(), first) / np.bincount(np.searchsorted(users, drops))[:, None]
    setting = {
        "ports": data.v.shape[2],
        "subbands": data.v.shape[1],
        "latents": data.num_values,
        "combination": data.combination,
    }
    sha256 = load_weights(weights, "csi").sha256
    return Reports(path.name, sha256, setting, tuple(CSI_STATISTICS), values, tuple(f"drop {drop}" for drop in users))


def _beam_reports(path: Path, weights: str, say: Callable[[str], None]) -> Reports:
    dataset = DropDataset(path, fields=("true_dbm", "measured_dbm", "measured")) if _is_beams(path) else None
    if dataset is None:
        raise InputError(f"{path}: got data of another kind; allowed: those of `ran data beams`, for {weights!r}")
    experiment = validate(BeamExperiment, dataset.header.json("experiment"), str(path))
    world = BeamWorld(experiment)
    known = decide(world, _blank(world)).observation
    model = NeuralBeams(weights)
    try:
        model.check(known)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    ahead = int(world.places(0)[1][0])
    parts = []
    for start in range(0, len(dataset), _AT_ONCE):
        places = list(range(start, min(start + _AT_ONCE, len(dataset))))
        say(f"drop {places[-1] + 1} of {len(dataset)}")
        drops = dataset.batch(places)
        observation = replace(
            known,
            rsrp_dbm=drops["measured_dbm"][:, 0].float(),
            measured=drops["measured"][:, 0].long(),
            users_m=None,
            sounder=None,
        )
        prediction = model(observation)
        true = drops["true_dbm"][:, ahead].float()
        entries = true.amax(1) if experiment.task == "tx" else true.flatten(1)
        served = entries.gather(1, prediction.log_probability[:, 0].argmax(1, keepdim=True)).numpy()
        if experiment.radio.quantised:
            served = reported_dbm(served)
        parts.append(beam_statistics(observation, prediction, torch.from_numpy(served[:, 0])))
    setting = {
        "task": experiment.task,
        "set A": experiment.num_set_a,
        "set B": f"{experiment.set_b.pattern} {known.measured.shape[2]}",
        "times": len(known.times_s),
    }
    titles = tuple(f"drop {drop}" for drop in dataset.drops)
    return Reports(path.name, model.sha256, setting, tuple(BEAM_STATISTICS), torch.cat(parts).numpy(), titles)


def _is_beams(path: Path) -> bool:
    """Whether a file is a data set of beams. `InputError` for one that is no data set at all."""
    return bool(DropDataset(path).header.attrs["kind"] == "beams")


def _blank(world: BeamWorld) -> BeamDrops:
    """A drop without any power: `decide` makes of it all that is the same for every drop."""
    num_times, num_pool = len(world.times_s), world.pool_weights.shape[1]
    powers = np.full((1, num_times, world.experiment.num_rx_beams, num_pool), _NOTHING_DBM, np.float32)
    return BeamDrops(powers, np.zeros((1, num_times, 3), np.float32), world.times_s, "train", 0)
