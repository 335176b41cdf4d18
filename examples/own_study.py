"""A study of one's own in one file: how many DM-RS symbols pay at a speed?

`ran study examples/own_study.py:DmrsSymbols --set max_slots=800` runs it.

Parts are experiments, `ran study` simulates them into one folder (workers, resume, a store, refusals), and what is left
to write is the figure that the study asks for: here the bits delivered per slot, with their interval.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from ran.config.validation import validate
from ran.sim.experiment import Experiment
from ran.stats import csv_cells
from ran.studies.interface import Study
from ran.studies.part import Part, PartResult

SPEEDS_HZ = (50.0, 500.0)
ADDITIONAL_SYMBOLS = (0, 1, 2)


class DmrsSymbols(Study):
    """How many DM-RS symbols pay at a speed: bits delivered per slot at 10 dB, lmmse and blind."""

    name = "dmrs-symbols"

    def __init__(self, num_prb: int = 12, max_slots: int = 400) -> None:
        self.num_prb, self.max_slots = num_prb, max_slots

    def parts(self) -> Sequence[Part]:
        """One experiment per speed and number of DM-RS symbols."""
        return [self._part(doppler_hz, symbols) for doppler_hz in SPEEDS_HZ for symbols in ADDITIONAL_SYMBOLS]

    def _part(self, doppler_hz: float, additional: int) -> Part:
        values = {
            "name": self.name,
            "carrier": {"num_prb": self.num_prb},
            "pusch": {"mcs_index": 14, "dmrs": {"additional_position": additional}},
            "channel": {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": doppler_hz},
            "receivers": ["lmmse", "blind"],
            "esn0_db": [10],
            "stopping": {"min_block_errors": None, "max_slots": self.max_slots, "min_bler": None},
        }
        facts = {"max_doppler_hz": doppler_hz, "dmrs_symbols": 1 + additional}
        title = f"{doppler_hz:g} Hz, {1 + additional} DM-RS symbols"
        return Part(title.replace(" ", "_"), title, validate(Experiment, values), facts)

    def write(self, results: Sequence[PartResult], out: Path) -> Path:
        """A row per part and receiver: delivered bits per slot and the ends of its 95 % interval."""
        with (out / "dmrs.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["max_doppler_hz", "dmrs_symbols", "receiver", "bits_per_slot", "low", "high"])
            for result in results:
                for point in result.results.points if result.results else ():
                    delivered = point.error_rate.shifted(-1)  # BLER - 1, whose negative is the share that arrives
                    bits = point.bits / point.blocks
                    value, low, high = (-float(cell) * bits for cell in csv_cells(delivered, ".9g"))
                    row = [*result.facts.values(), point.receiver, f"{value:.1f}", f"{high:.1f}", f"{low:.1f}"]
                    writer.writerow(row)
        return out / "dmrs.csv"
