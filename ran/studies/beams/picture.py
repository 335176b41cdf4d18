"""Curves, beam patterns and maps as SVG, whose colours come from the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ran.report.curves import COLORS_LIGHT
from ran.studies.beams.run import BeamResults

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 10, 40
#: Part of the horizontal axis that a label takes.
_LABEL = 0.06
#: Part of the vertical axis that is too little to be seen.
_HAIR = 0.005


@dataclass(frozen=True)
class Line:
    """A curve: style is its predictor's class on the page; low and high may be empty."""

    title: str
    style: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def style_of(place: int, needs_truth: bool) -> str:
    """Class of a predictor's curves: a colour, dashed from the second round of colours on; genies have none."""
    if needs_truth:
        return "genie"
    colors = len(COLORS_LIGHT)
    return f"s{place % colors}" + (" dashed" if place >= colors else "")


def _steps(low: float, high: float, count: int = 6) -> np.ndarray:
    """Round values that span a range."""
    wanted = max(high - low, 1e-9) / count
    power = 10.0 ** np.floor(np.log10(wanted))
    step = next(float(power * multiple) for multiple in (1, 2, 5, 10) if power * multiple >= wanted * (1 - 1e-9))
    return np.asarray(step * np.arange(np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9) + 1))


def line_svg(lines: Sequence[Line], x_title: str, y_title: str, share: bool = False) -> str:
    """Curves over a linear axis with intervals; share: the vertical axis is from 0 to 100 %."""
    ys = [value for line in lines for value in (*line.y, *line.low, *line.high)]
    xs = [value for line in lines for value in line.x]
    low = min(ys)
    if -_HAIR * max(ys) < low < 0:
        low = 0.0  # the interval of what is next to nothing asks for no part of the axis
    y_ticks = np.arange(0, 1.01, 0.2) if share else _steps(low, max(ys))
    own = np.array(sorted(set(xs)))
    # values of their own as labels, unless they would lie on one another
    apart = len(own) <= 8 and (len(own) < 2 or np.diff(own).min() > _LABEL * (own[-1] - own[0]))
    x_ticks = own if apart else _steps(min(xs), max(xs))
    x_low, x_high = min(min(xs), x_ticks[0]), max(max(xs), x_ticks[-1])
    x_high = x_high if x_high > x_low else x_low + 1

    def x(value: float) -> str:
        return f"{_LEFT + (value - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT):.1f}"

    def y(value: float) -> str:
        share_of = (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return f"{_HEIGHT - _BOTTOM - share_of * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(y_title)}">']
    for tick in y_ticks:
        label = f"{tick:.0%}" if share else f"{tick + 0.0:g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{float(y(tick)) + 4:.1f}" text-anchor="end">{label}</text>')
    for tick in x_ticks:
        parts.append(f'<text x="{x(tick)}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{(_WIDTH + _LEFT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x_title)}</text>')
    for line in lines:
        points = list(zip(line.x, line.y, strict=True))
        joined = " ".join(f"{x(a)},{y(b)}" for a, b in points)
        parts.append(f'<g class="{line.style}"><title>{escape(line.title)}</title><polyline points="{joined}"/>')
        for a, low, high in zip(line.x, line.low, line.high, strict=False):
            parts.append(f'<line class="bar" x1="{x(a)}" x2="{x(a)}" y1="{y(low)}" y2="{y(high)}"/>')
        parts += [f'<circle cx="{x(a)}" cy="{y(b)}" r="3"/>' for a, b in points]
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def map_svg(values_dbm: np.ndarray, grid: tuple[int, int], title: str, measured: np.ndarray, best: int) -> str:
    """Powers of Set A as a map of its grid, the upper row on top; 30 dB from dark to nothing.

    Measured beams have a ring, the truly best one a frame. values_dbm [num_tx_beams].
    """
    rows, columns = grid
    cell = min(26.0, 500 / columns)
    width, height = columns * cell, rows * cell
    top = float(values_dbm.max())
    parts = [f'<svg viewBox="-2 -2 {width + 4:.0f} {height + 4:.0f}" role="img" aria-label="{escape(title)}">']
    for beam in range(rows * columns):
        row, column = divmod(beam, columns)
        left, upper = column * cell, (rows - 1 - row) * cell
        strength = float(np.clip(1 - (top - values_dbm[beam]) / 30, 0, 1))
        text = f"beam {beam}: {values_dbm[beam]:.1f} dBm"
        parts.append(
            f'<rect class="cell" x="{left:.1f}" y="{upper:.1f}" width="{cell:.1f}" height="{cell:.1f}" '
            f'fill-opacity="{strength:.2f}"><title>{text}</title></rect>'
        )
        if beam in measured:
            at = f'cx="{left + cell / 2:.1f}" cy="{upper + cell / 2:.1f}"'
            parts.append(f'<circle class="seen" {at} r="{cell / 5:.1f}"/>')
        if beam == best:
            parts.append(
                f'<rect class="best" x="{left + 1:.1f}" y="{upper + 1:.1f}" width="{cell - 2:.1f}" '
                f'height="{cell - 2:.1f}"/>'
            )
    return "".join([*parts, "</svg>"])


def polar_svg(results: BeamResults) -> str:
    """Patterns over azimuth, in the best beam's row, of the row's beams, of the best and of the strongest measured one.

    Power gain of isotropic elements in dB, 30 dB from the rim to the middle; boresight is up.
    """
    world, example = results.world, results.example
    codebook = world.set_a
    size = codebook.num_beams
    best = int(example.true_dbm.argmax()) % size
    azimuth = np.deg2rad(np.arange(-90, 91, 0.5))
    up = codebook.cosines[best, 1]
    across = np.sqrt(max(1 - up**2, 0)) * np.sin(azimuth)
    gains = codebook.gains(world.positions, np.stack([across, np.full_like(across, up)], -1))
    rim = 10 * np.log10(codebook.num_places)
    radius, centre_x, centre_y = 230.0, 260.0, 245.0

    def line(beam: int) -> str:
        decibels = 10 * np.log10(np.maximum(gains[:, beam], 1e-9)) - rim
        length = radius * np.clip(1 + decibels / 30, 0, 1)
        xs, ys = centre_x + length * np.sin(azimuth), centre_y - length * np.cos(azimuth)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs, ys, strict=True))

    parts = ['<svg viewBox="0 0 520 262" role="img" aria-label="Beam patterns over azimuth">']
    for decibels in (0, 10, 20):
        r = radius * (1 - decibels / 30)
        parts.append(
            f'<path class="grid" fill="none" d="M {centre_x - r:.1f} {centre_y} A {r:.1f} {r:.1f} 0 0 1 '
            f'{centre_x + r:.1f} {centre_y}"/>'
        )
        parts.append(f'<text x="{centre_x + r:.0f}" y="{centre_y + 14}" text-anchor="middle">{-decibels} dB</text>')
    row = best // codebook.grid[1]
    for beam in range(row * codebook.grid[1], (row + 1) * codebook.grid[1]):
        parts.append(f'<polyline class="faint" points="{line(beam)}"/>')
    if not results.settings[0].set_b.is_outside:
        strongest = int(example.measured[example.measured_dbm.argmax()]) % size
        parts.append(f'<g class="s1"><polyline points="{line(strongest)}"/></g>')
    parts.append(f'<g class="s0"><polyline points="{line(best)}"/></g></svg>')
    return "".join(parts)
