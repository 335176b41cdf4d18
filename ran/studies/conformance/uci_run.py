"""Simulates the rows of `ran.studies.conformance.uci`, one after the other in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ran.errors import ReceiverRefused
from ran.link.catalogue import build_receiver, receiver_fingerprint
from ran.link.config import LinkConfig
from ran.link.link import Link
from ran.phy.config import Carrier, Pusch, Uci
from ran.sim.experiment import ReceiverBlock
from ran.sim.identity import SIMULATION_VERSION, digest, receiver_identity
from ran.sim.run_folder import STORE
from ran.sim.throughput import looks
from ran.studies.conformance.run import KIND
from ran.studies.conformance.uci import FOUND, WANTED, UciOutcome, UciRequirement, write_uci
from ran.studies.folder import StudyFolder

_MCS_INDEX, _BETA, _SEED = 16, 6.25, 1


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
    rows: Sequence[UciRequirement],
    blocks: Sequence[Mapping[str, Any]],
    variant: str,
    max_slots: int,
    out: Path,
    show: Callable[[UciOutcome], None] = lambda outcome: None,
) -> tuple[UciOutcome, ...]:
    """Outcomes of every row and receiver, in this process; conformance-uci.csv grows with each.

    The study's folder keeps them: a row that is done there is not simulated again.
    """
    if not rows and not (out / STORE).is_file():
        return ()
    wanted = [(row, block, _name(row, block, variant, max_slots)) for row in rows for block in blocks]
    outcomes: list[UciOutcome] = []
    with StudyFolder(out, KIND) as study:
        known = study.content.meta
        study.store.set_meta({WANTED: json.dumps([name for _, _, name in wanted])})
        for row, block, name in wanted:
            if FOUND + name in known:
                outcomes.append(UciOutcome.of(known[FOUND + name]))
            else:
                outcomes.append(run_row(row, block, variant, max_slots))
                study.store.set_meta({FOUND + name: outcomes[-1].as_text})
            write_uci(outcomes, out)
            show(outcomes[-1])
    return tuple(outcomes)


def _name(row: UciRequirement, block: Mapping[str, Any], variant: str, max_slots: int) -> str:
    """Names an outcome by all that it depends on."""
    own = ReceiverBlock.model_validate(dict(block))
    fingerprint = receiver_fingerprint(own.block(), build_receiver(own.block()))
    about = {"row": asdict(row), "variant": variant, "max_slots": max_slots, "seed": _SEED, "title": own.title}
    return digest({**about, "receiver": receiver_identity(own, fingerprint), "version": SIMULATION_VERSION})
