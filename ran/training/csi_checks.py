"""Checks that the recipes of all CSI models need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ran.errors import InputError, bad_value
from ran.studies.csi.experiment import load


class Asked(Protocol):
    """An experiment that weights are measured in."""

    @property
    def experiment(self) -> str: ...

    @property
    def changes(self) -> Sequence[str]: ...


def check_fits(of_model: Iterable[tuple[str, Any, Any]], source: str) -> None:
    """`InputError` where the model has another value than the drops. of_model: what, the model's, the drops'."""
    for what, given, made in of_model:
        if given != made:
            raise bad_value(what, given, f"{made}, what {source} have")


def check_evaluations(evaluate: Sequence[Asked]) -> None:
    """`InputError` with its number for an experiment that cannot be loaded."""
    for number, part in enumerate(evaluate):
        try:
            load(part.experiment, part.changes)
        except InputError as error:
            raise InputError(f"evaluate.{number}: {error}") from None
