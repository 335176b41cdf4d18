"""What an SRS is: base sequences, cyclic shifts and combs of the ports, and the resource grid."""

from __future__ import annotations

import numpy as np

from ran.phy.config import Carrier, Srs
from ran.phy.low_papr import low_papr_type_1
from ran.phy.sequences import gold_sequence
from ran.phy.srs.position import num_prb_of, srs_subcarriers, srs_symbols


def sequence_length(srs: Srs) -> int:
    """M_sc,b: resource elements of a port in an OFDM symbol."""
    return 12 * num_prb_of(srs) // srs.comb


def cyclic_shift_of_port(srs: Srs, port: int) -> int:
    """n_SRS^cs,i of port 1000 + `port` (TS 38.211 §6.4.1.4.2, Rel-18)."""
    most = srs.max_cyclic_shifts
    if srs.num_ports == 4 and most == 6:
        # four shifts do not fit into six evenly: two, on two combs
        return (srs.cyclic_shift + most * (port // 2) // 2) % most
    return (srs.cyclic_shift + most * port // srs.num_ports) % most


def comb_of_port(srs: Srs, port: int) -> int:
    """k_TC of port 1000 + `port` (TS 38.211 §6.4.1.4.3, Rel-18): the second and last of four may be on a comb apart."""
    most = srs.max_cyclic_shifts
    apart = srs.num_ports == 4 and port % 2 == 1 and (most == 6 or srs.cyclic_shift >= most // 2)
    return (srs.comb_offset + srs.comb // 2) % srs.comb if apart else srs.comb_offset


def base_sequence(carrier: Carrier, srs: Srs, index: int = 0) -> np.ndarray:
    """r_u,v without cyclic shift in SRS symbol number `index`, complex128 [M_sc,b], unit modulus.

    Group and sequence hopping: TS 38.211 §6.4.1.4.2, Rel-18; unlike those of DM-RS, both start from c_init = n_id.
    """
    n_id = carrier.n_cell_id if srs.n_id is None else srs.n_id
    length = sequence_length(srs)
    time = carrier.num_symbols * carrier.slot_number + srs_symbols(carrier, srs)[index]
    group, number = n_id % 30, 0
    if srs.hopping == "group":
        bits = gold_sequence(n_id, 8 * time + 8)[8 * time :]
        group = (int(bits @ (1 << np.arange(8))) % 30 + n_id) % 30
    elif srs.hopping == "sequence" and length >= 72:
        number = int(gold_sequence(n_id, time + 1)[time])
    return low_papr_type_1(group, number, length)


def srs_grid(carrier: Carrier, srs: Srs, frame_number: int = 0) -> np.ndarray:
    """The SRS of every port on the carrier's grid, complex64 [num_ports, num_symbols, num_subcarriers].

    The ports share unit power: each has 1/num_ports on its resource elements. Zero elsewhere.
    `InputError` where the SRS is not within the carrier, or is not sent in its slot.
    Source: TS 38.211 §6.4.1.4.2 and §6.4.1.4.3, Rel-18, with beta_SRS = 1.
    """
    grid = np.zeros((srs.num_ports, carrier.num_symbols, carrier.num_subcarriers), np.complex64)
    n = np.arange(sequence_length(srs))
    for index, symbol in enumerate(srs_symbols(carrier, srs)):
        sequence = base_sequence(carrier, srs, index) / np.sqrt(srs.num_ports)
        for port in range(srs.num_ports):
            turns = np.exp(2j * np.pi * n * cyclic_shift_of_port(srs, port) / srs.max_cyclic_shifts)
            places = srs_subcarriers(carrier, srs, comb_of_port(srs, port), index, frame_number)
            grid[port, symbol, places] = turns * sequence
    return grid
