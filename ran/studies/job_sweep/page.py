"""The report of a sweep over experiments of a study made of jobs: a table of values, a page, and a page for each."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from ran import __version__
from ran.report.template import page_part, page_template
from ran.sim.files import make_folder, write_text
from ran.stats import Estimate, Notation, csv_cells
from ran.studies.job_sweep.run import PAGES, PartFound, SweepFound
from ran.studies.sweep.request import shown

CSV, PAGE = PAGES


def write_sweep(found: SweepFound, out: Path) -> Path:
    """Write sweep.csv, sweep.html and a folder with the report of every combination; returns the path of the page."""
    pages = {}
    for part in found.parts:
        if part.results is not None:
            make_folder(out / part.key)
            pages[part.key] = found.kind.write(part.results, out / part.key)
    write_text(out / CSV, as_csv(found))
    write_text(out / PAGE, _page(found, {key: f"{key}/{page.name}" for key, page in pages.items()}))
    return out / PAGE


def as_csv(found: SweepFound) -> str:
    """Every figure of every combination, one row each: the swept keys, what it is of, its value and interval."""
    rows = [(part, row) for part in found.parts if part.results is not None for row in found.kind.rows(part.results)]
    columns = list(dict.fromkeys(column for _, row in rows for column in row.of))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*found.keys, *columns, "figure", "value", "low", "high"])
    for part, row in rows:
        for name, value in row.figures.items():
            swept = [part.facts.get(key, "") for key in found.keys]
            writer.writerow([*swept, *(row.of.get(c, "") for c in columns), name, *csv_cells(value, ".6g")])
    return text.getvalue()


def lines(found: SweepFound) -> list[dict[str, Any]]:
    """What the page and the terminal show: per combination and row of it the swept values, what it is, and figures."""
    shown_lines = []
    for part in found.parts:
        for row in _rows(found, part):
            shown_lines.append(
                {
                    "key": part.key,
                    "values": [shown(part.facts.get(key, "")) for key in found.keys],
                    "of": list(row.of.values()),
                    "cells": [_cell(row.figures.get(name), notation) for name, _, notation in found.kind.shown],
                }
            )
    return shown_lines


def _cell(figure: Estimate | None, notation: Notation) -> dict[str, str]:
    if figure is None:
        return {"value": "", "interval": ""}
    # ends that are written alike say nothing
    interval = "" if notation.number(figure.low) == notation.number(figure.high) else notation.interval(figure)
    return {"value": notation.value(figure), "interval": interval}


def columns_of(found: SweepFound) -> list[str]:
    """Names of what the rows are of."""
    rows = [row for part in found.parts for row in _rows(found, part)]
    return list(dict.fromkeys(column for row in rows for column in row.of))


def _rows(found: SweepFound, part: PartFound) -> list[Any]:
    return [] if part.results is None else list(found.kind.rows(part.results))


def _page(found: SweepFound, pages: dict[str, str]) -> str:
    return page_template("ran.studies.job_sweep").render(
        name=found.name,
        description=found.description,
        kind=found.kind.name,
        keys=found.keys,
        columns=columns_of(found),
        titles=[title for _, title, _ in found.kind.shown],
        lines=lines(found),
        parts=[{"title": part.title, "page": pages.get(part.key)} for part in found.parts],
        done=len(pages),
        total=len(found.parts),
        css=page_part("page.css"),
        version=__version__,
    )
