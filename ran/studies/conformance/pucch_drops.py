"""Drops of a PUCCH row of TS 38.104 §8.3: one slot each, over TDLC300-100, with the resources of the clause's tables.

The first UCI bit is what is counted, the others are random: an ACK where misses count, a NACK where false ACKs count.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from channels.tdl import Tdl
from ran.link.pucch import PucchReceiver
from ran.link.streams import stream
from ran.phy.config import Carrier, Pucch
from ran.phy.ofdm import Ofdm
from ran.phy.pucch import hops, pucch_grid
from ran.studies.conformance.control import ControlRow

_MAX_DOPPLER_HZ = 100.0


def resource(row: ControlRow) -> tuple[Carrier, Pucch]:
    """Carrier and PUCCH of a row; the second hop is at the upper end of the carrier."""
    carrier = Carrier(subcarrier_spacing_khz=int(row.scs_khz), num_prb=row.num_prb)  # type: ignore[arg-type]
    last = row.num_prb - 1
    if row.format == "0":
        count = int(row.signal[0])
        hop = last if count == 2 else None
        return carrier, Pucch(format=0, start_symbol=14 - count, num_symbols=count, second_hop_prb=hop)
    if row.format == "1":
        return carrier, Pucch(format=1, num_bits=2, second_hop_prb=last)
    if row.signal == "4-bits":
        return carrier, Pucch(format=2, num_bits=4, num_prb=4, start_symbol=13, num_symbols=1)
    if row.format == "2":
        hop = row.num_prb - 9
        return carrier, Pucch(format=2, num_bits=22, num_prb=9, start_symbol=12, num_symbols=2, second_hop_prb=hop)
    more = row.signal.endswith("-dmrs")
    if row.format == "4":
        return carrier, Pucch(format=4, num_bits=22, second_hop_prb=last, additional_dmrs=more)
    if row.signal == "test2":
        return carrier, Pucch(format=3, num_bits=16, num_prb=3, num_symbols=4, second_hop_prb=row.num_prb - 3)
    return carrier, Pucch(format=3, num_bits=16, second_hop_prb=last, additional_dmrs=more)


@lru_cache(maxsize=4)
def _receiver(carrier: Carrier, pucch: Pucch) -> PucchReceiver:
    return PucchReceiver(carrier, pucch)


def payloads(row: ControlRow, num_bits: int, drops: range, seed: int) -> npt.NDArray[np.uint8]:
    """UCI of every drop, uint8 [drops, num_bits]."""
    draws = [stream(seed, row.name, drop, "bits").integers(0, 2, num_bits, dtype=np.uint8) for drop in drops]
    bits = np.stack(draws)
    if row.metric != "uci-bler":
        bits[:, 0] = row.metric == "ack-missed"
    return bits


def received(
    row: ControlRow, carrier: Carrier, pucch: Pucch, bits: npt.NDArray[np.uint8], drops: range, seed: int
) -> npt.NDArray[np.complex64]:
    """Received grids, complex64 [drops, num_rx, num_symbols, num_subcarriers]; noise has unit power where hops are."""
    ofdm, used = Ofdm.build(carrier), hops(carrier, pucch)
    times_s = np.array(ofdm.starts, np.float64) / ofdm.sample_rate_hz
    places = np.concatenate([hop.first_subcarrier + np.arange(pucch.num_subcarriers) for hop in used])
    frequencies_hz = (places - carrier.num_subcarriers / 2) * carrier.subcarrier_spacing_hz
    shape = (len(drops), row.num_rx, carrier.num_symbols, len(places))
    y = np.empty(shape, np.complex64)
    for n, drop in enumerate(drops):
        noise = stream(seed, row.name, drop, "noise").standard_normal((*shape[1:], 2), np.float32)
        y[n] = noise.view(np.complex64)[..., 0] * np.float32(np.sqrt(0.5))
    if row.required_snr_db is not None:
        generators = [stream(seed, row.name, drop, "channel") for drop in drops]
        channel = Tdl("TDLC300", max_doppler_hz=_MAX_DOPPLER_HZ)
        h = channel.response(generators, row.num_rx, 1, times_s, frequencies_hz).numpy()[:, :, 0]
        sent = pucch_grid(carrier, pucch, bits)[:, None, :, places]
        y += h * sent * np.float32(10 ** (row.required_snr_db / 20))
    grid = np.zeros((*shape[:3], carrier.num_subcarriers), np.complex64)
    for n, hop in enumerate(used):
        part = slice(n * pucch.num_subcarriers, (n + 1) * pucch.num_subcarriers)
        rows = slice(hop.symbols[0], hop.symbols[-1] + 1)
        at = slice(hop.first_subcarrier, hop.first_subcarrier + pucch.num_subcarriers)
        grid[:, :, rows, at] = y[:, :, rows, part]
    return grid


def count(row: ControlRow, drops: range, seed: int) -> tuple[int, int]:
    """Errors and trials in these drops."""
    carrier, pucch = resource(row)
    bits = payloads(row, pucch.num_bits, drops, seed)
    found = _receiver(carrier, pucch)(received(row, carrier, pucch, bits, drops, seed))
    acked = found.present & (found.bits[:, 0] == 1)
    if row.metric == "uci-bler":
        wrong = ~found.present | (found.bits != bits).any(1)
    else:
        wrong = ~acked if row.metric == "ack-missed" else acked
    return int(wrong.sum()), len(drops)
