"""Tables of NVIDIA's Aerial Data Lake in Parquet: `fapi` holds what was scheduled, `fh` what was received.

A row of `fapi` is a PUSCH PDU of SCF FAPI (document 222) with what the base station decoded; a row of `fh` the samples
of a slot, numbers of 16 bits as stored by the database, each the bits of a half-precision float. Rows of the same
TsTaiNs, and of the same CellId where both tables have it, belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ran.config.doors import check_regular
from ran.errors import InputError, bad_value
from ran.phy.config import Carrier, Dmrs, Pusch
from ran.phy.dmrs import dmrs_symbols
from ran.phy.mcs import num_mcs
from ran.recordings.config import DecodeConfig
from ran.recordings.slot import RecordedSlot, Recording
from ran.suggestions import did_you_mean

if TYPE_CHECKING:
    import pyarrow

#: Largest table that is read, packed and unpacked.
_MOST_BYTES = 16 * 2**30
#: Columns that decoding needs.
NEEDED = {
    "fapi": (
        *("TsTaiNs", "SFN", "Slot", "rnti", "mcsTable", "mcsIndex", "nrOfLayers", "dataScramblingId", "rbStart"),
        *("rbSize", "StartSymbolIndex", "NrOfSymbols", "ulDmrsSymbPos", "ulDmrsScramblingId", "SCID", "dmrsPorts"),
        *("numDmrsCdmGrpsNoData", "rvIndex"),
    ),
    "fh": ("TsTaiNs", "fhData"),
}
_OTHER_NAMES = {"rvIndex": ("rv", "redundancyVersion"), "SCID": ("nSCID", "scid")}
#: Of 15 to 480 kHz.
_NUMEROLOGIES = range(6)
#: mcsTable of FAPI: (table as `Pusch` counts it, transform precoding).
_MCS_TABLES = {0: (1, False), 1: (2, False), 2: (3, False), 3: (1, True), 4: (3, True)}


def read_data_lake(path: Path, config: DecodeConfig) -> Recording:
    """Slots of a folder with both tables, or of either of the files beside the other."""
    fapi_path, fh_path = _files(path, config)
    fapi, fh = _table(fapi_path, "fapi"), _table(fh_path, "fh")
    by_cell = "CellId" in fapi.column_names and "CellId" in fh.column_names
    keys = ["TsTaiNs", "CellId"] if by_cell else ["TsTaiNs"]
    samples: dict[tuple[Any, ...], int] = {}
    for index, row in enumerate(_rows(fh.select(keys), fh_path)):
        samples.setdefault(tuple(_plain(row[key]) for key in keys), index)
    every = _rows(fapi, fapi_path)
    rows = [row for row in every if row["TsTaiNs"] is not None]
    rows.sort(key=lambda row: _plain(row["TsTaiNs"]))
    slots, problems = [], []
    if len(rows) < len(every):
        problems.append(f"{fapi_path.name}: got {len(every) - len(rows)} of {len(every)} rows without TsTaiNs")
    unused = set(range(fh.num_rows))
    for row in rows:
        name = f"SFN {row['SFN']} slot {row['Slot']} RNTI {row['rnti']}"
        place = samples.get(tuple(_plain(row[key]) for key in keys))
        if place is None:
            problems.append(f"{fapi_path.name}: {name}: no row of fh has its time")
            continue
        unused.discard(place)
        try:
            grid = _grid(fh["fhData"][place].as_py(), config)
            slots.append(_slot(name, row, grid, config))
        except (InputError, ValueError) as error:
            text = " ".join(str(error).split())
            problems.append(f"{fapi_path.name}: {name}: {text}")
    notes = [f"{len(rows)} rows of fapi, {fh.num_rows} of fh, {len(unused)} of these without a PUSCH in fapi"]
    return Recording("data-lake", slots, problems, notes)


def _files(path: Path, config: DecodeConfig) -> tuple[Path, Path]:
    folder = path if path.is_dir() else path.parent
    found = {}
    for table, given in (("fapi", config.data_lake.fapi), ("fh", config.data_lake.fh)):
        if given is not None:
            found[table] = folder / given
            continue
        fitting = sorted(p for p in folder.glob("*.parquet") if table in p.stem.lower())
        if len(fitting) != 1:
            names = ", ".join(p.name for p in fitting) or "no such file"
            raise InputError(
                f"{folder}: got {names} for the table {table}; allowed: one .parquet file with {table} in its name, or "
                f"data_lake.{table}"
            )
        found[table] = fitting[0]
    return found["fapi"], found["fh"]


def _table(path: Path, table: str) -> pyarrow.Table:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(f"{path}: needs pyarrow; allowed: with the extra aodt") from None
    check_regular(path, _MOST_BYTES)
    try:
        described = parquet.read_metadata(path)
        unpacked = sum(described.row_group(i).total_byte_size for i in range(described.num_row_groups))
        if unpacked > _MOST_BYTES:
            raise InputError(f"{path}: got {unpacked} bytes unpacked; allowed: up to {_MOST_BYTES}")
        found = parquet.read_table(path)
    except UnicodeDecodeError:
        raise InputError(f"{path}: got names of columns that are no UTF-8; allowed: a Parquet file") from None
    except (OSError, pyarrow.ArrowException) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(f"{path}: cannot be read: {why}; allowed: a Parquet file") from None
    names = list(found.column_names)
    lower = {name.lower(): name for name in names}
    for wanted in NEEDED[table]:
        known = next((lower[o.lower()] for o in (wanted, *_OTHER_NAMES.get(wanted, ())) if o.lower() in lower), None)
        if known is None:
            hint = did_you_mean(wanted, names)
            raise InputError(
                f"{path}: got no column {wanted!r} of the table {table}; allowed: tables with "
                f"{', '.join(NEEDED[table])}{hint}"
            )
        names[names.index(known)] = wanted
    return found.rename_columns(names)


def _rows(table: pyarrow.Table, path: Path) -> list[dict[str, Any]]:
    try:
        return table.to_pylist()
    except UnicodeDecodeError:
        raise InputError(f"{path}: got text that is no UTF-8; allowed: a Parquet file of the Data Lake") from None


def _plain(value: Any) -> Any:
    """A time as whole nanoseconds, or whatever orders and compares as it stands."""
    nanoseconds = getattr(value, "value", None)
    if nanoseconds is not None:
        return nanoseconds
    return value


def _grid(stored: Any, config: DecodeConfig) -> NDArray[np.complex64]:
    """Samples of a slot as a grid [num_rx_ant, num_symbols, subcarriers] complex64."""
    if isinstance(stored, bytes):
        values = np.frombuffer(stored, np.float16).astype(np.float32)
    else:
        array = np.asarray(stored)
        if array.dtype.kind in "iu":
            values = array.astype(np.int64).astype(np.uint16).view(np.float16).astype(np.float32)
        else:
            values = array.astype(np.float32)
    per_antenna = 2 * config.carrier.num_symbols * config.carrier.num_subcarriers
    antennas, rest = divmod(values.size, per_antenna)
    if rest or not antennas or (config.num_rx_ant is not None and antennas != config.num_rx_ant):
        wanted = config.num_rx_ant or "whole numbers of antennas"
        raise bad_value("numbers in fhData", values.size, f"{wanted} x {per_antenna}, as carrier.num_prb has them")
    if not np.isfinite(values).all():
        raise bad_value("fhData", "NaN or infinity", "finite numbers")
    shape = (config.carrier.num_symbols, config.carrier.num_subcarriers)
    samples = values.view(np.complex64)
    if config.data_lake.antenna_axis_first:
        return samples.reshape(antennas, *shape)
    return np.ascontiguousarray(samples.reshape(shape[0], antennas, shape[1]).swapaxes(0, 1))


def _slot(name: str, row: Mapping[str, Any], grid: NDArray[np.complex64], config: DecodeConfig) -> RecordedSlot:
    table, transform = _MCS_TABLES.get(int(row["mcsTable"]), (0, False))
    if not table:
        raise bad_value("mcsTable", row["mcsTable"], "0 to 4 (FAPI)")
    transform = transform or row.get("TransformPrecoding", row.get("transformPrecoding", 1)) == 0
    index, reserved = int(row["mcsIndex"]), False
    if index >= num_mcs(table, transform):
        # a retransmission with a reserved index: modulation alone is signalled
        index, reserved = _index_of_modulation(table, transform, row), True
    ports = tuple(port for port in range(12) if int(row["dmrsPorts"]) >> port & 1)
    allocation: dict[str, Any] = {"first_prb": int(row["rbStart"]), "num_prb": int(row["rbSize"])}
    if "BWPStart" in row and row["BWPStart"] is not None:
        allocation["bwp_start"] = int(row["BWPStart"]) - config.carrier.first_crb
        if row.get("BWPSize"):
            allocation["bwp_num_prb"] = int(row["BWPSize"])
    identity = row.get("puschIdentity", row["ulDmrsScramblingId"]) if transform else row["ulDmrsScramblingId"]
    dmrs = {
        "n_id": int(identity),
        "n_scid": int(row["SCID"]),
        "num_cdm_groups_without_data": int(row["numDmrsCdmGrpsNoData"]),
        "config_type": int(row.get("dmrsConfigType") or 0) + 1,
    }
    channel = {
        "start_symbol": int(row["StartSymbolIndex"]),
        "num_symbols": int(row["NrOfSymbols"]),
        "mcs_table": table,
        "mcs_index": index,
        "num_layers": int(row["nrOfLayers"]),
        "n_rnti": int(row["rnti"]),
        "n_id": int(row["dataScramblingId"]),
        "rv": int(row["rvIndex"]),
        "transform_precoding": transform,
        "allocation": allocation,
    }
    channel |= _dmrs_layout(channel, dmrs, _symbols(int(row["ulDmrsSymbPos"]), config), config.carrier)
    spacing = row.get("SubcarrierSpacing")
    if spacing is not None and int(spacing) not in _NUMEROLOGIES:
        raise bad_value("SubcarrierSpacing", spacing, f"{_NUMEROLOGIES.start} to {_NUMEROLOGIES.stop - 1} (FAPI)")
    carrier = {} if spacing is None else {"subcarrier_spacing_khz": 15 * 2 ** int(spacing)}
    size = row.get("TBSize")
    payload = row.get("pduData")
    failed = row.get("tbCrcStatus", row.get("tbCrcFail", 0))
    bits = None if payload is None or failed else _bits(payload)
    rate = row.get("targetCodeRate")
    return RecordedSlot(
        name,
        int(row["Slot"]),
        grid,
        channel={**channel, "users": {"dmrs_ports": (ports,)}},
        carrier=carrier,
        tb_size=None if not size else 8 * int(size),
        payload=None if bits is None or not bits.size else bits,
        process=_process(row),
        new_data=bool(row.get("newDataIndicator", row.get("newData", int(row["rvIndex"]) == 0 and not reserved))),
        target_rate=float(rate) / 10240 if reserved and rate else None,
    )


def _process(row: Mapping[str, Any]) -> int | None:
    number = row.get("harqProcessID", row.get("harqProcessId"))
    return None if number is None else int(row["rnti"]) << 8 | int(number)


def _bits(payload: Any) -> NDArray[np.uint8]:
    octets = payload if isinstance(payload, bytes) else bytes(int(v) & 255 for v in payload)
    return np.unpackbits(np.frombuffer(octets, np.uint8))


def _index_of_modulation(table: int, transform: bool, row: Mapping[str, Any]) -> int:
    """Some MCS index with the modulation of a reserved one; rate and size come from elsewhere."""
    from ran.phy.mcs import mcs

    order = row.get("qamModOrder")
    indices = [i for i in range(num_mcs(table, transform)) if mcs(table, i, transform).bits_per_symbol == order]
    if not indices:
        raise bad_value("qamModOrder", order, f"that of MCS index {row['mcsIndex']}, which is reserved")
    return indices[-1]


def _symbols(bitmap: int, config: DecodeConfig) -> tuple[int, ...]:
    lowest = config.data_lake.dmrs_symbol_0 == "lowest"
    return tuple(symbol for symbol in range(14) if bitmap >> (symbol if lowest else 13 - symbol) & 1)


def _dmrs_layout(
    channel: Mapping[str, Any], dmrs: Mapping[str, Any], wanted: tuple[int, ...], carrier: Carrier
) -> dict[str, Any]:
    """Mapping type and DM-RS positions that put DM-RS into the symbols that the table names."""
    mappings: tuple[Literal["A", "B"], ...] = ("A", "B")
    choices = product((1, 2), mappings, (2, 3), (0, 1, 2, 3))
    for length, mapping, first, additional in choices:
        layout = {**dmrs, "length": length, "type_a_position": first, "additional_position": additional}
        try:
            pusch = Pusch(
                mapping_type=mapping,
                start_symbol=channel["start_symbol"],
                num_symbols=channel["num_symbols"],
                transform_precoding=channel["transform_precoding"],
                dmrs=Dmrs(**layout),
            )
        except ValueError:
            continue
        if dmrs_symbols(pusch) == wanted:
            return {"mapping_type": mapping, "dmrs": layout}
    raise InputError(
        f"ulDmrsSymbPos: got the symbols {list(wanted)}; allowed: those of TS 38.211 tables 6.4.1.1.3-3 and -4 for "
        f"symbols {channel['start_symbol']} to {channel['start_symbol'] + channel['num_symbols'] - 1}"
    )


def write_data_lake(
    folder: Path, grids: NDArray[np.complexfloating], rows: list[dict[str, Any]], cell_id: int = 0
) -> tuple[Path, Path]:
    """Grids [slots, num_rx_ant, num_symbols, subcarriers] and a row of `fapi` for each as both tables.

    Samples are rounded to half precision. rows: columns of `NEEDED` and more, but for TsTaiNs and CellId.
    """
    import pyarrow
    from pyarrow import parquet

    times = [1_700_000_000_000_000_000 + 500_000 * index for index in range(len(grids))]
    pairs = np.stack([grids.real, grids.imag], -1).astype(np.float16)
    stored = pairs.reshape(len(grids), -1).view(np.int16)
    stamps = pyarrow.array(times, pyarrow.timestamp("ns"))
    fh = {"TsTaiNs": stamps, "CellId": [cell_id] * len(grids), "fhData": list(stored)}
    fapi = {"TsTaiNs": stamps, "CellId": [cell_id] * len(grids)}
    fapi |= {name: [row.get(name) for row in rows] for name in rows[0]}
    paths = folder / "fapi.parquet", folder / "fh.parquet"
    for path, table in zip(paths, (fapi, fh), strict=True):
        parquet.write_table(pyarrow.table(table), path)
    return paths


def fapi_row(carrier: Carrier, pusch: Pusch, ports: tuple[int, ...], frame: int, payload: bytes) -> dict[str, Any]:
    """The row of `fapi` of a PUSCH with its payload; without TsTaiNs and CellId."""
    from ran.phy.allocation import placement_of
    from ran.phy.mcs import mcs

    if pusch.dmrs.frequency_density != 1:
        raise InputError(
            f"dmrs.frequency_density: got {pusch.dmrs.frequency_density}; allowed in a row of fapi, which has no word "
            "for it: 1"
        )
    prbs = placement_of(carrier, pusch).hops[0]
    entry = mcs(pusch.mcs_table, pusch.mcs_index, pusch.transform_precoding)
    tables = {value: key for key, value in _MCS_TABLES.items()}
    table = pusch.mcs_table, pusch.transform_precoding and pusch.mcs_table != 2
    return {
        "SFN": frame,
        "Slot": carrier.slot_number,
        "rnti": pusch.n_rnti,
        "SubcarrierSpacing": carrier.numerology,
        "TransformPrecoding": 0 if pusch.transform_precoding else 1,
        "mcsTable": tables[table],
        "mcsIndex": pusch.mcs_index,
        "targetCodeRate": round(entry.target_rate * 10240),
        "qamModOrder": entry.bits_per_symbol,
        "nrOfLayers": pusch.num_layers,
        "dataScramblingId": carrier.n_cell_id if pusch.n_id is None else pusch.n_id,
        "ulDmrsScramblingId": carrier.n_cell_id if pusch.dmrs.n_id is None else pusch.dmrs.n_id,
        "SCID": pusch.dmrs.n_scid,
        "numDmrsCdmGrpsNoData": pusch.dmrs.num_cdm_groups_without_data,
        "dmrsConfigType": pusch.dmrs.config_type - 1,
        "dmrsPorts": sum(1 << port for port in ports),
        "ulDmrsSymbPos": sum(1 << symbol for symbol in dmrs_symbols(pusch)),
        "rbStart": prbs[0],
        "rbSize": len(prbs),
        "StartSymbolIndex": pusch.start_symbol,
        "NrOfSymbols": pusch.num_symbols,
        "rvIndex": pusch.rv,
        "harqProcessID": 0,
        "newDataIndicator": 1,
        "TBSize": len(payload),
        "pduData": list(payload),
    }
