"""One experiment of a study, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ran.sim.experiment import Experiment
from ran.sim.results import RunResults


@dataclass(frozen=True, eq=False)
class Part:
    """One experiment of a study.

    key: names it among the others, and stays the same when others are added. title: the same in words.
    facts: plain values that tell it from the others, by name.
    """

    key: str
    title: str
    experiment: Experiment
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class PartResult:
    """What a part came to, finished or not.

    results: of the receivers that take it; None where none does. refused: the reason by title, of those that do not.
    """

    key: str
    title: str
    facts: Mapping[str, Any]
    results: RunResults | None
    refused: Mapping[str, str]

    @property
    def is_complete(self) -> bool:
        return self.results is None or self.results.meta.get("complete") == "yes"
