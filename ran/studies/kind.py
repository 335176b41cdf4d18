"""What a kind of study made of jobs is: how an experiment becomes jobs, and how their results become a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from ran.errors import InputError
from ran.stats import Estimate, Notation
from ran.studies.folder import JobsFound
from ran.studies.job import MissingResult, Results
from ran.studies.jobs import JobListener, JobStudy, key_prefix, unpacked


@dataclass(frozen=True, eq=False)
class Paired:
    """What gains over another row are taken from. group: rows of one group, with common random numbers, are compared.
    of_drops: what `Comparison.gain` takes."""

    group: str
    of_drops: Any


@dataclass(frozen=True)
class Row:
    """Figures of one thing that a study compares. of: what it is, by column. paired: of the rows that a sweep draws
    and compares."""

    of: Mapping[str, str]
    figures: Mapping[str, Estimate]
    is_genie: bool = False
    paired: Paired | None = None


@dataclass(frozen=True)
class Comparison:
    """What the page of a sweep draws and compares.

    figure: of the rows, by name, and what it is called with its unit; scale: factor of what is drawn. gain: of two
    `Paired.of_drops`, the first over the second, whose drops are the same but for their number; what is gained in
    words, and how it is written. curves: columns of `Row.of` that tell curves apart. panels: those that panels have.
    """

    figure: str
    title: str
    gain: Callable[[Any, Any], Estimate]
    what: str
    notation: Notation
    curves: tuple[str, ...]
    scale: float = 1.0
    panels: tuple[str, ...] = ()


class Paper(Protocol):
    """What a study gives for a paper (`ran.report.study_paper`)."""

    def write(self, out: Path) -> Path:
        """Write figures, tables and values into a folder, made if need be; returns it."""


@dataclass(frozen=True)
class StudyKind:
    """A kind of study.

    name: `JobStudy.kind` of its studies. study: the jobs of an experiment or request. results: what a report is made
    from, of `JobStudy.described` and the results of its jobs; `KeyError` where some are missing. write: all files of
    the report into a folder; returns the page. paper: what `ran report --paper` writes of the results.

    Only of studies whose experiments are files, which may hold a block `sweep`: rows, shown: figures of the results,
    and those that the page of a sweep shows: name, title and how it is written. comparison: what it draws and compares.
    """

    name: str
    study: Callable[[Any, JobListener], JobStudy]
    results: Callable[[Mapping[str, Any], Results], Any]
    write: Callable[[Any, Path], Path]
    paper: Callable[[Any], Paper]
    rows: Callable[[Any], Sequence[Row]] = lambda results: ()
    shown: Sequence[tuple[str, str, Notation]] = ()
    comparison: Comparison | None = None


#: Modules with the `STUDY` of each kind, by its name.
_KINDS = {
    "link adaptation study": "ran.studies.adaptation.kind",
    "beam study": "ran.studies.beams.kind",
    "calibration study": "ran.studies.calibration.kind",
    "CSI study": "ran.studies.csi.kind",
}


#: Modules of the experiments of kinds that have files, by the kind's name: `built_in_experiments`, names to files, and
#: `validated`, from plain values, the folder of relative files and the source for messages to an experiment. They are
#: imported without torch, so that a file that is wrong is refused at once.
EXPERIMENTS = {
    "link adaptation study": "ran.studies.adaptation.experiment",
    "beam study": "ran.studies.beams.experiment",
    "CSI study": "ran.studies.csi.experiment",
}


def kinds() -> tuple[str, ...]:
    """Names of all kinds."""
    return tuple(_KINDS)


def study_kind(name: str) -> StudyKind | None:
    """The kind of that name; None where a folder is of a study that is not shipped."""
    if name not in _KINDS:
        return None
    kind: StudyKind = import_module(_KINDS[name]).STUDY
    return kind


def results_in(kind: StudyKind, found: JobsFound, folder: Path) -> Any:
    """What the last request in a folder came to, from the store alone. `InputError` where it is not complete."""
    known = unpacked(found.results, key_prefix(found.identity))
    try:
        return kind.results(found.described, known)
    except MissingResult:
        damaged = f", {found.damage[0]}" if found.damage else ""
        left = "" if found.is_complete else f", at least {found.left} jobs are left"
        raise InputError(
            f"{folder}: the {kind.name} is not complete{left}{damaged}; allowed: a complete one, which the command "
            "that began it makes of it"
        ) from None
