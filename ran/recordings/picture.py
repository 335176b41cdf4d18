"""A slot in pictures: the received grid, the equalised constellation, and the channel over frequency."""

from __future__ import annotations

import numpy as np

from ran.recordings.slot_result import SlotResult
from ran.report.figures import as_file, new_figure, style
from ran.report.palette import COLORS_LIGHT

#: Symbols that a constellation shows.
_MOST_POINTS = 4000
#: Range of power below the strongest resource element that the grid shows, dB.
_RANGE_DB = 50.0


def slot_png(result: SlotResult) -> bytes:
    """The three side by side as PNG."""
    with style():
        figure = new_figure(11, 3.3)
        grid, points, channel = figure.subplots(1, 3, width_ratios=(1.15, 1, 1.15))
        top = float(result.power_db.max())
        image = grid.imshow(
            result.power_db.T,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            cmap="viridis",
            vmin=top - _RANGE_DB,
            vmax=top,
        )
        figure.colorbar(image, ax=grid, label="Power [dB]", pad=0.02)
        grid.set(xlabel="OFDM symbol", ylabel="Subcarrier", title="Received, mean over antennas")
        shown = result.symbols[:: max(1, len(result.symbols) // _MOST_POINTS)]
        points.scatter(shown.real, shown.imag, s=2, alpha=0.35, color=COLORS_LIGHT[0], linewidths=0)
        limit = max(1.5, float(np.quantile(np.abs(shown), 0.99)) * 1.1) if len(shown) else 1.5
        points.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="In-phase", ylabel="Quadrature")
        points.set_title(f"Equalised, {result.modulation}")
        magnitude = np.abs(result.channel)
        magnitude = 20 * np.log10(np.maximum(magnitude, 1e-6 * magnitude.max()))
        for antenna, row in enumerate(magnitude[:8]):
            channel.plot(row, linewidth=1, color=COLORS_LIGHT[antenna % len(COLORS_LIGHT)], label=f"antenna {antenna}")
        channel.set(xlabel="Subcarrier of the allocation", ylabel="Magnitude [dB]", title="Channel estimate, layer 0")
        channel.grid(True)
        channel.legend(frameon=False, fontsize=7.5, ncols=2)
        return as_file(figure, "png")
