"""Results of a CSI experiment: csi.json and csi.csv with every figure, and one page that opens anywhere."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ran.config.provenance import versions
from ran.report.figures import PAGE as PAGE_FORM
from ran.report.figures import Drawn, Form, Line, lines_figure
from ran.report.palette import swatch
from ran.report.study_paper import Table, saved_tables
from ran.report.template import page_template
from ran.report.verdict import tally
from ran.sim.files import write_text
from ran.stats import Estimate, Notation, student_mean
from ran.stats.notation import csv_cells
from ran.studies.csi import adapted_page
from ran.studies.csi.adapted_link import ranks_of
from ran.studies.csi.experiment import ReportTiming
from ran.studies.csi.observation import overhead
from ran.studies.csi.outcome import PointOutcome, at_payload, bits_for, paired_gain
from ran.studies.csi.run import CsiResults

JSON, CSV, PAGE = "csi.json", "csi.csv", "csi.html"
_SGCS, _SGCS_GAIN, _MBPS = Notation(4), Notation(4, signed=True), Notation(1)
_DB = Notation(1)
#: The curve that others are compared with at equal payload.
REFERENCE = "enhanced-type-two"
#: Payloads in bits at which curves are compared.
_PAYLOADS = (64, 78, 96, 128, 140, 192, 250)


def write_results(results: CsiResults, out: Path) -> Path:
    """Write csi.json, .csv and .html into the run's folder; returns the path of the page."""
    write_text(out / JSON, json.dumps(as_plain(results), indent=1) + "\n")
    write_text(out / CSV, as_csv(results))
    write_text(out / PAGE, _as_page(results))
    return out / PAGE


def reference_of(results: CsiResults) -> list[PointOutcome]:
    """Points of enhanced type II without prediction ahead of it; empty where there are none."""
    return [o for o in results.outcomes if o.curve == REFERENCE]


def as_plain(results: CsiResults) -> dict[str, Any]:
    """All figures as plain values."""
    reference = reference_of(results)
    return {
        "format": "ran6g csi",
        "experiment": results.experiment.resolved(),
        "scenario_id": results.scenario_id,
        "versions": versions(),
        "reference": REFERENCE,
        "results": [
            {
                "curve": o.curve,
                "point": o.title,
                "predictor": o.predictor,
                "bits": {"mean": o.mean_bits, "least": int(o.bits.min()), "most": int(o.bits.max())},
                "values": {name: _plain(o.value(name)) for name in o.figures},
                "gain_at_equal_payload": {
                    name: _plain(gain) for name in o.figures if (gain := _gain(o, reference, name)) is not None
                },
                "cost": dict(o.cost),
            }
            for o in results.outcomes
        ],
        "at_payload": [{**item, "sgcs": _plain(item["sgcs"])} for item in at_payloads(results)],
    }


def _plain(estimate: Estimate) -> dict[str, float | None]:
    return dict(zip(("value", "low", "high"), estimate.plain(), strict=True))


def _gain(o: PointOutcome, reference: list[PointOutcome], name: str) -> Estimate | None:
    if not reference or o.curve == REFERENCE or name.startswith("report_bits_"):
        return None
    return paired_gain(o, reference, name)


def at_payloads(results: CsiResults) -> list[dict[str, Any]]:
    """SGCS of every curve at the payloads that are compared, and the bits that enhanced type II takes for the same."""
    reference = reference_of(results)
    found = []
    for bits in _PAYLOADS:
        for curve in results.curves:
            values = at_payload(results.curve(curve), "sgcs", bits)
            if values is None:
                continue
            mean = student_mean(values)
            found.append(
                {
                    "bits": bits,
                    "curve": curve,
                    "sgcs": mean,
                    "reference_bits": bits_for(reference, "sgcs", mean.known),
                }
            )
    return found


