"""Where an SRS is: slots, symbols and subcarriers, with frequency hopping (TS 38.211 §6.4.1.4.3 and .4, Rel-18)."""

from __future__ import annotations

from math import prod

import numpy as np

from ran.errors import InputError
from ran.phy.config import Carrier, Srs
from ran.phy.srs.bandwidth import bandwidth_levels


def num_prb_of(srs: Srs) -> int:
    """PRBs of a transmission, m_SRS,b of b = B_SRS."""
    return bandwidth_levels(srs.c_srs)[srs.b_srs][0]


def srs_symbols(carrier: Carrier, srs: Srs) -> tuple[int, ...]:
    """OFDM symbols of the slot that carry the SRS; `InputError` where they begin before the slot."""
    first = carrier.num_symbols - 1 - srs.start_position
    if first < 0:
        raise InputError(
            f"srs.start_position: got {srs.start_position}; allowed: {srs.num_symbols - 1} to "
            f"{carrier.num_symbols - 1} with {carrier.num_symbols} symbols per slot (TS 38.211 §6.4.1.4.1)"
        )
    return tuple(range(first, first + srs.num_symbols))


def _slots_since_offset(carrier: Carrier, srs: Srs, frame_number: int) -> int:
    return 10 * 2**carrier.numerology * frame_number + carrier.slot_number - srs.offset_slots


def is_sent(carrier: Carrier, srs: Srs, frame_number: int = 0) -> bool:
    """Whether a periodic SRS is sent in the carrier's slot; an aperiodic one is sent wherever it is asked for."""
    return srs.period_slots is None or _slots_since_offset(carrier, srs, frame_number) % srs.period_slots == 0


def _counter(carrier: Carrier, srs: Srs, index: int, frame_number: int) -> int:
    """n_SRS: transmissions before this one, of another position each where it hops."""
    within = index // srs.repetition
    if srs.period_slots is None:
        return within
    if not is_sent(carrier, srs, frame_number):
        raise InputError(
            f"carrier.slot_number: got {carrier.slot_number} in frame {frame_number}; allowed: slots of the SRS with "
            f"period_slots {srs.period_slots} and offset_slots {srs.offset_slots}"
        )
    slots = _slots_since_offset(carrier, srs, frame_number)
    return slots // srs.period_slots * (srs.num_symbols // srs.repetition) + within


def _hop(count: int, before: int, parts: int) -> int:
    """F_b(n_SRS) with N_b parts, `before` = the product of N of the levels from b_hop to b - 1."""
    if parts % 2:
        return parts // 2 * (count // before)
    rest = count % (before * parts)
    return parts // 2 * (rest // before) + rest // (2 * before)


def _offset_in_configuration(srs: Srs, count: int) -> int:
    """PRBs from the start of the configured band: the sum of m_SRS,b n_b."""
    levels = bandwidth_levels(srs.c_srs)
    offset = 0
    for b, (num_prb, parts) in enumerate(levels[: srs.b_srs + 1]):
        place = 4 * srs.n_rrc // num_prb
        if srs.b_hop < srs.b_srs and b > srs.b_hop:
            # N of level b_hop counts as 1
            before = prod(levels[level][1] for level in range(srs.b_hop + 1, b))
            place += _hop(count, before, parts)
        offset += num_prb * (place % parts)
    return offset


def first_prb(carrier: Carrier, srs: Srs, index: int = 0, frame_number: int = 0) -> int:
    """First PRB of the carrier that the SRS takes in its symbol number `index`, 0 to num_symbols - 1.

    `InputError` where the SRS is not within the carrier, or is not sent in its slot.
    """
    start = carrier.first_crb if srs.bwp_start_crb is None else srs.bwp_start_crb
    reference = 0 if start <= srs.n_shift else start
    offset = _offset_in_configuration(srs, _counter(carrier, srs, index, frame_number))
    first = reference + srs.n_shift + offset - carrier.first_crb
    num_prb = num_prb_of(srs)
    if first < 0 or first + num_prb > carrier.num_prb:
        raise InputError(
            f"srs: got PRBs {first} to {first + num_prb - 1} of the carrier (c_srs {srs.c_srs}, b_srs {srs.b_srs}, "
            f"n_shift {srs.n_shift}, n_rrc {srs.n_rrc}); allowed: within 0 to {carrier.num_prb - 1}"
        )
    return first


def srs_subcarriers(carrier: Carrier, srs: Srs, comb_offset: int, index: int = 0, frame_number: int = 0) -> np.ndarray:
    """Subcarriers of the carrier on a comb in the SRS symbol number `index`, ascending, int64 [M_sc,b]."""
    first = 12 * first_prb(carrier, srs, index, frame_number)
    return np.arange(first + comb_offset, first + 12 * num_prb_of(srs), srs.comb)
