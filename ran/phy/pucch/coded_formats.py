"""Formats 2, 3 and 4: coded UCI, scrambled, modulated, in formats 3 and 4 transform-precoded; and their DM-RS."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ran.errors import bad_value
from ran.phy.config import Carrier, Pucch
from ran.phy.modulation import modulate
from ran.phy.pucch.hops import data_mask, dmrs_mask, dmrs_symbols, hops
from ran.phy.pucch.sequences import symbol_sequence
from ran.phy.sequences import gold_sequence
from ran.phy.uci.coding import UciCode

# Cyclic shift of the DM-RS of format 4 by cover (TS 38.211 table 6.4.1.3.3.1-1)
_SHIFTS = {2: (0, 6), 4: (0, 6, 3, 9)}


def num_coded_bits(carrier: Carrier, pucch: Pucch) -> int:
    """E_tot: coded bits that the resource carries (TS 38.212 table 6.3.1.4-1, Rel-18)."""
    places = int(data_mask(carrier, pucch).sum())
    return places * pucch.bits_per_symbol // (pucch.spreading_factor if pucch.format == 4 else 1)


def uci_code(carrier: Carrier, pucch: Pucch) -> UciCode:
    """The code of `pucch.num_bits` UCI bits; `InputError` where they do not fit into the resource."""
    most = num_coded_bits(carrier, pucch)
    if pucch.num_bits > most:
        raise bad_value("num_bits of the PUCCH", pucch.num_bits, f"up to {most}, the coded bits of the resource")
    return UciCode(pucch.num_bits, most, pucch.bits_per_symbol)


def scrambling(carrier: Carrier, pucch: Pucch, length: int) -> npt.NDArray[np.uint8]:
    """Scrambling bits, uint8 [length] (TS 38.211 §6.3.2.5.1 and §6.3.2.6.1, Rel-18)."""
    n_id = carrier.n_cell_id if pucch.n_id is None else pucch.n_id
    return gold_sequence((pucch.n_rnti << 15) + n_id, length)


def frequency_cover(spreading_factor: int, index: int) -> npt.NDArray[np.complex128]:
    """w_n of format 4, complex128 [12]: a factor per group of 12/N_SF (TS 38.211 table 6.3.2.6.3-1 and -2, Rel-18)."""
    turns = {2: (0, 2), 4: (0, 3, 2, 1)}[spreading_factor][index]
    groups = turns * np.arange(spreading_factor) % 4
    return np.asarray(np.repeat(np.exp(0.5j * np.pi * groups), 12 // spreading_factor), np.complex128)


def spread(pucch: Pucch, symbols: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """Modulated symbols [..., n] to what the resource elements carry, [..., RE] symbol by symbol.

    Blockwise spreading and transform precoding of formats 3 and 4 (TS 38.211 §6.3.2.6.3 and §6.3.2.6.4, Rel-18).
    """
    if pucch.format == 2:
        return symbols
    size = pucch.num_subcarriers
    repeats = pucch.spreading_factor if pucch.format == 4 else 1
    blocks: npt.NDArray[np.complexfloating] = symbols.reshape(*symbols.shape[:-1], -1, size // repeats)
    if repeats > 1:
        blocks = np.tile(blocks, repeats) * frequency_cover(repeats, pucch.occ_index)
    out = np.fft.fft(blocks, norm="ortho").astype(np.complex64)
    return out.reshape(*symbols.shape[:-1], -1)


def despread(pucch: Pucch, values: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """The inverse of `spread` for equalised resource elements [..., RE]: modulated symbols [..., n]."""
    if pucch.format == 2:
        return values
    size = pucch.num_subcarriers
    repeats = pucch.spreading_factor if pucch.format == 4 else 1
    blocks = np.fft.ifft(values.reshape(*values.shape[:-1], -1, size), norm="ortho")
    if repeats > 1:
        blocks = blocks * frequency_cover(repeats, pucch.occ_index).conj()
        blocks = blocks.reshape(*blocks.shape[:-1], repeats, -1).mean(-2)
    return blocks.reshape(*values.shape[:-1], -1).astype(np.complex64)


def dmrs_grid(carrier: Carrier, pucch: Pucch) -> npt.NDArray[np.complex64]:
    """DM-RS of formats 2, 3, 4 on the carrier's grid, complex64 [num_symbols, num_subcarriers], unit power per RE.

    Source: TS 38.211 §6.4.1.3.2 and §6.4.1.3.3, Rel-18.
    """
    grid = np.zeros((carrier.num_symbols, carrier.num_subcarriers), np.complex64)
    mask, pilots = dmrs_mask(carrier, pucch), dmrs_symbols(pucch)
    for hop in hops(carrier, pucch):
        for symbol in hop.symbols:
            if symbol not in pilots:
                continue
            if pucch.format == 2:
                n_id0 = carrier.n_cell_id if pucch.n_id0 is None else pucch.n_id0
                time = carrier.num_symbols * carrier.slot_number + symbol + 1
                c_init = (2**17 * time * (2 * n_id0 + 1) + 2 * n_id0) % 2**31
                # four per PRB, counted from common resource block 0
                first = 4 * (carrier.first_crb + hop.first_subcarrier // 12)
                count = 4 * pucch.num_prb
                bits = gold_sequence(c_init, 2 * (first + count))[2 * first :]
                grid[symbol, mask[symbol]] = modulate(torch.from_numpy(bits.copy()), 2).numpy()
            else:
                shift = _SHIFTS[pucch.spreading_factor][pucch.occ_index] if pucch.format == 4 else 0
                grid[symbol, mask[symbol]] = symbol_sequence(carrier, pucch, hop.index, symbol, shift)
    return grid


def coded_grid(carrier: Carrier, pucch: Pucch, coded: npt.NDArray[np.uint8]) -> npt.NDArray[np.complex64]:
    """Coded bits [batch, E_tot] of formats 2 to 4 and DM-RS, complex64 [batch, num_symbols, num_subcarriers]."""
    bits = coded ^ scrambling(carrier, pucch, coded.shape[-1])
    symbols = modulate(torch.from_numpy(bits), pucch.bits_per_symbol).numpy()
    grid = np.repeat(dmrs_grid(carrier, pucch)[None], len(coded), axis=0)
    grid[:, data_mask(carrier, pucch)] = spread(pucch, symbols)
    return grid
