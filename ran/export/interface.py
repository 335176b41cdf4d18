"""What an export target provides: a model's files for another stack, run against their origin and described."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from ran.export.request import Request

#: What targets need whose files are in ONNX.
ONNX_PACKAGES = ("onnx",)
ONNX_INSTALL = "pip install 'ran6g[onnx]'"
#: Takes a line about what is being done.
Say = Callable[[str], None]


class Exported(Protocol):
    """What came of an export."""

    @property
    def folder(self) -> Path:
        """The export; beside it, with `.rejected`, where the files are not good enough."""

    @property
    def problems(self) -> Sequence[str]:
        """Why it was rejected, one line each; nothing when it was not."""

    def lines(self) -> Sequence[str]:
        """What was found, for a terminal."""


class ExportTarget(ABC):
    """A stack that a model is exported for. The first line of the docstring is what `ran list targets` says.

    Constructor arguments with type hints are options: `--target '{name: my_target.py:MyTarget, option: value}'`.
    Targets for receivers derive from `ran.export.slot_target.SlotTarget`, which has everything but the format.
    """

    name: ClassVar[str]
    #: Experiment whose slots, beams or drops the files are for, where none is named.
    experiment: ClassVar[str] = "pusch-receivers"
    #: Numbers that the files may be kept in.
    dtypes: ClassVar[tuple[str, ...]] = ("f32",)
    #: Fields of a `Request` that it takes, beside the model, the folder, the experiment and its changes.
    options: ClassVar[frozenset[str]] = frozenset()
    #: Modules that it needs besides, and the command that installs them.
    packages: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""

    @abstractmethod
    def export(self, request: Request, say: Say) -> Exported:
        """Write `request.out`, a new folder that appears when all is done.

        `InputError` for what cannot be exported; then nothing is left behind.
        """
