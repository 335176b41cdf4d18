"""CQI and rank that a user reports, and what a base station sends that goes by them: effective SINR against error rates
that the link was measured to have."""

from __future__ import annotations

from functools import cache

import numpy as np

from ran.errors import bad_value
from ran.phy.csi.cqi import CqiEntry, cqi_table
from ran.phy.csi.cqi_report import CqiFields
from ran.phy.mcs import McsEntry, mcs, num_mcs, transport_block_size
from ran.phy.transport_block import TransportBlock
from ran.studies.adaptation.effective import effective_sinr_db
from ran.studies.adaptation.reference import CodeBlocks, reference_curves

#: Block error rate that a CQI stands for (TS 38.214 §5.2.2.1).
TARGET_BLER = {1: 0.1, 2: 0.1, 3: 1e-5, 4: 0.1}
#: Resource elements per PRB of the reference resource: 12 symbols with data (TS 38.214 §5.2.2.5).
_RE_PER_PRB = 144


@cache
def thresholds_db(table: int, num_prb: int, num_layers: int = 1) -> np.ndarray:
    """SNR over AWGN at which every CQI's transport block over the band has the error rate of the table, float64 [15].

    From the waterfalls of `ran.studies.adaptation.reference`. A CQI whose rate no MCS table has takes the waterfall of
    the MCS of its modulation with the nearest rate, moved by the difference of both rates' capacities over white
    noise. num_layers: of the block, which is longer with more.
    """
    return np.array([_threshold_db(entry, num_prb, num_layers, table) for entry in cqi_table(table)])


def _threshold_db(entry: CqiEntry, num_prb: int, num_layers: int, table: int) -> float:
    order, rate = entry.bits_per_symbol, entry.rate_x1024
    known = [entry for entry in reference_curves() if entry.bits_per_symbol == order]
    nearest = min(known, key=lambda entry: abs(entry.target_rate_x1024 - rate))
    found = CodeBlocks.of(_block(nearest, num_prb, num_layers)).snr_db(TARGET_BLER[table])
    return found + _capacity_snr_db(order, rate) - _capacity_snr_db(order, nearest.target_rate_x1024)


def _block(entry: McsEntry, num_prb: int, num_layers: int) -> TransportBlock:
    num_re = _RE_PER_PRB * num_prb
    size = transport_block_size(num_re, entry.target_rate, entry.bits_per_symbol, num_layers)
    num_coded = num_re * entry.bits_per_symbol * num_layers
    return TransportBlock(size, num_coded, entry.target_rate, entry.bits_per_symbol, num_layers)


def _capacity_snr_db(bits_per_symbol: int, rate_x1024: float) -> float:
    return float(10 * np.log10(2 ** (bits_per_symbol * rate_x1024 / 1024) - 1))


def _effective_db(sinr: np.ndarray, bits_per_symbol: int) -> np.ndarray:
    """Of one block over all layers and PRBs, float64 [num_drops]; sinr [num_drops, num_layers, num_prb], linear."""
    sinr_db = 10 * np.log10(np.maximum(sinr, 1e-9)).reshape(len(sinr), -1)
    return effective_sinr_db(sinr_db, "miesm", bits_per_symbol, 1.0)


def wideband_cqi(sinr: np.ndarray, table: int, num_prb: int | None = None) -> np.ndarray:
    """The highest CQI whose transport block would fail no more often than the table allows, 0 where none does, int64
    [num_drops] (TS 38.214 §5.2.2.1).

    sinr float64 [num_drops, num_layers, num_prb], linear, as `one_user_sinr` gives it: all layers carry the block. The
    effective SINR is by the information rates of each CQI's own modulation. num_prb: of the block, where the SINRs are
    of a part of it.
    """
    limits = thresholds_db(table, num_prb or sinr.shape[-1], sinr.shape[1])
    entries = cqi_table(table)
    effective = {order: _effective_db(sinr, order) for order in {entry.bits_per_symbol for entry in entries}}
    reached = np.stack(
        [effective[entry.bits_per_symbol] >= limit for entry, limit in zip(entries, limits, strict=True)]
    )
    return np.asarray((reached * np.arange(1, len(entries) + 1)[:, None]).max(0), np.int64)


def reported_cqi(sinr: np.ndarray, units: tuple[range, ...], table: int = 2) -> list[CqiFields]:
    """Wideband and differential subband CQI of drops with one transport block; sinr as of `wideband_cqi`."""
    wideband = wideband_cqi(sinr, table)
    num_prb = sinr.shape[-1]
    subbands = np.stack([wideband_cqi(sinr[..., list(unit)], table, num_prb) for unit in units], 1)
    return [CqiFields.of(int(w), [int(i) for i in row]) for w, row in zip(wideband, subbands, strict=True)]


def efficiency_of(cqi: np.ndarray, table: int) -> np.ndarray:
    """Bits per symbol that CQI stand for, 0 for CQI 0; shape of `cqi`."""
    return np.array([0.0, *(entry.efficiency for entry in cqi_table(table))])[cqi]


def reported_rank(sinr_by_rank: list[np.ndarray], table: int = 2) -> np.ndarray:
    """The rank with the highest efficiency at its own wideband CQI, int64 [num_drops]; the lower of equals.

    sinr_by_rank: of every rank from 1 on, float64 [num_drops, rank, num_prb].
    """
    if not sinr_by_rank:
        raise bad_value("sinr_by_rank", [], "one array per rank, from 1 on")
    found = [rank * efficiency_of(wideband_cqi(sinr, table), table) for rank, sinr in enumerate(sinr_by_rank, 1)]
    return np.asarray(np.argmax(found, 0) + 1)


@cache
def mcs_of(cqi: int, table: int) -> McsEntry:
    """The MCS that a base station takes for a CQI from 1 on: of the MCS table of the same number (64QAM, 256QAM, low
    spectral efficiency, 1024QAM) the one with the highest efficiency that the CQI promises; the lowest where all have
    more."""
    promised = cqi_table(table)[cqi - 1].efficiency
    entries = [mcs(table, index) for index in range(num_mcs(table))]
    allowed = [entry for entry in entries if _efficiency(entry) <= promised * (1 + 1e-9)]
    return max(allowed, key=_efficiency) if allowed else min(entries, key=_efficiency)


def _efficiency(entry: McsEntry) -> float:
    return entry.bits_per_symbol * entry.target_rate


def sent_block(sinr: np.ndarray, entry: McsEntry) -> tuple[int, np.ndarray]:
    """Bits of a transport block over all layers and PRBs, and its block error rate at the SINRs that it meets, float64
    [num_drops]; sinr as of `wideband_cqi`."""
    block = _block(entry, sinr.shape[-1], sinr.shape[1])
    return block.tb_size, CodeBlocks.of(block).bler(_effective_db(sinr, entry.bits_per_symbol))
