"""A PUCCH of any format on the carrier's grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ran.errors import bad_value
from ran.phy.config import Carrier, Pucch
from ran.phy.pucch.coded_formats import coded_grid, uci_code
from ran.phy.pucch.hops import hops
from ran.phy.pucch.sequence_formats import sequence_grid


def pucch_grid(
    carrier: Carrier, pucch: Pucch, bits: npt.ArrayLike, scheduling_request: bool = False
) -> npt.NDArray[np.complex64]:
    """PUCCHs with their DM-RS, complex64 [batch, num_symbols, num_subcarriers], zero elsewhere.

    bits [batch, num_bits] of 0 and 1; a HARQ-ACK bit of 1 is an ACK. scheduling_request: a positive SR in format 0. The
    mean power per resource element of the PUCCH is 1. Raises `InputError` where the PUCCH is not within the carrier or
    bits do not fit. Source: TS 38.211 §6.3.2 and §6.4.1.3, TS 38.212 §6.3.1, Rel-18.
    """
    payload = np.asarray(bits, np.uint8)
    if payload.ndim != 2 or payload.shape[1] != pucch.num_bits:
        raise bad_value("shape of PUCCH bits", payload.shape, f"[batch, {pucch.num_bits}]")
    if payload.max(initial=0) > 1:
        raise bad_value("PUCCH bits", int(payload.max()), "0 and 1")
    if not len(payload):
        hops(carrier, pucch)
        return np.zeros((0, carrier.num_symbols, carrier.num_subcarriers), np.complex64)
    if pucch.format >= 2:
        if scheduling_request:
            raise bad_value("scheduling_request", True, "format 0; in formats 2 to 4 it is a bit of the payload")
        return coded_grid(carrier, pucch, uci_code(carrier, pucch).encode(payload))
    words, which = np.unique(payload, axis=0, return_inverse=True)
    grids = [sequence_grid(carrier, pucch, tuple(map(int, word)), scheduling_request) for word in words]
    return np.stack(grids)[which.reshape(-1)]
