"""What reports are worth on a block of drops: bits, similarity of what is decoded, and the link that it makes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ran.studies.beams.link_rate import LinkRate
from ran.studies.csi.adapted_link import OfRank, adapted, adapted_names
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
        # the channels that the data meet: at the instants that are asked for
        asked = slice(-e.timing.num_ahead, None)
        h, true = channels[:num_drops, asked], drops.true[:num_drops, asked]
        history = drops.v[:num_drops, : e.timing.num_observed]
        wanted: dict[tuple[str, str | None], list[Bases]] = {}
        found: list[Arrays] = []
        for point in points:
            # learned predictors differ by their weights
            predictor = (point.predictor, None if point.learned is None else point.learned.fingerprint)
            if predictor not in wanted:
                of_instants = point.wanted(self.world, history, known)
                wanted[predictor] = [
                    Bases(e, np.ascontiguousarray(of_instants[:, i])) for i in range(of_instants.shape[1])
                ]
            decoded, bits = _reported(point, wanted[predictor], e.timing.num_ahead)
            values = [
                {**_similarities(true[:, i], decoded[i]), **self._worth(e, h[:, i], decoded[i])}
                for i in range(e.timing.num_ahead)
            ]
            found.append({"bits": bits, **_over_instants(values)})
            if e.report.rank is not None:
                of_rank = _of_ranks(point, wanted[predictor][0], decoded[0], bits)
                found[-1] |= adapted(e, of_rank, known[:, -1], h[:, 0])
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


def _of_ranks(point: Point, wanted: Bases, decoded: np.ndarray, bits: np.ndarray) -> OfRank:
    """Reports at any rank; decoded, bits: of the report on all layers."""

    def of_rank(rank: int) -> tuple[np.ndarray, np.ndarray]:
        if rank == wanted.wanted.shape[1]:
            return decoded, bits
        of_layers = wanted.first(rank)
        return point.feedback(of_layers.wanted, of_layers)

    return of_rank


def _reported(point: Point, wanted: Sequence[Bases], num_instants: int) -> tuple[list[np.ndarray], np.ndarray]:
    """What is decoded for every instant, and the bits of all reports. wanted: of every instant, or one for all."""
    if point.feedback.of_instants:
        all_wanted = np.stack([(wanted[i] if len(wanted) > 1 else wanted[0]).wanted for i in range(num_instants)], 2)
        decoded, bits = point.feedback(all_wanted, wanted[0])
        return [np.ascontiguousarray(decoded[:, :, i]) for i in range(num_instants)], bits
    reports = [point.feedback(one.wanted, one) for one in (wanted if point.reported == "each" else wanted[:1])]
    of_all = reports if len(reports) == num_instants else [reports[0]] * num_instants
    return [decoded for decoded, _ in of_all], np.asarray(sum(bits for _, bits in reports))


def _over_instants(values: Sequence[Arrays]) -> Arrays:
    """Mean figures over instants; of several also the SGCS at each."""
    if len(values) == 1:
        return dict(values[0])
    found = {name: np.mean([of_one[name] for of_one in values], axis=0) for name in values[0]}
    return found | {f"sgcs_at{i + 1}": of_one["sgcs"] for i, of_one in enumerate(values)}


def figure_names(experiment: CsiExperiment) -> list[str]:
    """Names of the figures of a point, in the order of tables and files."""
    asked = experiment.throughput
    links = [f"{users}_{snr_db:g}" for users in asked.num_users for snr_db in asked.snr_db]
    layers = [f"sgcs_layer{layer + 1}" for layer in range(experiment.num_layers)]
    count = experiment.timing.num_ahead
    layers += [f"sgcs_at{i + 1}" for i in range(count)] if count > 1 else []
    return [
        "sgcs",
        "gcs",
        "nmse",
        *layers,
        *(f"{what}_{link}" for link in links for what in ("se", "mbps")),
        *adapted_names(experiment),
    ]


def _similarities(true: np.ndarray, decoded: np.ndarray) -> Arrays:
    v, w = torch.from_numpy(true), torch.from_numpy(np.ascontiguousarray(decoded))
    found = {name: f(v, w).mean((1, 2)).double().numpy() for name, f in (("sgcs", sgcs), ("gcs", gcs), ("nmse", nmse))}
    layers = sgcs(v, w).mean(2).double().numpy()
    return found | {f"sgcs_layer{layer + 1}": layers[:, layer] for layer in range(layers.shape[1])}


def blocks_of(num_drops: int) -> list[tuple[int, int]]:
    """Every block of so many drops, and how many of its drops are among them."""
    return [(first // BLOCK, min(BLOCK, num_drops - first)) for first in range(0, num_drops, BLOCK)]
