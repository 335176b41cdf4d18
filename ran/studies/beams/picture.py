"""Beam patterns over azimuth and maps of powers; curves are those of `ran.report.figures`."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ran.report.figures import PAGE, Form, add_legend, escape_math, new_figure, style
from ran.report.palette import COLORS_LIGHT, EDGE, FAINT, MARK, TEXT, color_of
from ran.studies.beams.run import BeamResults

#: From the top of a pattern to its bottom, and from full colour to none in a map, dB.
RANGE_DB = 30.0


def map_figure(values_dbm: np.ndarray, grid: tuple[int, int], title: str, measured: np.ndarray, best: int) -> Figure:
    """Powers of Set A as a map of its grid, the upper row on top; 30 dB from dark to nothing.

    Measured beams have a ring, the truly best one a frame. values_dbm [num_tx_beams].
    """
    rows, columns = grid
    width = 2.6
    with style():
        figure = new_figure(width, max(0.5, 0.25 + (width - 0.1) * rows / columns))
        axes = figure.add_subplot()
        axes.set_title(escape_math(title), fontsize="medium")
        strengths = map_strengths(values_dbm)
        row, column = np.divmod(np.arange(rows * columns), columns)
        for x, y, strength in zip(column, row, strengths, strict=True):
            color = (*to_rgb(COLORS_LIGHT[0]), float(strength))
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor=EDGE, linewidth=0.3))
        size = 22 / max(columns, 8)
        axes.plot(column[measured], row[measured], "o", markersize=2.2 * size, color=TEXT, mfc="none", mew=0.9)
        axes.add_patch(
            Rectangle((column[best] - 0.45, row[best] - 0.45), 0.9, 0.9, fill=False, edgecolor=MARK, linewidth=2)
        )
        axes.set(xlim=(-0.6, columns - 0.4), ylim=(-0.6, rows - 0.4), aspect="equal")
        axes.set_axis_off()
        return figure


def map_strengths(values_dbm: np.ndarray) -> np.ndarray:
    """From 0 to 1 [num_tx_beams]: the strongest is 1, and what is `RANGE_DB` below it or more is 0."""
    return np.clip(1 - (values_dbm.max() - values_dbm) / RANGE_DB, 0, 1)


def pattern_figure(results: BeamResults, form: Form = PAGE) -> Figure:
    """Patterns over azimuth, in the best beam's row, of the row's beams, of the best and of the strongest measured one.

    Power gain of isotropic elements, of all of them in phase; boresight is 0 degrees.
    """
    with style(form):
        figure = new_figure(*form.size(6.6, 3.0))
        axes = figure.add_subplot()
        for _, azimuth, gains_db, kind in patterns(results):
            color, width = {"row": (FAINT, 0.8), "measured": (color_of(1), 1.8), "best": (color_of(0), 1.8)}[kind]
            name = {"row": "_none", "measured": "strongest measured", "best": "best"}[kind]
            axes.plot(np.rad2deg(azimuth), gains_db, color=color, linewidth=width, label=name)
        axes.set(xlabel="Azimuth [°]", ylabel="Gain, of the panel's most [dB]", xlim=(-90, 90), ylim=(-RANGE_DB, 1))
        axes.set_xticks(range(-90, 91, 30))
        axes.grid(True)
        add_legend(figure, form)
        return figure


def patterns(results: BeamResults) -> list[tuple[int, np.ndarray, np.ndarray, str]]:
    """Beam, azimuth in radians, gain in dB below the panel's most, and which it is: "row", "measured" or "best"."""
    world, example = results.world, results.example
    codebook = world.set_a
    size = codebook.num_beams
    best = int(example.true_dbm.argmax()) % size
    azimuth = np.deg2rad(np.arange(-90, 91, 0.5))
    up = codebook.cosines[best, 1]
    across = np.sqrt(max(1 - up**2, 0)) * np.sin(azimuth)
    gains = codebook.gains(world.positions, np.stack([across, np.full_like(across, up)], -1))
    rim = 10 * np.log10(codebook.num_places)
    gains_db = np.maximum(10 * np.log10(np.maximum(gains, 1e-9)) - rim, -RANGE_DB)
    row = best // codebook.grid[1]
    shown = [(beam, "row") for beam in range(row * codebook.grid[1], (row + 1) * codebook.grid[1])]
    if not results.settings[0].set_b.is_outside:
        shown.append((int(example.measured[example.measured_dbm.argmax()]) % size, "measured"))
    return [(beam, azimuth, gains_db[:, beam], kind) for beam, kind in [*shown, (best, "best")]]
