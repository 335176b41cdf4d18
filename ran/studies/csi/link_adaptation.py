"""CQI and rank that a user reports: effective SINR against error rates that the link was measured to have."""

from __future__ import annotations

from functools import cache

import numpy as np

from ran.errors import bad_value
from ran.phy.csi.cqi import cqi_of, cqi_table
from ran.phy.csi.cqi_report import CqiFields
from ran.phy.mcs import McsEntry, transport_block_size
from ran.phy.transport_block import TransportBlock
from ran.studies.adaptation.effective import effective_sinr_db
from ran.studies.adaptation.reference import CodeBlocks, reference_curves

#: Block error rate that a CQI stands for (TS 38.214 §5.2.2.1).
_TARGET_BLER = {1: 0.1, 2: 0.1, 3: 1e-5, 4: 0.1}
#: Resource elements per PRB of the reference resource: 12 symbols with data.
_RE_PER_PRB = 144


@cache
def thresholds_db(table: int, num_prb: int) -> np.ndarray:
    """SNR over AWGN at which every CQI's transport block over the band has the error rate of the table, float64 [15].

    From the waterfalls of `ran.studies.adaptation.reference`. A CQI whose rate no MCS table has takes the waterfall of
    the MCS of its modulation with the nearest rate, moved by the difference of both rates' capacities over white
    noise.
    """
    return np.array(
        [_threshold_db(entry.bits_per_symbol, entry.rate_x1024, num_prb, table) for entry in cqi_table(table)]
    )


def _threshold_db(bits_per_symbol: int, rate_x1024: float, num_prb: int, table: int) -> float:
    known = [entry for entry in reference_curves() if entry.bits_per_symbol == bits_per_symbol]
    nearest = min(known, key=lambda entry: abs(entry.target_rate_x1024 - rate_x1024))
    num_re = _RE_PER_PRB * num_prb
    size = transport_block_size(num_re, nearest.target_rate, bits_per_symbol)
    block = TransportBlock(size, num_re * bits_per_symbol, nearest.target_rate, bits_per_symbol)
    found = CodeBlocks.of(block).snr_db(_TARGET_BLER[table])
    return found + _capacity_snr_db(bits_per_symbol, rate_x1024) - _capacity_snr_db(bits_per_symbol, _rate(nearest))


def _rate(entry: McsEntry) -> float:
    return entry.target_rate_x1024


def _capacity_snr_db(bits_per_symbol: int, rate_x1024: float) -> float:
    return float(10 * np.log10(2 ** (bits_per_symbol * rate_x1024 / 1024) - 1))


def reported_cqi(sinr: np.ndarray, units: tuple[range, ...], table: int = 2) -> list[CqiFields]:
    """Wideband and differential subband CQI of drops with one transport block.

    sinr float64 [num_drops, num_layers, num_prb], linear, as `one_user_sinr` gives it: all layers carry the block.
    """
    num_prb = sinr.shape[-1]
    limits = thresholds_db(table, num_prb)
    sinr_db = 10 * np.log10(np.maximum(sinr, 1e-9))

    def effective(part: np.ndarray) -> np.ndarray:
        return effective_sinr_db(part.reshape(len(part), -1), "miesm", 6, 1.0)

    wideband = cqi_of(effective(sinr_db), limits)
    subbands = np.stack([cqi_of(effective(sinr_db[..., list(unit)]), limits) for unit in units], 1)
    return [CqiFields.of(int(w), [int(i) for i in row]) for w, row in zip(wideband, subbands, strict=True)]


def reported_rank(sinr_by_rank: list[np.ndarray], table: int = 2) -> np.ndarray:
    """The rank with the highest efficiency at its own wideband CQI, int64 [num_drops]; the lower of equals.

    sinr_by_rank: of every rank from 1 on, float64 [num_drops, rank, num_prb].
    """
    if not sinr_by_rank:
        raise bad_value("sinr_by_rank", [], "one array per rank, from 1 on")
    limits = thresholds_db(table, sinr_by_rank[0].shape[-1])
    efficiency = np.array([0.0, *(entry.efficiency for entry in cqi_table(table))])
    found = []
    for rank, sinr in enumerate(sinr_by_rank, 1):
        sinr_db = 10 * np.log10(np.maximum(sinr, 1e-9)).reshape(len(sinr), -1)
        found.append(rank * efficiency[cqi_of(effective_sinr_db(sinr_db, "miesm", 6, 1.0), limits)])
    return np.asarray(np.argmax(found, 0) + 1)
