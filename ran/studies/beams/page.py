"""Results of a beam experiment: beams.json and beams.csv with every figure, and one page that opens anywhere."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ran.config.provenance import versions
from ran.errors import InputError
from ran.report.figures import PAGE as PAGE_FORM
from ran.report.figures import Drawn, Form, Line, Picture, lines_figure
from ran.report.palette import swatch
from ran.report.study_paper import Table, saved_tables
from ran.report.template import page_template
from ran.sim.files import write_text
from ran.stats import Estimate, Notation, csv_cells
from ran.studies.beams.picture import map_figure, pattern_figure
from ran.studies.beams.run import BeamResults, Result, costs_of
from ran.studies.beams.setting import Setting

_DBM = Notation(0)
JSON, CSV, PAGE = "beams.json", "beams.csv", "beams.html"
#: Columns of the table: title, name of the figure, how it is written.
_COLUMNS: tuple[tuple[str, str, Notation], ...] = (
    ("Top-1 %", "top1", Notation(1, scale=100)),
    ("loss, mean dB", "loss_db_k1", Notation(2)),
    ("loss, 90 % dB", "loss_db_p90", Notation(1)),
    ("loss, 95 % dB", "loss_db_p95", Notation(1)),
    ("within %", "within_k1", Notation(1, scale=100)),
    ("Mbit/s of the beam", "rate_mbps_k1", Notation(0)),
    ("Mbit/s, 5 %", "rate_mbps_p5", Notation(0)),
    ("Mbit/s after overhead", "effective_mbps_k1", Notation(0)),
    ("failures %", "failure_k1", Notation(2, scale=100)),
)


def write_results(results: BeamResults, out: Path) -> Path:
    """Write beams.json, .csv and .html into the folder, made if need be; returns the path of the page."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out: cannot write {out} ({error.strerror}); allowed: a writable folder") from error
    write_text(out / JSON, json.dumps(as_plain(results), indent=1) + "\n")
    write_text(out / CSV, as_csv(results))
    write_text(out / PAGE, _as_page(results))
    return out / PAGE


def as_plain(results: BeamResults) -> dict[str, Any]:
    """All figures as plain values."""
    return {
        "format": "ran6g beams",
        "experiment": results.experiment.resolved(),
        "scenario_id": results.scenario_id,
        "ideal_mbps": results.ideal_mbps,
        "versions": versions(),
        "results": [_plain(result) for result in results.results],
    }


def _plain(result: Result) -> dict[str, Any]:
    setting = {"set_b": result.setting.set_b.model_dump(mode="json"), "speed_kmh": result.setting.speed_kmh}
    setting["every"] = result.setting.every
    if result.refusal is not None:
        return {"predictor": result.predictor, **setting, "refusal": result.refusal}
    return {
        "predictor": result.predictor,
        **setting,
        "needs_truth": result.needs_truth,
        "num_beams": result.num_beams,
        "num_rounds": result.num_rounds,
        "fingerprint": result.fingerprint,
        "values": _ends(result.values),
        "against_own": _ends(result.against_own),
        "by_horizon": [_ends(at) for at in result.by_horizon],
        "reliability": result.reliability,
        "rsrp_calibration": result.rsrp_calibration,
    }


def _ends(values: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: dict(zip(("value", "low", "high"), e.plain(), strict=True)) for name, e in values.items()}


def as_csv(results: BeamResults) -> str:
    """A line per predictor, setting and figure, with its interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["predictor", "pattern", "set_b", "speed_kmh", "every", "figure", "value", "low", "high"])
    for result in results.results:
        own = result.setting
        for name, value in result.values.items():
            numbers = csv_cells(value, ".6g")
            writer.writerow(
                [result.predictor, own.set_b.pattern, own.set_b.size, own.speed_kmh, own.every, name, *numbers]
            )
    return text.getvalue()


def rows(results: BeamResults) -> list[dict[str, Any]]:
    """Rows of the table of the experiment's own setting, for the page and the terminal."""
    found = []
    for result in results.of(results.settings[0]):
        cells = []
        for _, name, shown in _COLUMNS:
            value = result.values.get(name)
            if value is None:
                cells.append({"value": "", "interval": ""})
            else:
                interval = "" if value.low == value.high else shown.interval(value)
                cells.append({"value": shown.value(value), "interval": interval})
        found.append({"result": result, "style": swatch(_places(results)[result.predictor]), "cells": cells})
    return found


