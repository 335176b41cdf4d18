"""A study of one's own in one file: how many DM-RS symbols pay at a speed? `python examples/own_study.py`.

Parts are experiments, `run_study` simulates them into one folder (workers, resume, a store, refusals), and what is left
to write is the figure that the study asks for: here the bits delivered per slot, with their interval.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from ran.config.validation import validate
from ran.sim.experiment import Experiment
from ran.stats import csv_cells
from ran.studies.part import Part, PartResult
from ran.studies.study import run_study

SPEEDS_HZ = (50.0, 500.0)
ADDITIONAL_SYMBOLS = (0, 1, 2)


def parts(num_prb: int = 12, max_slots: int = 400) -> list[Part]:
    """One experiment per speed and number of DM-RS symbols, at 10 dB."""
    found = []
    for doppler_hz in SPEEDS_HZ:
        for additional in ADDITIONAL_SYMBOLS:
            facts = {"max_doppler_hz": doppler_hz, "dmrs_symbols": 1 + additional}
            values = {
                "name": "dmrs-symbols",
                "carrier": {"num_prb": num_prb},
                "pusch": {"mcs_index": 14, "dmrs": {"additional_position": additional}},
                "channel": {"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": doppler_hz},
                "receivers": ["lmmse", "blind"],
                "esn0_db": [10],
                "stopping": {"min_block_errors": None, "max_slots": max_slots, "min_bler": None},
            }
            title = f"{doppler_hz:g} Hz, {1 + additional} DM-RS symbols"
            found.append(Part(title.replace(" ", "_"), title, validate(Experiment, values), facts))
    return found


def write(results: Sequence[PartResult], path: Path) -> None:
    """A row per part and receiver: delivered bits per slot and the ends of its 95 % interval."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["max_doppler_hz", "dmrs_symbols", "receiver", "bits_per_slot", "low", "high"])
        for result in results:
            for point in result.results.points if result.results else ():
                delivered = point.error_rate.shifted(-1)  # BLER - 1, whose negative is the share that arrives
                bits = point.bits / point.blocks
                value, low, high = (-float(cell) * bits for cell in csv_cells(delivered, ".9g"))
                writer.writerow([*result.facts.values(), point.receiver, f"{value:.1f}", f"{high:.1f}", f"{low:.1f}"])


def main(out: Path, num_prb: int = 12, max_slots: int = 400, workers: int | None = None) -> Path:
    """Run the study, or go on with it, and write its table."""
    results = run_study("dmrs study", parts(num_prb, max_slots), out, workers=workers)
    write(results, out / "dmrs.csv")
    return out / "dmrs.csv"


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/dmrs-study")).read_text())
