"""The report of a sweep: tables of values, pictures, and one page that opens anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ran.errors import bad_value
from ran.report.facts import figure_caption
from ran.report.figures import PAGE as PAGE_FORM
from ran.report.figures import Form, Picture, as_file
from ran.report.floor import floors
from ran.report.html import run_tables, write_whole
from ran.report.paper import write_paper
from ran.report.summary import TARGET_BLERS
from ran.report.tables import LabelledRun
from ran.report.template import page_template
from ran.report.verdict import tally
from ran.sim.files import make_folder, write_text
from ran.stats import Notation, percent
from ran.studies.part import PartResult
from ran.studies.sweep.candidate_map import MAX_MAPS, candidate_map
from ran.studies.sweep.candidates import (
    GAIN,
    Delivered,
    best_candidates,
    candidates_csv,
    candidates_json,
    delivered,
    has_candidates,
)
from ran.studies.sweep.facets import MAX_FACETS, axis_key
from ran.studies.sweep.picture import MAX_CURVES, curves_figure, over_key
from ran.studies.sweep.request import shown
from ran.studies.sweep.rows import Row, as_csv, as_json, rows_of

CSV, JSON, PAGE = "sweep.csv", "sweep.json", "report.html"
CANDIDATES_CSV, CANDIDATES_JSON = "candidates.csv", "candidates.json"
_BITS = Notation(0, thousands=True)
_GAIN = Notation(signed=True, suffix=" dB")
_DESCRIPTIONS = {"sweep": "SNR at the target BLER over a swept key", "curves": "BLER over SNR of every combination"}
_MAP = "Gain of the best candidate over the best reference"


def write_sweep(name: str, description: str, parts: Sequence[PartResult], out: Path) -> Path:
    """Write sweep.csv, sweep.json, pictures as SVG and PNG, and report.html; returns the path of the page.

    Of a sweep with candidates also candidates.csv, candidates.json and a map of the gain as a picture.
    """
    make_folder(out)
    rows = rows_of(parts)
    write_text(out / CSV, as_csv(rows))
    write_text(out / JSON, as_json(name, rows))
    pictures: dict[str, Picture] = {}
    for name_of, figure in sweep_figures(parts).items():
        pictures[name_of] = Picture.of(figure, name_of, _DESCRIPTIONS[name_of])
        write_whole(out / f"{name_of}.svg", pictures[name_of].svg)
        write_whole(out / f"{name_of}.png", as_file(figure, "png"))
    compared = delivered(parts) if has_candidates(parts) else []
    if compared:
        write_text(out / CANDIDATES_CSV, candidates_csv(compared))
        write_text(out / CANDIDATES_JSON, candidates_json(compared))
        gains = candidate_map(best_candidates(compared))
        if gains is not None:
            pictures["candidates"] = Picture.of(gains, "candidates", _MAP)
            write_whole(out / "candidates.svg", pictures["candidates"].svg)
            write_whole(out / "candidates.png", as_file(gains, "png"))
    write_whole(out / PAGE, _page(name, description, parts, rows, pictures, compared).encode())
    return out / PAGE


def sweep_figures(parts: Sequence[PartResult], form: Form = PAGE_FORM) -> dict[str, Figure]:
    """Both figures by the name of their files; none where no combination has a point."""
    rows = [row for row in rows_of(parts) if row.points]
    if not rows:
        return {}
    axis = next(part.results for part in parts if part.results).experiment.point_axis
    return {"sweep": over_key(rows, axis, form), "curves": curves_figure(rows, axis, form)}


def write_sweep_paper(parts: Sequence[PartResult], out: Path) -> Path:
    """The folder of `ran.report.paper.write_paper` for both figures; InputError where no combination has a point."""
    runs = _with_points(parts)
    if not runs:
        raise bad_value("combinations with points", "none", "one or more; simulate the sweep first")
    link = figure_caption([runs[0].run])
    captions = {
        name: f"{text}. Of the first combination: {link} Bars: 95 % intervals." for name, text in _DESCRIPTIONS.items()
    }
    return write_paper(lambda form: sweep_figures(parts, form), captions, runs, out)


def _with_points(parts: Sequence[PartResult]) -> list[LabelledRun]:
    return [
        LabelledRun(part.results.experiment.name, part.results, part.facts)
        for part in parts
        if part.results is not None and part.results.points
    ]


def findings(rows: Sequence[Row]) -> list[str]:
    """For every receiver but the reference in a sentence: how often its gain is decided, most and least."""
    reference = next((row.receiver for row in rows if row.is_reference), "")
    what = f"SNR at {percent(TARGET_BLERS[0])} BLER"
    sentences = []
    for receiver in dict.fromkeys(row.receiver for row in rows if not row.is_reference and not row.is_genie):
        gains = [(row.part, row.gains[0]) for row in rows if row.receiver == receiver]
        sentences.append(tally(receiver, reference, what, gains, "combinations", _GAIN))
    return [sentence for sentence in sentences if sentence]


def _page(
    name: str,
    description: str,
    parts: Sequence[PartResult],
    rows: Sequence[Row],
    pictures: dict[str, Picture],
    compared: Sequence[Delivered] = (),
) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row.facts))
    receivers = list(dict.fromkeys(row.receiver for row in rows))
    done = sum(part.is_complete for part in parts)
    first = next((part.results for part in parts if part.results is not None), None)
    with_points = [row for row in rows if row.points]
    lines = [_line(part, rows, receivers, keys) for part in parts]
    return page_template("ran.studies.sweep").render(
        name=name,
        description=description,
        keys=keys,
        receivers=receivers,
        reference=next((row.receiver for row in rows if row.is_reference), None),
        genies={row.receiver for row in rows if row.is_genie},
        targets=[percent(target) for target in TARGET_BLERS],
        lines=lines,
        with_floor=[line["title"] for line in lines if line["floors"]],
        done=done,
        total=len(parts),
        findings=findings(rows),
        warnings=list(dict.fromkeys(_warnings(parts))),
        pictures=pictures,
        files=run_tables(runs) if (runs := _with_points(parts)) else [],
        axis=("Es/N0", "Es/N0", "dB") if first is None else first.experiment.point_axis,
        axis_key=axis_key([row.facts for row in with_points]) if with_points else "",
        max_facets=MAX_FACETS,
        max_curves=MAX_CURVES,
        max_maps=MAX_MAPS,
        condition_keys=list(dict.fromkeys(key for row in compared for key in row.condition)),
        candidates=[_candidate_line(row) for row in compared if row.is_working],
        meta={} if first is None else first.meta,
    )


def _warnings(parts: Sequence[PartResult]) -> list[str]:
    """What should be known when the numbers are read, of every combination that it concerns."""
    return [f"{part.title}: {text}" for part in parts if part.results is not None for text in part.results.warnings]


def _line(part: PartResult, rows: Sequence[Row], receivers: Sequence[str], keys: Sequence[str]) -> dict[str, Any]:
    """What the page shows of a combination."""
    own = {row.receiver: row for row in rows if row.part == part.title}
    return {
        "values": [shown(part.facts.get(key, "")) for key in keys],
        "title": part.title,
        "is_complete": part.is_complete,
        "floors": [] if part.results is None else floors(part.results),
        "cells": [_cell(own[receiver]) if receiver in own else None for receiver in receivers],
        "points": [
            (row.receiver, ", ".join(_point(p.esn0_db, p.block_errors, p.blocks) for p in row.points), row.refusal)
            for row in own.values()
        ],
    }


def _candidate_line(row: Delivered) -> dict[str, Any]:
    """What the page shows of a candidate at the working point of its condition."""
    return {
        "values": [shown(value) for value in row.condition.values()],
        "receiver": row.receiver,
        "esn0_db": f"{row.esn0_db:g}".replace("-", "−"),
        "candidate": row.candidate,
        "is_reference": row.is_reference,
        "bits": _BITS.text(row.bits_per_slot),
        "share": percent(row.share),
        "gain": "reference" if row.is_best else GAIN.text(row.gain),
        "is_clear": row.gain.is_above(0),
    }


def _point(esn0_db: float, errors: int, blocks: int) -> str:
    return f"{esn0_db:g} dB {errors}/{blocks}".replace("-", "−")


def _cell(row: Row) -> dict[str, Any]:
    """Crossing and gain at the first target, with their intervals apart."""
    crossing, _, interval = str(row.crossings[0]).partition(" [")
    gain, _, of_gain = str(row.gains[0]).partition(" [")
    return {
        "crossing": crossing,
        "interval": f"[{interval}" if interval else "",
        "gain": gain if row.gains[0].is_known else "",
        "of_gain": f"[{of_gain}" if of_gain else "",
        "reason": row.refusal or row.crossings[0].why_missing,
        "is_refused": bool(row.refusal),
    }
