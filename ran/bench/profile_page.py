"""A profile as JSON, CSV, Markdown and as a picture."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ran.bench.page import quantity
from ran.bench.profile import Profile, StageTime
from ran.bench.stages import STAGES
from ran.sim.files import write_text
from ran.stats import MISSING

COLUMNS = ("receiver", "stage", "ms_per_slot", "share", "floor_ms", "times_floor")
#: What all receivers share, as tables call it.
SHARED = "(shared)"
_COLOURS = (
    "#332288", "#117733", "#44aa99", "#88ccee", "#ddcc77", "#cc6677", "#aa4499",
    "#882255", "#0072b2", "#d55e00", "#999933", "#661100", "#bbbbbb",
)  # fmt: skip


def _row(profile: Profile, stage: StageTime) -> dict[str, Any]:
    return {
        "receiver": stage.receiver or SHARED,
        "stage": stage.stage,
        "ms_per_slot": 1e3 * stage.seconds,
        "share": profile.share(stage),
        "floor_ms": None if stage.floor_s is None else 1e3 * stage.floor_s,
        "times_floor": stage.times_floor,
    }


def as_json(profile: Profile) -> dict[str, Any]:
    """Everything that was measured, as plain values."""
    return {
        "experiment": profile.experiment,
        "esn0_db": profile.esn0_db,
        "slots": profile.num_slots,
        "cpu": profile.cpu,
        "versions": dict(profile.versions),
        "limits": asdict(profile.limits),
        "bler": dict(profile.blers),
        "ms_per_slot": 1e3 * profile.total_s,
        "ms_per_slot_without_clock": 1e3 * profile.plain_s,
        "stages": [_row(profile, stage) for stage in profile.stages],
    }


def as_csv(profile: Profile) -> str:
    """A line per receiver and stage."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for stage in profile.stages:
        writer.writerow(_row(profile, stage))
    return text.getvalue()


def as_markdown(profile: Profile, command: str) -> str:
    """The page: slots per second of every receiver alone and of all side by side, then the table."""
    shared_s, limits = profile.seconds_of(""), profile.limits
    lines = [
        f"# Profile of {profile.experiment} at {profile.esn0_db:g} dB",
        "",
        f"`{command}` on {profile.cpu}, {profile.num_slots} slots, one thread, processor time. Side by side "
        f"{quantity(1e3 * profile.total_s)} ms per slot; with the clock off {quantity(1e3 * profile.plain_s)} ms "
        "before storing.",
        "",
        "The floor of a stage is the time of its operations at the measured peak "
        f"({limits.int8_per_s / 1e9:,.0f} G int8 operations/s, {limits.flops_per_s / 1e9:,.0f} GFLOP/s) or of its "
        f"bytes at the measured memory bandwidth ({limits.memory_bytes_per_s / 1e9:,.0f} GB/s), whichever is more. "
        "Where `equalise` stands without `demap`, both are one loop. `network` estimates, equalises and demaps in one.",
        "",
        "| receiver | slots/s alone | BLER |",
        "|---|---:|---:|",
    ]
    for receiver in profile.receivers[1:]:
        alone = 1 / (shared_s + profile.seconds_of(receiver))
        lines.append(f"| {receiver} | {quantity(alone)} | {profile.blers[receiver]:.3g} |")
    lines += [
        "",
        "| receiver | stage | ms per slot | share | floor, ms | times the floor |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for stage in sorted(profile.stages, key=lambda s: (profile.receivers.index(s.receiver), STAGES.index(s.stage))):
        floor = MISSING if stage.floor_s is None else quantity(1e3 * stage.floor_s)
        times = MISSING if stage.times_floor is None else quantity(stage.times_floor)
        share = f"{100 * profile.share(stage):.1f} %"
        cells = [stage.receiver or SHARED, stage.stage, quantity(1e3 * stage.seconds), share, floor, times]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(profile: Profile, path: Path) -> None:
    """A bar per receiver and one for what all share, a colour per stage, its floor as a hatched part of it; PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.6 + 0.55 * len(profile.receivers)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    drawn: set[str] = set()
    for place, receiver in enumerate(profile.receivers):
        left = 0.0
        for stage in (s for s in profile.stages if s.receiver == receiver):
            colour = _COLOURS[STAGES.index(stage.stage)]
            label = None if stage.stage in drawn else stage.stage
            drawn.add(stage.stage)
            axes.barh(place, 1e3 * stage.seconds, left=1e3 * left, color=colour, label=label)
            if stage.floor_s is not None:
                width = 1e3 * min(stage.floor_s, stage.seconds)
                axes.barh(
                    place, width, 0.3, left=1e3 * left, color="none", edgecolor="white", hatch="////", linewidth=0
                )
            left += stage.seconds
    axes.set_yticks(range(len(profile.receivers)), [receiver or SHARED for receiver in profile.receivers])
    axes.invert_yaxis()
    axes.set_xlabel("processor time per slot, ms (hatched: the stage's floor)")
    axes.set_title(f"{profile.experiment} at {profile.esn0_db:g} dB", fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small", frameon=False, ncols=2, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=130)


def write(profile: Profile, folder: Path, command: str) -> list[Path]:
    """Write profile.json, profile.csv, profile.md and profile.png; returns what was written."""
    write_text(folder / "profile.json", json.dumps(as_json(profile), indent=1) + "\n")
    write_text(folder / "profile.csv", as_csv(profile))
    write_text(folder / "profile.md", as_markdown(profile, command))
    draw(profile, folder / "profile.png")
    return [folder / f"profile.{ending}" for ending in ("json", "csv", "md", "png")]