def compared(results: BeamResults) -> list[dict[str, Any]]:
    """Tables over the settings that share their drops, none of one setting: what is in columns, and rows with a title
    and cells. Settings are rows, or columns where there are more predictors than settings."""
    own = results.settings[0]
    settings = [setting for setting in results.settings if setting.speed_kmh == own.speed_kmh]
    names = [r.predictor for r in results.of(own) if not r.needs_truth]
    if len(settings) < 2 or not names:
        return []
    found = []
    for title, name, shown in (
        ("Top-1 %", "top1", Notation(1, scale=100)),
        ("Loss, mean dB", "loss_db_k1", Notation(2)),
    ):
        cells = []
        for setting in settings:
            of_name = {result.predictor: result for result in results.of(setting)}
            cells.append([_compared_cell(of_name.get(predictor), name, shown) for predictor in names])
        across, down = names, [_setting_title(results, setting) for setting in settings]
        if len(names) > len(settings):
            across, down, cells = down, across, [list(column) for column in zip(*cells, strict=True)]
        lines = [{"title": row, "cells": of_row} for row, of_row in zip(down, cells, strict=True)]
        found.append({"title": title, "columns": across, "rows": lines})
    return found


def _setting_title(results: BeamResults, setting: Setting) -> str:
    if results.experiment.evaluation.measured_every:
        return f"{setting.set_b_title}, every {setting.every * results.experiment.timing.period_ms:g} ms"
    return setting.set_b_title


def _compared_cell(result: Result | None, name: str, shown: Notation) -> dict[str, str]:
    if result is None:
        return {"value": "", "interval": ""}
    value, difference = result.values[name], result.against_own.get(name)
    if difference is None:
        interval = shown.interval(value)
    elif difference.low == difference.value == difference.high == 0:
        interval = "the same"
    else:
        interval = replace(shown, signed=True).text(difference)
    return {"value": shown.value(value), "interval": interval}


def table(results: BeamResults) -> Table:
    """The table of the experiment's own setting, as text."""
    lines = []
    for row in rows(results):
        result, cells = row["result"], row["cells"]
        name = result.predictor + (" (genie)" if result.needs_truth else "")
        lines.append([name, f"{result.num_beams:g}", *(f"{c['value']} {c['interval']}".strip() for c in cells)])
    return Table(["predictor", "beams measured", *column_titles(results)], lines, note="95 % intervals over drops")


def column_titles(results: BeamResults) -> list[str]:
    within = f"within {results.experiment.evaluation.within_db:g} dB %"
    return [within if title == "within %" else title for title, _, _ in _COLUMNS]


def _places(results: BeamResults) -> dict[str, int | None]:
    """Place of every predictor in the palette; None of a genie."""
    found: dict[str, int | None] = {}
    for result in results.results:
        if result.predictor not in found:
            found[result.predictor] = None if result.needs_truth else sum(p is not None for p in found.values())
    return found


def _as_page(results: BeamResults) -> str:
    experiment = results.experiment
    places = _places(results)
    refused = [r for r in results.results if r.refusal is not None]
    return page_template("ran.studies.beams").render(
        experiment=experiment,
        facts=facts(results),
        files=saved_tables(table(results), as_csv(results)),
        notes=results.notes,
        titles=column_titles(results),
        rows=rows(results),
        figures=[drawn.picture for drawn in figures(results)],
        example=_example(results),
        legend=[(name, swatch(place)) for name, place in places.items()],
        compared=compared(results),
        refused=sorted({f"{r.predictor} with {r.setting.set_b.pattern}: {r.refusal}" for r in refused}),
        ideal=f"{results.ideal_mbps:.0f}",
        scenario=results.scenario_id[:12],
    )


