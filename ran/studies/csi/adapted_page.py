"""Rank and CQI on the page of a CSI experiment, where they are part of the report."""

from __future__ import annotations

from typing import Any

from ran.stats import Estimate, Notation
from ran.studies.csi.adapted_link import ranks_of
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.run import CsiResults

_MEAN, _BITS, _MBPS = Notation(2), Notation(0), Notation(1)
_DB = Notation(6, "significant")
_PERCENT = Notation(1, scale=100, suffix=" %")


def said(experiment: CsiExperiment) -> str:
    """What reports say beside the precoder, in a few words."""
    ranks, report = ranks_of(experiment), experiment.report
    rank = f"RI, 1 to {ranks[-1]}" if len(ranks) > 1 else f"rank {ranks[0]}, without RI"
    return f"{rank}; {'wideband and subband' if report.subband_cqi else 'wideband'} CQI of table {report.cqi_table}"


def middle_db(experiment: CsiExperiment) -> float:
    """The SNR of what is shown of one alone."""
    snr_db = sorted(experiment.throughput.snr_db)
    return snr_db[len(snr_db) // 2]


def titles(experiment: CsiExperiment) -> list[str]:
    """Columns of the table of ranks and CQI, after the report's and that of the SNR."""
    ranks = ranks_of(experiment)
    shares = [f"rank {rank}, share of users" for rank in ranks] if len(ranks) > 1 else []
    return [*shares, "CQI", "bits with RI and CQI", "blocks lost", "Mbit/s", "best MCS per layer, Mbit/s"]


def rows(results: CsiResults) -> list[dict[str, Any]]:
    """A row per report and SNR; none where reports have no rank and CQI."""
    experiment = results.experiment
    ranks, found = ranks_of(experiment), []
    for outcome in results.outcomes if ranks else ():
        for snr_db in experiment.throughput.snr_db:
            at = f"{snr_db:g}"
            shares = [outcome.value(f"share_rank{rank}_{at}") for rank in ranks] if len(ranks) > 1 else []
            cells = [_cell(share, _PERCENT) for share in shares]
            cells += [_cell(outcome.value(f"cqi_{at}"), _MEAN), _cell(outcome.value(f"report_bits_{at}"), _BITS)]
            cells.append(_cell(outcome.value(f"adapted_bler_{at}").clipped(0, 1), _PERCENT))
            cells.append(_cell(outcome.value(f"adapted_mbps_{at}"), _MBPS))
            genie = f"mbps_1_{at}"
            cells.append(_cell(outcome.value(genie), _MBPS) if genie in outcome.figures else _EMPTY)
            found.append({"curve": outcome.curve, "title": outcome.title, "snr_db": _DB.number(snr_db), "cells": cells})
    return found


_EMPTY = {"value": "", "interval": ""}


def _cell(estimate: Estimate, notation: Notation) -> dict[str, str]:
    interval = "" if estimate.low == estimate.high else notation.interval(estimate)
    return {"value": notation.value(estimate), "interval": interval}
