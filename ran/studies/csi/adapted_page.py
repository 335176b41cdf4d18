"""Rank and CQI on the page of a CSI experiment, where they are part of the report."""

from __future__ import annotations

from typing import Any

from ran.stats import Estimate, Notation
from ran.studies.csi.adapted_link import ranks_of
from ran.studies.csi.experiment import CsiExperiment
from ran.studies.csi.outcome import PointOutcome
from ran.studies.csi.run import CsiResults

_MEAN, _BITS, _TENTH = Notation(2), Notation(0), Notation(1)
_PERCENT = Notation(1, scale=100, suffix=" %")


def said(experiment: CsiExperiment) -> str:
    """What reports say beside the precoder, in a few words."""
    ranks, report = ranks_of(experiment), experiment.report
    rank = f"RI, 1 to {ranks[-1]}" if len(ranks) > 1 else f"rank {ranks[0]}, without RI"
    return f"{rank}; {'wideband and subband' if report.subband_cqi else 'wideband'} CQI of table {report.cqi_table}"


def middle_db(experiment: CsiExperiment) -> float:
    """The SNR at which points are shown in the table of all."""
    snr_db = sorted(experiment.throughput.snr_db)
    return snr_db[len(snr_db) // 2]


def summary_titles(experiment: CsiExperiment) -> list[str]:
    """Columns that the table of all points has for what is reported; none without."""
    if not ranks_of(experiment):
        return []
    at = f"at {middle_db(experiment):g} dB"
    return ["bits with RI, CQI", "RI, CQI", f"1 user by RI, CQI {at}, Mbit/s"]


def summary_cells(experiment: CsiExperiment, outcome: PointOutcome) -> list[dict[str, str]]:
    """A point's cells under `summary_titles`."""
    if not ranks_of(experiment):
        return []
    at = f"{middle_db(experiment):g}"
    rank, cqi = (outcome.value(f"{name}_{at}").known for name in ("rank", "cqi"))
    return [
        _cell(outcome.value(f"report_bits_{at}"), _BITS),
        {"value": f"{_MEAN.number(rank)}, {_TENTH.number(cqi)}", "interval": ""},
        _cell(outcome.value(f"adapted_mbps_{at}"), _TENTH),
    ]


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
            cells.append(_cell(outcome.value(f"adapted_bler_{at}"), _PERCENT))
            cells.append(_cell(outcome.value(f"adapted_mbps_{at}"), _TENTH))
            genie = f"mbps_1_{at}"
            cells.append(_cell(outcome.value(genie), _TENTH) if genie in outcome.figures else _EMPTY)
            found.append({"curve": outcome.curve, "title": outcome.title, "snr_db": at, "cells": cells})
    return found


_EMPTY = {"value": "", "interval": ""}


def _cell(estimate: Estimate, notation: Notation) -> dict[str, str]:
    interval = "" if estimate.low == estimate.high else notation.interval(estimate)
    return {"value": notation.value(estimate), "interval": interval}
