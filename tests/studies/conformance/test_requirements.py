"""The rows of TS 38.104: transport block sizes of the reference channels, experiments, and what the command refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from paper_folder import check as check_paper

from ran.cli.main import main
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.stats import Estimate
from ran.studies.conformance.outcome import RowOutcome
from ran.studies.conformance.page import conclusion
from ran.studies.conformance.requirements import Offsets, experiment, requirements, select
from ran.studies.conformance.run import Request, passed, run_rows

# (channel, modulation order's name, layers, PRB): bits, from TS 38.104 annex A
PAYLOADS = {
    ("A3", 1): {24: 1320, 25: 1352, 51: 2792, 52: 2856, 106: 5768, 273: 14856},
    ("A3", 2): {24: 2600, 25: 2728, 51: 5512, 52: 5640, 106: 11528, 273: 29736},
    ("A3", 4): {24: 5256, 25: 5384, 273: 59496},
    ("A4", 1): {24: 8968, 25: 9224, 51: 18960, 52: 19464, 106: 38936, 273: 100392},
    ("A4", 2): {24: 17928, 25: 18432, 51: 37896, 52: 38936, 106: 77896, 273: 200808},
    ("A5", 1): {24: 11528, 25: 12040, 51: 24576, 52: 25104, 106: 50184, 273: 131176},
    ("A7", 4): {24: 23568, 25: 24576, 273: 270576},
}


# FR2, 32 PRB, 10 symbols: (channel, layers, additional position)
PAYLOADS_FR2 = {
    ("A3", 1, 0): 1320,
    ("A3", 2, 0): 2600,
    ("A4", 1, 0): 8968,
    ("A4", 2, 0): 17928,
    ("A5", 1, 0): 11528,
    ("A3", 1, 1): 1160,
    ("A3", 2, 1): 2408,
    ("A4", 1, 1): 7936,
    ("A4", 2, 1): 15880,
    ("A5", 1, 1): 10248,
}


@pytest.mark.parametrize("row", requirements(), ids=lambda row: row.name)
def test_payload_of_the_reference_channel(row):
    tested = experiment(row, [{"name": "blind"}])
    config = LinkConfig(
        carrier=tested.carrier,
        pusch=tested.pusch,
        num_rx_ant=tested.num_rx_ant,
        channel=tested.resolved()["channel"],
        harq=tested.harq,
    )
    link = Link(config)
    channel = row.frc.split("-")[2], row.num_layers
    if row.is_fr2:
        assert link.bits_per_block == (PAYLOADS_FR2[*channel, row.dmrs_additional_position],)
        assert len(link.grid.dmrs_symbols) == 1 + row.dmrs_additional_position
        assert (tested.pusch.ptrs is not None) == (row.pt_rs == "yes")
    else:
        assert link.bits_per_block == (PAYLOADS[channel][row.num_prb],)
    assert link.grid.num_layers == row.num_layers == row.num_tx
    assert tested.requirement.esn0_db == row.required_snr_db
    assert tested.harq.rv == (0, 2, 3, 1)
    assert tested.pusch.transform_precoding == (row.waveform == "DFT-s-OFDM")


def test_all_rows_are_there():
    rows = requirements()
    assert len(rows) == len({row.name for row in rows}) == 108
    assert len({row.table for row in rows}) == 10
    assert sum(row.num_rx == 8 for row in rows) == 12
    assert sum(row.is_fr2 for row in rows) == 16
    assert {row.correlation for row in rows} == {"Low"}


def test_select():
    assert select([]) == requirements()
    assert {row.table for row in select(["8.2.2.2-1", "8.2.2.2-2"])} == {"8.2.2.2-1", "8.2.2.2-2"}
    assert [row.name for row in select(["8.2.1.2-4-row12"])] == ["8.2.1.2-4-row12"]
    with pytest.raises(InputError, match=r"--table: got '8\.2\.1\.2-44'.*did you mean '8\.2\.1\.2-4'"):
        select(["8.2.1.2-44"])


def test_test_requirements_are_looser():
    one, two = select(["8.2.1.2-4-row1"])[0], select(["8.2.1.2-4-row10"])[0]
    assert one.snr_db("38.141-1") == pytest.approx(one.required_snr_db + 0.6)
    assert two.snr_db("38.141-1") == pytest.approx(two.required_snr_db + 0.8)


# table and row: test requirement in dB, TS 38.141-1 v15.14 §8.2.1.5, §8.2.2.5; from NVIDIA Aerial's 5GModel
TEST_REQUIREMENTS = {
    "8.2.1.2-7": {1: -2.2, 2: 10.8, 3: 13.6, 4: -5.2, 5: 7.1, 6: 9.6, 10: 2.2, 11: 20.0, 12: -1.4, 13: 12.4},
    "8.2.1.2-3": {1: -1.5, 2: 10.6, 3: 13.0, 4: -4.9, 5: 6.8, 6: 9.2, 10: 2.9, 11: 19.1, 12: -1.0, 13: 11.9},
    "8.2.2.2-2": {1: -1.9, 2: -5.1},
    "8.2.2.2-1": {1: -1.8, 2: -5.1},
}


@pytest.mark.parametrize("table", TEST_REQUIREMENTS)
def test_test_requirements_of_the_standard(table):
    rows = {row.row: row for row in select([table])}
    for number, expected in TEST_REQUIREMENTS[table].items():
        assert rows[number].snr_db("38.141-1") == pytest.approx(expected)


def test_offsets_pass_through_the_time_domain():
    row = select(["8.2.1.2-4-row1"])[0]
    assert "waveform" not in experiment(row, [{"name": "blind"}]).resolved()
    with_offsets = experiment(row, [{"name": "blind"}], offsets=Offsets(timing_max_s=2.6e-7, cfo_max_hz=200.0))
    assert with_offsets.waveform.cfo_max_hz == 200.0
    assert with_offsets.waveform.timing_offset_max_s == 2.6e-7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "8.2.1.2-9"], "--table: got '8.2.1.2-9'"),
        (["--table", "8.2.1.2-4-row7"], "did you mean '8.2.1.2-4-row"),
        (["--receiver", "blnd"], "did you mean 'blind'"),
        (["--variant", "38.141"], "--variant: got '38.141'; allowed: 38.104, 38.141-1; did you mean '38.141-1'?"),
        (["--slots", "0"], "--slots"),
        (["--cfo", "-1"], "--cfo"),
        (["--receiver", "blind", "--receiver", "blind"], "--receiver: got 'blind twice'; allowed: different receivers"),
        (["--receiver", "{contract: generic}"], "--receiver: got '{contract: generic}'; allowed: a name, or a block"),
        (["--receiver", "missing.onnx"], "missing.onnx: cannot be read"),
        (["--receiver", "missing.py:Mine"], "missing.py"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["conformance", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ran: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_foreign_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "thesis.txt").write_text("keep me")
    assert main(["conformance", "--table", "8.2.2.2-1", "--out", str(tmp_path)]) == 2
    assert "is no folder of a study; allowed: a new or empty folder, or one with a" in capsys.readouterr().err


@pytest.mark.slow
def test_receivers_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["conformance", "--table", "8.2.1.2-4-row4", "--table", "8.2.1.2-4-row19", "--slots", "64"]
    chosen = [
        "--receiver",
        "{name: neural, weights: pusch-hybrid}",
        "--receiver",
        "{name: blind, detector: lmmse}",
        "--cfo",
        "200",
        "--timing",
        "0.26",
    ]
    assert main([*arguments, *chosen, "--workers", "1", "--out", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "neural: 2 rows: 1 pass, 1 refused" in out
    assert "Requirements not met: 3 of 4 rows pass, 1 refused by the receiver." in out
    assert "mean margins on the 1 row that all take: neural" in out
    text = (tmp_path / "conformance.html").read_text()
    assert "side by side" in text
    assert "Requirements not met: 3 of 4 rows pass, 1 refused by the receiver." in text
    assert "was not trained for 4 layers" in text
    assert len((tmp_path / "conformance.csv").read_text().splitlines()) == 5
    hybrid = {"name": "neural", "weights": "pusch-hybrid"}
    with pytest.raises(InputError, match=r"4 layers.*no other row"):
        run_rows(Request(select(["8.2.1.2-4-row19"]), (hybrid,)), tmp_path / "other", workers=1)


def test_one_row_on_the_real_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["conformance", "--table", "8.2.1.2-4-row4", "--slots", "64", "--workers", "1", "--out", str(tmp_path)]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "1 row: 1 pass" in out
    assert "Requirements met: 1 of 1 rows pass." in out
    before = (tmp_path / "conformance.csv").read_bytes()
    assert main(arguments) == 0
    assert (tmp_path / "conformance.csv").read_bytes() == before
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "new"), "--paper"]) == 0
    check_paper(tmp_path / "new/paper", {"margins"}, tmp_path / "conformance.csv")


def test_reference_channels_are_named_by_modulation_and_rate():
    # TS 38.104 annex A: QPSK, 16QAM 658/1024, 64QAM, 16QAM 434/1024
    letters = {("QPSK", 193): "A3", ("16QAM", 658): "A4", ("64QAM", 567): "A5", ("16QAM", 434): "A7"}
    for row in requirements():
        band = "FR2" if row.is_fr2 else "FR1"
        assert row.frc.startswith(f"G-{band}-{letters[row.modulation, row.target_rate_x1024]}-"), row.name


def test_only_a_pass_is_a_pass():
    row = requirements()[0]

    def outcome(verdict):
        if verdict == "refused":
            return RowOutcome(row, "38.104", "blind", (), "why")
        fraction = {"pass": (0.8, 0.75, 0.85), "fail": (0.6, 0.5, 0.65), "undecided": (0.7, 0.6, 0.8)}[verdict]
        point = SimpleNamespace(esn0_db=row.required_snr_db, fraction=Estimate(*fraction))
        return RowOutcome(row, "38.104", "blind", (point,))

    assert passed([outcome("pass")])
    assert conclusion([outcome("pass")]) == "Requirements met: 1 of 1 rows pass."
    for verdict in ("fail", "undecided", "refused"):
        rows = [outcome("pass"), outcome(verdict)]
        assert rows[1].verdict == verdict
        assert not passed(rows)
        assert "not met: 1 of 2 rows pass, 1 " + verdict in conclusion(rows)


def test_only_what_a_receiver_refuses_is_a_refusal(tmp_path: Path):
    """By the type of the error: a message that begins in the same way is an error still."""

    def build(tested):
        raise InputError("receivers.blind: something else is wrong")

    with pytest.raises(InputError, match=r"something else is wrong$"):
        run_rows(Request(requirements()[:1], ({"name": "blind"},)), tmp_path, workers=1, build=build)
