"""CSI feedback as a kind of study."""

from __future__ import annotations

from ran.stats import Estimate, Notation, student_mean
from ran.studies.csi.feedback_jobs import KIND, CsiRequest
from ran.studies.csi.page import write_results
from ran.studies.csi.paper import paper
from ran.studies.csi.run import CsiResults, results_of
from ran.studies.kind import Row, StudyKind


def rows(results: CsiResults) -> list[Row]:
    """A row per way to report."""
    return [
        Row(
            {"feedback": o.title, "predictor": o.predictor},
            {"bits": Estimate.exact(o.mean_bits), **{name: student_mean(values) for name, values in o.figures.items()}},
        )
        for o in results.outcomes
    ]


STUDY = StudyKind(
    KIND,
    lambda experiment, listener: CsiRequest(experiment).study(),
    results_of,
    write_results,
    paper,
    rows,
    (("bits", "bits", Notation(0)), ("sgcs", "SGCS", Notation(4)), ("gcs", "GCS", Notation(4))),
)
