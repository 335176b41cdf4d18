"""The report folder: one page that opens anywhere without a network, and its curves as PNG."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ran.errors import InputError, bad_value
from ran.report.budget import budget_figures, budget_png, budget_view
from ran.report.curves import COLORS_DARK, COLORS_LIGHT, GENIE_DARK, GENIE_LIGHT, curves, run_labels
from ran.report.harq import harq_png
from ran.report.picture import bler_png, throughput_png
from ran.report.plot import bler_figure, throughput_figure
from ran.report.summary import findings, has_crossings, reasons, summary_table
from ran.report.template import page_part, page_template
from ran.report.throughput_gain import throughput_gains

if TYPE_CHECKING:
    from ran.sim.results import RunResults
from ran.config.yaml_file import dump
from ran.stats import LEVEL, percent


def write_report(runs: Sequence[RunResults], out: Path, esn0_less_ebn0_db: float | None = None) -> Path:
    """Write report.html, bler.png, throughput.png, and harq.png where there is HARQ and link-budget.png
    where there is a link budget, over one run or several together.

    esn0_less_ebn0_db: as of `ran.report.summary.summary_table`.
    out: a folder, made if need be, or the path of the page when it ends in .html (the PNGs go beside it).
    Each file is replaced in one step, so that no reader ever sees half of one. Returns the path of the page.
    Raises InputError for no runs, for a run without a point, and for a folder that cannot be written.
    """
    if not runs:
        raise bad_value("runs of the report", "none", "one or more")
    for run, label in zip(runs, run_labels(runs), strict=True):
        if not run.points:
            why = f" ({'; '.join(run.warnings)})" if run.warnings else ""
            raise InputError(f"points of run {label!r}: got none{why}; allowed: one or more; simulate the run first")
    axes = {run.experiment.point_axis for run in runs}
    if len(axes) > 1:
        raise bad_value("runs of the report", "some over Es/N0 and some over transmit power", "runs of one kind")
    page = Path(out)
    if page.suffix.lower() != ".html":
        page = page / "report.html"
    shown = curves(runs)
    title = " · ".join(run_labels(runs))
    pictures = {"bler.png": bler_png(shown, title), "throughput.png": throughput_png(shown, title)}
    with_budget = [run for run in runs if run.experiment.link_budget is not None]
    if with_budget:
        pictures["link-budget.png"] = budget_png(runs)
    with_harq = [run for run in runs if run.experiment.harq is not None]
    if with_harq:
        pictures["harq.png"] = harq_png(with_harq)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        for name, content in pictures.items():
            write_whole(page.parent / name, content)
        write_whole(page, _page(runs, title, pictures, esn0_less_ebn0_db).encode())
    except OSError as error:
        where = error.filename or page.parent
        raise InputError(f"report: cannot write {where} ({error.strerror}); allowed: a writable folder") from error
    return page


def _page(
    runs: Sequence[RunResults], title: str, pictures: dict[str, bytes], esn0_less_ebn0_db: float | None = None
) -> str:
    shown = curves(runs)
    return page_template("ran.report").render(
        title=title,
        runs=[
            _run_view(
                run, label, {c.points[0].receiver: c.color for c in shown if c.run_index == index}, esn0_less_ebn0_db
            )
            for index, (run, label) in enumerate(zip(runs, run_labels(runs), strict=True))
        ],
        # A reader without JavaScript gets the same curves as pictures.
        pictures={name[:-4]: base64.b64encode(content).decode() for name, content in pictures.items()},
        figures={"bler": bler_figure(shown), "throughput": throughput_figure(shown), **budget_figures(runs)},
        axis=runs[0].experiment.point_axis,
        gains=throughput_gains(runs),
        palette={
            "light": {"curves": COLORS_LIGHT, "genie": GENIE_LIGHT},
            "dark": {"curves": COLORS_DARK, "genie": GENIE_DARK},
        },
        confidence=percent(LEVEL),
        css=page_part("page.css"),
        script=page_part("page.js"),
        plotlyjs=Markup(get_plotlyjs()),
    )


def _run_view(
    run: RunResults, label: str, colors: dict[str, int | None], esn0_less_ebn0_db: float | None
) -> dict[str, Any]:
    """What the template prints of one run."""
    settings = run.experiment.resolved()
    rows = summary_table(run, esn0_less_ebn0_db=esn0_less_ebn0_db)
    return {
        "label": label,
        "description": settings.get("description") or "",
        "link": _link_facts(settings),
        "rows": rows,
        "reference": next((row.receiver for row in rows if row.is_reference), None),
        "genie": next((row.receiver for row in rows if row.is_genie), None),
        "findings": findings(rows, _word(run)),
        "colors": colors,
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


def _link_facts(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """The link in a line of facts, as far as the experiment states them."""
    carrier, channel = settings.get("carrier", {}), settings.get("pdsch") or settings.get("pusch", {})
    channels = settings.get("channel", {})
    channels = channels if isinstance(channels, list) else [channels]
    facts = {
        "Carrier": f"{carrier.get('num_prb')} PRB at {carrier.get('subcarrier_spacing_khz')} kHz",
        "Shared channel": "PDSCH" if "pdsch" in settings else None,
        "MCS": f"{_mcs(channel)} of table {channel.get('mcs_table')}",
        "Precoding": _precoding(settings),
        "Channel": ", ".join(dict.fromkeys(_channel(c) for c in channels)),
        "Link budget": _budget(settings.get("link_budget")),
        "Users": settings.get("users", {}).get("num_users"),
        "Receive antennas": settings.get("num_rx_ant"),
        "Seed": settings.get("seed"),
    }
    return [(name, str(value)) for name, value in facts.items() if value is not None and "None" not in str(value)]


def _word(run: RunResults) -> str:
    """What receivers need more or less of, in a sentence."""
    return "Es/N0" if run.experiment.link_budget is None else "transmit power"


def _budget(budget: dict[str, Any] | None) -> str | None:
    """Powers and noise in a few words."""
    if budget is None:
        return None
    powers = ", ".join(f"{power:g}" for power in budget["tx_power_dbm"])
    text = f"{powers} dBm, noise figure {budget['noise_figure_db']:g} dB at {budget['temperature_k']:g} K"
    control = budget.get("power_control")
    return text if control is None else f"{text}, P0 {control['p0_dbm']:g} dBm, alpha {control['alpha']:g}"


def _mcs(channel: dict[str, Any]) -> str:
    """The MCS index, or those of two codewords."""
    second = channel.get("mcs_index_2")
    return f"{channel.get('mcs_index')}" if second is None else f"{channel.get('mcs_index')} and {second}"


def _precoding(settings: dict[str, Any]) -> str | None:
    """Precoder of a downlink, its antennas, and what the transmitter knows of the channel."""
    block = settings.get("precoding")
    if not block:
        return None
    antennas = block.get("num_tx_ant") or 2 * block.get("n1", 0) * block.get("n2", 0)
    text = f"{block['name']}, {antennas} antennas" if antennas else str(block["name"])
    if "csi_delay_slots" not in block:
        return text
    delay, snr_db = block["csi_delay_slots"], block.get("csi_snr_db")
    if not delay and snr_db is None:
        return f"{text}, ideal CSI"
    return f"{text}, CSI {delay} slots old" + ("" if snr_db is None else f" at {snr_db:g} dB")


def _channel(block: Any) -> str:
    """A channel block as its name and, for a tapped delay line, its profile, or the site that its rays are of."""
    if not isinstance(block, dict):
        return str(block)
    named = [str(block[key]) for key in ("name", "profile") if key in block]
    return " ".join(named + [PurePath(block[key]).name for key in ("rays", "responses") if block.get(key)])


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
