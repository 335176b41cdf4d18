"""HARQ in a picture: block error rates after every transmission, beside what coding theory allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from ran.errors import InputError
from ran.phy.config import Pdsch
from ran.phy.pdsch import PdschGrid
from ran.phy.pusch import PuschGrid
from ran.phy.shared_grid import SharedGrid
from ran.report.curves import run_labels
from ran.report.figures import LEGEND, PAGE, Form, escape_math, new_figure, style
from ran.report.palette import color_of
from ran.sim.experiment import Block
from ran.sim.results import RunResults

_STYLES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))


def normal_approximation(num_bits: int, num_symbols: int, snr: float) -> float:
    """Smallest block error rate of a code of `num_bits` over `num_symbols` complex AWGN uses, to the second order.

    Q((n C - k + log2(n) / 2) / sqrt(n V)) with C = log2(1 + snr) and V = snr (snr + 2) / (1 + snr)^2 log2(e)^2 per
    complex use (normal approximation of Y. Polyanskiy, H. V. Poor, S. Verdu, IEEE Trans. Inf. Theory 56, 2010, of whose
    real uses a complex one is two). The input is Gaussian: QAM stays behind it. snr: linear, of all receive antennas
    together.
    """
    capacity = math.log2(1 + snr)
    dispersion = snr * (snr + 2) / (1 + snr) ** 2 * math.log2(math.e) ** 2
    distance = num_symbols * capacity - num_bits + 0.5 * math.log2(num_symbols)
    return 0.5 * math.erfc(distance / math.sqrt(2 * num_symbols * dispersion))


def bound_after(results: RunResults, transmissions: int, esn0_db: float) -> float:
    """`normal_approximation` for the combined rate: the symbols of so many transmissions, all new parts of a code."""
    experiment = results.experiment
    grid: SharedGrid
    if experiment.pusch is not None:
        grid = PuschGrid.build(experiment.carrier, experiment.pusch, experiment.users)
    else:
        grid = PdschGrid.build(experiment.carrier, experiment.pdsch or Pdsch())
    snr = experiment.num_rx_ant * 10 ** (esn0_db / 10)
    num_symbols = transmissions * grid.num_data_re * grid.codewords[0].num_layers
    return normal_approximation(grid.block_sizes[0], num_symbols, snr)


def harq_plot(runs: Sequence[RunResults], form: Form = PAGE) -> Figure:
    """BLER after 1, 2, ... transmissions against SNR; over AWGN with the bound of the first run.

    A colour per number of transmissions, a line style per run or, in a single run, per receiver; of several runs each
    one's first receiver is shown. `InputError` for runs without HARQ.
    """
    for run in runs:
        if run.experiment.harq is None:
            raise InputError(f"{run.experiment.name}: got a run without harq; allowed: runs with harq")
    if not runs:
        raise InputError("runs: got none; allowed: one or more runs with harq")
    with style(form):
        figure = new_figure(*form.size(7.2, 5.2))
        axes = figure.subplots()
        for number, (run, receiver, label) in enumerate(_lines(runs)):
            points = [point for point in run.points if point.receiver == receiver]
            for count in range(run.experiment.max_transmissions):
                known = [(p.esn0_db, p.bler_after[count]) for p in points if p.bler_after[count] > 0]
                axes.plot(
                    [x for x, _ in known],
                    [y for _, y in known],
                    linestyle=_STYLES[number % len(_STYLES)],
                    color=color_of(count),
                    marker=".",
                    label=escape_math(f"{label}, after {count + 1}"),
                )
        first = runs[0]
        users = first.experiment.users
        alike = users.mcs_index is None and not users.has_own_allocations  # the bound is of one code rate
        if alike and isinstance(first.experiment.channel, Block) and first.experiment.channel.name == "awgn":
            lowest, highest = first.points[0].esn0_db, first.points[-1].esn0_db
            grid = [lowest + (highest - lowest) * i / 400 for i in range(401)]
            for count in range(first.experiment.max_transmissions):
                curve = [bound_after(first, count + 1, esn0_db) for esn0_db in grid]
                name = f"bound of the combined rate, {count + 1}"
                axes.plot(grid, curve, ":", color=color_of(count), linewidth=1.2, label=name)
        axes.set(
            yscale="log",
            ylim=(1e-3, 1.05),
            xlabel="{0} [{2}]".format(*first.experiment.point_axis),
            ylabel="Blocks in error",
        )
        axes.grid(True)
        figure.legend(loc="outside lower center", ncols=min(3, form.panels), **LEGEND)
        return figure


def _lines(runs: Sequence[RunResults]) -> list[tuple[RunResults, str, str]]:
    """Run, receiver and label of every line style."""
    if len(runs) == 1:
        return [(runs[0], receiver.title, receiver.title) for receiver in runs[0].experiment.receivers]
    labels = zip(runs, run_labels(runs), strict=True)
    return [(run, run.experiment.receivers[0].title, label) for run, label in labels]
