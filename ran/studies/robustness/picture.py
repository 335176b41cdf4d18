"""Gains over the baseline as a picture: a line per condition, a point with its interval per receiver."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup, escape

from ran.stats import Estimate
from ran.studies.robustness.conditions import Condition
from ran.studies.robustness.outcome import Outcome

_WIDTH, _LEFT, _RIGHT, _TOP, _LINE = 900, 210, 16, 24, 26
#: Wider intervals and larger gains are cut off here, dB.
_FARTHEST_DB = 6.0


def gains_svg(lines: Sequence[tuple[Condition, Mapping[str, Outcome]]], receivers: Sequence[str]) -> Markup:
    """An SVG element; the first receiver is grey, the others have the page's colours in their order."""
    ends = [end for _, line in lines for name in receivers if name in line for end in _ends(line[name].gain)]
    low = max(min([*ends, -0.5]) - 0.1, -_FARTHEST_DB)
    high = min(max([*ends, 0.5]) + 0.1, _FARTHEST_DB)
    bottom = _TOP + _LINE * len(lines)

    def x(gain_db: float) -> float:
        inside = min(max(gain_db, low), high)
        return _LEFT + (inside - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {bottom + 42}" role="img" aria-label="gain over the baseline per condition">',
    ]
    for tick in range(math.ceil(low), math.floor(high) + 1):
        kind = "zero" if tick == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{_TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{_tick(tick)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 32}" text-anchor="middle">gain, dB</text>')
    for number, (condition, line) in enumerate(lines):
        centre = _TOP + _LINE * (number + 0.5)
        parts.append(f'<text x="{_LEFT - 12}" y="{centre + 4:.1f}" text-anchor="end">{escape(condition.title)}</text>')
        for place, receiver in enumerate(receivers):
            if receiver in line:
                height = centre + (place - (len(receivers) - 1) / 2) * min(6.0, 20 / len(receivers))
                parts += _mark(line[receiver].gain, "floor" if place == 0 else f"s{(place - 1) % 8}", height, x)
    return Markup("".join(parts) + "</svg>")


def _mark(gain: Estimate, colour: str, height: float, x: Callable[[float], float]) -> list[str]:
    """A point and its interval."""
    if gain.value is None or gain.low is None or gain.high is None:
        return []
    return [
        f'<line class="{colour}" x1="{x(gain.low):.1f}" x2="{x(gain.high):.1f}" y1="{height:.1f}" y2="{height:.1f}"/>',
        f'<circle class="{colour}" cx="{x(gain.value):.1f}" cy="{height:.1f}" r="3.5"/>',
    ]


def _tick(gain_db: int) -> str:
    return f"{gain_db:+d}".replace("-", "−") if gain_db else "0"


def _ends(gain: Estimate) -> list[float]:
    """The finite ones of a gain's value and interval, dB."""
    return [number for number in gain.plain() if number is not None]
