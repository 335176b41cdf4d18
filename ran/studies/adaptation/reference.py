"""Block error rates over AWGN, measured: what an effective SINR is looked up in.

`awgn_reference.json` holds, per MCS and for code blocks of several lengths, the counts of `ran sim` runs over one
antenna and white noise (`measure_reference`) and the waterfalls fitted to them. `python -m
ran.studies.adaptation.fitting reference` makes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ran.config.provenance import versions
from ran.config.validation import validate
from ran.errors import bad_value
from ran.phy.mcs import McsEntry, mcs, num_mcs, transport_block_size
from ran.phy.transport_block import TransportBlock
from ran.sim.executor import Executor
from ran.sim.experiment import Experiment
from ran.sim.identity import SIMULATION_VERSION
from ran.sim.results import RunResults
from ran.sim.run import Listener, Silence, run
from ran.sim.simulation import build_simulation
from ran.studies.adaptation.waterfall import Waterfall, fit

FILE = "awgn_reference.json"
TABLES = (1, 2, 3, 4)
#: Code block lengths in bits that are aimed at: below the shortest and above the longest measured nothing is known.
_LENGTHS = (200, 600, 3700, 8200)
_SEED = 1
_SLOTS = 2000


@dataclass(frozen=True)
class CodeBlocks:
    """What decides the error rate of a transport block over AWGN: its MCS, code blocks and their length in bits."""

    entry: McsEntry
    num_code_blocks: int
    num_info_bits: int

    @classmethod
    def of(cls, block: TransportBlock) -> CodeBlocks:
        """Of a transport block whose rate is one of the MCS tables'; `InputError` for another."""
        entry = McsEntry(block.bits_per_symbol, 1024 * block.target_rate)
        if entry not in reference_curves():
            raise bad_value("MCS", f"{entry}", "MCS of TS 38.214 tables 5.1.3.1-1 to -4, whose error rates are known")
        return cls(entry, block.num_code_blocks, block.code.num_info_bits)

    def bler(self, snr_db: np.ndarray | float) -> np.ndarray:
        """Block error rate of the transport block, whose code blocks fail independently; shape of `snr_db`."""
        single = self.waterfall.bler(snr_db)
        return np.asarray(-np.expm1(self.num_code_blocks * np.log1p(-np.minimum(single, 1 - 1e-12))))

    @property
    def waterfall(self) -> Waterfall:
        """Of one code block: between the measured lengths K both numbers are taken linear in 1 / sqrt(K), as finite
        length theory has it; outside, the nearest length counts."""
        curves = reference_curves()[self.entry]
        inverse = np.array([length**-0.5 for length, _ in curves])[::-1]
        at = self.num_info_bits**-0.5
        middle = np.interp(at, inverse, [w.middle_db for _, w in curves][::-1])
        return Waterfall(float(middle), float(np.interp(at, inverse, [w.width_db for _, w in curves][::-1])))

    def snr_db(self, bler: float) -> float:
        """SNR at which the transport block has this error rate."""
        grid = self.waterfall.middle_db + np.linspace(-3, 8, 1101)
        return float(np.interp(-np.log(bler), -np.log(np.maximum(self.bler(grid), 1e-300)), grid))


@cache
def reference_curves() -> dict[McsEntry, tuple[tuple[int, Waterfall], ...]]:
    """Per MCS, code block lengths in bits, ascending, with their waterfalls."""
    stored = json.loads(resources.files("ran.studies.adaptation").joinpath(FILE).read_text(encoding="utf-8"))
    found: dict[McsEntry, list[tuple[int, Waterfall]]] = {}
    for curve in stored["curves"]:
        entry = McsEntry(curve["bits_per_symbol"], curve["target_rate_x1024"])
        waterfall = Waterfall(curve["middle_db"], curve["width_db"])
        found.setdefault(entry, []).append((curve["num_info_bits"], waterfall))
    return {entry: tuple(sorted(curves, key=lambda pair: pair[0])) for entry, curves in found.items()}