def facts(results: BeamResults) -> dict[str, str]:
    """What was simulated, in a few words each."""
    experiment, world = results.experiment, results.world
    panel, terminal, radio, timing = experiment.panel, experiment.terminal, experiment.radio, experiment.timing
    costs = costs_of(experiment)
    slants = "cross-polarised" if panel.polarisation == "cross" else "single-polarised"
    carrier_ghz, (rows, columns) = results.carrier_frequency_hz / 1e9, world.set_a.grid
    horizon = ", ".join(f"{at:g}" for at in timing.horizon_ms)
    pairs = f"{experiment.num_set_a} pairs, {experiment.num_rx_beams} × " if experiment.task == "pairs" else ""
    times = f"{_number(timing.num_observed, 'time')}, every {timing.period_ms:g} ms"
    decisions = _number(timing.num_decisions, "decision")
    return {
        "Channel": f"{experiment.channel.name}, {carrier_ghz:g} GHz, {experiment.speed_kmh:g} km/h",
        "Panel": f"{panel.rows} × {panel.columns} {slants} places, {panel.downtilt_deg:g}° down",
        "Set A": f"{pairs}{world.set_a.num_beams} beams, {experiment.set_a.codebook}, {rows} × {columns}",
        "Set B": results.settings[0].set_b_title,
        "User": f"{len(terminal.faces_deg)} faces × {terminal.num_beams} receive beams",
        "Radio": f"{radio.tx_power_dbm:g} dBm, {radio.bandwidth_hz / 1e6:.0f} MHz",
        "Noise": f"{_DBM.number(world.noise_dbm)} dBm per RE",
        "Measured": f"{times}; used at {horizon} ms",
        "A pair costs"
        if pairs
        else "A beam costs": f"{_number(costs.symbols_per_beam, 'symbol')} of {costs.symbol_ms * 1e3:.1f} µs",
        "Drops": f"{results.num_drops}, {decisions} each, seed {experiment.seed}",
    }


def _number(count: float, what: str) -> str:
    return f"{count:g} {what}" + ("" if count == 1 else "s")


def figures(results: BeamResults, form: Form = PAGE_FORM) -> list[Drawn]:
    """Every figure with curves, of the experiment's own setting and over the settings."""
    places = _places(results)
    own = results.of(results.settings[0])
    found: list[Drawn] = []

    def add(name: str, title: str, note: str, lines: list[Line], x_title: str, y_title: str, share: bool) -> None:
        found.append(Drawn(name, title, note, lines_figure(lines, x_title, y_title, share, form)))

    def over_k(name: str) -> list[Line]:
        lines = []
        for result in own:
            ks = [k for k in results.experiment.evaluation.top_k if name.format(k) in result.values]
            if ks:
                lines.append(_line(result, places, ks, [result.values[name.format(k)] for k in ks]))
        return lines

    note = "The best beam is among the first K."
    add("top-k", "Top-K accuracy over K", note, over_k("top{}"), "K", "Top-K accuracy", True)
    note = "After K beams more were tried, mean below the best."
    add("loss", "Loss over K", note, over_k("loss_db_k{}"), "K", "Loss [dB]", False)
    title, note = "Throughput after overhead over K", "Less the time that measuring takes."
    add("throughput", title, note, over_k("effective_mbps_k{}"), "K", "Throughput [Mbit/s]", False)
    if len(own[0].by_horizon) > 1:
        horizon = results.experiment.timing.horizon_ms
        lines = [_line(r, places, horizon, [at["top1"] for at in r.by_horizon]) for r in own]
        title, note = "Top-1 over time", "After the last measurement."
        add("over-time", title, note, lines, "Time [ms]", "Top-1 accuracy", True)
    for name, title, note, lines, x_title, y_title, share in _over_settings(results, places):
        add(name, title, note, lines, x_title, y_title, share)
    lines = [
        Line(r.predictor, places[r.predictor], [b["given"] for b in r.reliability], [b["share"] for b in r.reliability])
        for r in own
        if len(r.reliability) > 1 and not r.needs_truth
    ]
    if lines:
        lines.insert(0, Line("calibrated", None, [0, 1], [0, 1], is_ideal=True))
        title = "Calibration of the confidence"
        note = "Share of best beams by the probability given; calibrated is the diagonal."
        add("confidence", title, note, lines, "Probability given to the first beam", "Share", True)
    levels = [
        Line(
            r.predictor,
            places[r.predictor],
            [b["predicted_dbm"] for b in r.rsrp_calibration],
            [b["true_dbm"] for b in r.rsrp_calibration],
        )
        for r in own
        if not r.needs_truth
    ]
    if levels:
        title, note = "Calibration of the power", "True against predicted L1-RSRP."
        add("power", title, note, levels, "Predicted [dBm]", "True [dBm]", False)
    return found


