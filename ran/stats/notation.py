"""How an estimate is written: one form for terminals, pages, CSV files and LaTeX.

`1.23 [1.00, 1.50]`: the value, then its interval in brackets, in as many digits; a true minus sign, ∞ for an open end,
— for what is missing. A unit stands behind the value, not inside the brackets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ran.stats.estimate import Estimate

MISSING = "—"


@dataclass(frozen=True)
class Notation:
    """How the estimates of one quantity are written.

    digits: behind the decimal point ("fixed"), or significant ones ("significant": 0.00123, 12.3, 123).
    scale: factor of what is written, such as 100 for a share in per cent. signed: with a plus, as gains have it.
    suffix: behind the value, such as " %". thousands: with commas, 12,345.
    """

    digits: int = 2
    form: Literal["fixed", "significant"] = "fixed"
    scale: float = 1.0
    signed: bool = False
    suffix: str = ""
    thousands: bool = False

    def number(self, value: float | None) -> str:
        """One number, without the suffix."""
        if value is None:
            return MISSING
        sign = "+" if self.signed else ""
        if math.isinf(value):
            return f"{sign}∞" if value > 0 else "−∞"
        shown = self.scale * value
        if self.form == "significant":
            text = f"{float(f'{shown:.{self.digits}g}'):{sign}g}"
        else:
            text = f"{shown:{sign}z{',' if self.thousands else ''}.{self.digits}f}"
        return "−" + text[1:] if text.startswith("-") else text

    def value(self, estimate: Estimate) -> str:
        """The value with its suffix."""
        return MISSING if estimate.value is None else self.number(estimate.value) + self.suffix

    def interval(self, estimate: Estimate) -> str:
        """The interval in brackets; empty without a value."""
        if estimate.low is None or estimate.high is None:
            return ""
        return f"[{self.number(estimate.low)}, {self.number(estimate.high)}]"

    def text(self, estimate: Estimate) -> str:
        """Value and interval in one line."""
        return f"{self.value(estimate)} {self.interval(estimate)}".rstrip()

    def html(self, estimate: Estimate) -> str:
        """Value and interval as HTML, the interval small. Holds no text from outside, so nothing is escaped."""
        value = self.value(estimate)
        return value if estimate.value is None else f"<b>{value}</b><small>{self.interval(estimate)}</small>"

    def latex(self, estimate: Estimate) -> str:
        """Value and interval for the text of a LaTeX document."""
        if estimate.value is None:
            return "---"
        texts = (self.number(number).replace("−", "-").replace(",", "{,}") for number in estimate.numbers)
        value, low, high = (text.replace("∞", r"\infty") for text in texts)
        suffix = self.suffix.replace(" ", r"\,").replace("%", r"\%")
        return rf"${value}{suffix}\,[{low},\,{high}]$"


def csv_cells(estimate: Estimate, spec: str) -> list[str]:
    """Value, low and high for three columns of a CSV file, unscaled; empty where one is missing or infinite.

    spec: format of the numbers, such as ".9g".
    """
    return ["" if number is None else format(number, spec) for number in estimate.plain()]


#: A share in per cent with three significant digits: 0.1 is 10 %, 0.00123 is 0.123 %.
PERCENT = Notation(3, "significant", scale=100, suffix=" %")


def percent(share: float) -> str:
    """A share in per cent with three significant digits: 0.1 is '10 %', 0.00123 is '0.123 %'."""
    return PERCENT.number(share) + PERCENT.suffix
