"""Beam prediction as a kind of study."""

from __future__ import annotations

import numpy as np

from ran.stats import Estimate, Notation, common_units, normal_mean, paired_difference
from ran.studies.beams.outcome_jobs import KIND, BeamRequest
from ran.studies.beams.page import write_results
from ran.studies.beams.paper import paper
from ran.studies.beams.run import BeamResults, results_of
from ran.studies.kind import Comparison, Paired, Row, StudyKind


def rows(results: BeamResults) -> list[Row]:
    """A row per predictor and setting; none of those that were refused. Sweeps compare in the experiment's own one."""
    own = results.settings[0]
    return [
        Row(
            {"predictor": r.predictor, "setting": r.setting.title},
            r.values,
            r.needs_truth,
            Paired("", r.per_drop.top1) if r.setting == own and r.per_drop is not None else None,
        )
        for r in results.results
        if r.refusal is None
    ]


def _gain(own: np.ndarray, other: np.ndarray) -> Estimate:
    """Of shares of right predictions per drop."""
    return paired_difference(*common_units(own, other), normal_mean)


STUDY = StudyKind(
    KIND,
    lambda experiment, listener: BeamRequest(experiment).study(),
    results_of,
    write_results,
    paper,
    rows,
    (
        ("top1", "Top-1 %", Notation(1, scale=100)),
        ("loss_db_k1", "loss, mean dB", Notation(2)),
        ("effective_mbps_k1", "Mbit/s after overhead", Notation(0)),
    ),
    Comparison(
        "top1",
        "Top-1 accuracy [%]",
        _gain,
        "Top-1 accuracy in points of a per cent",
        Notation(1, scale=100, signed=True),
        scale=100,
        curves=("predictor",),
    ),
)
