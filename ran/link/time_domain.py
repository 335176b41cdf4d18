"""The way through the time domain that a link's configuration asks for."""

from __future__ import annotations

from ran.errors import InputError
from ran.link.catalogue import build_impairments
from ran.link.config import LinkConfig
from ran.link.slots import slot_numbers
from ran.link.transmitter import Transmitter
from ran.link.waveform import TimeDomain
from ran.phy.numerology import slot_start_s


def time_domain_of(config: LinkConfig, sender: Transmitter) -> TimeDomain | None:
    """The way through the time domain where it is asked for."""
    waveform, carrier = config.waveform, config.carrier
    if waveform is None:
        return None
    if config.precoding is not None and sender.csi_delay_slots is not None:
        raise InputError(
            f"precoding: got {config.precoding.name!r} with waveform, where the transmitter does not know the "
            "channel; allowed: identity, random, random-type-one"
        )
    extended = carrier.cyclic_prefix == "extended"
    numbers = slot_numbers(config)
    starts = [slot_start_s(carrier.numerology, n, extended) for n in numbers]
    slots = [(n, start - starts[0]) for n, start in zip(numbers, starts, strict=True)]
    ends = {}
    for end in ("transmit", "receive"):
        ends[end] = build_impairments(getattr(waveform, f"{end}_impairments"), f"waveform.{end}_impairments")
    num_users, per_user = sender.grids[0].num_users, sender.antennas_per_user
    placements = [grid.placement for grid in sender.grids]
    domain = TimeDomain(waveform, carrier, slots, num_users, per_user, config.num_rx_ant, placements, **ends)
    for end, impairments in ends.items():
        for index, impairment in enumerate(impairments):
            try:
                impairment.check(domain.sample_rate_hz)
            except ValueError as error:
                raise InputError(f"waveform.{end}_impairments[{index}]: {error}") from None
    return domain
