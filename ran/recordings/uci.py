"""UCI of a recorded slot: what a receiver's LLRs say, and whether there was any."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from ran.phy.codeword import Codeword
from ran.phy.shared_grid import SharedGrid
from ran.phy.uci.coding import UciCode
from ran.phy.uci.small_block import small_pattern
from ran.recordings.slot_result import UciResult

#: Probability that noise alone is taken for UCI without a CRC.
_UCI_FALSE_ALARM = 1e-2


def has_ulsch(grid: SharedGrid) -> bool:
    """Whether a slot carries a transport block, and not UCI alone."""
    uci = grid.codewords[0].uci
    return uci is None or uci.uci.has_ulsch


def uci_results(
    label: str, grid: SharedGrid, llr: NDArray[np.float32], has_signal: bool, users: Sequence[int]
) -> list[UciResult]:
    """UCI of all users of one slot from LLRs [1, num_layers, num_data_re, bits_per_symbol]. users: their numbers."""
    found: list[UciResult] = []
    parts = zip(grid.codewords, grid.split_layers(llr), grid.blocks_of_codewords, strict=True)
    for codeword, own, blocks in parts:
        found += _of_codeword(label, codeword, own, has_signal, users[blocks])
    return found


def _of_codeword(
    label: str, codeword: Codeword, llr: NDArray[np.float32], has_signal: bool, users: Sequence[int]
) -> list[UciResult]:
    found = []
    for kind, decision in codeword.decode_uci(llr).items():
        code = codeword.uci.codes[kind] if codeword.uci is not None else None
        for user, number in enumerate(users):
            ok, metric = bool(decision.ok[user]), float(decision.metric[user])
            if code is not None and code.num_bits <= 11:
                # the best of 2^A sums of signs over E coded bits, each Gaussian of variance 1 / E in noise
                words, used = 2**code.num_bits, max(code.num_coded_bits - _unused(code), 1)
                ok = metric > float(norm.isf(_UCI_FALSE_ALARM / words)) / math.sqrt(used)
            found.append(UciResult(label, number, kind, decision.bits[user], ok and has_signal, metric))
    return found


def _unused(code: UciCode) -> int:
    """Coded bits that say nothing: placeholders X."""
    if code.num_bits > 2:
        return 0
    pattern = small_pattern(code.num_bits, code.bits_per_symbol)
    return int((pattern[np.arange(code.num_coded_bits) % len(pattern)] == 3).sum())
