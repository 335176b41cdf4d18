"""Calibration as a kind of study. It has no experiment files: its request are setups of TR 38.901 and a count."""

from __future__ import annotations

from ran.studies.calibration.page import write_results
from ran.studies.calibration.paper import paper
from ran.studies.calibration.run import KIND, results_of
from ran.studies.kind import StudyKind

STUDY = StudyKind(KIND, lambda request, listener: request.study(), results_of, write_results, paper)
