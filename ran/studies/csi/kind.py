"""CSI feedback as a kind of study."""

from __future__ import annotations

from ran.stats import Estimate, Notation, common_units, paired_difference
from ran.studies.csi.feedback_jobs import KIND, CsiRequest
from ran.studies.csi.page import write_results
from ran.studies.csi.paper import paper
from ran.studies.csi.run import CsiResults, results_of
from ran.studies.kind import Comparison, Paired, Row, StudyKind


def rows(results: CsiResults) -> list[Row]:
    """A row per way to report; one that takes no bits reports what it should, like a genie."""
    return [
        Row(
            {"feedback": o.title, "predictor": o.predictor},
            {"bits": Estimate.exact(o.mean_bits), **{name: o.value(name) for name in o.figures}},
            o.mean_bits == 0,
            Paired("", o.figures["sgcs"]),
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
    Comparison(
        "sgcs",
        "SGCS",
        lambda own, other: paired_difference(*common_units(own, other)),
        "SGCS",
        Notation(4, signed=True),
        ("feedback", "predictor"),
    ),
)
