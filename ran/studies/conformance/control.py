"""The requirements of TS 38.104 §8.3 for PUCCH and §8.4 for PRACH as rows, what they came to, and their table.

`ts38104_pucch.csv`, `ts38104_prach.csv`: SNRs of v15.19.0, read from one public conformance suite (srsRAN_matlab,
unitTests), probabilities from the clauses: ACK missed 1 %, NACK to ACK 0.1 %, UCI BLER 1 %, DTX to ACK 1 %; preamble
missed 1 %, false alarm 0.1 %. Rows without an SNR are of noise alone. Not here: multi-slot format 1 (§8.3.7), 8
antennas of formats 0 to 2 and of PRACH, and restricted sets, whose values were not found; FR2 (§11.3, §11.4).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from scipy.special import ndtr

from ran.errors import unknown_name
from ran.sim.throughput import Z_ALL_LOOKS, looks
from ran.stats import wilson

CSV = "conformance-control.csv"
#: Clauses whose rows these are.
CLAUSES = ("8.3", "8.4")
#: Of an interval that holds at every look at once.
LEVEL = float(2 * ndtr(Z_ALL_LOOKS) - 1)
_DROPS_PER_BATCH = 64
SEED = 1
Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True)
class ControlRow:
    """A row: `metric` is at most `limit` at the required SNR; without one, in noise alone.

    format: of PUCCH or PRACH, or PUSCH. signal: what of the format is sent. tolerance_us: of a preamble's timing.
    """

    table: str
    version: str
    format: str
    scs_khz: float
    num_rx: int
    metric: str
    required_snr_db: float | None
    limit: float
    num_prb: int = 0
    bandwidth_mhz: int = 0
    signal: str = ""
    channel: str = "TDLC300-100"
    tolerance_us: float | None = None

    @property
    def is_prach(self) -> bool:
        return self.table.startswith("8.4")

    @property
    def name(self) -> str:
        if self.table == "urllc":
            return self.table
        if self.is_prach:
            return f"{self.table}-format{self.format}-{self.scs_khz:g}khz-{self.channel}-{self.num_rx}rx"
        return f"{self.table}-format{self.format}-{self.signal}-{self.bandwidth_mhz}mhz-{self.num_rx}rx"


#: Errors and trials of a row in some drops; a drop is one trial at most.
Count = Callable[[ControlRow, range, int], tuple[int, int]]


@dataclass(frozen=True)
class ControlOutcome:
    """Errors among the trials of a row, and the interval of their share over all looks."""

    row: ControlRow
    errors: int
    trials: int
    receiver: str = "control"

    @property
    def interval(self) -> tuple[float, float]:
        share = wilson(self.errors / self.trials, self.trials, level=LEVEL)
        return share.low or 0.0, 1.0 if share.high is None else share.high

    @property
    def verdict(self) -> Verdict:
        low, high = self.interval
        return "pass" if high <= self.row.limit else "fail" if low > self.row.limit else "undecided"

    @property
    def text(self) -> str:
        """The result in a line."""
        low, high = self.interval
        at = "in noise alone" if self.row.required_snr_db is None else f"at {self.row.required_snr_db:g} dB"
        return (
            f"{self.row.metric} {self.errors / self.trials:.2e} ({low:.1e} to {high:.1e}) in {self.trials} trials "
            f"{at}, allowed {self.row.limit:g}"
        )


@cache
def control_rows() -> tuple[ControlRow, ...]:
    """All rows, in the order of the standard."""
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str, "float | None": _number_or_none}
    found = []
    for file in ("ts38104_pucch.csv", "ts38104_prach.csv"):
        text = resources.files("ran.studies.conformance").joinpath(file).read_text(encoding="utf-8")
        for line in csv.DictReader(text.splitlines()):
            known = [field for field in fields(ControlRow) if field.name in line]
            found.append(ControlRow(**{field.name: kinds[str(field.type)](line[field.name]) for field in known}))
    return tuple(found)


def _number_or_none(text: str) -> float | None:
    return float(text) if text else None


def is_control(name: str) -> bool:
    """Whether a name is of these clauses: a table, a row or a clause of theirs."""
    return any(name == clause or name.startswith(f"{clause}.") for clause in CLAUSES)


def select(names: Iterable[str]) -> tuple[ControlRow, ...]:
    """The rows of clauses (`8.3`), tables (`8.3.2.2-1`) or rows by name, in order; `InputError` for other names."""
    wanted, rows = list(dict.fromkeys(names)), control_rows()
    chosen = set()
    for name in wanted:
        of_name = {row.name for row in rows if row.name == name or row.table == name or _within(row.table, name)}
        if not of_name:
            tables = dict.fromkeys(row.table for row in rows)
            known = [row.name for row in rows] if "format" in name else [*CLAUSES, *tables]
            raise unknown_name("--table", name, known)
        chosen |= of_name
    return tuple(row for row in rows if row.name in chosen)


def _within(table: str, clause: str) -> bool:
    return table.startswith(f"{clause}.")


def run_row(row: ControlRow, max_trials: int, count: Count, receiver: str = "control") -> ControlOutcome:
    """Simulate a row until it is decided, or `max_trials` drops; looks are those of `ran.sim.throughput.looks`."""
    errors = trials = done = 0
    for until in looks(max_trials):
        while done < until:
            drops = range(done, min(done + _DROPS_PER_BATCH, until))
            wrong, tried = count(row, drops, SEED)
            errors, trials, done = errors + wrong, trials + tried, drops.stop
        if ControlOutcome(row, errors, trials, receiver).verdict != "undecided":
            break
    return ControlOutcome(row, errors, trials, receiver)


def run_control_rows(
    rows: Iterable[ControlRow],
    max_trials: int,
    out: Path,
    show: Callable[[ControlOutcome], None] = lambda outcome: None,
) -> tuple[ControlOutcome, ...]:
    """Outcomes of every row, in this process; conformance-control.csv grows with each.

    The study's folder keeps them: a row that is done there is not simulated again.
    """
    # both simulate, and import this
    from ran.studies.conformance import prach_drops, pucch_drops
    from ran.studies.conformance.stored_rows import Job, name_of, run_jobs

    jobs = [
        Job(
            name_of(row, max_trials, SEED, "control"),
            partial(run_row, row, max_trials, prach_drops.count if row.is_prach else pucch_drops.count),
        )
        for row in rows
    ]
    return run_jobs(jobs, out, CSV, show)


def as_csv(outcomes: Iterable[ControlOutcome]) -> str:
    """A line per outcome."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [field.name for field in fields(ControlRow)]
    writer.writerow(["row", *columns, "receiver", "verdict", "share", "low", "high", "errors", "trials"])
    for outcome in outcomes:
        values = ["" if (v := getattr(outcome.row, name)) is None else v for name in columns]
        numbers = [f"{v:.6g}" for v in (outcome.errors / outcome.trials, *outcome.interval)]
        found = (outcome.receiver, outcome.verdict, *numbers, outcome.errors, outcome.trials)
        writer.writerow([outcome.row.name, *values, *found])
    return text.getvalue()
