"""Where a curve flattens, and why as far as it can be known: from the counts, a genie beside it, and the experiment.

A curve flattens where the counts exclude that its BLER halves over the last 4 dB: with Rayleigh fading on a single
antenna, the slowest fall that a noise-limited link has, it falls to 0.4 of it. The counts say where; a genie on the
same drops says whether a known channel takes the floor away; the experiment says which of its parts do not shrink with
the noise. Which one of several it is, no single run can tell, and the sentence says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ran.phy.mcs import mcs
from ran.stats import Estimate, percent

if TYPE_CHECKING:
    from ran.sim.results import PointResult, RunResults

#: Over so many dB of Es/N0.
SPAN_DB = 4.0
#: A curve above is not yet in its waterfall.
_HIGHEST_BLER = 0.9
#: Modulation orders from which on a link needs an error vector that other parts of it may not leave.
_DENSE_BITS = 6


def floors(results: RunResults) -> list[str]:
    """A sentence or two for every receiver whose curve flattens. None over transmit power, which shadowing flattens."""
    if results.experiment.link_budget is not None:
        return []
    curves: dict[str, list[PointResult]] = {}
    for point in sorted(results.points, key=lambda point: point.esn0_db):
        curves.setdefault(point.receiver, []).append(point)
    genie = next((receiver for receiver in curves if receiver in results.genie_receivers), None)
    working = [p.esn0_db for p in curves.get(genie or "", []) if p.error_rate.is_below(0.5)]
    from_db = min(working, default=math.inf)
    flat = {receiver: found for receiver, points in curves.items() if (found := flat_part(points, from_db))}
    lasting = ", ".join(lasting_parts(results.experiment.resolved()))
    sentences = []
    for receiver, part in flat.items():
        sentences.append(
            f"{receiver} has an error floor: {_rate(part[-1].error_rate)} BLER at {part[-1].esn0_db:g} dB, "
            f"{_rate(part[0].error_rate)} at {part[0].esn0_db:g} dB."
        )
        if receiver != genie:
            sentences[-1] += _beside_genie(part[-1], genie, curves.get(genie or "", []), genie in flat)
    if sentences and lasting:
        sentences.append(
            f"What does not shrink with the noise in this experiment: {lasting}. A run without one of them tells "
            "whether the floor is due to it."
        )
    return sentences


def flat_part(points: Sequence[PointResult], works_from_db: float = math.inf) -> list[PointResult]:
    """The points of one receiver, ascending in Es/N0, from which on its BLER does not fall: at least 4 dB up to the
    last. Empty where the counts do not exclude that the BLER halves over them.

    works_from_db: Es/N0 from which on a genie delivers most blocks; below it a BLER near 1 is no floor but too much
    noise.
    """
    last = points[-1]
    allowed = [p for p in points if p.bler <= _HIGHEST_BLER or p.esn0_db >= works_from_db]
    if last.block_errors == 0 or last not in allowed:
        return []
    level = [p for p in allowed if _is_as_high(p.error_rate, last.error_rate)]
    first = next((p for p in level if _are_level(points, p, last)), None)
    if first is None or last.esn0_db - first.esn0_db < SPAN_DB:
        return []
    return [p for p in points if first.esn0_db <= p.esn0_db]


def _are_level(points: Sequence[PointResult], first: PointResult, last: PointResult) -> bool:
    """Whether all points from the first to the last are as high as it."""
    between = [p for p in points if first.esn0_db <= p.esn0_db <= last.esn0_db]
    return all(_is_as_high(p.error_rate, last.error_rate) for p in between)


def _is_as_high(before: Estimate, after: Estimate) -> bool:
    """Whether the intervals exclude that the rate halves from one point to the other."""
    return after.low is not None and before.high is not None and after.low > before.high / 2


def _beside_genie(point: PointResult, genie: str | None, of_genie: Sequence[PointResult], is_flat: bool) -> str:
    """What a genie on the same drops tells about a floor, in a sentence that begins with a space."""
    if genie is None:
        return " No genie was simulated beside it, which would tell whether the channel estimate is the reason."
    below = [p for p in of_genie if p.esn0_db <= point.esn0_db]
    if not below:
        return ""
    there = below[-1]
    what = f"{genie}, which knows the channel, has {_rate(there.error_rate)} at {there.esn0_db:g} dB"
    limit = point.error_rate.low
    if limit is not None and there.error_rate.is_below(limit):
        more = " and a floor of its own" if is_flat else ""
        return f" {what}{more}: what is above that is due to what the receiver does not know of the channel."
    if there.esn0_db < point.esn0_db:
        return f" {what} and was not simulated higher."
    return f" {what}: a known channel does not take the floor away."


def _rate(estimate: Estimate) -> str:
    low, high = estimate.low, estimate.high
    assert low is not None
    assert high is not None
    return f"{percent(estimate.known)} [{percent(low)}, {percent(high)}]"


def lasting_parts(settings: Mapping[str, Any]) -> list[str]:
    """Parts of a resolved experiment that stay when the noise goes, each in a few words with its numbers."""
    return [
        *_of_waveform(settings.get("waveform") or {}),
        *dict.fromkeys(_of_channels(settings)),
        *_of_layers(settings),
        *_of_modulation(settings.get("pdsch") or settings.get("pusch") or {}, settings.get("users") or {}),
        *_of_precoding(settings.get("precoding") or {}),
    ]


def _of_waveform(waveform: Mapping[str, Any]) -> Iterator[str]:
    for end, where in (("transmit_impairments", "transmitter"), ("receive_impairments", "receiver")):
        for block in waveform.get(end) or ():
            options = ", ".join(
                f"{key} {value}"
                for key, value in block.items()
                if key != "name" and isinstance(value, int | float | str)
            )
            yield f"{block['name']} at the {where}" + (f" ({options})" if options else "")
    cfo_hz = _largest(waveform.get("cfo_hz")) + float(waveform.get("cfo_max_hz") or 0)
    if cfo_hz:
        yield f"a carrier frequency offset of up to {cfo_hz:g} Hz"
    timing_s = _largest(waveform.get("timing_offset_s")) + float(waveform.get("timing_offset_max_s") or 0)
    if timing_s:
        yield f"a timing offset of up to {1e6 * timing_s:g} µs"


def _of_channels(settings: Mapping[str, Any]) -> Iterator[str]:
    given = settings.get("channel") or {}
    slot_s = 15e-3 / float(settings["carrier"]["subcarrier_spacing_khz"])
    for block in given if isinstance(given, list | tuple) else [given]:
        doppler_hz, speed_mps = block.get("max_doppler_hz"), block.get("speed_mps")
        if doppler_hz:
            yield f"a Doppler shift of up to {doppler_hz:g} Hz ({doppler_hz * slot_s:.2g} of a cycle per slot)"
        elif speed_mps:
            yield f"a speed of {speed_mps:g} m/s"
        if block.get("delay_spread_ns"):
            yield f"a delay spread of {block['delay_spread_ns']:g} ns"


def _of_layers(settings: Mapping[str, Any]) -> Iterator[str]:
    shared = settings.get("pdsch") or settings.get("pusch") or {}
    users = settings.get("users") or {}
    # users with resource blocks of their own need not meet
    meeting = 1 if users.get("allocation") else int(users.get("num_users") or 1)
    layers = int(shared.get("num_layers") or 1) * meeting
    if layers > 1:
        yield f"{layers} layers on {settings.get('num_rx_ant')} receive antennas"


def _of_modulation(shared: Mapping[str, Any], users: Mapping[str, Any]) -> Iterator[str]:
    of_users = users.get("mcs_index")  # in place of one for all
    is_precoded = bool(shared.get("transform_precoding"))
    for index in dict.fromkeys(of_users or [shared.get("mcs_index"), shared.get("mcs_index_2")]):
        if index is None:
            continue
        entry = mcs(shared["mcs_table"], index, is_precoded)
        if entry.bits_per_symbol >= _DENSE_BITS:
            yield f"{2**entry.bits_per_symbol}QAM {entry.target_rate_x1024:g}/1024"


def _of_precoding(precoding: Mapping[str, Any]) -> Iterator[str]:
    if precoding.get("csi_delay_slots"):
        yield f"a precoder from a channel {precoding['csi_delay_slots']} slots old"


def _largest(values: Any) -> float:
    given = values if isinstance(values, list | tuple) else [values or 0.0]
    return max((abs(float(value)) for value in given), default=0.0)
