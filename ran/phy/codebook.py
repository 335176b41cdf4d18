"""Codebook of PUSCH precoding matrices, named by the TPMI."""

from __future__ import annotations

import numpy as np

from ran.errors import bad_value

# One word per layer, one letter per antenna port: 0, +, -, j, and k for -j. Scaling follows from the number of entries.
_SINGLE_LAYER_4 = (
    *("+000", "0+00", "00+0", "000+", "+0+0", "+0-0", "+0j0", "+0k0", "0+0+", "0+0-", "0+0j", "0+0k"),
    *("++++", "++jj", "++--", "++kk", "+j+j", "+jj-", "+j-k", "+jk+"),
    *("+-+-", "+-jk", "+--+", "+-kj", "+k+k", "+kj+", "+k-j", "+kk-"),
)
_CODEBOOKS: dict[tuple[int, int], tuple[str, ...]] = {
    # TS 38.211 table 6.3.1.5-1
    (1, 2): ("+0", "0+", "++", "+-", "+j", "+k"),
    # TS 38.211 table 6.3.1.5-3, transform precoding disabled
    (1, 4): _SINGLE_LAYER_4,
    # TS 38.211 table 6.3.1.5-4
    (2, 2): ("+0 0+", "++ +-", "+j +k"),
    # TS 38.211 table 6.3.1.5-5
    (2, 4): (
        *("+000 0+00", "+000 00+0", "+000 000+", "0+00 00+0", "0+00 000+", "00+0 000+"),
        *("+0+0 0+0k", "+0+0 0+0j", "+0k0 0+0+", "+0k0 0+0-", "+0-0 0+0k", "+0-0 0+0j", "+0j0 0+0+", "+0j0 0+0-"),
        *("++++ ++--", "++jj ++kk", "+j+j +j-k", "+jj- +jk+", "+-+- +--+", "+-jk +-kj", "+k+k +k-j", "+kj+ +kk-"),
    ),
    # TS 38.211 table 6.3.1.5-6
    (3, 4): (
        *("+000 0+00 00+0", "+0+0 0+00 000+", "+0-0 0+00 000+"),
        *("++++ +-+- ++--", "++jj +-jk ++kk", "+-+- ++++ +--+", "+-jk ++jj +-kj"),
    ),
    # TS 38.211 table 6.3.1.5-7
    (4, 4): (
        *("+000 0+00 00+0 000+", "+0+0 +0-0 0+0+ 0+0-", "+0j0 +0k0 0+0j 0+0k"),
        *("++++ +-+- ++-- +--+", "++jj +-jk ++kk +-kj"),
    ),
}
# TS 38.211 table 6.3.1.5-2, transform precoding enabled. Compared with OpenAirInterface (gNB_scheduler_srs.c) and a
# port of MATLAB's; the other tables with Sionna.
_SINGLE_LAYER_4_TRANSFORM = (
    *_SINGLE_LAYER_4[:12],
    *("+++-", "++jj", "++-+", "++kk", "+j+j", "+jj+", "+j-k", "+jk-"),
    *("+-++", "+-jk", "+---", "+-kj", "+k+k", "+kj-", "+k-j", "+kk+"),
)
_ENTRY = {"0": 0, "+": 1, "-": -1, "j": 1j, "k": -1j}


def num_tpmi(num_layers: int, num_antenna_ports: int) -> int:
    """Number of precoding matrices of a codebook."""
    return len(_CODEBOOKS[num_layers, num_antenna_ports]) if num_antenna_ports > 1 else 1


def precoding_matrix(num_layers: int, num_antenna_ports: int, tpmi: int, transform_precoding: bool) -> np.ndarray:
    """W of TS 38.211 §6.3.1.5, Rel-18, complex128 [num_antenna_ports, num_layers].

    Layers of unit power then leave the antenna ports with at most unit power together.
    """
    if num_antenna_ports == 1:
        words = "+"
    else:
        table = _CODEBOOKS.get((num_layers, num_antenna_ports))
        if table is None:
            raise bad_value("num_layers, num_antenna_ports", (num_layers, num_antenna_ports), f"{sorted(_CODEBOOKS)}")
        if transform_precoding and (num_layers, num_antenna_ports) == (1, 4):
            table = _SINGLE_LAYER_4_TRANSFORM
        if not 0 <= tpmi < len(table):
            raise bad_value("tpmi", tpmi, f"0 to {len(table) - 1} (TS 38.211 §6.3.1.5)")
        words = table[tpmi]
    w = np.array([[_ENTRY[letter] for letter in word] for word in words.split()]).T.astype(complex)
    return w / np.sqrt(max(num_antenna_ports, int(np.count_nonzero(w))))
