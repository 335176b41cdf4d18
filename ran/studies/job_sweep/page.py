"""The report of a sweep over experiments of a study made of jobs: a table of values, a page, and a page for each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ran.report.figures import Picture, as_file
from ran.report.html import write_whole
from ran.report.template import page_template
from ran.report.verdict import verdict
from ran.sim.files import make_folder, write_text
from ran.stats import Estimate, Notation, csv_cells
from ran.studies.job_sweep.gains import Point, findings, points_of, swept_points
from ran.studies.job_sweep.run import CSV, JSON, PAGE, PNG, SVG, PartFound, SweepFound
from ran.studies.sweep.facets import MAX_FACETS, facets_figure
from ran.studies.sweep.request import shown


def write_sweep(found: SweepFound, out: Path) -> Path:
    """Write sweep.csv, sweep.json, sweep.html, its figure, and a folder with the report of every combination; returns
    the path of the page."""
    pages = {}
    for part in found.parts:
        if part.results is not None:
            make_folder(out / part.key)
            pages[part.key] = found.kind.write(part.results, out / part.key)
    points = points_of(found)
    write_text(out / CSV, as_csv(found))
    write_text(out / JSON, as_json(found, points))
    figure = main_figure(found, points)
    picture = None
    if figure is not None and found.kind.comparison is not None:
        picture = Picture.of(figure, "sweep", f"{found.kind.comparison.title} over a swept key")
        write_whole(out / SVG, picture.svg)
        write_whole(out / PNG, as_file(figure, "png"))
    write_text(out / PAGE, _page(found, points, picture, {key: f"{key}/{page.name}" for key, page in pages.items()}))
    return out / PAGE


def main_figure(found: SweepFound, points: Sequence[Point]) -> Figure | None:
    """The study's main figure over a swept key; None where no combination is complete."""
    if found.kind.comparison is None or not points:
        return None
    axis, swept = swept_points(points, found.keys)
    return facets_figure(swept, axis, found.kind.comparison.title)


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


def as_json(found: SweepFound, points: Sequence[Point]) -> str:
    """The main figure of every combination and its gain, with intervals and what it is over; infinite ends are null."""
    comparison = found.kind.comparison
    values = [
        {
            "values": dict(point.facts),
            **point.row.of,
            "is_genie": point.row.is_genie,
            "value": point.value.plain(6),
            "gain": point.gain.plain(6),
            "over": point.over,
            "reason": point.gain.why_missing,
        }
        for point in points
    ]
    about = {} if comparison is None else {"figure": comparison.title, "gain": comparison.what}
    return json.dumps({"sweep": found.name, "study": found.kind.name, **about, "rows": values}, indent=1) + "\n"


def gain_lines(points: Sequence[Point], curves: Sequence[str], notation: Notation) -> list[dict[str, Any]]:
    """A line per values of the facts, a cell per curve; none where nothing is compared."""
    if not any(point.gain.is_known for point in points):
        return []
    of_line: dict[str, list[Point]] = {}
    for point in points:
        of_line.setdefault(point.place, []).append(point)
    found = []
    for own in of_line.values():
        by_curve = {point.curve: point for point in own}
        cells = [_gain_cell(by_curve[curve], notation) if curve in by_curve else None for curve in curves]
        found.append({"values": [shown(value) for value in own[0].facts.values()], "cells": cells})
    return found


def _gain_cell(point: Point, notation: Notation) -> dict[str, str]:
    return {
        "value": notation.value(point.gain),
        "interval": notation.interval(point.gain),
        "verdict": verdict(point.gain),
        "over": point.over,
        "reason": point.gain.why_missing,
    }


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


def _page(found: SweepFound, points: Sequence[Point], picture: Picture | None, pages: dict[str, str]) -> str:
    comparison = found.kind.comparison
    curves = list(dict.fromkeys(point.curve for point in points))
    compares = comparison is not None and bool(points)
    return page_template("ran.studies.job_sweep").render(
        name=found.name,
        description=found.description,
        kind=found.kind.name,
        keys=found.keys,
        columns=columns_of(found),
        titles=[title for _, title, _ in found.kind.shown],
        lines=lines(found),
        findings=findings(points, comparison) if comparison is not None else [],
        picture=picture,
        main="" if comparison is None else comparison.title,
        axis=swept_points(points, found.keys)[0] if compares else "",
        max_facets=MAX_FACETS,
        curves=curves,
        gains=[] if comparison is None else gain_lines(points, curves, comparison.notation),
        gain_keys=list(points[0].facts) if points else [],
        what="" if comparison is None else comparison.what,
        over=list(dict.fromkeys(point.over for point in points if point.over)),
        reports=[{"title": part.title, "page": pages.get(part.key)} for part in found.parts],
        done=len(pages),
        total=len(found.parts),
    )
