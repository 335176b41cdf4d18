"""What came of an export of a receiver."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ran.export.parity import BlerParity, LlrParity
from ran.export.request import Request
from ran.export.sweep import SweepPoint
from ran.link.latency import Latency
from ran.stats import Estimate


@dataclass
class FileOutcome:
    """One file and what was measured of it. problems: why it is rejected; nothing when it is not.

    engine_from: a second file, with float16 buffers, that the stack's engine is built from; half: its LLRs.
    sweep, half_sweep: from weak to strong signals against the float32 file, of this file and of the second.
    """

    name: str
    num_bytes: int
    sha256: str
    slot: str
    llrs: list[LlrParity] = field(default_factory=list)
    bler: BlerParity | None = None
    latency_before: Latency | None = None
    latency_after: Latency | None = None
    loss: Estimate | None = None
    engine_from: str | None = None
    half: LlrParity | None = None
    sweep: list[SweepPoint] = field(default_factory=list)
    half_sweep: list[SweepPoint] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """folder: the export, or that of its rejected files."""

    request: Request
    folder: Path
    files: tuple[FileOutcome, ...]
    notes: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        return [f"{file.name}: {problem}" for file in self.files for problem in file.problems]

    def lines(self) -> list[str]:
        found = []
        for file in self.files:
            worst = max(file.llrs, key=lambda llr: llr.max_difference)
            line = f"{file.name}: LLRs within {worst.max_difference:.2g} of {worst.max_llr:.3g}"
            if file.bler is not None:
                line += f"; {file.bler.before} blocks in error before, {file.bler.after} after"
            found.append(line + (f"; loss {file.loss} dB" if file.loss is not None else ""))
        return found
