"""Demodulation reference signals of PUSCH: type 1, single symbol, mapping type A."""

from __future__ import annotations

import numpy as np

from ran.errors import InputError
from ran.phy.config import Carrier, Pusch
from ran.phy.numerology import NUM_SYMBOLS_PER_SLOT
from ran.phy.sequences import gold_sequence

# Additional symbols by duration, for additional positions 1, 2 and 3.
# TS 38.211 table 6.4.1.1.3-3, Rel-18, mapping type A, without intra-slot frequency hopping.
_ADDITIONAL: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    **dict.fromkeys((4, 5, 6, 7), ((), (), ())),
    **dict.fromkeys((8, 9), ((7,), (7,), (7,))),
    **dict.fromkeys((10, 11), ((9,), (6, 9), (6, 9))),
    12: ((9,), (6, 9), (5, 8, 11)),
    **dict.fromkeys((13, 14), ((11,), (7, 11), (5, 8, 11))),
}


def dmrs_symbols(pusch: Pusch) -> tuple[int, ...]:
    """OFDM symbols of the slot that carry DM-RS (TS 38.211 table 6.4.1.1.3-3, Rel-18)."""
    first = pusch.dmrs.type_a_position
    if first >= pusch.num_symbols:
        raise InputError(
            f"pusch.dmrs.type_a_position: got {first}; the DM-RS lies beyond the allocation of "
            f"{pusch.num_symbols} symbols; allowed: below {pusch.num_symbols}"
        )
    position = pusch.dmrs.additional_position
    extra = _ADDITIONAL[pusch.num_symbols][position - 1] if position else ()
    return (first, *extra)


def cdm_group(port: int) -> int:
    """CDM group of an antenna port, which is also its subcarrier offset Delta (TS 38.211 table 6.4.1.1.3-1)."""
    return (port % 4) // 2


def cover_code(port: int) -> tuple[int, int]:
    """Frequency-domain cover code w_f of an antenna port (TS 38.211 table 6.4.1.1.3-1)."""
    return (1, -1) if port % 2 else (1, 1)


def dmrs_power(pusch: Pusch) -> float:
    """Power of a DM-RS RE relative to a data RE of the same layer (TS 38.214 table 6.2.2-1): 1 or 2."""
    return float(pusch.dmrs.num_cdm_groups_without_data)


def dmrs_c_init(carrier: Carrier, pusch: Pusch, symbol: int) -> int:
    """Initialisation of the DM-RS sequence of one OFDM symbol (TS 38.211 §6.4.1.1.1.1, Rel-18)."""
    n_id = carrier.n_cell_id if pusch.dmrs.n_id is None else pusch.dmrs.n_id
    time = NUM_SYMBOLS_PER_SLOT * carrier.slot_number + symbol + 1
    return (2**17 * time * (2 * n_id + 1) + 2 * n_id + pusch.dmrs.n_scid) % 2**31


def dmrs_grid(carrier: Carrier, pusch: Pusch, port: int) -> np.ndarray:
    """DM-RS of one port on the slot grid, complex64 [14, num_subcarriers], power offset included, zero elsewhere.

    Source: TS 38.211 §6.4.1.1.3, Rel-18, configuration type 1.
    """
    grid = np.zeros((NUM_SYMBOLS_PER_SLOT, carrier.num_subcarriers), np.complex64)
    num_pilots = carrier.num_subcarriers // 2
    cover = np.resize(np.array(cover_code(port), np.float32), num_pilots)
    scale = np.sqrt(dmrs_power(pusch) / 2)
    for symbol in dmrs_symbols(pusch):
        bits = gold_sequence(dmrs_c_init(carrier, pusch, symbol), 2 * num_pilots).astype(np.float32)
        sequence = (1 - 2 * bits[0::2]) + 1j * (1 - 2 * bits[1::2])
        grid[symbol, cdm_group(port) :: 2] = scale * cover * sequence
    return grid


def reserved_mask(carrier: Carrier, pusch: Pusch) -> np.ndarray:
    """REs of the allocation's DM-RS symbols that carry no data, bool [14, num_subcarriers] (TS 38.211 §6.4.1.1.3)."""
    mask = np.zeros((NUM_SYMBOLS_PER_SLOT, carrier.num_subcarriers), bool)
    for group in range(pusch.dmrs.num_cdm_groups_without_data):
        mask[list(dmrs_symbols(pusch)), group::2] = True
    return mask
