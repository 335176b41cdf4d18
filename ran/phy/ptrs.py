"""Phase-tracking reference signals of a PUSCH without transform precoding."""

from __future__ import annotations

import numpy as np

from ran.errors import InputError
from ran.phy.allocation import placement_of
from ran.phy.codebook import precoding_matrix
from ran.phy.config import Carrier, Pusch
from ran.phy.dmrs import dmrs_sequence, dmrs_symbols, num_ports, pilot_subcarriers

# k_ref^RE by DM-RS port and resourceElementOffset, TS 38.211 table 6.4.1.2.2.1-1; compared with OpenAirInterface
# (ptrs_nr.c) and with MATLAB's
_FIRST_RE: dict[int, tuple[tuple[int, int, int, int], ...]] = {
    1: ((0, 2, 6, 8), (2, 4, 8, 10), (1, 3, 7, 9), (3, 5, 9, 11)),
    2: ((0, 1, 6, 7), (1, 6, 7, 0), (2, 3, 8, 9), (3, 8, 9, 2), (4, 5, 10, 11), (5, 10, 11, 4)),
}


def ptrs_symbols(pusch: Pusch) -> tuple[int, ...]:
    """OFDM symbols of the slot that carry PT-RS (TS 38.211 §6.4.1.2.2.1, Rel-18)."""
    if pusch.ptrs is None:
        return ()
    step = pusch.ptrs.time_density
    dmrs = {symbol - pusch.start_symbol for symbol in dmrs_symbols(pusch)}
    found, i, reference = [], 0, 0
    while (symbol := reference + i * step) < pusch.num_symbols:
        overlap = next((s for s in range(max(symbol - step + 1, reference), symbol + 1) if s in dmrs), None)
        if overlap is None:
            found.append(symbol)
            i += 1
        else:
            reference, i = overlap + pusch.dmrs.length - 1, 1
    return tuple(pusch.start_symbol + symbol for symbol in found)


def ptrs_subcarriers(carrier: Carrier, pusch: Pusch, n_rnti: int, port: int) -> np.ndarray:
    """Subcarriers that carry the PT-RS associated with a DM-RS port (TS 38.211 §6.4.1.2.2.1, Rel-18)."""
    if pusch.ptrs is None:
        return np.zeros(0, int)
    if port >= num_ports(pusch.dmrs) // pusch.dmrs.length:
        raise InputError(
            f"users.dmrs_ports: got port {port} with PT-RS; allowed: 0 to {len(_FIRST_RE[pusch.dmrs.config_type]) - 1} "
            "(TS 38.214 §6.2.2)"
        )
    step = pusch.ptrs.frequency_density
    num_prb = placement_of(carrier, pusch).num_prb
    first_prb = n_rnti % (num_prb % step or step)
    re = _FIRST_RE[pusch.dmrs.config_type][port][pusch.ptrs.re_offset]
    return 12 * np.arange(first_prb, num_prb, step) + re


def ptrs_amplitude(pusch: Pusch) -> float:
    """Amplitude of PT-RS relative to a data symbol of its layer (TS 38.214 table 6.2.3.1-3, Rel-18, one PT-RS port).

    Powers with full coherence and without any are those of US 11115932 and US 10999031; 3 dB for 4 layers with
    partial coherence follows from their principle, power from muted layers.
    """
    if pusch.ptrs is None or pusch.num_layers == 1:
        return 1.0
    boost = pusch.num_layers
    if pusch.ptrs.power == 0:
        if pusch.num_antenna_ports is None:
            boost = 1
        else:
            w = precoding_matrix(pusch.num_layers, pusch.num_antenna_ports, pusch.tpmi, False)
            entries = np.count_nonzero(w[:, 0])
            if entries < pusch.num_antenna_ports:
                boost = 2 if entries == 2 and pusch.num_layers == 4 else 1
    return float(np.sqrt(boost))


def ptrs_grid(carrier: Carrier, pusch: Pusch, n_rnti: int, port: int) -> np.ndarray:
    """PT-RS associated with one DM-RS port, complex64 [14, num_subcarriers], zero elsewhere.

    The sequence is that of the first DM-RS symbol at the same subcarrier, without cover codes.
    Source: TS 38.211 §6.4.1.2.1.1 and §6.4.1.2.2.1, Rel-18.
    """
    num_subcarriers = placement_of(carrier, pusch).num_subcarriers
    grid = np.zeros((carrier.num_symbols, num_subcarriers), np.complex64)
    first = dmrs_symbols(pusch)[0]
    along = np.zeros(num_subcarriers, complex)
    config_type = pusch.dmrs.config_type
    along[pilot_subcarriers(port, config_type, num_subcarriers)] = dmrs_sequence(carrier, pusch, first, first)
    subcarriers = ptrs_subcarriers(carrier, pusch, n_rnti, port)
    grid[np.ix_(np.array(ptrs_symbols(pusch), int), subcarriers)] = ptrs_amplitude(pusch) * along[subcarriers]
    return grid
