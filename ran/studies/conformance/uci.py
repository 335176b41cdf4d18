"""The requirements of TS 38.104 §8.2.3: CSI part 1 and part 2 multiplexed on a PUSCH that carries data too.

G-FR1-A4-11 (16QAM 658/1024, 24 PRB at 30 kHz), TDLC300-100, one transmit and two receive antennas, mapping type A. CSI
part 1 may be wrong in 0.1 % of the slots, part 2 in 1 %, at SNRs of their own. Payloads are random: of 5 and 2 bits the
standard fixes one, which with linear codes is as hard as any. Beta offsets are those of index 13 of TS 38.213 table
9.3-2 (6.25), alpha is 1. SNRs from a public conformance suite, probabilities from the clause.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from scipy.special import ndtr

from ran.sim.files import write_text
from ran.sim.throughput import Z_ALL_LOOKS
from ran.stats import Estimate, csv_cells, wilson
from ran.studies.folder import text_in

CSV = "conformance-uci.csv"
#: Of an interval that holds at every look at once.
_LEVEL = float(2 * ndtr(Z_ALL_LOOKS) - 1)
#: Keys of the store's text: names of the outcomes that the last request wants, and each outcome, by its name.
WANTED, FOUND = "uci", "uci "
#: First part of the names of these tables.
CLAUSE = "8.2.3"
#: Test tolerance of TS 38.141-1 for one transmit antenna, dB.
_TOLERANCE_DB = 0.6
Verdict = Literal["pass", "fail", "undecided", "refused"]


@dataclass(frozen=True)
class UciRequirement:
    """A row: `kind` ("csi1", "csi2") of payloads of these sizes is wrong in at most `max_bler` of the slots."""

    table: str
    row: int
    num_csi1_bits: int
    num_csi2_bits: int
    kind: str
    required_snr_db: float
    max_bler: float

    @property
    def name(self) -> str:
        return f"{self.table}-row{self.row}"

    def snr_db(self, variant: str) -> float:
        """The SNR of the minimum, or of the looser test requirement."""
        return round(self.required_snr_db + (0.0 if variant == "38.104" else _TOLERANCE_DB), 6)


ROWS = (
    UciRequirement("8.2.3.2-1", 1, 5, 2, "csi1", 5.4, 1e-3),
    UciRequirement("8.2.3.2-1", 2, 20, 20, "csi1", 4.3, 1e-3),
    UciRequirement("8.2.3.2-3", 1, 5, 2, "csi2", -0.2, 1e-2),
    UciRequirement("8.2.3.2-3", 2, 20, 20, "csi2", 2.4, 1e-2),
)


@dataclass(frozen=True)
class UciOutcome:
    """A row of a receiver: wrong payloads among the slots, and the interval of their share over all looks."""

    row: UciRequirement
    receiver: str
    snr_db: float
    errors: int
    slots: int
    reason: str = ""

    @classmethod
    def of(cls, text: str) -> UciOutcome:
        """From what `as_text` wrote."""
        values = json.loads(text)
        return cls(**{**values, "row": UciRequirement(**values["row"])})

    @property
    def as_text(self) -> str:
        """All of it, for the store."""
        return json.dumps(asdict(self))

    @property
    def bler(self) -> Estimate:
        """Share of wrong payloads, by Wilson's interval that holds at every look at once."""
        if not self.slots:
            return Estimate.missing(self.reason)
        return wilson(self.errors / self.slots, self.slots, level=_LEVEL)

    @property
    def verdict(self) -> Verdict:
        low, high = self.bler.low, self.bler.high
        if low is None or high is None:
            return "refused"
        return "pass" if high <= self.row.max_bler else "fail" if low > self.row.max_bler else "undecided"

    @property
    def text(self) -> str:
        """The result in a line."""
        value, low, high = self.bler.numbers
        if value is None or low is None or high is None:
            return self.reason
        return (
            f"BLER of {self.row.kind} {value:.2e} ({low:.1e} to {high:.1e}) in {self.slots} slots "
            f"at {self.snr_db:g} dB, allowed {self.row.max_bler:g}"
        )


def select(tables: Iterable[str]) -> tuple[UciRequirement, ...]:
    """The rows that names of tables, rows or the clause mean; none for other names."""
    wanted = set(tables)
    return tuple(row for row in ROWS if {row.table, row.name, CLAUSE} & wanted)


def uci_outcomes_in(folder: Path) -> tuple[UciOutcome, ...]:
    """What the rows of the last request in the folder of a study came to, as far as they are done; from its store."""
    text = text_in(folder)
    names = json.loads(text.get(WANTED, "[]"))
    return tuple(UciOutcome.of(text[FOUND + name]) for name in names if FOUND + name in text)


def write_uci(outcomes: Sequence[UciOutcome], out: Path) -> Path:
    """Write conformance-uci.csv into the folder; returns its path."""
    write_text(out / CSV, _as_csv(outcomes))
    return out / CSV


def _as_csv(outcomes: Iterable[UciOutcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = "table row csi1_bits csi2_bits kind required_snr_db_tested max_bler receiver verdict bler low high slots"
    writer.writerow([*header.split(), "remark"])
    for o in outcomes:
        own = (o.row.table, o.row.row, o.row.num_csi1_bits, o.row.num_csi2_bits, o.row.kind, o.snr_db, o.row.max_bler)
        writer.writerow([*own, o.receiver, o.verdict, *csv_cells(o.bler, ".6g"), o.slots, o.reason])
    return text.getvalue()
