"""The requirements of TS 38.104 §8.2.3: CSI part 1 and part 2 multiplexed on a PUSCH that carries data too.

G-FR1-A4-11 (16QAM 658/1024, 24 PRB at 30 kHz), TDLC300-100, one transmit and two receive antennas, mapping type A. CSI
part 1 may be wrong in 0.1 % of the slots, part 2 in 1 %, at SNRs of their own. Payloads are random: of 5 and 2 bits the
standard fixes one, which with linear codes is as hard as any. Beta offsets are those of index 13 of TS 38.213 table
9.3-2 (6.25), alpha is 1. SNRs from a public conformance suite, probabilities from the clause.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy.special import ndtr

from ran.errors import ReceiverRefused
from ran.link.catalogue import build_receiver
from ran.link.config import LinkConfig
from ran.link.link import Link
from ran.phy.config import Carrier, Pusch, Uci
from ran.sim.experiment import ReceiverBlock
from ran.sim.files import write_text
from ran.sim.throughput import Z_ALL_LOOKS, looks
from ran.stats import wilson

CSV = "conformance-uci.csv"
#: Of an interval that holds at every look at once.
_LEVEL = float(2 * ndtr(Z_ALL_LOOKS) - 1)
#: First part of the names of these tables.
CLAUSE = "8.2.3"
#: Test tolerance of TS 38.141-1 for one transmit antenna, dB.
_TOLERANCE_DB = 0.6
_MCS_INDEX, _BETA, _SEED = 16, 6.25, 1
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

    @property
    def interval(self) -> tuple[float, float]:
        if not self.slots:
            return 0.0, 1.0
        share = wilson(self.errors / self.slots, self.slots, level=_LEVEL)
        return share.low or 0.0, 1.0 if share.high is None else share.high

    @property
    def verdict(self) -> Verdict:
        if not self.slots:
            return "refused"
        low, high = self.interval
        return "pass" if high <= self.row.max_bler else "fail" if low > self.row.max_bler else "undecided"

    @property
    def text(self) -> str:
        """The result in a line."""
        if not self.slots:
            return self.reason
        low, high = self.interval
        return (
            f"BLER of {self.row.kind} {self.errors / self.slots:.2e} ({low:.1e} to {high:.1e}) in {self.slots} slots "
            f"at {self.snr_db:g} dB, allowed {self.row.max_bler:g}"
        )


def select(tables: Iterable[str]) -> tuple[UciRequirement, ...]:
    """The rows that names of tables, rows or the clause mean; none for other names."""
    wanted = set(tables)
    return tuple(row for row in ROWS if {row.table, row.name, CLAUSE} & wanted)


def link_of(row: UciRequirement) -> Link:
    """The row's link."""
    uci = Uci(
        num_csi1_bits=row.num_csi1_bits,
        num_csi2_bits=row.num_csi2_bits,
        beta_offset_csi1=_BETA,
        beta_offset_csi2=_BETA,
    )
    channel = {"name": "tdl", "profile": "TDLC300", "max_doppler_hz": 100.0}
    pusch = Pusch(mcs_index=_MCS_INDEX, uci=uci)
    return Link(LinkConfig(carrier=Carrier(num_prb=24), pusch=pusch, num_rx_ant=2, channel=channel))


def run_row(row: UciRequirement, block: Mapping[str, Any], variant: str, max_slots: int) -> UciOutcome:
    """Simulate a row until it is decided, or `max_slots` slots; looks are those of `ran.sim.throughput.looks`."""
    title = ReceiverBlock.model_validate(dict(block)).title
    receiver = build_receiver({key: value for key, value in block.items() if key != "label"})
    link, snr_db = link_of(row), row.snr_db(variant)
    try:
        link.check_receiver(title, receiver)
    except ReceiverRefused as error:
        return UciOutcome(row, title, snr_db, 0, 0, str(error))
    errors = done = 0
    for until in looks(max_slots):
        while done < until:
            count = min(link.batch_drops, until - done)
            with torch.inference_mode():
                batch = link.batch(range(done, done + count), snr_db, _SEED, row.name, needs_channel(receiver))
                llr = link.receive(receiver, batch, title).cpu().numpy()
            found = link.grid.codewords[0].decode_uci(llr)[row.kind]
            errors += int((found.bits != batch.uci[row.kind][:, 0]).any(1).sum())
            done += count
        outcome = UciOutcome(row, title, snr_db, errors, done)
        if outcome.verdict != "undecided":
            break
    return UciOutcome(row, title, snr_db, errors, done)


def needs_channel(receiver: Any) -> bool:
    """Whether a receiver is a genie that is handed the channel."""
    return bool(receiver.needs_truth)


def run_uci_rows(
    rows: Iterable[UciRequirement],
    blocks: Iterable[Mapping[str, Any]],
    variant: str,
    max_slots: int,
    out: Path,
    show: Callable[[UciOutcome], None] = lambda outcome: None,
) -> tuple[UciOutcome, ...]:
    """Outcomes of every row and receiver, in this process; conformance-uci.csv grows with each."""
    outcomes: list[UciOutcome] = []
    for row in rows:
        for block in blocks:
            outcomes.append(run_row(row, block, variant, max_slots))
            out.mkdir(parents=True, exist_ok=True)
            write_text(out / CSV, _as_csv(outcomes))
            show(outcomes[-1])
    return tuple(outcomes)


def _as_csv(outcomes: Iterable[UciOutcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = "table row csi1_bits csi2_bits kind required_snr_db_tested max_bler receiver verdict bler low high slots"
    writer.writerow([*header.split(), "remark"])
    for o in outcomes:
        low, high = o.interval
        bler = o.errors / o.slots if o.slots else np.nan
        own = (o.row.table, o.row.row, o.row.num_csi1_bits, o.row.num_csi2_bits, o.row.kind, o.snr_db, o.row.max_bler)
        numbers = (f"{bler:.6g}", f"{low:.6g}", f"{high:.6g}") if o.slots else ("", "", "")
        writer.writerow([*own, o.receiver, o.verdict, *numbers, o.slots, o.reason])
    return text.getvalue()
