"""Rows of PUCCH, PRACH and URLLC: what they are made of, verdicts, rows far above and below a requirement, refusals."""

import csv
import dataclasses
from collections import Counter

import pytest

from ran.cli.main import main
from ran.errors import InputError
from ran.studies.conformance import prach_drops, pucch_drops, urllc
from ran.studies.conformance.control import (
    CSV,
    ControlOutcome,
    control_rows,
    is_control,
    run_control_rows,
    select,
)
from ran.studies.conformance.stored_rows import outcomes_in


def test_rows_are_those_of_the_clauses():
    rows = control_rows()
    assert len({row.name for row in rows}) == len(rows) == 255
    assert Counter((row.metric, row.limit) for row in rows) == {
        ("ack-missed", 0.01): 56, ("nack-to-ack", 0.001): 14, ("uci-bler", 0.01): 119, ("dtx-to-ack", 0.01): 8,
        ("missed", 0.01): 52, ("false-alarm", 0.001): 6,
    }  # fmt: skip
    assert len(select(["8.3"])) == 197
    assert select(["8.4"]) == tuple(row for row in rows if row.is_prach)
    assert [row.required_snr_db for row in select(["8.3.3.1.2-2"])][:2] == [-2.8, -3.2]
    (one,) = select(["8.4.2.2-1-format0-1.25khz-TDLC300-100-2rx"])
    assert (one.required_snr_db, one.tolerance_us) == (-6.6, 2.55)
    assert is_control("8.3.2")
    assert not is_control("8.2.3")
    with pytest.raises(InputError, match=r"--table: got '8.4.3'; allowed: 8.3, 8.3.1.2, .*; did you mean"):
        select(["8.4.3"])
    with pytest.raises(InputError, match=r"got '8.3.2.2-1-format0-1-symbol-5mhz-3rx'.* did you mean"):
        select(["8.3.2.2-1-format0-1-symbol-5mhz-3rx"])


def test_more_antennas_and_symbols_need_less():
    """A misread value would stick out: 2 to 4 to 8 antennas save 3 to 9 dB each time, more repetitions save SNR too."""
    rows = [row for row in control_rows() if row.required_snr_db is not None]
    by_place = {dataclasses.replace(row, required_snr_db=None): row.required_snr_db for row in rows}
    steps = 0
    for row, snr_db in by_place.items():
        double = by_place.get(dataclasses.replace(row, num_rx=2 * row.num_rx))
        if double is not None:
            steps += 1
            assert 1.5 < snr_db - double < 7.5, row.name
    assert steps == 138
    short = [row for row in rows if row.table.startswith("8.4.2.2-") and row.format != "0"]
    order = ["C0", "A1", "A2", "A3", "B4"]
    for row, format_ in ((row, format_) for row in short for format_ in order):
        if row.format in order and order.index(format_) > order.index(row.format):
            other = dataclasses.replace(row, format=format_, required_snr_db=None)
            assert by_place[other] < row.required_snr_db


def test_resources_fit_and_carry_what_the_clause_says():
    for row in select(["8.3"]):
        _, pucch = pucch_drops.resource(row)
        bits = 4 if row.signal == "4-bits" else {"0": 1, "1": 2, "2": 22, "3": 16, "4": 22}[row.format]
        assert pucch.num_bits == bits
        assert (pucch.second_hop_prb is not None) == (pucch.num_symbols > 1)
        assert pucch_drops.payloads(row, pucch.num_bits, range(2), 1).shape == (2, bits)
    for row in select(["8.4"]):
        assert prach_drops.preamble_of(row).format == row.format


def test_verdicts():
    row = dataclasses.replace(control_rows()[0], limit=0.01)
    assert ControlOutcome(row, 0, 1024).verdict == "pass"
    assert ControlOutcome(row, 0, 256).verdict == "undecided"
    assert ControlOutcome(row, 60, 1024).verdict == "fail"


@pytest.mark.parametrize(
    "name",
    ["8.3.2.2-1-format0-1-symbol-5mhz-2rx", "8.3.3.1.2-1-format1-2-bits-5mhz-2rx", "8.3.5.2-2-format3-test2-5mhz-2rx",
     "8.4.2.2-2-formatC0-15khz-AWGN-2rx", "8.4.2.2-1-format0-1.25khz-TDLC300-100-2rx"],
)  # fmt: skip
def test_drops_do_not_depend_on_their_batch(name):
    (row,) = select([name])
    row = dataclasses.replace(row, required_snr_db=row.required_snr_db - 9)
    count = prach_drops.count if row.is_prach else pucch_drops.count
    whole = count(row, range(12), 1)
    parts = [count(row, part, 1) for part in (range(5), range(5, 12))]
    assert whole == tuple(map(sum, zip(*parts, strict=True)))
    assert whole[1] == 12


