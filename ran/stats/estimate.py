"""One number with its interval, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

#: Level of every interval that is not said to have another.
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value that was estimated from independent units, and how well it is known.

    value: None where the data do not give it; then low and high are None as well.
    low, high: ends of the interval; infinite where the data leave an end open.
    level: how often such intervals hold the true value, 0.95 is 95 %.
    unit: of value, low and high, such as "dB"; empty for a pure number.
    reason: why there is no value, or why an end is open; empty otherwise.
    num_units: independent units behind it (drops, series, samples); None where they are not known.

    ValueError for a value without an interval, an interval without a value, an interval that is upside down, and where
    a value is missing or an end is open for no reason.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    level: float = LEVEL
    unit: str = ""
    reason: str = ""
    num_units: int | None = None

    def __post_init__(self) -> None:
        numbers = self.numbers
        if len({number is None for number in numbers}) > 1:
            raise ValueError(f"estimate: got {numbers}; allowed: value, low and high, or none of them")
        if not 0 < self.level < 1:
            raise ValueError(f"level: got {self.level}; allowed: between 0 and 1, both excluded")
        if (self.value is None or self.is_open) and not self.reason:
            raise ValueError(f"reason: got none for {numbers}; allowed: why a value is missing or an end is open")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"interval: got {self.low} to {self.high}; allowed: low at or below high")

    @classmethod
    def missing(cls, reason: str, unit: str = "") -> Estimate:
        """No value, and why."""
        return cls(None, unit=unit, reason=reason)

    @classmethod
    def exact(cls, value: float, unit: str = "") -> Estimate:
        """A value that is known without any doubt, such as a count that was chosen."""
        return cls(value, value, value, unit=unit)

    @property
    def numbers(self) -> tuple[float | None, float | None, float | None]:
        """Value, low and high."""
        return self.value, self.low, self.high

    @property
    def known(self) -> float:
        """The value; ValueError with the reason where there is none."""
        if self.value is None:
            raise ValueError(f"estimate: got none, {self.reason}; allowed: one with a value")
        return self.value

    @property
    def is_known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def is_open(self) -> bool:
        """Whether there is a value, of which an end of the interval is unbounded."""
        return any(end is not None and math.isinf(end) for end in (self.low, self.high))

    @property
    def why_missing(self) -> str:
        """Why there is no value; empty where there is one, however wide its interval."""
        return "" if self.is_known else self.reason

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width; None without a value."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    def is_above(self, limit: float) -> bool:
        """Whether there is a value and all of its interval is above a limit."""
        return self.low is not None and self.low > limit

    def is_below(self, limit: float) -> bool:
        """Whether there is a value and all of its interval is below a limit."""
        return self.high is not None and self.high < limit

    def shifted(self, by: float) -> Estimate:
        """The same on a scale whose origin is so far off: `by` is added."""
        return self._mapped(lambda number: number + by)

    def scaled(self, factor: float, unit: str | None = None) -> Estimate:
        """The same times a factor of 0 or more, in another unit where one is given."""
        if not 0 <= factor < math.inf:
            raise ValueError(f"factor: got {factor}; allowed: 0 or more, finite")
        scaled = self._mapped(lambda number: number * factor)
        return scaled if unit is None else replace(scaled, unit=unit)

    def clipped(self, lowest: float, highest: float) -> Estimate:
        """The same with an interval inside what the quantity can be, such as 0 to 1 for a share."""
        if self.low is None or self.high is None:
            return self
        low, high = (min(max(end, lowest), highest) for end in (self.low, self.high))
        still_open = math.isinf(low) or math.isinf(high)
        return replace(self, low=low, high=high, reason=self.reason if still_open else "")

    def plain(self, digits: int | None = None) -> list[float | None]:
        """Value and both ends for JSON, rounded to so many decimals; None for what is missing or infinite."""
        finite = [None if n is None or math.isinf(n) else n for n in self.numbers]
        return finite if digits is None else [None if n is None else round(n, digits) for n in finite]

    def __str__(self) -> str:
        from ran.stats.notation import Notation

        return Notation().text(self)

    def _mapped(self, change: Callable[[float], float]) -> Estimate:
        value, low, high = (None if n is None else change(n) for n in self.numbers)
        return replace(self, value=value, low=low, high=high)
