"""Results of a calibration as a table of values, a picture, and one page that opens anywhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from channels.scenarios.layout import IndoorLayout
from ran.counted import counted
from ran.errors import InputError
from ran.report.figures import Picture, as_file
from ran.report.palette import swatch
from ran.report.study_paper import Table, saved_tables
from ran.report.template import page_template
from ran.sim.files import make_folder, write_text
from ran.stats import Notation, csv_cells, percent
from ran.studies.calibration.picture import distribution_figure, distributions_figure
from ran.studies.calibration.run import PERCENTILES, Calibration, Percentile
from ran.studies.calibration.setups import METRICS, TOLERANCE_DB

CSV, PNG, PAGE = "calibration.csv", "calibration.png", "calibration.html"
_SHOWN = (5, 25, 50, 75, 95)
_VALUE, _REFERENCE, _DEVIATION = Notation(2), Notation(1), Notation(2, signed=True)


def write_results(results: Sequence[Calibration], out: Path) -> Path:
    """Write calibration.csv, .png and .html into the folder, made if need be; returns the path of the page."""
    make_folder(out)
    try:
        (out / PNG).write_bytes(as_file(distributions_figure(results), "png"))
    except OSError as error:
        raise InputError(f"--out: cannot write {out} ({error.strerror}); allowed: a writable folder") from error
    write_text(out / CSV, as_csv(results))
    write_text(out / PAGE, _as_page(results))
    return out / PAGE


def summary(results: Sequence[Calibration]) -> str:
    """How many references are met, in one line."""
    compared = [entry for result in results for entry in result.against_reference()]
    if not compared:
        return "nothing was compared: these setups have no references for these tables; --spec 14 has"
    compared = [entry for entry in compared if entry.is_met is not None]
    met = sum(entry.is_met is True for entry in compared)
    worst = {
        metric: max((abs(e.deviation or 0.0) for e in compared if e.metric == metric), default=0.0)
        for metric in TOLERANCE_DB
    }
    figures = ", ".join(
        f"{METRICS[m].title.lower()} at most {worst[m]:.2f} dB off ({TOLERANCE_DB[m]} allowed)" for m in worst
    )
    return f"{met} of {len(compared)} references met: {figures}"


def table(results: Sequence[Calibration]) -> Table:
    """Percentiles of every metric of every setup, with the deviation from the reference where there is one."""
    lines = []
    for result in results:
        for metric in result.values:
            entries = [_cell(result.percentile(metric, p)) for p in _SHOWN]
            cells = [f"{c['value']} {c['interval']} {c['reference']}".strip() for c in entries]
            lines.append([result.setup.title, f"{METRICS[metric].title}, {METRICS[metric].unit}", *cells])
    columns = ["setup", "quantity", *(f"{p} %" for p in _SHOWN)]
    return Table(columns, lines, 2, "95 % intervals; behind them the reference and, in brackets, the deviation from it")


def as_csv(results: Sequence[Calibration]) -> str:
    """A line per setup, metric and percentile."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = "setup metric unit percent value low high reference deviation tolerance users drops seed"
    writer.writerow(header.split())
    for result in results:
        for metric in result.values:
            for share in PERCENTILES:
                entry = result.percentile(metric, share)
                compared: tuple[float | None, ...] = (None, None, None)
                if entry.reference is not None:
                    compared = (entry.reference, entry.deviation, entry.tolerance)
                shown = csv_cells(entry.estimate, ".3f")
                shown += ["" if number is None else f"{number:.3f}" for number in compared]
                writer.writerow(
                    [
                        result.setup.name,
                        metric,
                        METRICS[metric].unit,
                        share,
                        *shown,
                        result.num_users,
                        result.drops,
                        result.seed,
                    ]
                )
    return text.getvalue()


def _as_page(results: Sequence[Calibration]) -> str:
    return page_template("ran.studies.calibration").render(
        summary=summary(results),
        results=[_result(result) | {"swatch": swatch(place)} for place, result in enumerate(results)],
        figures=[
            Picture.of(distribution_figure(results, name), name.replace("_", "-"), title=METRICS[name].title)
            for name in results[0].values
        ],
        tolerance=TOLERANCE_DB,
        files=saved_tables(table(results), as_csv(results)),
    )


def _result(result: Calibration) -> dict[str, Any]:
    setup = result.setup
    around = "an office of 120 × 50 m" if isinstance(setup.layout, IndoorLayout) else "wrap-around"
    facts = {
        "Tables": setup.release,
        "Layout": f"{setup.num_sites} sites × 3 sectors, {setup.inter_site_distance_m:g} m apart, {around}",
        "Sector": f"10 elements, beam at {setup.beam_zenith_deg:g}°, {setup.power_dbm:g} dBm",
        "Noise": f"{setup.bandwidth_hz / 1e6:g} MHz, noise figure {setup.noise_figure_db:g} dB",
        "Users": f"{result.num_users}, {percent(setup.indoor_ratio)} in buildings, {counted(result.drops, 'drop')}, "
        f"seed {result.seed}",
    }
    return {
        "title": setup.title,
        "name": setup.name,
        "facts": facts,
        "rows": [
            {"metric": METRICS[metric], "cells": [_cell(result.percentile(metric, p)) for p in _SHOWN]}
            for metric in result.values
        ],
    }


def _cell(entry: Percentile) -> dict[str, str]:
    met = {True: "met", False: "missed", None: ""}[entry.is_met]
    reference = ""
    if entry.reference is not None:
        reference = f"{_REFERENCE.number(entry.reference)} ({_DEVIATION.number(entry.deviation)})"
    value, interval = _VALUE.value(entry.estimate), _VALUE.interval(entry.estimate)
    return {"value": value, "interval": interval, "reference": reference, "met": met}
