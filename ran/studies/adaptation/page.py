"""The result of `ran adapt` as a table of values, pictures, and one page that opens anywhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ran.config.yaml_file import dump
from ran.errors import InputError
from ran.report.figures import PAGE as PAGE_FORM
from ran.report.figures import Form, Picture, as_file
from ran.report.html import write_whole
from ran.report.study_paper import Table, saved_tables
from ran.report.template import page_template
from ran.report.verdict import tally
from ran.sim.files import write_text
from ran.stats import Estimate, Notation, csv_cells
from ran.studies.adaptation.experiment import AdaptationExperiment
from ran.studies.adaptation.outcome import ENVELOPE, IDEAL, Outcome, outcomes, reference_receiver
from ran.studies.adaptation.picture import best_loop, bler_figure, loops, modes_figure, receivers_figure
from ran.studies.adaptation.run import points_of, write_experiment
from ran.studies.adaptation.series import McsBlocks
from ran.studies.job import Results as Known

CSV, PAGE = "results.csv", "report.html"
_MBPS, _EXACT = Notation(2), Notation(3)
_PERCENT, _GAIN = Notation(1, scale=100), Notation(1, signed=True)
_GAIN_PERCENT = Notation(1, signed=True, suffix=" %")
DESCRIPTIONS = {
    "receivers": "Throughput and gain of all receivers",
    "modes": "Throughput of fixed MCS, envelope, ideal choice and loops",
    "bler": "Block error rates of first transmissions",
}

_COLUMNS = (
    "receiver",
    "mode",
    "esn0_db",
    "series",
    "slots_per_series",
    "blocks",
    "block_errors",
    "bler",
    "bler_low",
    "bler_high",
    "mean_mcs",
    "delivered_bits",
    "throughput_mbps",
    "throughput_low",
    "throughput_high",
    "gain_percent",
    "gain_low",
    "gain_high",
)


@dataclass(frozen=True)
class Results:
    """Outcomes of an experiment. reference: the receiver that gains are given over, in the same mode."""

    experiment: AdaptationExperiment
    outcomes: tuple[Outcome, ...]
    reference: str | None
    genies: frozenset[str]

    @classmethod
    def of(
        cls, experiment: AdaptationExperiment, needs_truth: Mapping[str, bool], outcomes: tuple[Outcome, ...]
    ) -> Results:
        """needs_truth: whether a receiver is a genie, by its title."""
        genies = frozenset(title for title, genie in needs_truth.items() if genie)
        return cls(experiment, outcomes, reference_receiver(needs_truth), genies)

    def find(self, receiver: str, mode: str, esn0_db: float) -> Outcome:
        """The outcome with this receiver, mode and SNR."""
        return next(o for o in self.outcomes if (o.receiver, o.mode, o.esn0_db) == (receiver, mode, esn0_db))

    def gain(self, outcome: Outcome) -> Estimate:
        """Gain over the reference in the same mode; no value for itself and where the reference delivers nothing."""
        if self.reference is None or outcome.receiver == self.reference:
            return Estimate.missing("there is no other receiver to compare with", "%")
        return outcome.gain_percent(self.find(self.reference, outcome.mode, outcome.esn0_db))


def results_of(described: Mapping[str, Any], known: Known) -> Results:
    """The results of a request, from what its folder holds. `KeyError` where tables are missing."""
    experiment = AdaptationExperiment.model_validate(described["experiment"])
    blocks, receivers = McsBlocks(experiment), described["receivers"]
    ids = {title: of["id"] for title, of in receivers.items()}
    genies = {title: of["needs_truth"] for title, of in receivers.items()}
    return Results.of(experiment, genies, outcomes(experiment, blocks, points_of(experiment, blocks, ids, known)))


def write_results(results: Results, out: Path) -> Path:
    """Write results.csv, report.html, its three figures as SVG and PNG, and the experiment into the folder; returns the
    path of the page."""
    write_experiment(results.experiment, out)
    figures = drawn(results)
    pictures = {name: Picture.of(figure, name, DESCRIPTIONS[name]) for name, figure in figures.items()}
    write_text(out / CSV, as_csv(results))
    try:
        for name, figure in figures.items():
            write_whole(out / f"{name}.svg", pictures[name].svg)
            write_whole(out / f"{name}.png", as_file(figure, "png"))
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None
    write_text(out / PAGE, _as_page(results, pictures))
    return out / PAGE


def drawn(results: Results, form: Form = PAGE_FORM) -> dict[str, Figure]:
    """The three figures by the name of their files."""
    target = results.experiment.adaptation.target_bler
    return {
        "receivers": receivers_figure(results.outcomes, results.reference, results.genies, form),
        "modes": modes_figure(results.outcomes, results.genies, form),
        "bler": bler_figure(results.outcomes, results.genies, target, form),
    }


def table(results: Results) -> Table:
    """Throughput, error rate and gain of the loop that a base station could run, at every SNR."""
    loop, lines = best_loop(results.outcomes), []
    for o in results.outcomes:
        if o.mode == loop:
            receiver = f"{o.receiver} (genie)" if o.receiver in results.genies else o.receiver
            figures = _MBPS.text(o.throughput_mbps), _PERCENT.text(o.bler), _GAIN.text(results.gain(o))
            lines.append([receiver, _at(o.esn0_db), *figures])
    gain = f"gain over {results.reference} [%]" if results.reference else "gain [%]"
    columns = ["receiver", "Es/N0 [dB]", "throughput [Mbit/s]", "BLER [%]", gain]
    return Table(columns, lines, note=f"{loop}; 95 % intervals over series")


def findings(results: Results) -> list[str]:
    """For every receiver but the reference and the genies in a sentence: how often the gain in throughput of the
    envelope and of the loop is decided."""
    if results.reference is None:
        return []
    sentences = []
    for receiver in dict.fromkeys(o.receiver for o in results.outcomes):
        if receiver in results.genies or receiver == results.reference:
            continue
        for mode in (ENVELOPE, best_loop(results.outcomes)):
            own = [o for o in results.outcomes if (o.receiver, o.mode) == (receiver, mode)]
            gains = [(f"{_at(o.esn0_db)} dB", results.gain(o)) for o in own]
            what = f"throughput of {'the envelope' if mode == ENVELOPE else mode}"
            sentences.append(tally(receiver, results.reference, what, gains, "SNR points", _GAIN_PERCENT))
    return [sentence for sentence in sentences if sentence]


def as_csv(results: Results) -> str:
    """A line per receiver, way to choose the MCS and SNR."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for o in results.outcomes:
        series, errors = len(o.block_errors), int(o.block_errors.sum())
        values = [
            *(o.receiver, o.mode, o.esn0_db, series, o.slots, series * o.slots, errors),
            *csv_cells(o.bler, ".6g"),
            *(o.mean_mcs, int(o.delivered_bits.sum())),
            *csv_cells(o.throughput_mbps, ".6g"),
            *csv_cells(results.gain(o), ".6g"),
        ]
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
    return text.getvalue()


