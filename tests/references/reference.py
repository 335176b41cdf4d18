"""Recorded counts of `ran sim` and their comparison with those of today."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import chi2, chi2_contingency

from ran.config.provenance import versions

FOLDER = Path(__file__).parent / "curves"
#: Probability of a false alarm where counts of two kinds of processor are compared, over all points of a curve.
FALSE_ALARM = 1e-3


class Point(NamedTuple):
    """point: Es/N0 in dB; with a link budget the transmit power in dBm. transmissions: with HARQ, in all."""

    receiver: str
    point: str
    drops: int
    blocks: int
    block_errors: int
    transmissions: str = ""


class Reference(NamedTuple):
    """command: arguments of `ran sim`. versions: of the software, with the commit. processor: its kind."""

    command: list[str]
    simulation_version: int
    processor: str
    versions: dict[str, str]
    points: list[Point]


def simulate(command: list[str], out: Path) -> Reference:
    """What the command comes to today."""
    line = [sys.executable, "-m", "ran.cli.main", "sim", *command, "--out", str(out), "--workers", "1"]
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    counted = [[int(row[name]) for name in ("drops", "blocks", "block_errors")] for row in rows]
    points = [
        Point(row["receiver"], row.get("esn0_db") or row["tx_power_dbm"], *counts, row.get("transmissions", ""))
        for row, counts in zip(rows, counted, strict=True)
    ]
    (version,), (processor,) = ({row[name] for row in rows} for name in ("simulation_version", "processor"))
    return Reference(command, int(version), processor, versions(), points)


def read(name: str) -> Reference:
    about: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return Reference(**about | {"points": [Point(*point) for point in about["points"]]})


def write(name: str, reference: Reference) -> None:
    lines = [
        f" {json.dumps(key)}: {json.dumps(value)}" for key, value in reference._asdict().items() if key != "points"
    ]
    points = ",\n".join(f"  {json.dumps(point)}" for point in reference.points)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join([*lines, f' "points": [\n{points}\n ]']) + "\n}\n")


def probability(before: list[Point], after: list[Point]) -> float:
    """Of counts that differ as much if no rate had moved: likelihood-ratio test (Wilks 1938), a degree of freedom for
    each point. Errors in a block of a drop are taken for independent, and so are the two runs, though their drops are
    the same: what it lets pass may be more than chance, what it refuses is not."""
    statistic, freedom = 0.0, 0
    for old, new in zip(before, after, strict=True):
        table = [[p.block_errors, p.blocks - p.block_errors] for p in (old, new)]
        if all(map(sum, zip(*table, strict=True))):
            statistic += chi2_contingency(table, correction=False, lambda_="log-likelihood").statistic
            freedom += 1
    return float(chi2.sf(statistic, freedom)) if freedom else 1.0


def moved(before: list[Point], after: list[Point]) -> str:
    """The points whose counts differ, a line each, for the CHANGELOG."""
    return "\n".join(
        f"{new.receiver} at {new.point}: {old.block_errors} of {old.blocks} -> {new.block_errors} of {new.blocks}"
        for old, new in zip(before, after, strict=True)
        if old != new
    )
