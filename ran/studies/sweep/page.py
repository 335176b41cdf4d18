"""The report of a sweep: tables of values, pictures, and one page that opens anywhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ran import __version__
from ran.report.html import write_whole
from ran.report.summary import TARGET_BLERS
from ran.report.template import page_part, page_template
from ran.sim.files import write_text
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
from ran.studies.sweep.picture import MAX_CURVES, MAX_FACETS, all_curves, axis_key, over_key
from ran.studies.sweep.request import shown
from ran.studies.sweep.rows import Row, as_csv, as_json, rows_of

CSV, JSON, PAGE = "sweep.csv", "sweep.json", "report.html"
_BITS = Notation(0, thousands=True)
CANDIDATES_CSV, CANDIDATES_JSON = "candidates.csv", "candidates.json"


def write_sweep(name: str, description: str, parts: Sequence[PartResult], out: Path) -> Path:
    """Write sweep.csv, sweep.json, pictures as SVG and PNG, and report.html; returns the path of the page.

    Of a sweep with candidates also candidates.csv, candidates.json and a map of the gain as a picture.
    """
    rows = rows_of(parts)
    write_text(out / CSV, as_csv(rows))
    write_text(out / JSON, as_json(name, rows))
    with_points = [row for row in rows if row.points]
    pictures: dict[str, bytes] = {}
    if with_points:
        axis = next(part.results for part in parts if part.results).experiment.point_axis
        for title, files in (("sweep", over_key(with_points, axis)), ("curves", all_curves(with_points, axis))):
            for kind, content in files.items():
                write_whole(out / f"{title}.{kind}", content)
            pictures[title] = files["png"]
    compared = delivered(parts) if has_candidates(parts) else []
    if compared:
        write_text(out / CANDIDATES_CSV, candidates_csv(compared))
        write_text(out / CANDIDATES_JSON, candidates_json(compared))
        files = candidate_map(best_candidates(compared))
        for kind, content in files.items():
            write_whole(out / f"candidates.{kind}", content)
            if kind == "png":
                pictures["candidates"] = content
    write_whole(out / PAGE, _page(name, description, parts, rows, pictures, compared).encode())
    return out / PAGE


def findings(rows: Sequence[Row]) -> list[str]:
    """For every receiver but the reference in a sentence: where it gains most and where least."""
    sentences = []
    for receiver in dict.fromkeys(row.receiver for row in rows if not row.is_reference and not row.is_genie):
        own = [row for row in rows if row.receiver == receiver]
        known = [row for row in own if row.gains[0].is_known]
        if not known:
            continue
        reference = next((row.receiver for row in rows if row.is_reference), "")
        better = sum(1 for row in known if row.gains[0].is_above(0))
        worse = sum(1 for row in known if row.gains[0].is_below(0))
        most = max(known, key=lambda row: row.gains[0].known)
        least = min(known, key=lambda row: row.gains[0].known)
        sentences.append(
            f"{receiver} needs significantly less Es/N0 than {reference} in {better} of {len(known)} combinations"
            + (f" and significantly more in {worse}" if worse else "")
            + f"; the gain is largest at {most.part} ({most.gains[0]} dB) and smallest at "
            + f"{least.part} ({least.gains[0]} dB)"
        )
    return sentences


def _page(
    name: str,
    description: str,
    parts: Sequence[PartResult],
    rows: Sequence[Row],
    pictures: dict[str, bytes],
    compared: Sequence[Delivered] = (),
) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row.facts))
    receivers = list(dict.fromkeys(row.receiver for row in rows))
    done = sum(part.is_complete for part in parts)
    first = next((part.results for part in parts if part.results is not None), None)
    with_points = [row for row in rows if row.points]
    return page_template("ran.studies.sweep").render(
        name=name,
        description=description,
        keys=keys,
        receivers=receivers,
        reference=next((row.receiver for row in rows if row.is_reference), None),
        genies={row.receiver for row in rows if row.is_genie},
        targets=[percent(target) for target in TARGET_BLERS],
        lines=[_line(part, rows, receivers, keys) for part in parts],
        done=done,
        total=len(parts),
        findings=findings(rows),
        warnings=list(dict.fromkeys(_warnings(parts))),
        pictures={title: base64.b64encode(content).decode() for title, content in pictures.items()},
        axis=("Es/N0", "Es/N0", "dB") if first is None else first.experiment.point_axis,
        axis_key=axis_key(with_points) if with_points else "",
        max_facets=MAX_FACETS,
        max_curves=MAX_CURVES,
        max_maps=MAX_MAPS,
        condition_keys=list(dict.fromkeys(key for row in compared for key in row.condition)),
        candidates=[_candidate_line(row) for row in compared if row.is_working],
        meta={} if first is None else first.meta,
        css=page_part("page.css"),
        version=__version__,
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
