"""`ran bench` writes nothing before everything that was asked for is known to be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ran.cli.main import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["bench", "nope"],
        ["bench", "ldpc", "--against", "nope"],
        ["bench", "latency", "nope"],
        ["bench", "latency", "lmmse", "--experiment", "nope"],
        ["bench", "latency", "lmmse", "--experiment", "pdsch-svd"],
        ["bench", "latency", "lmmse", "--device", "nope"],
        ["bench", "latency", "lmmse", "--runtime", "nope"],
    ],
    ids=" ".join,
)
def test_nothing_is_left(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("ran: error: ")
    assert not list(tmp_path.iterdir())
