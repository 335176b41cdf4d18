"""Beam prediction as a kind of study."""

from __future__ import annotations

from ran.stats import Notation
from ran.studies.beams.outcome_jobs import KIND, BeamRequest
from ran.studies.beams.page import write_results
from ran.studies.beams.paper import paper
from ran.studies.beams.run import BeamResults, results_of
from ran.studies.kind import Row, StudyKind


def rows(results: BeamResults) -> list[Row]:
    """A row per predictor and setting; none of those that were refused."""
    return [
        Row({"predictor": r.predictor, "setting": r.setting.title}, r.values)
        for r in results.results
        if r.refusal is None
    ]


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
)
