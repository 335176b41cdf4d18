"""The grid that a slot's configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ran.config.validation import validate
from ran.phy.config import Carrier, Pdsch, Pusch, Users
from ran.phy.pdsch import PdschGrid
from ran.phy.shared_grid import SharedGrid
from ran.phy.user_grids import uplink_grid
from ran.recordings.config import DecodeConfig, SlotOptions


def grid_of(
    config: DecodeConfig,
    slot_number: int,
    options: SlotOptions | None = None,
    channel: Mapping[str, Any] | None = None,
    carrier: Mapping[str, Any] | None = None,
) -> SharedGrid:
    """Grid of a slot. `InputError` for what cannot be.

    options: of the configuration, for this slot. channel, carrier: what the recording itself says; the configuration's
    options for the slot come last and win.
    """
    of_file, of_slot = dict(channel or {}), options
    known = {**config.carrier.model_dump(), **(carrier or {}), "slot_number": slot_number}
    own = validate(Carrier, {**known, **(of_slot.carrier if of_slot else {})}, "carrier")
    users = {**config.users.model_dump(), **of_file.pop("users", {})}
    users |= of_slot.users if of_slot else {}
    is_downlink = config.pdsch is not None or bool(of_slot and of_slot.pdsch)
    base = config.channel.model_dump() if is_downlink == (config.pdsch is not None) else {}
    given = of_slot.pdsch if of_slot and is_downlink else of_slot.pusch if of_slot else {}
    merged = _merged(_merged(base, of_file), given)
    if is_downlink:
        return PdschGrid.build(own, validate(Pdsch, merged, "pdsch"))
    return uplink_grid(own, validate(Pusch, merged, "pusch"), validate(Users, users, "users"))


def _merged(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options with blocks such as `dmrs` taken over key by key; another allocation replaces the whole of it."""
    merged = dict(base)
    for key, value in given.items():
        inner = merged.get(key)
        is_block = key != "allocation" and isinstance(value, Mapping) and isinstance(inner, Mapping)
        merged[key] = _merged(inner, value) if is_block and isinstance(inner, Mapping) else value
    return merged
