"""Sounding reference signals: where they are, what they are, and the channel of every port from them."""

from ran.phy.srs.bandwidth import bandwidth_levels, widest_configuration
from ran.phy.srs.estimator import SrsEstimate, SrsEstimator
from ran.phy.srs.position import first_prb, is_sent, srs_subcarriers, srs_symbols
from ran.phy.srs.signal import base_sequence, comb_of_port, cyclic_shift_of_port, srs_grid
from ran.phy.srs.tpmi import best_tpmi

__all__ = [
    "SrsEstimate",
    "SrsEstimator",
    "bandwidth_levels",
    "base_sequence",
    "best_tpmi",
    "comb_of_port",
    "cyclic_shift_of_port",
    "first_prb",
    "is_sent",
    "srs_grid",
    "srs_subcarriers",
    "srs_symbols",
    "widest_configuration",
]
