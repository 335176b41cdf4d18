"""Demodulation reference signals of PUSCH and PDSCH: configuration types 1 and 2, single and double symbols."""

from __future__ import annotations

import numpy as np

from ran.errors import InputError
from ran.phy.allocation import placement_of
from ran.phy.config import Carrier, Dmrs, Pusch, SharedChannel
from ran.phy.low_papr import hopping, low_papr_type_1, low_papr_type_2
from ran.phy.sequences import gold_sequence

# TS 38.211 tables 6.4.1.1.3-1 and -2 (7.4.1.1.2-1 and -2 are the same): ports come in pairs, one pair per CDM group;
# with double symbols the pairs are repeated with the other time-domain cover code.
_NUM_GROUPS = {1: 2, 2: 3}
#: Subcarriers from one pair of pilots of a port to the next, and between the two pilots of a pair.
PAIR_SPACING = {1: 4, 2: 6}
PILOT_SPACING = {1: 2, 2: 1}
# offset Delta per CDM group
_GROUP_OFFSET = {1: 1, 2: 2}


def dmrs_symbols(channel: SharedChannel) -> tuple[int, ...]:
    """OFDM symbols of the slot that carry DM-RS (TS 38.211 tables 6.4.1.1.3-3, -4 and 7.4.1.1.2-3, -4, Rel-18)."""
    return tuple(symbol for group in channel.dmrs_groups for symbol in group)


def num_ports(dmrs: Dmrs) -> int:
    """Antenna ports that the configuration has: 4, 6, 8 or 12."""
    return 2 * _NUM_GROUPS[dmrs.config_type] * dmrs.length


def cdm_group(port: int, config_type: int = 1) -> int:
    """CDM group of an antenna port (TS 38.211 tables 6.4.1.1.3-1 and -2)."""
    return port // 2 % _NUM_GROUPS[config_type]


def first_subcarrier(port: int, config_type: int = 1) -> int:
    """Delta of TS 38.211 tables 6.4.1.1.3-1 and -2: subcarrier of a port's first pilot."""
    return _GROUP_OFFSET[config_type] * cdm_group(port, config_type)


def cover_code(port: int) -> tuple[int, int]:
    """Frequency-domain cover code w_f of an antenna port (TS 38.211 tables 6.4.1.1.3-1 and -2)."""
    return (1, -1) if port % 2 else (1, 1)


def time_cover_code(port: int, config_type: int = 1) -> tuple[int, int]:
    """Time-domain cover code w_t of an antenna port (TS 38.211 tables 6.4.1.1.3-1 and -2)."""
    return (1, -1) if port >= 2 * _NUM_GROUPS[config_type] else (1, 1)


def ports_of_users(
    channel: SharedChannel, num_users: int, dmrs_ports: tuple[tuple[int, ...], ...] | None
) -> tuple[tuple[int, ...], ...]:
    """DM-RS ports of each user, one per layer; checked for orthogonality and for the REs that data would take."""
    dmrs, num_layers = channel.dmrs, channel.num_layers
    groups, per_symbol = dmrs.num_cdm_groups_without_data, 2 * _NUM_GROUPS[dmrs.config_type]
    clause = f"TS 38.211 table 6.4.1.1.3-{dmrs.config_type}"
    # alternating between the CDM groups that carry no data
    allowed = tuple(
        per_symbol * half + 2 * group + second
        for half in range(dmrs.length)
        for second in range(2)
        for group in range(groups)
    )
    wanted = num_users * num_layers
    if dmrs_ports is None:
        if wanted > len(allowed):
            raise InputError(
                f"users.num_users x num_layers: got {wanted} DM-RS ports; allowed: at most {len(allowed)} with "
                f"num_cdm_groups_without_data {groups}, config_type {dmrs.config_type}, length {dmrs.length} ({clause})"
            )
        flat = allowed[:wanted]
        return tuple(tuple(flat[u * num_layers : (u + 1) * num_layers]) for u in range(num_users))
    given = [list(p) for p in dmrs_ports]
    if len(dmrs_ports) != num_users or any(len(p) != num_layers for p in dmrs_ports):
        raise InputError(
            f"users.dmrs_ports: got {given}; allowed: {num_users} lists (one per user) of {num_layers} ports (one per "
            "layer)"
        )
    flat = tuple(p for user in dmrs_ports for p in user)
    if len(set(flat)) != len(flat):
        raise InputError(f"users.dmrs_ports: got {given}; allowed: each port at most once")
    if any(p >= num_ports(dmrs) for p in flat):
        raise InputError(
            f"users.dmrs_ports: got {given}; allowed: ports 0 to {num_ports(dmrs) - 1} with config_type "
            f"{dmrs.config_type} and length {dmrs.length} ({clause})"
        )
    if any(cdm_group(p, dmrs.config_type) >= groups for p in flat):
        raise InputError(
            f"users.dmrs_ports: got {given}; allowed: ports {sorted(allowed)} with "
            f"num_cdm_groups_without_data {groups}, since data occupies the other CDM groups"
        )
    return dmrs_ports


