"""What reports are worth on a block of drops: bits, similarity of what is decoded, and the link that it makes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ran.studies.beams.link_rate import LinkRate
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.feedback import Bases
from ran.studies.csi.point import Point
from ran.studies.csi.throughput import (
    one_user_sinr,
    served_together_sinr,
    spectral_efficiency,
    throughput_mbps,
)
from ran.studies.csi.world import BLOCK, CsiWorld
from ran.studies.job import Arrays
from receivers.csi import gcs, nmse, sgcs

#: MCS table of the PDSCH (TS 38.214 table 5.1.3.1-2).
_MCS_TABLE = 2


class Evaluation:
    """Evaluates points of an experiment, which are prepared."""

    def __init__(self, world: CsiWorld) -> None:
        self.world = world
        band = world.experiment.band
        self._link = LinkRate(band.num_prb, band.subcarrier_spacing_khz, _MCS_TABLE)

    def __call__(self, points: Sequence[Point], block: int, num_drops: int) -> list[Arrays]:
        """Figures of every point on the first `num_drops` drops of a block: "bits" and those of
        `ran.studies.csi.outcome.PointOutcome`, by name."""
        e = self.world.experiment
        drops = self.world.drops("test", block)
        channels = self.world.channels("test", block)
        known = self.world.estimates("test", block, channels)[:num_drops, : e.timing.num_observed]
        # the channel that the data meet: at the last time
        h = channels[:num_drops, -1]
        history, true = drops.v[:num_drops, : e.timing.num_observed], drops.true[:num_drops, -1]
        bases: dict[str, Bases] = {}
        found: list[Arrays] = []
        for point in points:
            if point.predictor not in bases:
                bases[point.predictor] = Bases(e, point.wanted(self.world, history, known))
            of_point = bases[point.predictor]
            decoded, bits = point.feedback(of_point.wanted, of_point)
            found.append({"bits": bits, **_similarities(true, decoded), **self._worth(e, h, decoded)})
        return found

    def _worth(self, experiment: CsiExperiment, h: np.ndarray, decoded: np.ndarray) -> Arrays:
        units, asked = experiment.band.units, experiment.throughput
        found = {}
        for users in asked.num_users:
            for snr_db in asked.snr_db:
                snr = 10 ** (snr_db / 10)
                if users == 1:
                    sinr = one_user_sinr(h, decoded, units, snr)
                else:
                    groups = len(h) // users
                    of_groups = (groups, users)
                    part, reported = h[: groups * users], decoded[: groups * users, 0]
                    sinr = served_together_sinr(
                        part.reshape(*of_groups, *h.shape[1:]),
                        reported.reshape(*of_groups, *reported.shape[1:]),
                        units,
                        snr,
                    )
                name = f"{users}_{snr_db:g}"
                found[f"se_{name}"] = spectral_efficiency(sinr).sum(1)
                found[f"mbps_{name}"] = throughput_mbps(sinr, self._link).sum(1)
        return found


def figure_names(experiment: CsiExperiment) -> list[str]:
    """Names of the figures of a point, in the order of tables and files."""
    asked = experiment.throughput
    links = [f"{users}_{snr_db:g}" for users in asked.num_users for snr_db in asked.snr_db]
    layers = [f"sgcs_layer{layer + 1}" for layer in range(experiment.num_layers)]
    return ["sgcs", "gcs", "nmse", *layers, *(f"{what}_{link}" for link in links for what in ("se", "mbps"))]


def _similarities(true: np.ndarray, decoded: np.ndarray) -> Arrays:
    v, w = torch.from_numpy(true), torch.from_numpy(np.ascontiguousarray(decoded))
    found = {name: f(v, w).mean((1, 2)).double().numpy() for name, f in (("sgcs", sgcs), ("gcs", gcs), ("nmse", nmse))}
    layers = sgcs(v, w).mean(2).double().numpy()
    return found | {f"sgcs_layer{layer + 1}": layers[:, layer] for layer in range(layers.shape[1])}


def blocks_of(num_drops: int) -> list[tuple[int, int]]:
    """Every block of so many drops, and how many of its drops are among them."""
    return [(first // BLOCK, min(BLOCK, num_drops - first)) for first in range(0, num_drops, BLOCK)]
