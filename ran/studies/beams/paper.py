"""What a beam study gives for a paper."""

from __future__ import annotations

from ran.report.study_paper import StudyPaper, captioned
from ran.studies.beams.page import as_csv, facts, figures, table
from ran.studies.beams.picture import pattern_figure
from ran.studies.beams.run import BeamResults


def paper(results: BeamResults) -> StudyPaper:
    """All figures with curves and the beam patterns, the table of the own setting, and every figure of every one."""
    captions = captioned(figures(results), facts(results))
    captions["pattern"] = "Patterns over azimuth of the beams of the best beam's row, in one drop."
    return StudyPaper(
        lambda form: {
            **{drawn.name: drawn.figure for drawn in figures(results, form)},
            "pattern": pattern_figure(results, form),
        },
        captions,
        table(results),
        as_csv(results),
    )