def dmrs_power(channel: SharedChannel) -> float:
    """Power of a DM-RS RE relative to a data RE of the same layer (TS 38.214 tables 6.2.2-1 and 4.1-1): 1, 2 or 3."""
    return float(channel.dmrs.num_cdm_groups_without_data)


def dmrs_c_init(carrier: Carrier, channel: SharedChannel, symbol: int) -> int:
    """Initialisation of the DM-RS sequence of one OFDM symbol (TS 38.211 §6.4.1.1.1 and §7.4.1.1.1, Rel-18)."""
    n_id = _n_id(carrier, channel)
    time = carrier.num_symbols * carrier.slot_number + symbol + 1
    return (2**17 * time * (2 * n_id + 1) + 2 * n_id + channel.dmrs.n_scid) % 2**31


def _n_id(carrier: Carrier, channel: SharedChannel) -> int:
    return carrier.n_cell_id if channel.dmrs.n_id is None else channel.dmrs.n_id


def dmrs_sequence(carrier: Carrier, channel: SharedChannel, symbol: int, first_of_pair: int) -> np.ndarray:
    """r of TS 38.211 §6.4.1.1.1 and §7.4.1.1.1 in one OFDM symbol, complex [pilots of a port], unit power.

    first_of_pair: the first symbol of the DM-RS position, from which low-PAPR sequences of double symbols are taken.
    The sequence of CP-OFDM counts from `dmrs.reference_crb`, low-PAPR sequences from the allocation's first PRB.
    """
    placement = placement_of(carrier, channel)
    length = placement.num_subcarriers // PAIR_SPACING[channel.dmrs.config_type] * 2
    if isinstance(channel, Pusch) and channel.transform_precoding:
        symbol_number = carrier.num_symbols * carrier.slot_number + first_of_pair
        group, number = hopping(channel.dmrs.hopping, _n_id(carrier, channel), symbol_number, length)
        if channel.dmrs.low_papr_type == 2:
            return low_papr_type_2(group, dmrs_c_init(carrier, channel, first_of_pair), length)
        return low_papr_type_1(group, number, length)
    per_prb = length // placement.num_prb
    blocks = placement.prbs(symbol) + carrier.first_crb - channel.dmrs.reference_crb
    if blocks.min() < 0:
        raise InputError(
            f"dmrs.reference_crb: got {channel.dmrs.reference_crb}; allowed: 0 to "
            f"{int(blocks.min()) + channel.dmrs.reference_crb}, the allocation's first common resource block"
        )
    needed = per_prb * (int(blocks.max()) + 1)
    bits = gold_sequence(dmrs_c_init(carrier, channel, symbol), 2 * needed).astype(np.float32)
    whole = ((1 - 2 * bits[0::2]) + 1j * (1 - 2 * bits[1::2])) * np.sqrt(0.5)
    return whole.reshape(-1, per_prb)[blocks].ravel()


def pair_spacing(dmrs: Dmrs) -> int:
    """Subcarriers from one pair of pilots of a port to the next that is sent."""
    return PAIR_SPACING[dmrs.config_type] * dmrs.frequency_density


def pilot_subcarriers(port: int, config_type: int, num_subcarriers: int, frequency_density: int = 1) -> np.ndarray:
    """Subcarriers of a port's pilots, ascending, int [pilots] (TS 38.211 §6.4.1.1.3).

    frequency_density: every so many pairs alone, the first among them.
    """
    step = PAIR_SPACING[config_type] * frequency_density
    pairs = np.arange(first_subcarrier(port, config_type), num_subcarriers, step)
    return (pairs[:, None] + PILOT_SPACING[config_type] * np.arange(2)).ravel()


