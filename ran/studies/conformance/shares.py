"""Rows whose limit is a share of errors, as lines of a page: UCI on PUSCH, PUCCH, PRACH and PUSCH with a low BLER."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ran.counted import counted
from ran.stats import Estimate, wilson
from ran.studies.conformance.control import LEVEL, ControlOutcome
from ran.studies.conformance.outcome import RowVerdict
from ran.studies.conformance.uci import UciOutcome

_METRICS = {
    "ack-missed": "ACK missed",
    "nack-to-ack": "NACK taken for ACK",
    "uci-bler": "UCI in error",
    "dtx-to-ack": "ACK seen in noise",
    "missed": "preamble missed",
    "false-alarm": "false alarm",
    "bler": "block in error",
    "csi1": "CSI part 1 in error",
    "csi2": "CSI part 2 in error",
}
_CSV = {
    "UCI on PUSCH": "conformance-uci.csv",
    "PUCCH": "conformance-control.csv",
    "PRACH": "conformance-control.csv",
    "PUSCH with a low BLER": "conformance-urllc.csv",
}


@dataclass(frozen=True)
class ShareLine:
    """What a row came to. share: of errors among the trials; `limit` is the most that is allowed.

    kind: what channel it is of. metric: what counts as an error. snr_db: None in noise alone.
    """

    kind: str
    table: str
    name: str
    signal: str
    num_rx: int
    channel: str
    receiver: str
    metric: str
    snr_db: float | None
    limit: float
    share: Estimate
    errors: int
    trials: int
    verdict: RowVerdict
    reason: str = ""


@dataclass(frozen=True)
class Shares:
    """Outcomes of rows of UCI on PUSCH, of PUCCH and PRACH, and of PUSCH with a low BLER."""

    uci: Sequence[UciOutcome] = ()
    control: Sequence[ControlOutcome] = ()
    urllc: Sequence[ControlOutcome] = ()

    @property
    def lines(self) -> tuple[ShareLine, ...]:
        """A line per row and receiver, kind by kind."""
        control = sorted(self.control, key=lambda outcome: outcome.row.is_prach)
        return (*map(_of_uci, self.uci), *map(_of_control, control), *map(_of_control, self.urllc))

    @property
    def receivers(self) -> tuple[str, ...]:
        """Receivers of the rows of PUSCH; PUCCH and PRACH have detectors of their own."""
        names = [outcome.receiver for outcome in self.uci] + [outcome.receiver for outcome in self.urllc]
        return tuple(dict.fromkeys(names))

    @property
    def groups(self) -> list[tuple[str, str, str, list[ShareLine]]]:
        """By kind: its name, its verdicts in a sentence, the file with its values, and its lines."""
        found: dict[str, list[ShareLine]] = {}
        for line in self.lines:
            found.setdefault(line.kind, []).append(line)
        return [(kind, summary(lines), _CSV[kind], lines) for kind, lines in found.items()]


def summary(lines: Sequence[ShareLine]) -> str:
    """Counts of the verdicts, in one line."""
    counts = Counter(line.verdict for line in lines)
    parts = [f"{counts[verdict]} {verdict}" for verdict in ("pass", "fail", "undecided", "refused") if counts[verdict]]
    return f"{counted(len(lines), 'row')}: {', '.join(parts)}"


def _of_uci(outcome: UciOutcome) -> ShareLine:
    row = outcome.row
    return ShareLine(
        "UCI on PUSCH",
        row.table,
        row.name,
        f"{row.num_csi1_bits} and {row.num_csi2_bits} bits",
        2,
        "TDLC300-100",
        outcome.receiver,
        _METRICS[row.kind],
        outcome.snr_db,
        row.max_bler,
        outcome.bler,
        outcome.errors,
        outcome.slots,
        outcome.verdict,
        outcome.reason,
    )


def _of_control(outcome: ControlOutcome) -> ShareLine:
    row = outcome.row
    is_pusch = row.format == "PUSCH"
    kind = "PUSCH with a low BLER" if is_pusch else "PRACH" if row.is_prach else "PUCCH"
    about = [] if is_pusch else [f"format {row.format}"]
    about += [row.signal.replace("-", " ")] if row.signal and not is_pusch else [row.signal] if row.signal else []
    about += [f"{row.bandwidth_mhz} MHz"] if row.bandwidth_mhz else []
    return ShareLine(
        kind,
        row.table,
        row.name,
        ", ".join([*about, f"{row.scs_khz:g} kHz"]),
        row.num_rx,
        row.channel,
        outcome.receiver,
        _METRICS[row.metric],
        row.required_snr_db,
        row.limit,
        wilson(outcome.errors / outcome.trials, outcome.trials, level=LEVEL),
        outcome.errors,
        outcome.trials,
        outcome.verdict,
    )
