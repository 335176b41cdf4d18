"""What an export was asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ran.errors import bad_value
from ran.export.parity import BlerParity, LlrParity
from ran.export.sweep import SweepPoint
from ran.export.targets import DTYPES, Target
from ran.link.latency import Latency
from ran.stats import Estimate


@dataclass(frozen=True)
class Request:
    """An export. num_prb: a file per size, by default the experiment's. esn0_db: where BLER is compared.

    num_slots: for that, and loss_slots per point for the loss of smaller numbers, refused above max_loss_db.
    planes: LLR planes of aerial-nrx. latency_slots: that are timed.
    """

    weights: str
    target: Target
    out: Path
    num_prb: tuple[int, ...] = ()
    dtype: str = "f32"
    experiment: str = "pusch-receivers"
    changes: tuple[str, ...] = ()
    esn0_db: float | None = None
    num_slots: int = 256
    loss_slots: int = 512
    max_loss_db: float = 0.2
    planes: int | None = None
    latency_slots: int = 100

    def check(self) -> None:
        """`InputError` for what does not fit together."""
        if self.dtype not in DTYPES:
            raise bad_value("--dtype", self.dtype, ", ".join(DTYPES))
        if self.dtype not in self.target.dtypes:
            raise bad_value(f"--dtype of {self.target.name}", self.dtype, ", ".join(self.target.dtypes))
        if self.num_prb and self.target.contract in ("oai-demapper", "llrnet"):
            raise bad_value(f"--num-prb of {self.target.name}", list(self.num_prb), "none, it takes symbols one by one")
        if len(set(self.num_prb)) != len(self.num_prb):
            raise bad_value("--num-prb", list(self.num_prb), "different numbers")
        if self.planes is not None and self.target.contract != "aerial-nrx":
            raise bad_value(f"--planes of {self.target.name}", self.planes, "none; only aerial-nrx has spare planes")
        if self.out.exists():
            raise bad_value("--out", str(self.out), "a folder that is not there yet")
        if not self.out.absolute().parent.is_dir():
            raise bad_value("--out", str(self.out), "a new folder in one that is there")


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
