"""The requirements of TS 38.104 §8.2.1, §8.2.2 (FR1) and §11.2.2.1 (FR2) for PUSCH as data and as experiments.

`ts38104_pusch_requirements.csv`: minimum SNR for 70 % of the maximum throughput, transcribed facts of the standard; the
column `version` is that of the specification. Common to all rows, and filled in here: mapping type A, 14 symbols from
symbol 0, DM-RS type 1 with one additional position and 2 CDM groups without data, HARQ with rv 0, 2, 3, 1 and at most 4
transmissions, low correlation, channel estimated. The SNR is per receive antenna, of the user's total power over its
layers, as `esn0_db` counts.

`ts38104_pusch_more.csv`: rows with 8 receive antennas, which have names of ours as their source does not number them,
and those of FR2 with and without PT-RS, with columns for what differs there. UCI on PUSCH:
`ran.studies.conformance.uci`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from ran.config.validation import validate
from ran.errors import InputError, unknown_name
from ran.phy.mcs import mcs, num_mcs
from ran.sim.experiment import Experiment

FILE = "ts38104_pusch_requirements.csv"
MORE = "ts38104_pusch_more.csv"
#: The fraction of the maximum throughput that all rows ask for.
THRESHOLD = 0.7

Variant = Literal["38.104", "38.141-1"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
#: Test tolerance in dB that TS 38.141-1 adds for one transmit antenna and for more (annex C). Found confirmed where a
#: public suite holds test requirements of v15.14 beside minimum requirements (NVIDIA Aerial 5GModel, tables 8.2.1.5-3,
#: 8.2.1.5-7, 8.2.2.5-1, 8.2.2.5-2 with 1 and 2 transmit antennas, tests/conformance). For 4 no public source was
#: found; the value for 2 stands in.
_TOLERANCE_DB = (0.6, 0.8)
_BITS = {"QPSK": 2, "16QAM": 4, "64QAM": 6}
#: Slots from a transmission to the next: 8 ms at 15 kHz (FDD with 8 processes), 5 ms at 30 kHz (the period of the TDD
#: pattern 7D1S2U), 2.5 ms at 120 kHz (four periods of 3D1S1U). The standard leaves it open.
_ROUND_TRIP_SLOTS = {15: 8, 30: 10, 120: 20}


@dataclass(frozen=True)
class Requirement:
    """One row of a requirement table; the columns of the files."""

    table: str
    row: int | str
    version: str
    waveform: str
    bandwidth_mhz: int
    scs_khz: int
    num_prb: int
    frc: str
    modulation: str
    target_rate_x1024: int
    num_tx: int
    num_layers: int
    num_rx: int
    delay_profile: str
    max_doppler_hz: float
    correlation: str
    required_snr_db: float
    mapping_type: str = "A"
    start_symbol: int = 0
    num_symbols: int = 14
    dmrs_additional_position: int = 1
    pt_rs: str = "no"

    @property
    def name(self) -> str:
        return f"{self.table}-row{self.row}" if isinstance(self.row, int) else f"{self.table}-{self.row}"

    @property
    def is_fr2(self) -> bool:
        """Whether the row is of clause 11, whose test tolerances (TS 38.141-2) are not here."""
        return self.table.startswith("11.")

    def snr_db(self, variant: Variant) -> float:
        """The SNR that counts: of the minimum requirement, or of the test requirement, which is looser."""
        tolerance = 0.0 if variant == "38.104" else _TOLERANCE_DB[self.num_tx > 1]
        return round(self.required_snr_db + tolerance, 6)

    @property
    def mcs_index(self) -> int:
        """MCS of table 1 (with transform precoding TS 38.214 table 6.1.4.1-1) with the row's modulation and rate."""
        spread = self.waveform == "DFT-s-OFDM"
        wanted = (_BITS[self.modulation], self.target_rate_x1024)
        for index in range(num_mcs(1, spread)):
            entry = mcs(1, index, spread)
            if (entry.bits_per_symbol, entry.target_rate_x1024) == wanted:
                return index
        raise InputError(
            f"{FILE}, {self.name}: got {self.modulation} {self.target_rate_x1024}; allowed: MCS of table 1"
        )


