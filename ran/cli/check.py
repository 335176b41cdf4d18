"""`ran check`: the contract tests of the toolkit on a user's class."""

from __future__ import annotations

from typing import Annotated

import typer

from ran.cli.answer import answer


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="CLASS",
            help="FILE.py:Class, or a name, of a channel, impairment, receiver, beam predictor, export target, "
            "study or torch.nn.Module.",
        ),
    ],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Option of the class, e.g. num_taps=4.")
    ] = None,
) -> None:
    """Run the contract tests of its kind on a class of your own. Exit status 1 when one fails."""
    from ran.config.overrides import apply_overrides
    from ran.contracts import check_class

    kind, findings = check_class(name, apply_overrides({}, overrides or []))
    for finding in findings:
        print(
            f"{'failed' if finding.problem else 'passed'}  {finding.test}"
            + (f": {finding.problem}" if finding.problem else "")
        )
    answer(name=name, kind=kind.noun, findings=list(findings))
    failed = sum(bool(finding.problem) for finding in findings)
    print(f"{name}: {kind.noun}, {len(findings) - failed} of {len(findings)} tests passed")
    if failed:
        raise typer.Exit(1)
