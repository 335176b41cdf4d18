"""The curve behind a row as a small picture: throughput against SNR, the requirement and where the curve meets it."""

from __future__ import annotations

from markupsafe import Markup

from ran.studies.conformance.outcome import RowOutcome
from ran.studies.conformance.requirements import THRESHOLD

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _MARGIN = 460, 220, 44, 34, 12


def svg(outcome: RowOutcome) -> Markup:
    """An SVG element whose colours come from the page's style sheet. Texts are numbers of ours only."""
    snrs = [point.esn0_db for point in outcome.points]
    low, high = min(snrs) - 0.5, max(snrs) + 0.5

    def x(esn0_db: float) -> float:
        return _LEFT + (esn0_db - low) / (high - low) * (_WIDTH - _LEFT - _MARGIN)

    def y(fraction: float) -> float:
        return _MARGIN + (1 - fraction) * (_HEIGHT - _BOTTOM - _MARGIN)

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" '
        f'aria-label="throughput against Es/N0">'
    ]
    for tenth in (0, 2, 4, 6, 8, 10):
        height = y(tenth / 10)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _MARGIN}" y1="{height:.1f}" y2="{height:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{10 * tenth} %</text>')
    for esn0_db in snrs:
        text = f'<text x="{x(esn0_db):.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{esn0_db:g}</text>'
        parts.append(text)
    parts.append(f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">Es/N0, dB</text>')
    threshold, required = y(THRESHOLD), x(outcome.required_snr_db)
    parts.append(
        f'<line class="asked" x1="{_LEFT}" x2="{_WIDTH - _MARGIN}" y1="{threshold:.1f}" y2="{threshold:.1f}"/>'
    )
    parts.append(f'<line class="asked" x1="{required:.1f}" x2="{required:.1f}" y1="{y(1):.1f}" y2="{y(0):.1f}"/>')
    line = " ".join(f"{x(p.esn0_db):.1f},{y(p.throughput_fraction):.1f}" for p in outcome.points)
    parts.append(f'<polyline class="curve" points="{line}"/>')
    for point in outcome.points:
        at, value = x(point.esn0_db), y(point.throughput_fraction)
        ends = y(point.throughput_fraction_low), y(point.throughput_fraction_high)
        parts.append(f'<line class="curve" x1="{at:.1f}" x2="{at:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}"/>')
        parts.append(f'<circle class="point" cx="{at:.1f}" cy="{value:.1f}" r="3.5"/>')
    if (found := outcome.crossing.value) is not None:
        parts.append(f'<circle class="crossing" cx="{x(found):.1f}" cy="{threshold:.1f}" r="5"/>')
    return Markup("".join(parts) + "</svg>")
