"""Rows whose limit is a share of errors on the page: every row with its verdict, and what they come to together."""

import re

import pytest

from ran.stats import wilson
from ran.studies.conformance.control import LEVEL, ControlOutcome, select
from ran.studies.conformance.page import CSV, conclusion, write_results
from ran.studies.conformance.picture import shares_figure
from ran.studies.conformance.shares import Shares
from ran.studies.conformance.uci import ROWS, UciOutcome
from ran.studies.conformance.urllc import ROW


@pytest.fixture
def shares():
    pucch, prach = select(["8.3.2.2-1"])[:2], select(["8.4.1.2"])[:1]
    return Shares(
        uci=[UciOutcome(ROWS[0], "lmmse", 5.4, 0, 8192), UciOutcome(ROWS[1], "mine", 4.3, 0, 0, "one layer alone")],
        control=[
            ControlOutcome(prach[0], 3, 20000),
            ControlOutcome(pucch[0], 0, 1024),
            ControlOutcome(pucch[1], 100, 1024),
        ],
        urllc=[ControlOutcome(ROW, 0, 4096, "lmmse")],
    )


def test_lines(shares):
    lines = shares.lines
    kinds = ["UCI on PUSCH"] * 2 + ["PUCCH"] * 2 + ["PRACH", "PUSCH with a low BLER"]
    assert [line.kind for line in lines] == kinds
    assert [line.verdict for line in lines] == ["pass", "refused", "pass", "fail", "pass", "undecided"]
    assert lines[2].share == wilson(0.0, 1024, level=LEVEL)
    assert (lines[2].signal, lines[2].metric, lines[2].limit) == (
        "format 0, 1 symbol, 5 MHz, 15 kHz",
        "ACK missed",
        0.01,
    )
    assert lines[4].snr_db is None
    assert shares.receivers == ("lmmse", "mine")
    assert conclusion([], lines) == (
        "Requirements not met: 3 of 6 rows pass, 1 fail, 1 undecided, 1 refused by the receiver. Only a pass is a pass."
    )
    assert conclusion([], lines[:1]) == "Requirements met: 1 of 1 rows pass."


def test_page(shares, tmp_path):
    page = write_results([], tmp_path, shares).read_text(encoding="utf-8")
    assert not (tmp_path / CSV).exists()  # there are no rows of throughput
    assert "UCI on PUSCH, PUCCH, PRACH and PUSCH with a low BLER requirements of TS 38.104: lmmse, mine" in page
    headings = re.findall(r"<h2>([^<]*)</h2>", page)
    assert headings == ["Shares of errors", "UCI on PUSCH", "PUCCH", "PRACH", "PUSCH with a low BLER"]
    for line in shares.lines:
        own = re.search(rf'<tr id="{re.escape(line.name)}(-[^"]*)?">(.*?)</tr>', page, re.DOTALL).group(2)
        assert f'<td class="{line.verdict}">{line.verdict}</td>' in own
        assert line.metric in own
        assert (line.reason or f"{line.errors} of {line.trials}") in own
    assert "PUCCH, 2 rows: 1 pass, 1 fail" in page
    assert "Every row</h2>" not in page


def test_figure(shares):
    axes = shares_figure(shares.lines).axes[0]
    points = [line for line in axes.get_lines() if line.get_marker() == "o"]
    expected = [line.share.high / line.limit for line in shares.lines if line.share.high is not None]
    assert [float(point.get_xdata()[0]) for point in points] == pytest.approx(expected)
    assert [label.get_text() for label in axes.get_yticklabels()][-1] == "PUSCH with a low BLER"