def _line(result: Result, places: Mapping[str, int | None], x: Sequence[float], values: Sequence[Estimate]) -> Line:
    return _curve(result.predictor, places[result.predictor], x, values)


def _curve(title: str, place: int | None, x: Sequence[float], values: Sequence[Estimate]) -> Line:
    shown = [(at, e.value, e.low, e.high) for at, e in zip(x, values, strict=True)]
    known = [(at, v, a, b) for at, v, a, b in shown if v is not None and a is not None and b is not None]
    return Line(title, place, *([part[i] for part in known] for i in range(4)))


_Figure = tuple[str, str, str, list[Line], str, str, bool]


def _over_settings(results: BeamResults, places: Mapping[str, int | None]) -> list[_Figure]:
    """Curves over Set B's size, per pattern, and over speed."""
    own = results.settings[0]
    found: list[_Figure] = []
    for pattern in dict.fromkeys(s.set_b.pattern for s in results.settings):
        alike = sorted(
            (s for s in results.settings if s.set_b.pattern == pattern and replace(s, set_b=own.set_b) == own),
            key=lambda s: s.set_b.size,
        )
        if len(alike) > 1:
            for name, what, unit, share in (("top1", "Top-1", "", True), ("loss_db_k1", "Loss", " [dB]", False)):
                lines = _lines_over(results, places, alike, name, [s.set_b.size for s in alike])
                title, note = f"{what} over the size of Set B, {pattern}", f"Set B: {pattern}."
                found.append((f"{name}-{pattern}", title, note, lines, "Beams measured", what + unit, share))
    by_speed = sorted(
        (s for s in results.settings if s.set_b == own.set_b and s.every == own.every), key=lambda s: s.speed_kmh
    )
    if len(by_speed) > 1:
        for name, what in (("top1", "Top-1"), ("failure_k1", "Beam failures")):
            lines = _lines_over(results, places, by_speed, name, [s.speed_kmh for s in by_speed])
            found.append((f"{name}-speed", f"{what} over speed", "", lines, "Speed [km/h]", what, True))
    return found


def _lines_over(
    results: BeamResults,
    places: Mapping[str, int | None],
    settings: Sequence[Setting],
    name: str,
    x: Sequence[float],
) -> list[Line]:
    found = []
    for predictor, place in places.items():
        at, values = [], []
        for where, setting in zip(x, settings, strict=True):
            result = next((r for r in results.of(setting) if r.predictor == predictor), None)
            if result is not None:
                at.append(where)
                values.append(result.values[name])
        if values:
            found.append(_curve(predictor, place, at, values))
    return found


def _example(results: BeamResults) -> dict[str, Any]:
    world, example = results.world, results.example
    size, grid = world.set_a.num_beams, world.set_a.grid
    best = int(example.true_dbm.argmax())
    first = best // size * size  # of pairs, those of the best receive beam
    measured = example.measured - first if not results.settings[0].set_b.is_outside else example.measured[:0]
    measured = measured[(measured >= 0) & (measured < size)]
    shown = {"truth": example.true_dbm} | {t: v for t, v in example.predictions.items() if t != "genie"}
    maps = [
        Picture.of(map_figure(values[first : first + size], grid, title, measured, best - first), f"map{i}", title)
        for i, (title, values) in enumerate(shown.items())
    ]
    return {"pattern": Picture.of(pattern_figure(results), "pattern", "Beam patterns over azimuth"), "maps": maps}