def _as_page(results: Results, pictures: dict[str, Picture]) -> str:
    experiment = results.experiment
    outcomes, loop = results.outcomes, best_loop(results.outcomes)
    return page_template("ran.studies.adaptation").render(
        title=experiment.name,
        description=experiment.description,
        adaptation=experiment.adaptation,
        reference=results.reference,
        loop_mode=loop,
        receivers=[f"{r} (genie)" if r in results.genies else r for r in dict.fromkeys(o.receiver for o in outcomes)],
        lines=lines(results),
        pictures=pictures,
        files=saved_tables(table(results), as_csv(results)),
        findings=findings(results),
        modes=[ENVELOPE, IDEAL, *loops(outcomes)],
        points=[_point(results, o) for o in outcomes if not o.mode.startswith("fixed")],
        settings=dump(experiment.resolved(), allow_unicode=True, width=100),
    )


def lines(results: Results) -> list[dict[str, Any]]:
    """Per SNR and receiver: throughput of the envelope, the ideal choice and both loops, gains and BLER, as text."""
    loop = best_loop(results.outcomes)
    found = []
    for esn0_db in results.experiment.snr_grid:
        cells = []
        for receiver in dict.fromkeys(o.receiver for o in results.outcomes):
            envelope, ideal, both = (results.find(receiver, mode, esn0_db) for mode in (ENVELOPE, IDEAL, loop))
            cells.append(
                {
                    "receiver": receiver,
                    "envelope": _MBPS.value(envelope.throughput_mbps),
                    "ideal": _MBPS.value(ideal.throughput_mbps),
                    "loop": _MBPS.value(both.throughput_mbps),
                    "bler": _PERCENT.value(both.bler),
                    "envelope_gain": _GAIN.text(results.gain(envelope)),
                    "loop_gain": _GAIN.text(results.gain(both)),
                }
            )
        found.append({"esn0_db": _at(esn0_db), "cells": cells})
    return found


def _point(results: Results, o: Outcome) -> dict[str, str]:
    return {
        "receiver": o.receiver,
        "mode": o.mode,
        "esn0_db": _at(o.esn0_db),
        "throughput": _EXACT.text(o.throughput_mbps),
        "gain": _GAIN.text(results.gain(o)),
        "bler": _EXACT.text(o.bler),
        "mcs": f"{o.mean_mcs:.1f}",
    }


def _at(esn0_db: float) -> str:
    return f"{esn0_db:g}".replace("-", "−")
