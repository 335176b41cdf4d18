"""The result as a table of values and as one page that opens anywhere: a line per row, its curve below."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ran.counted import counted
from ran.report.figures import Picture
from ran.report.palette import swatch
from ran.report.study_paper import Table, saved_tables
from ran.report.template import page_part, page_template, plotly_script
from ran.sim.files import write_text
from ran.stats import MISSING, Estimate, Notation, percent
from ran.studies.conformance.curve import curve_figure
from ran.studies.conformance.outcome import RowOutcome, RowVerdict
from ran.studies.conformance.picture import margins_figure, shares_figure
from ran.studies.conformance.requirements import THRESHOLD, Requirement, Variant
from ran.studies.conformance.shares import ShareLine, Shares
from ran.studies.conformance.side_by_side import by_row, common_margins

CSV, PAGE = "conformance.csv", "conformance.html"
_REQUIRED, _SNR, _MARGIN = Notation(1), Notation(2), Notation(2, signed=True)
_FRACTION, _PERCENT = Notation(3), Notation(1, scale=100, suffix=" %")
_SHARE, _ALLOWED = Notation(2, "significant", scale=100, suffix=" %"), Notation(2, "significant", scale=100)

_WORDS: dict[RowVerdict, str] = {"fail": "fail", "undecided": "undecided", "refused": "refused by the receiver"}

_COLUMNS = (
    "receiver",
    "variant",
    "required_snr_db_tested",
    "verdict",
    "throughput_fraction",
    "throughput_fraction_low",
    "throughput_fraction_high",
    "processes",
    "transmissions",
    "snr_at_70_percent_db",
    "snr_half_interval_db",
    "margin_db",
    "remark",
)


def write_results(outcomes: Sequence[RowOutcome], out: Path, shares: Shares | None = None) -> Path:
    """Write conformance.csv, where there are such rows, and conformance.html into the folder; returns the path of the
    page. shares: rows whose limit is a share of errors, which have tables of their own."""
    found = shares or Shares()
    if outcomes or not found.lines:
        write_text(out / CSV, as_csv(outcomes))
    write_text(out / PAGE, _as_page(outcomes, found))
    return out / PAGE


def table(outcomes: Sequence[RowOutcome]) -> Table:
    """A line per row and receiver: what is required, what was found, the margin and the verdict."""
    lines = []
    for outcome in outcomes:
        row, shown = outcome.row, cells(outcome)
        signal = f"{row.modulation} {row.target_rate_x1024:g}/1024"
        facts = [outcome.receiver, row.name, signal, f"{row.num_layers}×{row.num_rx}", outcome.verdict]
        lines.append([*facts, shown["required"], shown["fraction"], shown["at"], shown["margin"]])
    columns = ["receiver", "row", "signal", "layers×Rx", "verdict"]
    numbers = ["required SNR [dB]", "throughput there", f"SNR at {percent(THRESHOLD)} [dB]", "margin [dB]"]
    return Table([*columns, *numbers], lines, 5, "95 % intervals, valid over all interim decisions")


def as_csv(outcomes: Sequence[RowOutcome]) -> str:
    """A line per row and receiver."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(field.name for field in fields(Requirement)), *_COLUMNS])
    for outcome in outcomes:
        row = asdict(outcome.row)
        fraction, point, found = outcome.fraction, outcome.required_point, outcome.crossing
        values = [
            outcome.receiver,
            outcome.variant,
            outcome.required_snr_db,
            outcome.verdict,
            *((fraction.value, fraction.low, fraction.high) if fraction else (None,) * 3),
            *((point.drops, point.transmissions) if point else (None,) * 2),
            found.value,
            found.half_width,
            outcome.margin_db,
            outcome.reason or found.why_missing,
        ]
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in (*row.values(), *values)])
    return text.getvalue()


def _as_page(outcomes: Sequence[RowOutcome], shares: Shares) -> str:
    variant: Variant = outcomes[0].variant if outcomes else "38.104"
    receivers = dict.fromkeys([*(outcome.receiver for outcome in outcomes), *shares.receivers])
    kinds = dict.fromkeys([*(["PUSCH"] if outcomes or not shares.lines else []), *(line.kind for line in shares.lines)])
    lines = [f"PUSCH, {line}" if shares.lines else line for line in (summaries(outcomes) if outcomes else [])]
    return page_template("ran.studies.conformance").render(
        subject=_and(list(kinds)),
        receiver=", ".join(receivers) or ("" if shares.lines else "—"),
        variant=variant,
        threshold=percent(THRESHOLD),
        conclusion=conclusion(outcomes, shares.lines),
        summaries=[*lines, *(f"{kind}, {text}" for kind, text, *_ in shares.groups)],
        shares=[
            {"kind": kind, "summary": text, "file": file, "rows": [_share(line) for line in of_kind]}
            for kind, text, file, of_kind in shares.groups
        ],
        shares_figure=Picture.of(shares_figure(shares.lines), "shares", "Shares of errors over what is allowed")
        if len(shares.lines) > 1
        else None,
        side_by_side=_side_by_side(outcomes),
        files=saved_tables(table(outcomes), as_csv(outcomes)),
        margins=Picture.of(margins_figure(outcomes), "margins", "Margin to the requirement per row"),
        legend=[(name, swatch(place)) for place, name in enumerate(dict.fromkeys(o.receiver for o in outcomes))],
        rows=[_line(number, outcome) for number, outcome in enumerate(outcomes)],
        figures={f"curve{n}": curve_figure(outcome) for n, outcome in enumerate(outcomes) if outcome.points},
        plotlyjs=plotly_script(),
        figure_script=page_part("page.js"),
    )


