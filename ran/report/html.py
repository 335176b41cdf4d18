"""The report folder: one page that opens anywhere without a network, and its figures as SVG and PNG."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from ran.config.yaml_file import dump
from ran.errors import InputError, bad_value
from ran.report.budget import budget_figures, budget_plot, budget_view
from ran.report.curves import curves, run_labels
from ran.report.facts import figure_caption, link_facts, receiver_words
from ran.report.figures import PAGE, Form, Picture, as_file, data_address
from ran.report.floor import floors
from ran.report.harq import harq_plot
from ran.report.palette import swatch
from ran.report.picture import bler_plot, throughput_plot
from ran.report.plot import bler_figure, throughput_figure
from ran.report.summary import findings, has_crossings, reasons, summary_table
from ran.report.tables import LabelledRun, latex_table, mat_bytes, tidy_csv
from ran.report.template import page_part, page_template, plotly_script
from ran.report.throughput_gain import throughput_gains
from ran.sim.results_csv import counter_names
from ran.stats import LEVEL, Notation, percent, student_mean

if TYPE_CHECKING:
    from ran.sim.results import PointResult, RunResults

_PER_DROP = Notation(4, "significant")

#: Of every figure, in words.
DESCRIPTIONS = {
    "bler": "Block error rate over SNR",
    "throughput": "Throughput over SNR",
    "harq": "Block error rate after every transmission",
    "link-budget": "Block error rate over received Es/N0 and over distance",
}


def write_report(runs: Sequence[RunResults], out: Path, esn0_less_ebn0_db: float | None = None) -> Path:
    """Write report.html and its figures as SVG and PNG: bler, throughput, harq where there is HARQ and link-budget
    where there is a link budget, over one run or several together.

    esn0_less_ebn0_db: as of `ran.report.summary.summary_table`.
    out: a folder, made if need be, or the path of the page when it ends in .html (the figures go beside it).
    Each file is replaced in one step, so that no reader ever sees half of one. Returns the path of the page.
    Raises InputError for no runs, for a run without a point, and for a folder that cannot be written.
    """
    check_runs(runs)
    page = page_path(out)
    figures = report_figures(runs)
    pictures = {name: Picture.of(figure, name, DESCRIPTIONS[name]) for name, figure in figures.items()}
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            write_whole(page.parent / f"{name}.svg", pictures[name].svg)
            write_whole(page.parent / f"{name}.png", as_file(figure, "png"))
        write_whole(page, _page(runs, pictures, esn0_less_ebn0_db).encode())
    except OSError as error:
        where = error.filename or page.parent
        raise InputError(f"report: cannot write {where} ({error.strerror}); allowed: a writable folder") from error
    return page


def page_path(out: Path) -> Path:
    """Of a report's page: `out` where that ends in .html, else report.html in it."""
    page = Path(out)
    return page if page.suffix.lower() == ".html" else page / "report.html"


def check_runs(runs: Sequence[RunResults]) -> None:
    """InputError for no runs, for a run without a point, and for runs over different axes."""
    if not runs:
        raise bad_value("runs of the report", "none", "one or more")
    for run, label in zip(runs, run_labels(runs), strict=True):
        if not run.points:
            why = f" ({'; '.join(run.warnings)})" if run.warnings else ""
            raise InputError(f"points of run {label!r}: got none{why}; allowed: one or more; simulate the run first")
    if len({run.experiment.point_axis for run in runs}) > 1:
        raise bad_value("runs of the report", "some over Es/N0 and some over transmit power", "runs of one kind")


def report_figures(runs: Sequence[RunResults], form: Form = PAGE) -> dict[str, Figure]:
    """Every figure of a report by the name of its files."""
    shown = curves(runs)
    title = " · ".join(run_labels(runs))
    found = {"bler": bler_plot(shown, title, form), "throughput": throughput_plot(shown, title, form)}
    if any(run.experiment.link_budget is not None for run in runs):
        found["link-budget"] = budget_plot(runs, form)
    with_harq = [run for run in runs if run.experiment.harq is not None]
    if with_harq:
        found["harq"] = harq_plot(with_harq, form)
    return found


