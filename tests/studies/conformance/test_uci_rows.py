"""The rows of UCI on PUSCH: what they are made of, verdicts, and a receiver far above and below a requirement."""

from __future__ import annotations

import dataclasses

import pytest

from ran.cli.main import main
from ran.studies.conformance import uci_run
from ran.studies.conformance.uci import ROWS, UciOutcome, select, uci_outcomes_in
from ran.studies.conformance.uci_run import link_of, run_uci_rows


def test_rows_are_those_of_the_clause():
    assert [(row.name, row.max_bler) for row in select(["8.2.3"])] == [
        ("8.2.3.2-1-row1", 1e-3),
        ("8.2.3.2-1-row2", 1e-3),
        ("8.2.3.2-3-row1", 1e-2),
        ("8.2.3.2-3-row2", 1e-2),
    ]
    assert select(["8.2.3.2-3-row2"]) == ROWS[3:]
    assert select(["8.2.1.2-4"]) == ()
    grid = link_of(ROWS[1]).grid
    # G-FR1-A4-11 has 8968 bits; CSI takes coded bits from it, but none of its payload
    assert grid.block_sizes == (8968,)
    uci = grid.codewords[0].uci
    assert uci.num_ulsch_bits + sum(code.num_coded_bits for code in uci.codes.values()) == 24 * 12 * 12 * 4
    assert ROWS[0].snr_db("38.141-1") == pytest.approx(6.0)


def test_verdicts():
    row = ROWS[0]
    assert UciOutcome(row, "x", 5.4, 0, 9000).verdict == "pass"
    assert UciOutcome(row, "x", 5.4, 0, 1000).verdict == "undecided"
    assert UciOutcome(row, "x", 5.4, 30, 1000).verdict == "fail"
    assert UciOutcome(row, "x", 5.4, 0, 0, "why").verdict == "refused"


def test_a_row_at_other_snrs(tmp_path, monkeypatch, capsys):
    """Far above the requirement no payload is wrong; in noise most are. The folder keeps both."""
    easy = dataclasses.replace(ROWS[1], required_snr_db=25.0, max_bler=0.2)
    hard = dataclasses.replace(ROWS[1], required_snr_db=-25.0, max_bler=0.2)
    found = run_uci_rows([easy, hard], [{"name": "lmmse"}], "38.104", 256, tmp_path)
    assert [outcome.verdict for outcome in found] == ["pass", "fail"]
    assert found[0].errors == 0
    assert "8.2.3.2-1,2,20,20,csi1,25.0,0.2,lmmse,pass" in (tmp_path / "conformance-uci.csv").read_text()
    # the table is made from the store alone, and what is done there is not simulated again
    table = (tmp_path / "conformance-uci.csv").read_bytes()
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "conformance-uci.csv").read_bytes() == table
    page = (tmp_path / "again" / "conformance.html").read_text(encoding="utf-8")
    assert "UCI on PUSCH, 2 rows: 1 pass, 1 fail" in page
    assert not (tmp_path / "again" / "conformance.csv").exists()  # there are no rows of throughput
    assert "UCI on PUSCH: 1 of 2 rows pass" in capsys.readouterr().out
    monkeypatch.setattr(uci_run, "run_row", None)
    assert run_uci_rows([easy, hard], [{"name": "lmmse"}], "38.104", 256, tmp_path) == found
    assert run_uci_rows([easy], [{"name": "lmmse"}], "38.104", 256, tmp_path) == found[:1]
    assert uci_outcomes_in(tmp_path) == found[:1]
    # a request without any shows none, and an unfinished one what is done
    assert run_uci_rows([], [{"name": "lmmse"}], "38.104", 256, tmp_path) == ()
    assert uci_outcomes_in(tmp_path) == ()
    with pytest.raises(TypeError):
        run_uci_rows([hard, easy], [{"name": "lmmse"}], "38.104", 512, tmp_path)
    assert uci_outcomes_in(tmp_path) == ()
