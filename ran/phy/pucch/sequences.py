"""Sequences of formats 0, 1, 3 and 4: group and sequence hopping, and cyclic shifts that change with the symbol."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ran.phy.config import Carrier, Pucch
from ran.phy.low_papr import low_papr_type_1
from ran.phy.sequences import gold_sequence


def _hopping_id(carrier: Carrier, pucch: Pucch) -> int:
    return carrier.n_cell_id if pucch.hopping_id is None else pucch.hopping_id


def group_and_number(carrier: Carrier, pucch: Pucch, hop: int) -> tuple[int, int]:
    """u and v of the base sequence of a hop (TS 38.211 §6.3.2.2.1, Rel-18)."""
    n_id, at = _hopping_id(carrier, pucch), 2 * carrier.slot_number + hop
    if pucch.group_hopping == "enable":
        bits = gold_sequence(n_id // 30, 8 * at + 8)[8 * at :]
        return (int(bits @ (1 << np.arange(8))) % 30 + n_id) % 30, 0
    if pucch.group_hopping == "disable" and pucch.num_subcarriers >= 72:
        return n_id % 30, int(gold_sequence(32 * (n_id // 30) + n_id % 30, at + 1)[at])
    return n_id % 30, 0


def cyclic_shift(carrier: Carrier, pucch: Pucch, symbol: int, shift: int) -> int:
    """Cyclic shift of a symbol in twelfths of a turn per subcarrier, 0 to 11.

    symbol: l + l', in the slot. shift: m_0 + m_cs. Source: TS 38.211 §6.3.2.2.2, Rel-18.
    """
    first = 8 * (carrier.num_symbols * carrier.slot_number + symbol)
    bits = gold_sequence(_hopping_id(carrier, pucch), first + 8)[first:]
    return (shift + int(bits @ (1 << np.arange(8)))) % 12


def symbol_sequence(carrier: Carrier, pucch: Pucch, hop: int, symbol: int, shift: int) -> npt.NDArray[np.complex128]:
    """r_u,v of a symbol with its cyclic shift, complex128 [M_sc], unit modulus (TS 38.211 §5.2.2 and §6.3.2.2)."""
    group, number = group_and_number(carrier, pucch, hop)
    turns = np.arange(pucch.num_subcarriers) * cyclic_shift(carrier, pucch, symbol, shift) % 12
    base = low_papr_type_1(group, number, pucch.num_subcarriers)
    return np.asarray(np.exp(2j * np.pi * turns / 12) * base, np.complex128)
