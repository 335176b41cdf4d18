"""What a study provides: experiments, and what their results come to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ran.studies.part import Part, PartResult


class Study(ABC):
    """A question to a link, asked of several experiments at once. `ran study` runs it into a folder.

    Constructor arguments with type hints are its options. Raise `ValueError` with one line (what, value given, what is
    allowed) for options that make no sense. The first line of the docstring is what `ran list studies` says.
    """

    name: ClassVar[str]

    @abstractmethod
    def parts(self) -> Sequence[Part]:
        """The experiments; each with a key that stays the same when others join. `InputError` for what cannot be."""

    @abstractmethod
    def write(self, results: Sequence[PartResult], out: Path) -> Path:
        """Write what the study asks for into its folder; returns the file to read first.

        results: of all parts, in their order, finished or refused. Everything written comes from them alone.
        """
