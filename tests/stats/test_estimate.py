"""The type: what it refuses, what follows from it, and how it is written."""

from __future__ import annotations

import math

import pytest

from ran.stats import PERCENT, Estimate, Notation, csv_cells, percent

OPEN = Estimate(1.0, -math.inf, 2.5, unit="dB", reason="the interval reaches beyond the simulated Es/N0")
NONE = Estimate.missing("not simulated", "dB")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0,), "value, low and high, or none of them"),
        ((None, 0.0, 1.0), "value, low and high, or none of them"),
        ((None,), "reason: got none"),
        ((1.0, -math.inf, 2.0), "reason: got none"),
        ((1.0, 3.0, 2.0), "low at or below high"),
        ((1.0, 0.0, 2.0, 95.0), "level: got 95.0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Estimate(*arguments)


def test_a_missing_value_says_why():
    assert (NONE.is_known, NONE.is_open, NONE.why_missing, NONE.half_width) == (False, False, "not simulated", None)
    with pytest.raises(ValueError, match="got none, not simulated"):
        NONE.known  # noqa: B018
    assert NONE.shifted(1).scaled(2).clipped(0, 1) == NONE
    assert not NONE.is_above(-math.inf)
    assert not NONE.is_below(math.inf)


def test_an_open_end_is_known_all_the_same():
    assert (OPEN.is_known, OPEN.is_open, OPEN.why_missing, OPEN.known) == (True, True, "", 1.0)
    closed = OPEN.clipped(0, 2)
    assert (closed.low, closed.high, closed.reason, closed.unit) == (0, 2, "", "dB")
    assert OPEN.clipped(-math.inf, 2).reason == OPEN.reason


def test_moved_and_scaled():
    gain = Estimate(0.5, 0.25, 1.0, unit="", num_units=7)
    assert gain.shifted(-1).scaled(100, "%") == Estimate(-50.0, -75.0, 0.0, unit="%", num_units=7)
    assert gain.half_width == 0.375
    with pytest.raises(ValueError, match="factor: got -1"):
        gain.scaled(-1)
    assert Estimate.exact(3.0, "ms") == Estimate(3.0, 3.0, 3.0, unit="ms")


def test_sides_of_a_limit():
    known = Estimate(1.0, 0.5, 2.0)
    assert known.is_above(0.4)
    assert not known.is_above(0.5)
    assert known.is_below(2.1)
    assert not known.is_below(2.0)


def test_plain_values_and_csv():
    assert Estimate(1.23456, 1.0, 2.0).plain(2) == [1.23, 1.0, 2.0]
    assert OPEN.plain() == [1.0, None, 2.5]
    assert NONE.plain(3) == [None, None, None]
    assert csv_cells(Estimate(1 / 3, 0.25, 2e7), ".4g") == ["0.3333", "0.25", "2e+07"]
    assert csv_cells(OPEN, ".3f") == ["1.000", "", "2.500"]
    assert csv_cells(NONE, ".3f") == ["", "", ""]


@pytest.mark.parametrize(
    ("notation", "estimate", "text"),
    [
        (Notation(), Estimate(-0.001, -1.5, 2.0), "0.00 [−1.50, 2.00]"),
        (Notation(), OPEN, "1.00 [−∞, 2.50]"),
        (Notation(), NONE, "—"),
        (Notation(1, signed=True), Estimate(-0.04, -2.0, 3.0), "+0.0 [−2.0, +3.0]"),
        (Notation(1, scale=100, signed=True, suffix=" %"), Estimate(0.123, 0.1, 0.15), "+12.3 % [+10.0, +15.0]"),
        (Notation(0, thousands=True), Estimate(12345.4, 999.0, 20000.0), "12,345 [999, 20,000]"),
        (PERCENT, Estimate(0.00123456, 0.0, 1.0), "0.123 % [0, 100]"),
        (Notation(signed=True), Estimate(1.0, 0.5, math.inf, reason="x"), "+1.00 [+0.50, +∞]"),
    ],
)
def test_texts(notation, estimate, text):
    assert notation.text(estimate) == text
    # the parts that tables show apart add up to the text
    assert f"{notation.value(estimate)} {notation.interval(estimate)}".rstrip() == text


def test_one_form_everywhere():
    gain = Estimate(-1.5, -2.0, 0.25)
    assert str(gain) == Notation().text(gain) == "−1.50 [−2.00, 0.25]"
    assert Notation().html(gain) == "<b>−1.50</b><small>[−2.00, 0.25]</small>"
    assert Notation().html(NONE) == "—"
    assert Notation().latex(gain) == r"$-1.50\,[-2.00,\,0.25]$"
    assert Notation().latex(OPEN) == r"$1.00\,[-\infty,\,2.50]$"
    assert Notation(1, scale=100, suffix=" %").latex(Estimate(0.5, 0.25, 0.75)) == r"$50.0\,\%\,[25.0,\,75.0]$"
    assert Notation(0, thousands=True).latex(Estimate(1e4, 1e4, 2e4)) == r"$10{,}000\,[10{,}000,\,20{,}000]$"
    assert Notation().latex(NONE) == "---"


def test_shares_in_per_cent():
    assert [percent(x) for x in (0.1, 0.01, 0.00123456, 1.0, 0.95)] == ["10 %", "1 %", "0.123 %", "100 %", "95 %"]
