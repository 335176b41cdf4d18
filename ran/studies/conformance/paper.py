"""What a conformance test gives for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from ran.report.study_paper import StudyPaper
from ran.studies.conformance.outcome import RowOutcome
from ran.studies.conformance.page import as_csv, table
from ran.studies.conformance.picture import margins_figure


def paper(outcomes: Sequence[RowOutcome]) -> StudyPaper:
    """The margins as a figure and as a table, and every value."""
    variant = outcomes[0].variant if outcomes else "38.104"
    caption = (
        f"Margin to the PUSCH requirements of TS {variant} per row: required SNR less that at which the throughput is "
        "70 % of the maximum. Hollow: not passed. Bars: 95 % intervals."
    )
    return StudyPaper(
        lambda form: {"margins": margins_figure(outcomes, form)},
        {"margins": caption},
        table(outcomes),
        as_csv(outcomes),
    )
