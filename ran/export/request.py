"""What an export is asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from ran.errors import bad_value
from ran.export.interface import ExportTarget

#: Numbers that a model file may be kept in.
DTYPES = ("f32", "f16", "int8")
#: Numbers that some target takes.
_ALL_DTYPES = (*DTYPES, "bf16")
#: What every target takes.
_ALWAYS = ("weights", "target", "out", "experiment", "changes", "dtype")
#: Options whose names on the command line are others.
_FLAGS = {"num_slots": "--slots"}


@dataclass(frozen=True)
class Request:
    """An export. num_prb: a file per size, by default the experiment's. esn0_db: where BLER is compared.

    experiment: by default the target's. num_slots: for the comparison, and loss_slots per point for the loss of smaller
    numbers, refused above max_loss_db. planes: LLR planes of aerial-nrx. latency_slots: that are timed.
    """

    weights: str
    target: ExportTarget
    out: Path
    num_prb: tuple[int, ...] = ()
    dtype: str = "f32"
    experiment: str = ""
    changes: tuple[str, ...] = ()
    esn0_db: float | None = None
    num_slots: int = 256
    loss_slots: int = 512
    max_loss_db: float = 0.2
    planes: int | None = None
    latency_slots: int = 100

    def __post_init__(self) -> None:
        if not self.experiment:
            object.__setattr__(self, "experiment", self.target.experiment)

    def check(self) -> None:
        """`InputError` for what does not fit together."""
        if self.dtype not in _ALL_DTYPES:
            raise bad_value("--dtype", self.dtype, ", ".join(_ALL_DTYPES))
        if self.dtype not in self.target.dtypes:
            raise bad_value(f"--dtype of {self.target.name}", self.dtype, ", ".join(self.target.dtypes))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _ALWAYS or field.name in self.target.options or value == field.default:
                continue
            flag = _FLAGS.get(field.name, f"--{field.name.replace('_', '-')}")
            given = list(value) if isinstance(value, tuple) else value
            raise bad_value(f"{flag} of {self.target.name}", given, "none, this target does not take it")
        if len(set(self.num_prb)) != len(self.num_prb):
            raise bad_value("--num-prb", list(self.num_prb), "different numbers")
        if self.out.exists():
            raise bad_value("--out", str(self.out), "a folder that is not there yet")
        if not self.out.absolute().parent.is_dir():
            raise bad_value("--out", str(self.out), "a new folder in one that is there")