@cache
def requirements() -> tuple[Requirement, ...]:
    """All rows, in the order of the standard."""
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str, "int | str": _number_or_name}
    found = []
    for file in (FILE, MORE):
        text = resources.files("ran.studies.conformance").joinpath(file).read_text(encoding="utf-8")
        for line in csv.DictReader(text.splitlines()):
            known = [field for field in fields(Requirement) if field.name in line]
            found.append(Requirement(**{field.name: kinds[str(field.type)](line[field.name]) for field in known}))
    return tuple(found)


def _number_or_name(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def select(tables: Iterable[str]) -> tuple[Requirement, ...]:
    """The rows of these tables, by default of all. A name is a table (`8.2.1.2-4`) or one of its rows
    (`8.2.1.2-4-row3`). `InputError` for a name that is neither."""
    wanted = list(tables)
    known_tables = list(dict.fromkeys(row.table for row in requirements()))
    rows = {row.name for row in requirements()}
    for name in wanted:
        if name not in rows and name not in known_tables:
            raise unknown_name("--table", name, rows if "-row" in name or "rx" in name else known_tables)
    return tuple(row for row in requirements() if not wanted or row.table in wanted or row.name in wanted)


@dataclass(frozen=True)
class Offsets:
    """What clocks do to a signal that the standard takes as given: largest timing offset, s, and carrier frequency
    offset, Hz, of the user; both are drawn for every HARQ process, uniform in plus and minus."""

    timing_max_s: float = 0.0
    cfo_max_hz: float = 0.0

    def waveform(self) -> dict[str, float] | None:
        """The experiment's block `waveform`; without offsets slots stay in the frequency domain."""
        if not (self.timing_max_s or self.cfo_max_hz):
            return None
        return {"timing_offset_max_s": self.timing_max_s, "cfo_max_hz": self.cfo_max_hz}


def experiment(
    row: Requirement,
    receivers: Sequence[dict[str, Any]],
    variant: Variant = "38.104",
    max_slots: int = 4096,
    offsets: Offsets | None = None,
) -> Experiment:
    """The row as an experiment: its requirement is searched for the SNR where it would just be met, too.

    max_slots: at most so many HARQ processes at the required SNR.
    """
    spread = row.waveform == "DFT-s-OFDM"
    waveform = offsets.waveform() if offsets else None
    pusch: dict[str, Any] = {"mcs_table": 1, "mcs_index": row.mcs_index, "num_layers": row.num_layers}
    if (row.mapping_type, row.start_symbol, row.num_symbols) != ("A", 0, 14):
        time = {name: getattr(row, name) for name in ("mapping_type", "start_symbol", "num_symbols")}
        pusch |= {**time, "dmrs": {"additional_position": row.dmrs_additional_position}}
    if row.pt_rs == "yes":
        pusch["ptrs"] = {"time_density": 1, "frequency_density": 2}
    return validate(
        Experiment,
        {
            "name": f"ts38104-{row.name}",
            "description": f"TS {variant} table {row.table} row {row.row}, {row.frc}",
            "carrier": {"subcarrier_spacing_khz": row.scs_khz, "num_prb": row.num_prb},
            "pusch": {**pusch, "transform_precoding": True} if spread else pusch,
            "num_rx_ant": row.num_rx,
            "channel": {"name": "tdl", "profile": row.delay_profile, "max_doppler_hz": row.max_doppler_hz},
            "receivers": list(receivers),
            "esn0_db": {"requirement": {"esn0_db": row.snr_db(variant), "throughput": THRESHOLD}},
            "stopping": {"min_block_errors": None, "max_slots": max_slots, "min_bler": None},
            "harq": {"max_transmissions": 4, "rv": [0, 2, 3, 1], "round_trip_slots": _ROUND_TRIP_SLOTS[row.scs_khz]},
            **({"waveform": waveform} if waveform else {}),
        },
        row.name,
    )