def _line(number: int, outcome: RowOutcome) -> dict[str, Any]:
    """What the page shows of a row."""
    row = outcome.row
    waveform = "" if row.waveform == "CP-OFDM" else f", {row.waveform}"
    link = f"{row.num_prb} PRB, {row.scs_khz} kHz{waveform}"
    channel = f"{row.delay_profile}-{row.max_doppler_hz:g}"
    return {
        "receiver": outcome.receiver,
        "table": row.table,
        "row": row.row,
        "name": row.name,
        "what": f"{row.modulation} {row.target_rate_x1024}/1024",
        "frc": row.frc,
        "link": link,
        "antennas": f"{row.num_layers}×{row.num_rx}",
        "channel": channel,
        "verdict": outcome.verdict,
        "cells": cells(outcome),
        "points": [
            {
                "esn0_db": f"{point.esn0_db:g}",
                "fraction": _FRACTION.value(point.fraction),
                "interval": _FRACTION.interval(point.fraction),
                "drops": point.drops,
                "transmissions": point.transmissions,
                "bler_after": ", ".join(f"{bler:.3g}" for bler in point.bler_after),
            }
            for point in outcome.points
        ],
        "curve": f"curve{number}",
        "reason": outcome.reason,
    }


def cells(outcome: RowOutcome) -> dict[str, str]:
    """Required SNR, fraction there with its interval, SNR at the threshold, margin and number of processes, as text."""
    fraction, found, point = outcome.fraction, outcome.crossing, outcome.required_point
    return {
        "required": _REQUIRED.number(outcome.required_snr_db),
        "fraction": _PERCENT.text(fraction) if fraction else MISSING,
        "at": _at(found) if outcome.points else MISSING,
        "margin": _MARGIN.number(outcome.margin_db),
        "processes": str(point.drops) if point else "—",
    }


def _at(crossing: Estimate) -> str:
    return _SNR.text(crossing) if crossing.is_known else crossing.reason


def _side_by_side(outcomes: Sequence[RowOutcome]) -> dict[str, Any] | None:
    """The margins of several receivers; None for a single one."""
    lines = by_row(outcomes)
    receivers = list(dict.fromkeys(outcome.receiver for outcome in outcomes))
    if len(receivers) < 2:
        return None
    count, means = common_margins(outcomes)
    return {
        "receivers": receivers,
        "rows": [
            {
                "name": line[0].row.name,
                "what": f"{line[0].row.modulation} {line[0].row.target_rate_x1024}/1024",
                "antennas": f"{line[0].row.num_layers}×{line[0].row.num_rx}",
                "margins": [(cells(outcome)["margin"], outcome.verdict, outcome.reason) for outcome in line],
            }
            for line in lines
        ],
        "count": count,
        "means": [_MARGIN.number(means.get(receiver)) for receiver in receivers],
    }


def summaries(outcomes: Sequence[RowOutcome]) -> list[str]:
    """A line per receiver, and where there are several one that compares them."""
    receivers = list(dict.fromkeys(outcome.receiver for outcome in outcomes))
    if len(receivers) < 2:
        return [summary(outcomes)]
    lines = [f"{r}: {summary([outcome for outcome in outcomes if outcome.receiver == r])}" for r in receivers]
    count, means = common_margins(outcomes)
    if means:
        compared = ", ".join(f"{receiver} {_SNR.number(mean)} dB" for receiver, mean in means.items())
        lines.append(f"mean margins on the {counted(count, 'row')} that all take: {compared}")
    return lines


def summary(outcomes: Sequence[RowOutcome]) -> str:
    """Counts of the verdicts and the mean margin of a receiver, in one line."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    parts = [f"{counts[verdict]} {verdict}" for verdict in ("pass", "fail", "undecided", "refused") if counts[verdict]]
    margins = [outcome.margin_db for outcome in outcomes if outcome.margin_db is not None]
    if margins:
        mean, least = (_SNR.number(margin) for margin in (sum(margins) / len(margins), min(margins)))
        parts.append(f"mean margin {mean} dB, smallest {least} dB")
    return f"{counted(len(outcomes), 'row')}: " + ", ".join(parts)


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _share(line: ShareLine) -> dict[str, Any]:
    """What the page shows of a row whose limit is a share."""
    return {
        "receiver": line.receiver,
        "table": line.table,
        "name": line.name,
        "signal": line.signal,
        "num_rx": line.num_rx,
        "channel": line.channel,
        "metric": line.metric,
        "snr": MISSING if line.snr_db is None else _REQUIRED.number(line.snr_db),
        "limit": _ALLOWED.number(line.limit) + " %",
        "share": _SHARE.value(line.share),
        "interval": _SHARE.interval(line.share),
        "trials": f"{line.errors} of {line.trials}",
        "verdict": line.verdict,
        "reason": line.reason,
    }


def conclusion(outcomes: Sequence[RowOutcome], shares: Sequence[ShareLine] = ()) -> str:
    """Whether the requirements are met, in one sentence."""
    counts = Counter([outcome.verdict for outcome in outcomes] + [line.verdict for line in shares])
    total = len(outcomes) + len(shares)
    if counts["pass"] == total:
        return f"Requirements met: {total} of {total} rows pass."
    others = ", ".join(f"{counts[v]} {_WORDS[v]}" for v in ("fail", "undecided", "refused") if counts[v])
    return f"Requirements not met: {counts['pass']} of {total} rows pass, {others}. Only a pass is a pass."