def as_csv(results: CsiResults) -> str:
    """A line per way to report and figure, with its interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["curve", "point", "predictor", "bits", "figure", "value", "low", "high"])
    for o in results.outcomes:
        for name in o.figures:
            numbers = csv_cells(o.value(name), ".6g")
            writer.writerow([o.curve, o.title, o.predictor, f"{o.mean_bits:.6g}", name, *numbers])
    return text.getvalue()


def shown_throughputs(results: CsiResults) -> list[tuple[int, float]]:
    """(users, SNR in dB) of the table's columns: every number of users at the middle SNR."""
    asked = results.experiment.throughput
    if not asked.snr_db:
        return []
    snr_db = sorted(asked.snr_db)[len(asked.snr_db) // 2]
    return [(users, snr_db) for users in asked.num_users]


def column_titles(results: CsiResults) -> list[str]:
    """Titles of the table, after the first column."""
    columns = ["bits", "SGCS", "GCS", "NMSE dB", f"SGCS over {REFERENCE}"]
    for users, snr_db in shown_throughputs(results):
        columns.append(f"{users} {'user' if users == 1 else 'users'} at {snr_db:g} dB, Mbit/s")
    return [*columns, "encoder: MFLOP, parameters", "decoder: MFLOP, parameters"]


def rows(results: CsiResults) -> list[dict[str, Any]]:
    """Rows of the table, for the page and the terminal."""
    reference, found = reference_of(results), []
    for o in results.outcomes:
        cells = [{"value": f"{o.mean_bits:.0f}", "interval": _range(int(o.bits.min()), int(o.bits.max()))}]
        cells += [_cell(o.value(name), _SGCS) for name in ("sgcs", "gcs")]
        error = o.value("nmse").known
        cells.append({"value": _DB.number(10 * math.log10(error)) if error > 1e-6 else "", "interval": ""})
        gain = _gain(o, reference, "sgcs")
        cells.append({"value": "", "interval": ""} if gain is None else _cell(gain, _SGCS_GAIN))
        for users, snr_db in shown_throughputs(results):
            cells.append(_cell(o.value(f"mbps_{users}_{snr_db:g}"), _MBPS))
        for side in ("encoder", "decoder"):
            flops, parameters = o.cost.get(f"{side}_flops"), o.cost.get(f"{side}_parameters")
            value = "" if flops is None else f"{flops / 1e6:.2f}"
            cells.append({"value": value, "interval": "" if parameters is None else f"{parameters:,}"})
        found.append({"title": o.title, "style": swatch(places(results)[o.curve]), "cells": cells})
    return found


def table(results: CsiResults) -> Table:
    """The table of the page, as text."""
    lines = [[row["title"], *(f"{c['value']} {c['interval']}".strip() for c in row["cells"])] for row in rows(results)]
    return Table(["report", *column_titles(results)], lines, note="95 % intervals over drops")


def _range(low: int, high: int) -> str:
    return "" if low == high else f"{low} to {high}"


def _cell(estimate: Estimate, notation: Notation) -> dict[str, str]:
    interval = "" if estimate.low == estimate.high else notation.interval(estimate)
    return {"value": notation.value(estimate), "interval": interval}


def places(results: CsiResults) -> dict[str, int | None]:
    """Place of every curve in the palette; None of the ideal one."""
    found: dict[str, int | None] = {}
    for curve in results.curves:
        ideal = all(o.mean_bits == 0 for o in results.curve(curve))
        found[curve] = None if ideal else sum(place is not None for place in found.values())
    return found


def _line(title: str, place: int | None, x: Sequence[float], values: Sequence[Estimate]) -> Line:
    numbers = [[number for number in value.numbers if number is not None] for value in values]
    return Line(title, place, list(x), *([of_point[i] for of_point in numbers] for i in range(3)))


def figures(results: CsiResults, form: Form = PAGE_FORM) -> list[Drawn]:
    """SGCS and throughput over payload, and spectral efficiency over SNR."""
    found: list[Drawn] = []
    place = places(results)

    def add(name: str, title: str, note: str, lines: list[Line], x_title: str, y_title: str) -> None:
        if lines:
            found.append(Drawn(name, title, note, lines_figure(lines, x_title, y_title, form=form)))

    def over_payload(name: str) -> list[Line]:
        lines = []
        for curve in results.curves:
            own = sorted(results.curve(curve), key=lambda o: o.mean_bits)
            if any(o.mean_bits > 0 for o in own):
                lines.append(_line(curve, place[curve], [o.mean_bits for o in own], [o.value(name) for o in own]))
        return lines

    note = "Rate-distortion: bits of the report that tell the precoder, mean over drops."
    add("sgcs", "SGCS over payload", note, over_payload("sgcs"), "Payload [bit]", "SGCS")
    for users, snr_db in shown_throughputs(results):
        served = "one user, MMSE receiver" if users == 1 else f"{users} users by zero forcing"
        title, note = f"Throughput over payload, {served}", f"At {snr_db:g} dB; all users together."
        name = f"mbps_{users}_{snr_db:g}"
        add(f"throughput-{users}", title, note, over_payload(name), "Payload [bit]", "Throughput [Mbit/s]")
    asked = results.experiment.throughput
    if len(asked.snr_db) > 1:
        for users in asked.num_users:
            lines = []
            for curve in results.curves:
                # of every curve the point nearest to 140 bits stands for it
                point = min(results.curve(curve), key=lambda o: abs(o.mean_bits - 140))
                values = [point.value(f"se_{users}_{snr_db:g}") for snr_db in asked.snr_db]
                lines.append(_line(point.title, place[curve], asked.snr_db, values))
            title = f"Spectral efficiency over SNR, {users} {'user' if users == 1 else 'users'}"
            note = "Of every curve the point nearest to 140 bits; log2(1 + SINR), all users together."
            add(f"efficiency-{users}", title, note, lines, "SNR [dB]", "Spectral efficiency [bit/s/Hz]")
    if ranks_of(results.experiment):
        snr_db = adapted_page.middle_db(results.experiment)
        lines = []
        for curve in results.curves:
            own = sorted(results.curve(curve), key=lambda o: o.value(f"report_bits_{snr_db:g}").known)
            x = [o.value(f"report_bits_{snr_db:g}").known for o in own]
            lines.append(_line(curve, place[curve], x, [o.value(f"adapted_mbps_{snr_db:g}") for o in own]))
        note = f"At {snr_db:g} dB, one user; all bits of the report, at the rank that is reported."
        x_title, y_title = "Payload with RI and CQI [bit]", "Throughput [Mbit/s]"
        add("adapted", "Throughput by the reported rank and CQI", note, lines, x_title, y_title)
    return found


def findings(results: CsiResults) -> list[str]:
    """For every curve but the reference in a sentence: at how many of its payloads its SGCS is decided to be above."""
    reference, sentences = reference_of(results), []
    for curve in results.curves:
        gains = []
        for o in results.curve(curve):
            gain = _gain(o, reference, "sgcs") if o.mean_bits > 0 else None
            if gain is not None and not gain.is_open:
                gains.append((f"{o.mean_bits:.0f} bits", gain))
        sentences.append(tally(curve, REFERENCE, "SGCS at the same payload", gains, "points", _SGCS_GAIN))
    return [sentence for sentence in sentences if sentence]


def facts(results: CsiResults) -> dict[str, str]:
    """What was simulated, in a few words each."""
    e = results.experiment
    panel, band = e.panel, e.band
    estimate = "ideal" if e.estimate.method == "ideal" else f"{e.estimate.method} at {e.estimate.esn0_db:g} dB"
    said = {"Report says": adapted_page.said(e)} if e.report.rank is not None else {}
    return {
        "Channel": f"{e.channel.name}, {e.speed_kmh:g} km/h",
        "Ports": f"{panel.num_ports}: ({panel.n1}, {panel.n2}), {panel.subarray_rows} elements each",
        "User": f"{e.terminal.num_rx_ant} receive antennas, {e.num_layers} layer" + ("s" if e.num_layers > 1 else ""),
        "Band": f"{band.num_prb} PRBs at {band.subcarrier_spacing_khz} kHz, {len(band.units)} PMI units",
        "Channel estimate": estimate,
        "CSI-RS": f"{100 * overhead(e):.2f} % of the downlink's elements, taken off in net_mbps of csi.csv",
        "Reports": f"every {e.timing.period_ms:g} ms, used {_later(e.timing)} ms later",
        **said,
        "Drops": f"{results.num_drops}, fitted to {e.num_fit_drops} others, seed {e.seed}",
    }


def _later(timing: ReportTiming) -> str:
    return ", ".join(f"{timing.ahead_ms * k:g}" for k in range(1, timing.num_ahead + 1))


def _as_page(results: CsiResults) -> str:
    return page_template("ran.studies.csi").render(
        experiment=results.experiment,
        facts=facts(results),
        files=saved_tables(table(results), as_csv(results)),
        titles=column_titles(results),
        rows=rows(results),
        reference=REFERENCE,
        findings=findings(results),
        payloads=_payload_table(results),
        adapted_titles=adapted_page.titles(results.experiment),
        adapted_rows=[{**row, "style": swatch(places(results)[row["curve"]])} for row in adapted_page.rows(results)],
        figures=[drawn.picture for drawn in figures(results)],
        legend=[(name, swatch(place)) for name, place in places(results).items()],
        scenario=results.scenario_id[:12],
    )


def _payload_table(results: CsiResults) -> list[dict[str, Any]]:
    found = []
    for item in at_payloads(results):
        equal = item["reference_bits"]
        found.append(
            {
                "bits": item["bits"],
                "curve": item["curve"],
                "style": swatch(places(results)[item["curve"]]),
                "cell": _cell(item["sgcs"], _SGCS),
                "reference_bits": "" if equal is None else f"{equal:.0f}",
            }
        )
    return found
