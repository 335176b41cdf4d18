"""Results of runs as tables for other programs: tidy CSV, MATLAB, LaTeX; equal results give equal bytes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ran.report.curves import Curve, curves, run_labels
from ran.report.summary import SummaryRow, summary_table
from ran.stats import Notation, percent

if TYPE_CHECKING:
    from ran.sim.results import RunResults

#: Columns of a point, after those that say what it is of.
_COLUMNS = (
    *("drops", "slots", "blocks", "block_errors", "bler", "bler_low", "bler_high", "bit_errors", "bits"),
    *("throughput_mbps", "throughput_low_mbps", "throughput_high_mbps"),
)
#: Of header and names in a MATLAB 5 file: the file begins with a text of 116 bytes; a name has at most 31.
_MAT_HEADER, _MAT_NAME = 116, 31
_SNR, _GAIN = Notation(2), Notation(2, signed=True)
_ESCAPED = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "°": r"$^\circ$",
    "µ": r"$\mu$",
    "—": "---",
    "∞": r"$\infty$",
    "²": "$^2$",
    "<": "$<$",
    ">": "$>$",
}


@dataclass(frozen=True)
class LabelledRun:
    """A run with what tells it from the others: its name, and the values of the keys that were swept."""

    label: str
    run: RunResults
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Sequence[RunResults]) -> list[LabelledRun]:
        """Runs by the names of their experiments, numbered where they are the same."""
        return [cls(label, run) for label, run in zip(run_labels(runs), runs, strict=True)]


def tidy_csv(runs: Sequence[LabelledRun]) -> str:
    """A line per point: experiment, swept keys, receiver, SNR, counts, and rates with their intervals.

    The SNR is in esn0_db, with a link budget the transmit power in tx_power_dbm.
    """
    keys = _keys(runs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["experiment", *keys, "receiver", "is_genie", _axis_name(runs), *_COLUMNS])
    for labelled in runs:
        facts = [labelled.facts.get(key, "") for key in keys]
        for curve in curves([labelled.run]):
            who = (*facts, curve.points[0].receiver, int(curve.is_genie))
            for esn0_db, row in zip(curve.esn0_db, _rows(curve), strict=True):
                writer.writerow([labelled.label, *who, *(f"{value:.12g}" for value in (esn0_db, *row))])
    return text.getvalue()


def mat_bytes(runs: Sequence[LabelledRun]) -> bytes:
    """A MATLAB 5 file with `curves`, a struct array: one element per run and receiver, ascending in SNR.

    Fields: experiment, receiver, is_genie, the swept keys (what a field's name cannot hold is an underscore), esn0_db
    or tx_power_dbm, and each count and rate as a row vector.
    """
    keys, axis, structs = _keys(runs), _axis_name(runs), []
    fields = {key: matlab_name(key) for key in keys}
    for labelled in runs:
        for curve in curves([labelled.run]):
            structs.append(
                {
                    "experiment": labelled.label,
                    "receiver": curve.points[0].receiver,
                    "is_genie": float(curve.is_genie),
                    **{fields[key]: _plain(labelled.facts.get(key, "")) for key in keys},
                    axis: curve.esn0_db[None],
                    **{name: column[None] for name, column in zip(_COLUMNS, _rows(curve).T, strict=True)},
                }
            )
    names = list(structs[0])
    array = np.empty((1, len(structs)), dtype=[(name, object) for name in names])
    for place, struct in enumerate(structs):
        array[0, place] = tuple(struct[name] for name in names)
    return matlab_file({"curves": array})


def matlab_file(variables: Mapping[str, Any]) -> bytes:
    """A MATLAB 5 file; equal variables give equal bytes."""
    from scipy.io import savemat

    content = io.BytesIO()
    savemat(content, dict(variables), do_compression=True)
    # the library writes the time into the header
    header = b"MATLAB 5.0 MAT-file, written by ran6g".ljust(_MAT_HEADER)
    return header + content.getvalue()[_MAT_HEADER:]


def matlab_name(name: str) -> str:
    """A name as one of a field: what it cannot hold is an underscore."""
    return re.sub(r"\W", "_", name)[-_MAT_NAME:].lstrip("_0123456789")


def latex_table(runs: Sequence[LabelledRun]) -> str:
    """The SNR at the target BLERs and the gain over the reference as a tabular of the package booktabs."""
    tables = [(labelled, summary_table(labelled.run)) for labelled in runs]
    targets = tables[0][1][0].target_blers
    axis, _, unit = runs[0].run.experiment.point_axis
    keys = _keys(runs)
    names = keys or (["experiment"] if len(runs) > 1 else [])
    columns = len(names) + 1
    spans = " & ".join(rf"\multicolumn{{2}}{{c}}{{at {latex(percent(target))} BLER}}" for target in targets)
    rules = "".join(rf"\cmidrule(lr){{{columns + 1 + 2 * i}-{columns + 2 + 2 * i}}}" for i in range(len(targets)))
    of_target = f"{latex(axis)} [{latex(unit)}] & gain [dB]"
    lines = [
        "% needs \\usepackage{booktabs}; gain: dB less than the reference needs, paired; 95 % intervals",
        rf"\begin{{tabular}}{{{'l' * columns}{'rr' * len(targets)}}}",
        r"\toprule",
        f"{' & ' * columns}{spans} \\\\",
        rules,
        " & ".join([*map(latex, names), "receiver", *[of_target] * len(targets)]) + r" \\",
        r"\midrule",
    ]
    for number, (labelled, rows) in enumerate(tables):
        if number:
            lines.append(r"\addlinespace")
        said = [latex(str(labelled.facts.get(key, ""))) for key in keys] if keys else [latex(labelled.label)]
        for place, row in enumerate(rows):
            shown = (said if place == 0 else [""] * len(said)) if names else []
            lines.append(" & ".join([*shown, *_latex_row(row)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def latex(text: str) -> str:
    """A text of ours or of a user as the text of a LaTeX document."""
    return "".join(_ESCAPED.get(character, character) for character in text)


def _latex_row(row: SummaryRow) -> list[str]:
    name = latex(row.receiver) + (" (genie)" if row.is_genie else "")
    cells = [name]
    for crossing, gain in zip(row.crossings, row.gains, strict=True):
        cells += [_SNR.latex(crossing), "reference" if row.is_reference else _GAIN.latex(gain)]
    return cells


def _rows(curve: Curve) -> np.ndarray:
    """The values of `_COLUMNS`, float64 [points, columns]."""
    low, high = curve.throughput_ends
    counted = [
        (p.drops, p.slots, p.blocks, p.block_errors, p.bler, p.bler_low, p.bler_high, p.bit_errors, p.bits)
        for p in curve.points
    ]
    return np.column_stack([np.array(counted, float), curve.throughput_mbps, low, high])


def _keys(runs: Sequence[LabelledRun]) -> list[str]:
    return list(dict.fromkeys(key for labelled in runs for key in labelled.facts))


def _axis_name(runs: Sequence[LabelledRun]) -> str:
    return "esn0_db" if runs[0].run.experiment.link_budget is None else "tx_power_dbm"


def _plain(value: Any) -> float | str:
    """A swept value as MATLAB has it."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
