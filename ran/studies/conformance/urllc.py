"""The requirement of TS 38.104 §8.2 for PUSCH with a BLER of 0.001 %, low-latency high-reliability traffic.

FRC A3A-3 (MCS 5 of the table of low spectral efficiency, 24 PRB at 30 kHz), AWGN, one transmit and two receive
antennas: -5.4 dB for one transmission. From the same source as the rows of 8 antennas; it gives no number of a table,
so the row has a name of ours. A verdict takes about 800 000 slots without an error: it runs when asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from ran.errors import ReceiverRefused
from ran.link.catalogue import build_receiver
from ran.link.config import LinkConfig
from ran.link.link import Link
from ran.phy.config import Carrier, Pusch
from ran.sim.experiment import ReceiverBlock
from ran.sim.files import write_text
from ran.studies.conformance.control import ControlOutcome, ControlRow, Count, as_csv, run_row
from receivers.interface import Receiver

CSV = "conformance-urllc.csv"
NAME = "urllc"
ROW = ControlRow(
    NAME, "", "PUSCH", 30, 2, "bler", -5.4, 1e-5, num_prb=24, bandwidth_mhz=10, signal="A3A-3", channel="AWGN"
)
_MCS_INDEX = 5


def link_of() -> Link:
    """The row's link; one transmission without HARQ."""
    pusch = Pusch(mcs_table=3, mcs_index=_MCS_INDEX)
    channel = {"name": "awgn"}
    return Link(LinkConfig(carrier=Carrier(num_prb=ROW.num_prb), pusch=pusch, num_rx_ant=ROW.num_rx, channel=channel))


def run_urllc(
    blocks: Iterable[Mapping[str, Any]],
    max_slots: int,
    out: Path,
    show: Callable[[ControlOutcome], None] = lambda outcome: None,
    row: ControlRow = ROW,
) -> tuple[ControlOutcome, ...]:
    """Outcomes of every receiver, in this process; `ReceiverRefused` of one that cannot take the row."""
    outcomes = []
    for block in blocks:
        title = ReceiverBlock.model_validate(dict(block)).title
        receiver = build_receiver({key: value for key, value in block.items() if key != "label"})
        outcomes.append(run_row(row, max_slots, _counter(row, title, receiver), title))
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / CSV, as_csv(outcomes))
        show(outcomes[-1])
    return tuple(outcomes)


def _counter(row: ControlRow, title: str, receiver: Receiver) -> Count:
    link = link_of()
    try:
        link.check_receiver(title, receiver)
    except ReceiverRefused as error:
        raise ReceiverRefused(f"{row.name}: {error}") from None

    def count(of: ControlRow, drops: range, seed: int) -> tuple[int, int]:
        with torch.inference_mode():
            batch = link.batch(drops, of.required_snr_db or 0.0, seed, of.name, bool(receiver.needs_truth))
            llr = link.receive(receiver, batch, title)
            return int((link.count_errors(llr, batch).block_errors > 0).sum()), len(drops)

    return count
