"""Link adaptation as a kind of study."""

from __future__ import annotations

from dataclasses import replace

from ran.stats import Estimate, Notation
from ran.studies.adaptation.outcome import ENVELOPE, Outcome
from ran.studies.adaptation.page import Results, results_of, write_results
from ran.studies.adaptation.paper import paper
from ran.studies.adaptation.picture import best_loop
from ran.studies.adaptation.run import KIND, table_study
from ran.studies.kind import Comparison, Paired, Row, StudyKind


def rows(results: Results) -> list[Row]:
    """A row per receiver, way to choose the MCS and SNR. Sweeps compare the envelopes, and the loops."""
    compared = (ENVELOPE, best_loop(results.outcomes))
    return [
        Row(
            {"receiver": o.receiver, "mode": o.mode, "esn0_db": f"{o.esn0_db:g}"},
            {"throughput_mbps": o.throughput_mbps, "gain_percent": results.gain(o), "bler": o.bler},
            o.receiver in results.genies,
            # with other slots that count a series has delivered something else
            Paired(f"{o.mode} at {o.esn0_db:g} dB over {o.slots} slots", o) if o.mode in compared else None,
        )
        for o in results.outcomes
    ]


def _gain(own: Outcome, other: Outcome) -> Estimate:
    """Over the series that both have."""
    count = min(len(own.block_errors), len(other.block_errors))
    return _first(own, count).gain_percent(_first(other, count))


def _first(outcome: Outcome, count: int) -> Outcome:
    return replace(
        outcome,
        sent_bits=outcome.sent_bits[:count],
        delivered_bits=outcome.delivered_bits[:count],
        block_errors=outcome.block_errors[:count],
    )


STUDY = StudyKind(
    KIND,
    table_study,
    results_of,
    write_results,
    paper,
    rows,
    (
        ("throughput_mbps", "Mbit/s", Notation(2)),
        ("gain_percent", "gain %", Notation(1, signed=True)),
        ("bler", "BLER %", Notation(1, scale=100)),
    ),
    Comparison(
        "throughput_mbps",
        "Throughput [Mbit/s]",
        _gain,
        "throughput in per cent",
        Notation(1, signed=True),
        ("receiver", "mode"),
        panels=("esn0_db",),
    ),
)
