"""The requirement of TS 38.104 §8.2 for PUSCH with a BLER of 0.001 %, low-latency high-reliability traffic.

FRC A3A-3 (MCS 5 of the table of low spectral efficiency, 24 PRB at 30 kHz), AWGN, one transmit and two receive
antennas: -5.4 dB for one transmission. From the same source as the rows of 8 antennas; it gives no number of a table,
so the row has a name of ours. A verdict takes about 800 000 slots without an error: it runs when asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ran.errors import ReceiverRefused
from ran.link.catalogue import build_receiver, receiver_fingerprint
from ran.link.config import LinkConfig
from ran.link.link import Link
from ran.phy.config import Carrier, Pusch
from ran.sim.experiment import ReceiverBlock
from ran.sim.identity import receiver_identity
from ran.studies.conformance.control import SEED, ControlOutcome, ControlRow, Count, run_row
from ran.studies.conformance.stored_rows import Job, name_of, run_jobs
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
    """Outcomes of every receiver, in this process; `ReceiverRefused` of one that cannot take the row.

    The study's folder keeps them: a receiver that is done there is not simulated again.
    """
    jobs = []
    for block in blocks:
        own = ReceiverBlock.model_validate(dict(block))
        receiver = build_receiver(own.block())
        identity = {"title": own.title, **receiver_identity(own, receiver_fingerprint(own.block(), receiver))}
        name = name_of(row, max_slots, SEED, identity)
        jobs.append(Job(name, partial(_run, row, max_slots, own.title, receiver)))
    return run_jobs(jobs, out, CSV, show)


def _run(row: ControlRow, max_slots: int, title: str, receiver: Receiver) -> ControlOutcome:
    return run_row(row, max_slots, _counter(row, title, receiver), title)


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
