"""`ran.Results`: what was simulated, as tables, pictures and estimates."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ran.errors import InputError, unknown_name
from ran.report.crossing import Crossings, reference_receiver
from ran.sim.results_csv import CSV_COLUMNS, HARQ_COLUMNS, counter_columns, counter_names
from ran.stats import Estimate, percent
from ran.studies.part import PartResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ran.sim.results import RunResults

#: A receiver; of a sweep the values of its keys, then the receiver.
Key = str | tuple[Any, ...]


class Results:
    """Results of one experiment, or of all combinations of a sweep.

    name, description: of the experiment. parts: the combinations in order, of a plain experiment one.
    keys: swept keys, empty for a plain experiment.
    """

    def __init__(self, name: str, description: str, parts: Sequence[PartResult]) -> None:
        self.name = name
        self.description = description
        self.parts = tuple(parts)
        self.keys = tuple(dict.fromkeys(key for part in parts for key in part.facts))

    @property
    def runs(self) -> tuple[RunResults, ...]:
        """The counts behind everything, of every combination that any receiver takes."""
        return tuple(part.results for part in self.parts if part.results is not None)

    @property
    def receivers(self) -> tuple[str, ...]:
        """Titles of the receivers, in the order of the experiment; those that refused all combinations included."""
        taken = [block.title for run in self.runs for block in run.experiment.receivers]
        return tuple(dict.fromkeys([*taken, *(title for part in self.parts for title in part.refused)]))

    @property
    def refused(self) -> dict[Key, str]:
        """Why a receiver does not take a combination, in one line."""
        return {self._key(part, title): reason for part in self.parts for title, reason in part.refused.items()}

    def to_frame(self) -> DataFrame:
        """A row per receiver and SNR: the swept keys, then the columns of `results.csv`, with HARQ its columns too, and
        `count_NAME` of what receivers count.

        `InputError` where pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise InputError(
                "pandas: not installed; allowed: an environment with it (pip install 'ran6g[notebook]')"
            ) from None
        axis = "esn0_db" if not self.runs or self.runs[0].experiment.link_budget is None else "tx_power_dbm"
        with_harq = any(run.experiment.harq is not None for run in self.runs)
        columns = [c for c in (*CSV_COLUMNS, *(HARQ_COLUMNS if with_harq else ())) if c != "receiver"]
        rows = [
            {
                **{key: part.facts.get(key) for key in self.keys},
                "receiver": point.receiver,
                **{axis if c == "esn0_db" else c: getattr(point, c) for c in columns},
                **{f"count_{name}": count for name, count in point.counters.items()},
            }
            for part in self.parts
            if part.results is not None
            for point in part.results.points
        ]
        counters = counter_names(point for run in self.runs for point in run.points)
        named = [axis if c == "esn0_db" else c for c in columns]
        names = [*self.keys, "receiver", *named, *counter_columns(counters)]
        return pandas.DataFrame(rows, columns=names)

    def snr_at(self, bler: float = 0.1) -> dict[Key, Estimate]:
        """Es/N0 in dB (with a link budget: transmit power in dBm) at which each receiver meets a BLER.

        By receiver; of a sweep by the values of its keys and the receiver. An estimate without a value says why.
        """
        return {
            self._key(part, receiver): crossings.crossing(receiver, bler)
            for part, run, crossings in self._crossings
            for receiver in _receivers(run)
        }

    def gain(self, over: str | None = None, bler: float = 0.1) -> dict[Key, Estimate]:
        """How many dB less each receiver needs than another at a BLER, paired drop by drop; keys as of `snr_at`.

        over: title of the other receiver, by default the first that is no genie.
        """
        if over is not None and over not in self.receivers:
            raise unknown_name("over", over, self.receivers)
        found: dict[Key, Estimate] = {}
        for part, run, crossings in self._crossings:
            reference = over or reference_receiver(run)
            for receiver in _receivers(run):
                if receiver == reference:
                    continue
                if reference is None or reference not in _receivers(run):
                    why = part.refused.get(str(reference), "not simulated")
                    found[self._key(part, receiver)] = Estimate.missing(f"{reference} is {why}", "dB")
                else:
                    found[self._key(part, receiver)] = crossings.gain(receiver, reference, bler)
        return found

    def plot(self) -> Figure:
        """BLER over SNR with its intervals, as a figure of matplotlib; of a sweep a panel per combination."""
        if not any(run.points for run in self.runs):
            raise InputError(f"points of {self.name!r}: got none; allowed: one or more; simulate the experiment first")
        if self.keys:
            from ran.studies.sweep.picture import curves_figure
            from ran.studies.sweep.rows import rows_of

            rows = [row for row in rows_of(self.parts) if row.points]
            return _shown(curves_figure(rows, self.runs[0].experiment.point_axis))
        from ran.report.curves import curves, run_labels
        from ran.report.picture import bler_plot

        return _shown(bler_plot(curves(self.runs), " · ".join(run_labels(self.runs))))

    def report(self, path: str | Path) -> Path:
        """Write the report into a folder: report.html, which opens anywhere, and its pictures; returns the page."""
        if self.keys:
            from ran.studies.sweep.page import write_sweep

            Path(path).mkdir(parents=True, exist_ok=True)
            return write_sweep(self.name, self.description, self.parts, Path(path))
        from ran.report.html import write_report

        return write_report(self.runs, Path(path))

    def __repr__(self) -> str:
        lines = [f"Results of {self.name!r}"]
        for key, crossing in self.snr_at().items():
            shown = key if isinstance(key, str) else ", ".join(map(str, key))
            lines.append(f"  {shown}: {crossing} {crossing.unit} at {percent(0.1)} BLER")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """What a notebook shows: the SNR at 10 % BLER and the gain of every receiver, with their intervals."""
        gains = self.gain()
        heads = [*self.keys, "receiver", f"SNR at {percent(0.1)} BLER", "gain [dB]"]
        lines = ["".join(f"<th>{html.escape(head)}</th>" for head in heads)]
        for key, crossing in self.snr_at().items():
            names = (key,) if isinstance(key, str) else key
            gain = gains.get(key)
            shown = f"{crossing} {crossing.unit}" if crossing.is_known else crossing.reason
            cells = [*map(str, names), shown, "" if gain is None or not gain.is_known else str(gain)]
            lines.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
        rows = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><caption>{html.escape(self.name)}</caption>{rows}</table>"

    @cached_property
    def _crossings(self) -> list[tuple[PartResult, RunResults, Crossings]]:
        return [(part, part.results, Crossings(part.results)) for part in self.parts if part.results is not None]

    def _key(self, part: PartResult, receiver: str) -> Key:
        return (*(part.facts.get(key) for key in self.keys), receiver) if self.keys else receiver


def _shown(figure: Figure) -> Figure:
    """The figure, which a notebook then also shows where nobody imported pyplot."""

    def png() -> bytes:
        written = io.BytesIO()
        figure.savefig(written, format="png")
        return written.getvalue()

    figure._repr_png_ = png  # type: ignore[attr-defined]
    return figure


def _receivers(run: RunResults) -> list[str]:
    """Those with points, in the order of the experiment."""
    return list(dict.fromkeys(point.receiver for point in run.points))
