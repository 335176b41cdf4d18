"""What a CSI study gives for a paper."""

from __future__ import annotations

from ran.report.study_paper import StudyPaper, captioned
from ran.studies.csi.page import as_csv, facts, figures, table
from ran.studies.csi.run import CsiResults


def paper(results: CsiResults) -> StudyPaper:
    """All figures of the page, its table, and every figure of every report."""
    return StudyPaper(
        lambda form: {drawn.name: drawn.figure for drawn in figures(results, form)},
        captioned(figures(results), facts(results)),
        table(results),
        as_csv(results),
    )
