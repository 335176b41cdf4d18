"""What a study of link adaptation gives for a paper."""

from __future__ import annotations

from ran.report.facts import link_caption
from ran.report.study_paper import StudyPaper
from ran.studies.adaptation.page import DESCRIPTIONS, Results, as_csv, drawn, table


def paper(results: Results) -> StudyPaper:
    """All figures of the page, the throughput of the loops, and every point."""
    adaptation = results.experiment.adaptation
    series = f"{adaptation.num_series} series of {adaptation.num_slots} slots"
    link = f"{link_caption(results.experiment.resolved())}; {series}."
    captions = {name: f"{text}. {link} Bars: 95 % intervals." for name, text in DESCRIPTIONS.items()}
    return StudyPaper(lambda form: drawn(results, form), captions, table(results), as_csv(results))
