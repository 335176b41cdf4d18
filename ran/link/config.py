"""Configuration of a link: what the drops of a simulation have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from ran.phy.config import Carrier, Config, Harq, Pusch, Users
from ran.phy.waveform import Waveform

#: A channel model or a receiver by name, with its options: {"name": "tdl", "profile": "A", ...}.
Block = dict[str, Any]


class LinkConfig(Config):
    """Everything that decides the physics of a slot, except the SNR.

    channel: one block for all users, or a list with one block per user.
    num_rx_ant: receive antennas of the base station.
    harq: retransmissions of blocks in error; none by default.
    waveform: the time domain, with its offsets; by default slots stay in the frequency domain.
    num_slots: consecutive slots of a drop over one fading process, a new block in each; only without HARQ.
        `Link.batch` makes them one by one, `Link.simulate` takes the first.
    """

    younger_fields = ("harq", "waveform", "num_slots")

    carrier: Carrier = Carrier()
    pusch: Pusch = Pusch()
    users: Users = Users()
    num_rx_ant: Annotated[int, Field(ge=1, le=1024)] = 4
    channel: Block | tuple[Block, ...]
    harq: Harq | None = None
    waveform: Waveform | None = None
    num_slots: Annotated[int, Field(ge=1, le=10_000)] = 1

    @field_validator("channel", mode="before")
    @classmethod
    def _name_alone_is_a_block(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, (list, tuple)):
            return tuple({"name": v} if isinstance(v, str) else v for v in value)
        return value
