"""`ran csi`: all ways to report over all drops, as jobs of a study; what the folder holds is not computed again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.feedback_jobs import CsiRequest, outcomes
from ran.studies.csi.outcome import PointOutcome
from ran.studies.job import JobWorkers, Results
from ran.studies.jobs import JobListener, run_jobs


@dataclass(frozen=True)
class CsiResults:
    """Outcomes of an experiment, in the order of its feedback."""

    experiment: CsiExperiment
    scenario_id: str
    outcomes: tuple[PointOutcome, ...]

    def curve(self, title: str) -> list[PointOutcome]:
        """The points of a curve."""
        return [o for o in self.outcomes if o.curve == title]

    @property
    def num_drops(self) -> int:
        """Drops that were evaluated."""
        return len(self.outcomes[0].bits)

    @property
    def curves(self) -> list[str]:
        return list(dict.fromkeys(o.curve for o in self.outcomes))


def run_experiment(
    experiment: CsiExperiment,
    out: Path | None,
    workers: int | None = None,
    *,
    listener: JobListener | None = None,
    executor: JobWorkers | None = None,
) -> CsiResults:
    """Run what is missing in the folder `out`, and collect everything.

    More drops and other feedback go on in a folder; one of other channels, timing or throughput figures is refused.
    Arguments and errors as of `ran.studies.jobs.run_jobs`.
    """
    request = CsiRequest(experiment)
    known = run_jobs(request.study(), out, workers=workers, listener=listener, executor=executor)
    return results_of(request.described, known)


def results_of(described: Mapping[str, Any], known: Results) -> CsiResults:
    """The results of a request, from what its folder holds. `KeyError` where jobs of it are missing."""
    experiment = CsiExperiment.model_validate(described["experiment"])
    return CsiResults(experiment, described["scenario_id"], outcomes(described, known))
