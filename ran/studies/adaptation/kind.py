"""Link adaptation as a kind of study."""

from __future__ import annotations

from ran.stats import Notation
from ran.studies.adaptation.page import Results, results_of, write_results
from ran.studies.adaptation.paper import paper
from ran.studies.adaptation.run import KIND, table_study
from ran.studies.kind import Row, StudyKind


def rows(results: Results) -> list[Row]:
    """A row per receiver, way to choose the MCS and SNR."""
    return [
        Row(
            {"receiver": o.receiver, "mode": o.mode, "esn0_db": f"{o.esn0_db:g}"},
            {"throughput_mbps": o.throughput_mbps, "gain_percent": results.gain(o), "bler": o.bler},
        )
        for o in results.outcomes
    ]


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
)
