"""The robustness matrix as a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ran.studies.interface import Study
from ran.studies.part import Part, PartResult
from ran.studies.robustness.conditions import load_conditions
from ran.studies.robustness.outcome import BASELINE, FLOOR
from ran.studies.robustness.page import write_results
from ran.studies.robustness.run import Request, outcomes_of_parts, parts_of


class Robustness(Study):
    """Receivers on channels, bandwidths and radios that they were not designed for, against lmmse.

    receivers: names; ls-linear and lmmse are always there. conditions: names or groups of them, by default all.
    file: of conditions, of the form of ran/studies/robustness/conditions.yaml. max_slots: per point.
    """

    name = "robustness"

    def __init__(
        self,
        receivers: tuple[str, ...] = ("blind",),
        conditions: tuple[str, ...] = (),
        file: str | None = None,
        max_slots: int = 192,
    ) -> None:
        if max_slots < 16:
            raise ValueError(f"max_slots: got {max_slots}; allowed: 16 or more")
        self.receivers, self.conditions, self.file, self.max_slots = receivers, conditions, file, max_slots
        known = load_conditions(None if file is None else Path(file))
        tried = [name for name in receivers if name not in (FLOOR, BASELINE)]
        blocks = tuple({"name": name} for name in (FLOOR, BASELINE, *tried))
        self._request = Request(known, known.select(list(conditions)), blocks, max_slots)

    def parts(self) -> Sequence[Part]:
        return parts_of(self._request)

    def write(self, results: Sequence[PartResult], out: Path) -> Path:
        return write_results(outcomes_of_parts(self._request, results), out)
