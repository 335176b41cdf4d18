"""What a calibration gives for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from ran.report.study_paper import StudyPaper
from ran.studies.calibration.page import as_csv, table
from ran.studies.calibration.picture import distribution_figure
from ran.studies.calibration.run import Calibration
from ran.studies.calibration.setups import METRICS


def paper(results: Sequence[Calibration]) -> StudyPaper:
    """The distribution of every metric, its percentiles, and all of them with intervals."""
    names = {metric: metric.replace("_", "-") for metric in results[0].values}
    counts = ", ".join(f"{result.setup.title}: {result.num_users} users" for result in results)
    return StudyPaper(
        lambda form: {name: distribution_figure(results, metric, form) for metric, name in names.items()},
        {
            name: f"{METRICS[metric].title}, cumulative distribution over users ({counts}). "
            "Circles: references of 3GPP."
            for metric, name in names.items()
        },
        table(results),
        as_csv(results),
    )