def entries() -> dict[McsEntry, tuple[int, int]]:
    """Every MCS once, with the first table and index that have it."""
    found: dict[McsEntry, tuple[int, int]] = {}
    for table in TABLES:
        for index in range(num_mcs(table)):
            found.setdefault(mcs(table, index), (table, index))
    return found


def measure_reference(out: Path, workers: int = 1, listener: Listener | None = None, slots: int = _SLOTS) -> Any:
    """The content of `awgn_reference.json`, measured by runs in folders below `out`; interrupted, it goes on there."""
    listener = listener or Silence()
    wanted = [(entry, place, n) for entry, place in entries().items() for n in allocations(entry)]
    first = reference_experiment(*wanted[0][1], wanted[0][2], slots)
    curves = []
    with Executor(first, build_simulation, workers) as executor:
        for entry, (table, index), num_prb in wanted:
            tested = reference_experiment(table, index, num_prb, slots)
            results = run(tested, out / tested.name, listener=listener, executor=executor)
            curves.append(_curve(entry, num_prb, results))
            listener.say(", ".join(f"{key} {value}" for key, value in curves[-1].items() if key != "points"))
    return {
        "what": "Block error rates of single code blocks over AWGN, one antenna, one layer: [Es/N0 in dB, blocks, "
        "errors] per point, and the waterfalls fitted to them",
        "command": "python -m ran.studies.adaptation.fitting reference",
        "seed": first.seed,
        "slots_per_point": slots,
        "decoder": first.decoder.model_dump(mode="json"),
        "simulation_version": SIMULATION_VERSION,
        "versions": versions(),
        "curves": curves,
    }


def reference_experiment(mcs_table: int, mcs_index: int, num_prb: int, slots: int) -> Experiment:
    """One MCS over AWGN, from where nearly every block fails to where one in a hundred does."""
    return validate(
        Experiment,
        {
            "name": f"awgn-table{mcs_table}-mcs{mcs_index}-prb{num_prb}",
            "carrier": {"num_prb": num_prb},
            "pusch": {"mcs_table": mcs_table, "mcs_index": mcs_index},
            "num_rx_ant": 1,
            "channel": "awgn",
            "receivers": ["perfect-csi"],
            "esn0_db": {"auto": {"target_bler": [0.9, 0.01], "step_db": 0.2, "low_db": -20}},
            "stopping": {"min_block_errors": None, "max_slots": slots, "min_bler": None},
            "seed": _SEED,
        },
    )


def allocations(entry: McsEntry) -> tuple[int, ...]:
    """Numbers of PRBs whose transport blocks are single code blocks closest to the lengths aimed at."""
    blocks = {num_prb: _block(entry, num_prb) for num_prb in range(1, 276)}
    lengths = {n: block.code.num_info_bits for n, block in blocks.items() if block.num_code_blocks == 1}
    return tuple(sorted({min(lengths, key=lambda n: abs(lengths[n] - aim)) for aim in _LENGTHS}))


@cache
def _block(entry: McsEntry, num_prb: int) -> TransportBlock:
    """The transport block of `reference_experiment`: 12 symbols carry data, two DM-RS."""
    num_re = 144 * num_prb
    size = transport_block_size(num_re, entry.target_rate, entry.bits_per_symbol)
    return TransportBlock(size, num_re * entry.bits_per_symbol, entry.target_rate, entry.bits_per_symbol)


def _curve(entry: McsEntry, num_prb: int, results: RunResults) -> dict[str, Any]:
    points = [(p.esn0_db, p.blocks, p.block_errors) for p in results.points]
    esn0_db, blocks, errors = zip(*points, strict=True)
    fitted = fit(esn0_db, blocks, errors)
    return {
        "bits_per_symbol": entry.bits_per_symbol,
        "target_rate_x1024": entry.target_rate_x1024,
        "num_prb": num_prb,
        "num_info_bits": _block(entry, num_prb).code.num_info_bits,
        "middle_db": round(fitted.middle_db, 4),
        "width_db": round(fitted.width_db, 4),
        "points": [list(point) for point in points],
    }