def _page(runs: Sequence[RunResults], pictures: dict[str, Picture], esn0_less_ebn0_db: float | None = None) -> str:
    shown = curves(runs)
    return page_template("ran.report").render(
        title=" · ".join(run_labels(runs)),
        runs=[
            _run_view(
                run,
                label,
                {c.points[0].receiver: swatch(c.color) for c in shown if c.run_index == index},
                esn0_less_ebn0_db,
            )
            for index, (run, label) in enumerate(zip(runs, run_labels(runs), strict=True))
        ],
        # A reader without JavaScript gets the same curves as pictures.
        pictures=pictures,
        files=run_tables(LabelledRun.of(runs)),
        figures={"bler": bler_figure(shown), "throughput": throughput_figure(shown), **budget_figures(runs)},
        axis=runs[0].experiment.point_axis,
        caption=figure_caption(runs),
        receivers={title: words for run in runs for title, words in receiver_words(run).items()},
        gains=throughput_gains(runs),
        confidence=percent(LEVEL),
        figure_script=page_part("page.js"),
        plotlyjs=plotly_script(),
    )


def run_tables(labelled: Sequence[LabelledRun]) -> list[tuple[str, str, str]]:
    """Label, file name and address of the tables that a page lets people save."""
    return [
        ("LaTeX", "table.tex", data_address(latex_table(labelled).encode(), "application/x-tex")),
        ("CSV", "curves.csv", data_address(tidy_csv(labelled).encode(), "text/csv")),
        ("MAT", "curves.mat", data_address(mat_bytes(labelled), "application/octet-stream")),
    ]


def _run_view(run: RunResults, label: str, swatches: dict[str, str], esn0_less_ebn0_db: float | None) -> dict[str, Any]:
    """What the template prints of one run."""
    settings = run.experiment.resolved()
    rows = summary_table(run, esn0_less_ebn0_db=esn0_less_ebn0_db)
    return {
        "label": label,
        "description": settings.get("description") or "",
        "counters": counter_names(run.points),
        "counted": counted_lines(run),
        "link": link_facts(settings),
        "rows": rows,
        "reference": next((row.receiver for row in rows if row.is_reference), None),
        "genie": next((row.receiver for row in rows if row.is_genie), None),
        "findings": findings(rows, _word(run)),
        "floors": floors(run),
        "swatches": swatches,
        "notes": reasons(rows),
        "has_crossings": has_crossings(rows),
        "axis": run.experiment.point_axis,
        "warnings": [*run.warnings, *(text for key, text in run.meta.items() if key.startswith("note "))],
        "budget": None if run.experiment.link_budget is None else budget_view(run),
        "points": run.points,
        # of a run on one kind of processor its row of the provenance says so
        "has_processors": len({point.processor for point in run.points}) > 1 or " + " in run.points[0].processor,
        "has_versions": run.title != run.experiment.name,
        "num_attempts": run.experiment.max_transmissions if run.experiment.harq else 0,
        "genie_receivers": run.genie_receivers,
        "meta": run.meta,
        "is_complete": run.meta.get("complete", "yes") == "yes",
        "settings": dump(settings, allow_unicode=True, width=100),
    }


def counted_lines(run: RunResults) -> list[tuple[PointResult, list[str]]]:
    """Of every point of a receiver that counts something, the mean per drop of all that is counted, with intervals."""
    names = counter_names(run.points)
    return [
        (
            point,
            [
                _PER_DROP.text(student_mean(point.counters_per_drop[name])) if name in point.counters_per_drop else ""
                for name in names
            ],
        )
        for point in run.points
        if point.counters_per_drop
    ]


def _word(run: RunResults) -> str:
    """What receivers need more or less of, in a sentence."""
    return "Es/N0" if run.experiment.link_budget is None else "transmit power"


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` in one step; on any failure it stays as it was."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(content)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
