"""The clauses of a check as JSON and as one page that opens anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ran.export.check import Clause
from ran.export.files import size_and_sha256
from ran.report.template import page_template
from receivers.onnx.contracts import CONTRACTS


def conclusion(clauses: Sequence[Clause]) -> str:
    """How many of the demanded clauses are met, in a sentence."""
    demanded = [clause for clause in clauses if clause.demanded]
    met = sum(clause.met is True for clause in demanded)
    if met == len(demanded):
        return f"All {met} demanded clauses are met."
    broken = sum(clause.met is False for clause in demanded)
    return (
        f"{met} of {len(demanded)} demanded clauses are met, {broken} broken, {len(demanded) - met - broken} not told."
    )


def as_json(file: Path, contract: str, clauses: Sequence[Clause]) -> dict[str, Any]:
    """The same as the table: a file, its contract, and every clause with its evidence."""
    return {
        "file": file.name,
        "sha256": size_and_sha256(file)[1],
        "contract": contract,
        "source": CONTRACTS[contract].source,
        "conclusion": conclusion(clauses),
        "clauses": [
            {
                "clause": clause.text,
                "kind": clause.kind,
                "met": clause.met,
                "found": clause.found,
                "evidence": clause.evidence,
            }
            for clause in clauses
        ],
    }


def as_page(file: Path, contract: str, clauses: Sequence[Clause]) -> str:
    """An HTML page with all of it."""
    return page_template("ran.export").render(
        file=file.name,
        contract=CONTRACTS[contract],
        clauses=clauses,
        conclusion=conclusion(clauses),
        sha256=size_and_sha256(file)[1],
    )