def test_rows_at_other_snrs(tmp_path, monkeypatch, capsys):
    """Far above the requirement nothing is missed; in noise nearly everything. The folder keeps all."""
    names = ["8.3.2.2-1-format0-2-symbol-5mhz-2rx", "8.4.2.2-2-formatC0-15khz-AWGN-2rx"]
    rows = [
        dataclasses.replace(row, required_snr_db=snr_db, limit=0.1) for row in select(names) for snr_db in (20.0, -30.0)
    ]
    outcomes = run_control_rows(rows, 256, tmp_path)
    assert [outcome.verdict for outcome in outcomes] == ["pass", "fail"] * 2
    assert [outcome.errors for outcome in outcomes[::2]] == [0, 0]
    with (tmp_path / CSV).open() as file:
        lines = list(csv.DictReader(file))
    assert [line["verdict"] for line in lines] == ["pass", "fail"] * 2
    assert lines[0]["row"] == names[0]
    # the report is made from the store alone
    table = (tmp_path / CSV).read_bytes()
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / CSV).read_bytes() == table
    page = (tmp_path / "again" / "conformance.html").read_text(encoding="utf-8")
    assert "2 of 4 rows pass" in page
    assert all(f'id="{row.name}"' in page for row in rows)
    assert not (tmp_path / "again" / "conformance.csv").exists()  # there are no rows of throughput
    assert "PUCCH and PRACH: 2 of 4 rows pass" in capsys.readouterr().out

    # interrupted in a row: those before it are kept, and the same call goes on
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prach_drops, "count", stop)
    assert run_control_rows(rows, 256, tmp_path) == outcomes
    more = [*rows, dataclasses.replace(rows[3], required_snr_db=-31.0)]
    with pytest.raises(KeyboardInterrupt):
        run_control_rows(more, 256, tmp_path)
    assert outcomes_in(tmp_path, CSV) == outcomes
    # a request without any forgets that some were wanted, but not what they came to
    assert run_control_rows([], 256, tmp_path) == outcomes_in(tmp_path, CSV) == ()
    assert run_control_rows(rows[:3], 256, tmp_path) == outcomes[:3]
    # another number of trials is another outcome
    with pytest.raises(KeyboardInterrupt):
        run_control_rows(rows[2:], 64, tmp_path)


def test_no_rows_make_no_folder(tmp_path):
    assert run_control_rows([], 256, tmp_path / "none") == ()
    assert not (tmp_path / "none").exists()


def test_urllc_at_other_snrs(tmp_path, monkeypatch):
    # MCS 5 of the table of low spectral efficiency: QPSK 99/1024, 24 PRB with two DM-RS symbols
    assert urllc.link_of().grid.block_sizes == (672,)
    easy, hard = (dataclasses.replace(urllc.ROW, required_snr_db=snr_db, limit=0.1) for snr_db in (3.0, -15.0))
    found = [urllc.run_urllc([{"name": "lmmse"}], 256, tmp_path, row=row)[0] for row in (easy, hard)]
    assert [outcome.verdict for outcome in found] == ["pass", "fail"]
    assert found[0].receiver == "lmmse"
    assert "urllc" in (tmp_path / urllc.CSV).read_text()
    monkeypatch.setattr(urllc, "run_row", None)
    assert urllc.run_urllc([{"name": "lmmse"}], 256, tmp_path, row=easy) == tuple(found[:1])
    with pytest.raises(TypeError):  # other options are another receiver
        urllc.run_urllc([{"name": "lmmse", "demapper": "exact"}], 256, tmp_path, row=easy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "8.3.2", "--variant", "38.141-1"], "--variant: got '38.141-1'; allowed: 38.104 for 8.3.2.2-1"),
        (["--table", "8.4", "--cfo", "10"], "--cfo, --timing: got (10.0, 0.0); allowed: 0 for 8.4.2.2-1"),
        (["--table", "8.3", "--receiver", "lmmse"], "--receiver: got ['lmmse']; allowed: none"),
        (["--table", "8.4.9"], "--table: got '8.4.9'"),
    ],
)
def test_refusals(arguments, message, capsys, tmp_path):
    assert main(["conformance", *arguments, "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_a_row_of_every_kind_passes(tmp_path):
    names = ["8.3.2.2-1-format0-1-symbol-5mhz-2rx", "8.3.3.2.2-1-format1-2-bits-5mhz-2rx",
             "8.3.4.1.2-1-format2-4-bits-5mhz-2rx", "8.3.4.2.2-1-format2-22-bits-5mhz-2rx",
             "8.3.5.2-1-format3-test1-5mhz-2rx", "8.3.6.2-1-format4-22-bits-5mhz-2rx",
             "8.4.2.2-1-format0-1.25khz-TDLC300-100-2rx", "8.4.2.2-3-formatB4-30khz-AWGN-4rx"]  # fmt: skip
    outcomes = run_control_rows(select(names), 8192, tmp_path)
    assert [outcome.verdict for outcome in outcomes] == ["pass"] * len(names)
