"""Results of a recording as a table in CSV, as JSON, and as one page."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ran import __version__
from ran.errors import InputError
from ran.recordings.picture import slot_png
from ran.recordings.slot import Recording
from ran.recordings.slot_result import BlockResult, Decoded, SlotResult, UciResult
from ran.report.template import page_template
from ran.sim.files import write_text

CSV, JSON, PAGE = "decode.csv", "decode.json", "decode.html"
#: Slots that the page shows in pictures.
_MOST_PICTURES = 12
_COLUMNS = (
    *("slot", "slot_number", "receiver", "block", "received", "crc_ok", "payload_matches", "transmissions", "tb_size"),
    *("iterations", "snr_db", "sinr_db", "evm_percent", "evm_reference", "timing_ns", "cfo_hz", "delay_spread_ns"),
    *("coherence", "has_signal"),
    *("user", "user_sinr_db", "user_rsrp_db", "user_timing_advance_ns", "user_timing_advance_steps"),
    *("user_cfo_hz", "user_delay_spread_ns", "user_doppler_spread_hz"),
)
#: What tables call `user_cells`, after the number of the user.
USER_COLUMNS = ("SINR dB", "RSRP dB", "TA ns", "TA steps", "CFO Hz", "delay spread ns", "Doppler Hz")


@dataclass(frozen=True)
class Summary:
    """Blocks of a receiver: received, in all, and of those with a stated payload how many are it."""

    receiver: str
    received: int
    blocks: int
    matches: int
    stated: int

    @property
    def text(self) -> str:
        """In a few words."""
        stated = f", {self.matches} of {self.stated} payloads as stated" if self.stated else ""
        return f"{self.receiver}: {self.received} of {self.blocks} blocks received{stated}"


def summaries(decoded: Decoded) -> list[Summary]:
    """Of every receiver, in order."""
    found = []
    for receiver in dict.fromkeys(b.receiver for r in decoded.results for b in r.blocks):
        blocks = [b for r in decoded.results for b in r.blocks if b.receiver == receiver]
        stated = [b for b in blocks if b.matches is not None]
        found.append(
            Summary(
                receiver,
                sum(b.received for b in blocks),
                len(blocks),
                sum(bool(b.matches) for b in stated),
                len(stated),
            )
        )
    return found


def write_results(recording: Recording, decoded: Decoded, source: str, description: str, out: Path) -> Path:
    """Write decode.csv, decode.json and decode.html into the folder, made if need be; returns the path of the page."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out: cannot write {out} ({error.strerror}); allowed: a writable folder") from error
    problems = [*recording.problems, *decoded.problems]
    write_text(out / CSV, as_csv(decoded))
    write_text(out / JSON, as_json(recording, decoded, source))
    page = page_template("ran.recordings").render(
        source=source,
        description=description,
        recording=recording,
        problems=problems,
        skipped=decoded.skipped,
        summaries=[summary.text for summary in summaries(decoded)],
        num_slots=decoded.num_slots,
        columns=("slot", "receiver", "block", "received", "SNR dB", "EVM %", *USER_COLUMNS, "note"),
        rows=[row for result in decoded.results for row in _rows(result)],
        pictures=[(r.name, _data_uri(slot_png(r)), _facts(r)) for r in decoded.results[:_MOST_PICTURES]],
        not_shown=max(0, len(decoded.results) - _MOST_PICTURES),
    )
    write_text(out / PAGE, page)
    return out / PAGE


