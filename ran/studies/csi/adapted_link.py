"""Rank and CQI in the report: chosen by the user for its own report's precoder, and the PDSCH that goes by them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ran.phy.csi.cqi_report import CqiFields
from ran.phy.csi.rank_and_cqi import RankAndCqi
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.link_adaptation import (
    efficiency_of,
    mcs_of,
    reported_cqi,
    sent_block,
    wideband_cqi,
)
from ran.studies.csi.throughput import one_user_sinr
from ran.studies.job import Arrays

#: From a rank to the decoded precoders of a report at this rank, complex64 [num_drops, rank, num_units, num_ports], and
#: the bits that tell them, int64 [num_drops].
OfRank = Callable[[int], tuple[np.ndarray, np.ndarray]]


def ranks_of(experiment: CsiExperiment) -> tuple[int, ...]:
    """Ranks that a user may report; none without rank and CQI in the report."""
    rank = experiment.report.rank
    if rank is None:
        return ()
    return tuple(range(1, experiment.num_layers + 1)) if rank == "adaptive" else (rank,)


def adapted_names(experiment: CsiExperiment) -> list[str]:
    """Names of the figures, an SNR after the other."""
    ranks = ranks_of(experiment)
    shares = [f"share_rank{rank}" for rank in ranks] if len(ranks) > 1 else []
    names = ["rank", *shares, "cqi", "report_bits", "adapted_bler", "adapted_mbps"] if ranks else []
    return [f"{name}_{snr_db:g}" for snr_db in experiment.throughput.snr_db for name in names]


def adapted(experiment: CsiExperiment, of_rank: OfRank, known: np.ndarray, h: np.ndarray) -> Arrays:
    """The figures of `adapted_names`, each [num_drops].

    known complex64 [num_drops, num_rx_ant, num_ports, num_prb]: the channel as the user last estimated it, from which
    it chooses. h: the channel that the data meet. The user computes the SINR after its own receiver of every rank that
    it may report, with the precoder that the base station will decode, and reports the rank with the highest efficiency
    at its CQI, and this CQI. Both go through the bits of the report. The base station sends one transport block with
    this rank and the MCS of the CQI, or nothing at CQI 0; blocks that fail are lost, there is no retransmission.
    """
    report, units = experiment.report, experiment.band.units
    ranks = ranks_of(experiment)
    reports = {rank: of_rank(rank) for rank in ranks}
    found: Arrays = {}
    for snr_db in experiment.throughput.snr_db:
        snr = 10 ** (snr_db / 10)
        sinr = {rank: one_user_sinr(known, precoder, units, snr) for rank, (precoder, _) in reports.items()}
        cqi = {rank: wideband_cqi(of_one, report.cqi_table) for rank, of_one in sinr.items()}
        efficiency = [rank * efficiency_of(cqi[rank], report.cqi_table) for rank in ranks]
        chosen = np.array(ranks)[np.argmax(efficiency, 0)]
        told = np.zeros((len(h), 2), np.int64)
        num_bits = np.zeros(len(h))
        for rank in ranks:
            rows = np.flatnonzero(chosen == rank)
            if report.subband_cqi:
                fields = reported_cqi(sinr[rank][rows], units, report.cqi_table) if len(rows) else []
            else:
                fields = [CqiFields(int(index)) for index in cqi[rank][rows]]
            for row, own in zip(rows, fields, strict=True):
                bits = RankAndCqi(rank, ranks, own).bits
                said = RankAndCqi.of_bits(bits, ranks, len(own.subbands))
                told[row] = said.rank, said.cqi.wideband
                num_bits[row] = reports[rank][1][row] + len(bits)
        own_figures = {"rank": told[:, 0].astype(float), "cqi": told[:, 1].astype(float), "report_bits": num_bits}
        own_figures |= _sent(experiment, told, {rank: precoder for rank, (precoder, _) in reports.items()}, h, snr)
        if len(ranks) > 1:
            own_figures |= {f"share_rank{rank}": (told[:, 0] == rank).astype(float) for rank in ranks}
        found |= {f"{name}_{snr_db:g}": values for name, values in own_figures.items()}
    return found


def _sent(
    experiment: CsiExperiment, told: np.ndarray, precoders: dict[int, np.ndarray], h: np.ndarray, snr: float
) -> Arrays:
    """What arrives of what is sent by ranks and CQI, `told` int64 [num_drops, 2]. A drop to which nothing is sent has
    the block error rate 0."""
    slot_s = 15e-3 / experiment.band.subcarrier_spacing_khz
    bler, mbps = np.zeros(len(told)), np.zeros(len(told))
    for rank, cqi in np.unique(told, axis=0).tolist():
        if cqi == 0:
            continue
        rows = np.flatnonzero((told == (rank, cqi)).all(1))
        sinr = one_user_sinr(h[rows], precoders[rank][rows], experiment.band.units, snr)
        size, bler[rows] = sent_block(sinr, mcs_of(cqi, experiment.report.cqi_table))
        mbps[rows] = size * (1 - bler[rows]) / slot_s / 1e6
    return {"adapted_bler": bler, "adapted_mbps": mbps}
