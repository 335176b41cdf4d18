"""Put a class through the contract of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ran.contracts.architecture import ARCHITECTURE_TESTS
from ran.contracts.beam_predictor import BEAM_PREDICTOR_TESTS
from ran.contracts.channel import CHANNEL_TESTS
from ran.contracts.export_target import EXPORT_TARGET_TESTS
from ran.contracts.impairment import IMPAIRMENT_TESTS
from ran.contracts.receiver import RECEIVER_TESTS
from ran.contracts.study import STUDY_TESTS
from ran.errors import InputError
from ran.link.catalogue import construct
from ran.registry.kinds import ARCHITECTURE, BEAM_PREDICTOR, CHANNEL, EXPORT_TARGET, IMPAIRMENT, RECEIVER, STUDY, Kind
from ran.registry.lookup import find_class
from ran.registry.user_file import refusal_of_user_code

#: A test takes the object and returns why it fails; nothing when it passes.
Test = Callable[[Any], str]
_TESTS: tuple[tuple[Kind, Mapping[str, Test]], ...] = (
    (CHANNEL, CHANNEL_TESTS),
    (RECEIVER, RECEIVER_TESTS),
    (IMPAIRMENT, IMPAIRMENT_TESTS),
    (BEAM_PREDICTOR, BEAM_PREDICTOR_TESTS),
    (EXPORT_TARGET, EXPORT_TARGET_TESTS),
    (STUDY, STUDY_TESTS),
    (ARCHITECTURE, ARCHITECTURE_TESTS),
)


@dataclass(frozen=True)
class Finding:
    """What came of one test. problem: why it failed, in one line; empty when it passed."""

    test: str
    problem: str


def check_class(
    name: str, options: Mapping[str, Any] | None = None, base_dir: Path | None = None
) -> tuple[Kind, list[Finding]]:
    """Run the contract tests of whatever kind FILE.py:Class, or a registered name, is of. options: of its constructor.

    `InputError` for a class that cannot be imported or made, and for one of no kind that has a contract.
    """
    refusals = []
    for kind, tests in _TESTS:
        try:
            cls = find_class(kind, name, base_dir, kind.noun)
        except InputError as error:
            refusals.append(error)
            continue
        made = construct(cls, {"name": name, **(options or {})}, kind.noun)
        return kind, [Finding(what, _outcome(test, made)) for what, test in tests.items()]
    if all(error.__cause__ is not None for error in refusals):
        raise refusals[0]  # it cannot be imported, whatever it is
    allowed = ", ".join(f"{kind.noun} ({kind.base})" for kind, _ in _TESTS)
    raise InputError(f"class: got {name!r}; allowed: FILE.py:Class or a registered name of one of {allowed}")


def _outcome(test: Test, made: Any) -> str:
    try:
        return test(made)
    except Exception as error:
        refusal = refusal_of_user_code(error)
        return str(refusal) if refusal else f"{type(error).__name__}: {' '.join(str(error).split())}"