def as_csv(decoded: Decoded) -> str:
    """A line per slot, receiver and block."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for result in decoded.results:
        for block in result.blocks:
            found = result.measurement
            writer.writerow(
                [
                    result.name,
                    result.slot_number,
                    block.receiver,
                    block.block,
                    int(block.received),
                    int(block.crc_ok),
                    "" if block.matches is None else int(block.matches),
                    block.combined,
                    len(block.payload),
                    f"{block.iterations:g}",
                    _number(found.snr_db, 2),
                    _number(result.sinr_db, 2),
                    _number(100 * result.evm, 2),
                    "decoded" if result.known else "nearest",
                    _number(found.timing_s * 1e9, 1),
                    _number(found.cfo_hz, 1),
                    _number(found.delay_spread_s * 1e9, 1),
                    _number(found.coherence, 4),
                    int(found.has_signal),
                    *user_cells(result, block),
                ]
            )
    return text.getvalue()


def user_cells(result: SlotResult, block: BlockResult, digits: int = 1) -> list[str]:
    """Number, SINR, RSRP, timing advance in ns and in steps, CFO, delay spread in ns and Doppler spread of the user
    whose block it is: in the uplink every user has one, in the downlink there is one user. Empty without a signal."""
    users = {report.user: report for report in result.users}
    report = users.get(block.block, users.get(0) if len(users) == 1 else None)
    if report is None:
        return [""] * 8
    return [
        str(report.user),
        _number(report.sinr_db, digits + 1),
        _number(report.rsrp_db, digits + 1),
        _number(report.timing_advance_s * 1e9, digits),
        str(report.timing_advance_steps),
        _number(report.cfo_hz, digits),
        _number(report.delay_spread_s * 1e9, digits),
        _number(report.doppler_spread_hz, digits),
    ]


def as_json(recording: Recording, decoded: Decoded, source: str) -> str:
    """Everything but pictures; payloads and labels in hexadecimal."""
    slots: list[dict[str, Any]] = []
    for result in decoded.results:
        found = result.measurement
        slots.append(
            {
                "slot": result.name,
                "slot_number": result.slot_number,
                "tb_sizes": list(result.tb_sizes),
                "snr_db": _plain(found.snr_db),
                "sinr_db": _plain(result.sinr_db),
                "evm": _plain(result.evm),
                "evm_reference": "decoded" if result.known else "nearest",
                "timing_s": _plain(found.timing_s),
                "cfo_hz": _plain(found.cfo_hz),
                "delay_spread_s": _plain(found.delay_spread_s),
                "noise_var": [_plain(float(v)) for v in found.noise_var],
                "signal_power": [_plain(float(v)) for v in found.signal_power],
                "coherence": _plain(found.coherence),
                "has_signal": found.has_signal,
                "users": [
                    {key: value if isinstance(value, int) else _plain(value) for key, value in asdict(report).items()}
                    for report in result.users
                ],
                "harq_process": result.process,
                "label": None if result.label is None else _hex(result.label),
                "measured": {key: _plain(value) for key, value in result.measured.items()},
                "blocks": [_block(block) for block in result.blocks],
                "uci": [
                    {
                        "receiver": part.receiver,
                        "user": part.user,
                        "kind": part.kind,
                        "received": part.ok,
                        "bits": "".join(map(str, part.bits)) if part.ok else None,
                        "metric": part.metric,
                    }
                    for part in result.uci
                ],
            }
        )
    summary = [{"receiver": s.receiver, "received": s.received, "blocks": s.blocks} for s in summaries(decoded)]
    whole = {
        "recording": source,
        "format": recording.format,
        "version": __version__,
        "notes": list(recording.notes),
        "problems": [*recording.problems, *decoded.problems],
        "slots_not_configured": decoded.skipped,
        "summary": summary,
        "slots": slots,
    }
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def _block(block: BlockResult) -> dict[str, Any]:
    return {
        "receiver": block.receiver,
        "block": block.block,
        "received": block.received,
        "crc_ok": block.crc_ok,
        "payload_matches": block.matches,
        "transmissions": block.combined,
        "iterations": block.iterations,
        "payload": _hex(block.payload) if block.crc_ok else None,
    }


def _hex(bits: np.ndarray) -> str:
    return np.packbits(bits).tobytes().hex()


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}" if math.isfinite(value) else ""  # no -0


def _rows(result: SlotResult) -> list[tuple[str, ...]]:
    found = result.measurement
    rows: list[tuple[str, ...]] = []
    for block in result.blocks:
        notes = []
        if not found.has_signal:
            notes.append("no signal (DTX)")
        if block.combined > 1:
            notes.append(f"{block.combined} transmissions combined")
        if block.matches is not None:
            notes.append("payload as stated" if block.matches else "payload differs from the stated one")
        if not result.known:
            notes.append("EVM to the nearest points")
        rows.append(
            (
                result.name,
                block.receiver,
                str(block.block),
                "yes" if block.received else "no",
                _number(found.snr_db, 1),
                _number(100 * result.evm, 1),
                *user_cells(result, block, 0)[1:],
                ", ".join(notes),
            )
        )
    return rows


def _facts(result: SlotResult) -> dict[str, str]:
    received = [block.receiver for block in result.blocks if block.received]
    names: Sequence[str] = list(dict.fromkeys(received))
    return {
        "Received by": ", ".join(names) or "none",
        "Modulation": result.modulation,
        "Block": " + ".join(f"{size} bits" for size in result.tb_sizes) if result.blocks else "none",
        **{f"{part.kind.upper()}, {part.receiver}": _uci_text(part) for part in result.uci},
        "SNR": f"{_number(result.measurement.snr_db, 1)} dB",
        "EVM": f"{_number(100 * result.evm, 1)} %",
    }


def _uci_text(part: UciResult) -> str:
    """Bits, or that nothing was there; long ones shortened."""
    bits = "".join(map(str, part.bits))
    return (bits if len(bits) <= 24 else f"{bits[:24]}... ({len(bits)} bits)") if part.ok else "not received (DTX)"


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
