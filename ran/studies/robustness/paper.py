"""What a robustness study gives for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from ran.report.study_paper import StudyPaper
from ran.stats import percent
from ran.studies.robustness.conditions import TARGET_BLER
from ran.studies.robustness.outcome import BASELINE, FLOOR, Outcome
from ran.studies.robustness.page import as_csv, by_condition, competitors, table
from ran.studies.robustness.picture import gains_figure


def paper(outcomes: Sequence[Outcome]) -> StudyPaper:
    """The gains per condition as a figure and as a table, and every value."""
    lines, receivers = by_condition(outcomes), [FLOOR, *competitors(outcomes)]
    caption = f"Gain in Es/N0 over {BASELINE} at {percent(TARGET_BLER)} BLER per condition. Bars: 95 % intervals."
    return StudyPaper(
        lambda form: {"robustness": gains_figure(lines, receivers, form)},
        {"robustness": caption},
        table(outcomes),
        as_csv(outcomes, {}),
    )
