"""Where UCI and UL-SCH lie in the codeword of a PUSCH without hopping (TS 38.212 §6.2.7 and §6.3.2.4, Rel-18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from ran.errors import InputError
from ran.phy.config.uci import Uci
from ran.phy.uci.coding import crc_length

#: Kinds of UCI in the order of the standard, as positions and codes are named.
KINDS = ("ack", "csi1", "csi2")


@dataclass(frozen=True)
class UciPlaces:
    """Positions of coded bits in the codeword, int64, ascending within each kind.

    ulsch: where the UL-SCH's bits are mapped, those that an ACK of one or two bits overwrites included. ack, csi1,
    csi2: of the coded UCI. reserved [REs] bool: set aside for an ACK of up to two bits.
    """

    ulsch: npt.NDArray[np.int64]
    ack: npt.NDArray[np.int64]
    csi1: npt.NDArray[np.int64]
    csi2: npt.NDArray[np.int64]
    reserved: npt.NDArray[np.bool_]


def places(
    data_mask: npt.NDArray[np.bool_],
    dmrs_symbols: Sequence[int],
    uci: Uci,
    bits_per_re: int,
    bits_per_symbol: int,
    target_rate: float,
    num_ulsch_bits: int,
) -> UciPlaces:
    """Multiplex UCI with the UL-SCH.

    data_mask [num_symbols, num_subcarriers]: REs for the UL-SCH. bits_per_re: Q_m times layers. num_ulsch_bits: sum of
    the code block sizes with CRC, 0 without UL-SCH. `InputError` where UCI finds no place.
    """
    rows = [np.flatnonzero(row) for row in data_mask]
    first_re = np.cumsum([0, *(len(row) for row in rows)])
    dmrs = set(dmrs_symbols)
    used = [s for s in range(len(rows)) if len(rows[s]) or s in dmrs]
    # REs that may carry UCI: none in symbols with DM-RS
    free = [np.zeros(0, np.int64) if s in dmrs else first_re[s] + np.arange(len(rows[s])) for s in range(len(rows))]
    behind = min(dmrs) if dmrs else used[0] - 1
    while behind in dmrs:
        behind += 1
    first_csi = min((s for s in used if s not in dmrs), default=0)
    total = sum(len(f) for f in free)
    after_dmrs = sum(len(free[s]) for s in range(behind, len(rows)))
    sizes = _sizes(uci, total, after_dmrs, bits_per_symbol * target_rate, num_ulsch_bits)
    open_res = [f.copy() for f in free]
    reserved = np.zeros(first_re[-1], bool)
    if uci.num_ack_bits <= 2:
        reserved[_spread(open_res, behind, sizes["reserved"])] = True
    found: dict[str, npt.NDArray[np.int64]] = {}
    if uci.num_ack_bits > 2:
        found["ack"] = _take(open_res, behind, sizes["ack"])
    without = [f[~reserved[f]] for f in open_res]
    found["csi1"] = _spread(without, first_csi, sizes["csi1"])
    open_res = [f[~np.isin(f, found["csi1"])] for f in open_res]
    found["csi2"] = _take(open_res, first_csi, sizes["csi2"])
    if uci.num_ack_bits <= 2:
        held = [f[reserved[f]] for f in free]
        found["ack"] = _spread(held, behind, sizes["ack"])
    for kind in KINDS:
        if getattr(uci, f"num_{kind}_bits") and len(found[kind]) < max(sizes[kind], 1):
            raise InputError(
                f"pusch.uci.num_{kind}_bits: got {getattr(uci, f'num_{kind}_bits')} with room for {len(found[kind])} "
                "resource elements; allowed: less UCI, or a larger allocation"
            )
    taken = np.zeros(first_re[-1], bool)
    taken[found["csi1"]] = taken[found["csi2"]] = True
    if uci.num_ack_bits > 2:
        taken[found["ack"]] = True
    ulsch = np.flatnonzero(~taken) if uci.has_ulsch else np.zeros(0, np.int64)
    if uci.has_ulsch and not len(ulsch):
        raise InputError(
            f"pusch.uci: got UCI that takes all of {len(taken)} resource elements; allowed: some for the transport "
            "block, a smaller alpha, or has_ulsch: false"
        )
    bits = np.arange(bits_per_re)
    as_bits = {kind: (bits_per_re * re[:, None] + bits).ravel() for kind, re in {**found, "ulsch": ulsch}.items()}
    return UciPlaces(as_bits["ulsch"], as_bits["ack"], as_bits["csi1"], as_bits["csi2"], reserved)


def _sizes(uci: Uci, total: int, after_dmrs: int, bits_per_re: float, num_ulsch_bits: int) -> dict[str, int]:
    """Q' of TS 38.212 §6.3.2.4: resource elements per layer of each kind, and those reserved for an ACK.

    total, after_dmrs: REs for UCI in the PUSCH, and from the first symbol behind the first DM-RS on.
    """

    def wanted(num_bits: int, beta: float) -> int:
        coded = num_bits + crc_length(num_bits)
        if uci.has_ulsch:
            return _ceil(coded * beta * total / num_ulsch_bits)
        return _ceil(coded * beta / bits_per_re)

    found = dict.fromkeys((*KINDS, "reserved"), 0)
    most_ack = _ceil(uci.alpha * after_dmrs)
    if uci.num_ack_bits:
        found["ack"] = min(wanted(uci.num_ack_bits, uci.beta_offset_ack), most_ack)
    if uci.num_ack_bits <= 2:
        found["reserved"] = min(wanted(2, uci.beta_offset_ack), most_ack)
    limit = _ceil(uci.alpha * total) if uci.has_ulsch else total
    ack_for_csi1 = found["ack"] if uci.num_ack_bits > 2 else found["reserved"]
    if uci.num_csi1_bits:
        left = limit - ack_for_csi1
        found["csi1"] = left
        if uci.has_ulsch or uci.num_csi2_bits:
            found["csi1"] = min(wanted(uci.num_csi1_bits, uci.beta_offset_csi1), left)
    if uci.num_csi2_bits:
        left = limit - (found["ack"] if uci.num_ack_bits > 2 else 0) - found["csi1"]
        found["csi2"] = min(wanted(uci.num_csi2_bits, uci.beta_offset_csi2), left) if uci.has_ulsch else left
    return found


def _ceil(value: float) -> int:
    """The ceiling of a quotient of whole numbers and two decimals, whatever its last bits are."""
    return ceil(round(value, 9))


def _spread(rows: Sequence[npt.NDArray[np.int64]], first: int, count: int) -> npt.NDArray[np.int64]:
    """REs of `count`: whole symbols from `first` on, the last one evenly over its REs (§6.2.7)."""
    found: list[npt.NDArray[np.int64]] = []
    left = count
    for row in rows[first:]:
        if left <= 0:
            break
        if not len(row):
            continue
        if left >= len(row):
            found.append(row)
            left -= len(row)
        else:
            step = len(row) // left
            found.append(row[: step * left : step])
            left = 0
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _take(rows: list[npt.NDArray[np.int64]], first: int, count: int) -> npt.NDArray[np.int64]:
    """`_spread`, and what it takes is no longer free."""
    found = _spread(rows, first, count)
    rows[:] = [row[~np.isin(row, found)] for row in rows]
    return found