def dmrs_grid(carrier: Carrier, channel: SharedChannel, port: int) -> np.ndarray:
    """DM-RS of one port on the allocation's grid, complex64 [num_symbols, num_subcarriers], power offset included.

    Zero elsewhere, and where the allocation has reserved resource elements.
    Source: TS 38.211 §6.4.1.1.3 and §7.4.1.1.2, Rel-18.
    """
    config_type = channel.dmrs.config_type
    num_subcarriers = placement_of(carrier, channel).num_subcarriers
    grid = np.zeros((carrier.num_symbols, num_subcarriers), np.complex64)
    subcarriers = pilot_subcarriers(port, config_type, num_subcarriers)
    cover = np.resize(np.array(cover_code(port), np.float32), len(subcarriers))
    scale = np.sqrt(dmrs_power(channel))
    for group in channel.dmrs_groups:
        for symbol, sign in zip(group, time_cover_code(port, config_type), strict=False):
            sequence = dmrs_sequence(carrier, channel, symbol, group[0])
            grid[symbol, subcarriers] = scale * sign * cover * sequence
    # the pilots that are sent are those of the standard
    silent = np.setdiff1d(subcarriers, _sent_subcarriers(channel, port, num_subcarriers))
    grid[:, silent] = 0
    grid[left_to_others(carrier, channel)] = 0
    return grid


def _sent_subcarriers(channel: SharedChannel, port: int, num_subcarriers: int) -> np.ndarray:
    """`pilot_subcarriers` of an allocation, which whole distances from pair to pair must fill."""
    dmrs, step = channel.dmrs, pair_spacing(channel.dmrs)
    if num_subcarriers % step:
        every = np.lcm(12, step) // 12
        raise InputError(
            f"dmrs.frequency_density: got {dmrs.frequency_density} with {num_subcarriers // 12} PRBs; allowed with "
            f"config_type {dmrs.config_type}: multiples of {every} PRBs"
        )
    return pilot_subcarriers(port, dmrs.config_type, num_subcarriers, dmrs.frequency_density)


def left_to_others(carrier: Carrier, channel: SharedChannel) -> np.ndarray:
    """REs of the allocation that are reserved for other signals, bool [num_symbols, num_subcarriers]."""
    whole = np.zeros((carrier.num_symbols, carrier.num_subcarriers), bool)
    for pattern in channel.allocation.reserved:
        if max(pattern.symbols) >= carrier.num_symbols or pattern.first_prb + pattern.num_prb > carrier.num_prb:
            raise InputError(
                f"{channel.name_of_channel}.allocation.reserved: got symbol {max(pattern.symbols)} and PRB "
                f"{pattern.first_prb + pattern.num_prb - 1}; allowed: symbols 0 to {carrier.num_symbols - 1} and PRBs "
                f"0 to {carrier.num_prb - 1} of the carrier"
            )
        prbs = np.arange(pattern.first_prb, pattern.first_prb + pattern.num_prb)
        within = np.arange(12) if pattern.subcarriers is None else np.array(pattern.subcarriers)
        whole[np.ix_(np.array(pattern.symbols), (12 * prbs[:, None] + within).ravel())] = True
    return np.take_along_axis(whole, placement_of(carrier, channel).subcarriers, axis=1)


def reserved_mask(carrier: Carrier, channel: SharedChannel) -> np.ndarray:
    """REs of the allocation's DM-RS symbols that carry no data, bool [num_symbols, num_subcarriers].

    Source: TS 38.211 §6.4.1.1.3, Rel-18.
    """
    num_subcarriers = placement_of(carrier, channel).num_subcarriers
    mask = np.zeros((carrier.num_symbols, num_subcarriers), bool)
    symbols = np.array(dmrs_symbols(channel), int)
    for group in range(channel.dmrs.num_cdm_groups_without_data):
        subcarriers = _sent_subcarriers(channel, 2 * group, num_subcarriers)
        mask[np.ix_(symbols, subcarriers)] = True
    return mask
