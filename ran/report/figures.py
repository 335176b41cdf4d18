"""One style for every figure, and figures as files: SVG and PNG for pages and slides, PDF for papers.

Text stays text in SVG, so that it can be edited, searched and set in the font of a page; PDF embeds its fonts. Equal
figures give equal bytes: no dates, no versions, and names inside SVG that are hashed with a salt of ours.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ran.report.inline import inline_svg
from ran.report.palette import CARD, EDGE, GRID, SOFT, TEXT, color_of

Kind = Literal["svg", "png", "pdf"]

MARKERS = ("o", "s", "D", "^", "P", "X", "v", "h")
LEGEND: dict[str, Any] = {"frameon": False, "handlelength": 2.6, "fontsize": "small"}

_STYLE = {
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": EDGE,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": "medium",
    "axes.axisbelow": True,
    "text.color": TEXT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
}
_FILES = {"svg.hashsalt": "ran6g", "svg.fonttype": "none", "pdf.fonttype": 42}
# matplotlib's version and the time would make equal figures differ
_METADATA: dict[Kind, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_DPI = {"svg": 72, "png": 160, "pdf": 72}


@dataclass(frozen=True)
class Form:
    """Where a figure goes. width_in: inches; None: the figure's own width. font_size: points. has_title: a paper says
    in the caption what a page says above the axes. panels: most panels side by side."""

    width_in: float | None = None
    font_size: float = 9.5
    has_title: bool = True
    panels: int = 3
    png_dpi: int = _DPI["png"]

    def size(self, width_in: float, height_in: float, least_in: float = 2.4) -> tuple[float, float]:
        """Width and height in inches, for a figure whose own are these: the same shape in another width."""
        if self.width_in is None:
            return width_in, height_in
        return self.width_in, max(height_in * self.width_in / width_in, least_in)


#: Pages; and one and both columns of IEEE's two-column format (3.5 and 7.16 inches).
PAGE = Form()
ONE_COLUMN = Form(3.5, 7.5, False, 1, 300)
TWO_COLUMNS = Form(7.16, 8.5, False, 3, 300)
PAPER: Mapping[str, Form] = {"1col": ONE_COLUMN, "2col": TWO_COLUMNS}


@dataclass(frozen=True)
class Line:
    """A curve over a linear axis. place: in the palette, None for a genie. low, high: ends of intervals, or empty.
    is_ideal: no result but what a result is held against, such as a diagonal."""

    title: str
    place: int | None
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    is_ideal: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Picture:
    """A figure of a page. name: of its file. title, note: above it, where it stands among others. svg: the file."""

    name: str
    description: str
    svg: bytes
    title: str = ""
    note: str = ""

    @classmethod
    def of(cls, figure: Figure, name: str, description: str = "", title: str = "", note: str = "") -> Picture:
        """The figure as its file; it is described by the title where nothing else is said."""
        return cls(name, description or title, as_file(figure, "svg"), title, note)

    @property
    def inline(self) -> Markup:
        """The SVG element of the page."""
        return inline_svg(self.svg, self.name, self.description)

    @property
    def address(self) -> str:
        """The file as an address, for a link that saves it."""
        return data_address(self.svg, "image/svg+xml")


@dataclass(frozen=True)
class Drawn:
    """A figure with what a page or a caption says of it. name: of its files. note: a sentence below the title."""

    name: str
    title: str
    note: str
    figure: Figure

    @property
    def picture(self) -> Picture:
        """As a page has it."""
        return Picture.of(self.figure, self.name, title=self.title, note=self.note)


@contextmanager
def style(form: Form = PAGE) -> Iterator[None]:
    """Everything that is drawn and written inside is in the one style."""
    with rc_context({**_STYLE, **_FILES, "font.size": form.font_size}):
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure that needs no display."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor=CARD)
    FigureCanvasAgg(figure)
    return figure


def as_file(figure: Figure, kind: Kind, png_dpi: int = _DPI["png"]) -> bytes:
    """The figure as a file of one kind; equal figures give equal bytes."""
    buffer = io.BytesIO()
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        # laid out once: again for every kind of file would take longer, and move things by hairs
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    with rc_context(_FILES):
        dpi = png_dpi if kind == "png" else _DPI[kind]
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=_METADATA[kind])
    return buffer.getvalue()


def data_address(content: bytes, media: str) -> str:
    """A file as an address, for a link of a page that saves it."""
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


def escape_math(text: str) -> str:
    """`text` so that matplotlib prints it as it stands, without reading mathematics between dollar signs."""
    return text.replace("$", r"\$")


def lines_figure(lines: Sequence[Line], x_title: str, y_title: str, share: bool = False, form: Form = PAGE) -> Figure:
    """Curves over a linear axis with their intervals; a page has the legend, a paper's figure its own. share: y is from
    0 to 100 %."""
    with style(form):
        figure = new_figure(*form.size(5.2, 3.1))
        axes = figure.add_subplot()
        for line in lines:
            draw_line(axes, line)
        axes.set(xlabel=escape_math(x_title), ylabel=escape_math(y_title))
        axes.grid(True)
        if share:
            axes.set_ylim(-0.02, 1.02)
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        tick_values(axes, [x for line in lines for x in line.x])
        add_legend(figure, form)
        return figure


def tick_values(axes: Axes, values: Sequence[float], nearest: float = 0.06) -> None:
    """Ticks where there are points, unless their labels would lie on one another; nearest: part of the range."""
    own = sorted(set(values))
    are_short = all(len(f"{x:g}") <= 4 for x in own)
    if are_short and len(own) <= 8 and (len(own) < 2 or np.diff(own).min() > nearest * (own[-1] - own[0])):
        axes.set_xticks(own, [f"{x:g}" for x in own])


def add_legend(figure: Figure, form: Form) -> None:
    """The legend below the axes of a figure that stands alone; on a page the legend is the page's."""
    names = {name for axes in figure.axes for name in axes.get_legend_handles_labels()[1]}
    if form is PAGE or len(names) < 2:
        return
    with style(form):
        columns = 2 if form.panels == 1 else 4
        handles = {n: h for a in figure.axes for h, n in zip(*a.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns, **LEGEND)


def draw_line(axes: Axes, line: Line) -> None:
    """A curve with its intervals."""
    if line.is_ideal:
        axes.plot(line.x, line.y, color=color_of(None), linewidth=0.9, linestyle=(0, (2, 3)), label=line.title)
        return
    y, low, high = (np.asarray(values, float) for values in (line.y, line.low, line.high))
    ends = np.maximum([y - low, high - y], 0) if len(low) else None
    if ends is not None:
        ends[~np.isfinite(ends)] = 0
    is_dashed = line.place is None or line.place >= 8
    axes.errorbar(
        line.x,
        y,
        yerr=ends,
        color=color_of(line.place),
        linestyle="--" if is_dashed else "-",
        linewidth=1.6,
        marker=MARKERS[(line.place or 0) % len(MARKERS)],
        markersize=4,
        elinewidth=1,
        capsize=2,
        label=escape_math(line.title),
    )
