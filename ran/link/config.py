"""Configuration of a link: what the drops of a simulation have in common."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ran.errors import InputError
from ran.link.constellation import with_points
from ran.link.link_budget import LinkBudget
from ran.phy.config import Carrier, Config, Harq, Pdsch, Pusch, SharedChannel, Users
from ran.phy.precoding import Csi, Precoding, check_shared_channel, precoding_block
from ran.phy.waveform import Waveform

#: A channel model or a receiver by name, with its options: {"name": "tdl", "profile": "A", ...}.
Block = dict[str, Any]


class LinkPhysics(Config):
    """What decides the physics of a slot, except the SNR and the channel: shared by links and experiments.

    pusch or pdsch: the uplink of `users`, the default, or the downlink to one user.
    precoding: of a PDSCH; by default every layer has its own antenna.
    num_rx_ant: receive antennas, of the base station in the uplink, of the user in the downlink.
    harq: retransmissions of blocks in error; none by default.
    waveform: the time domain, with its offsets; by default slots stay in the frequency domain.
    link_budget: powers and noise where the channel has absolute gains; points of the link are then transmit powers in
        dBm, in place of Es/N0 in dB.
    """

    younger_fields: ClassVar[tuple[str, ...]] = ("pusch", "pdsch", "precoding", "harq", "waveform", "link_budget")

    carrier: Carrier = Carrier()
    pdsch: Pdsch | None = None
    pusch: Annotated[Pusch | None, Field(validate_default=True)] = None
    users: Users = Users()
    precoding: Precoding | None = None
    num_rx_ant: Annotated[int, Field(ge=1, le=1024)] = 4
    harq: Harq | None = None
    waveform: Waveform | None = None
    link_budget: LinkBudget | None = None

    @property
    def physics(self) -> dict[str, Any]:
        """These fields by name, as they are."""
        return {name: getattr(self, name) for name in LinkPhysics.model_fields}

    @property
    def shared_channel(self) -> SharedChannel:
        """The allocation, of whichever direction."""
        if self.pdsch is not None:
            return self.pdsch
        return self.uplink

    @property
    def uplink(self) -> Pusch:
        """The PUSCH; `InputError` where there is a PDSCH instead."""
        if self.pusch is None:
            raise InputError("pdsch: got a downlink; allowed: pusch")
        return self.pusch

    @field_validator("pusch")
    @classmethod
    def _uplink_is_the_default(cls, value: Pusch | None, info: ValidationInfo) -> Pusch | None:
        return Pusch() if value is None and info.data.get("pdsch") is None else value

    @field_validator("precoding", mode="before")
    @classmethod
    def _precoding_may_be_a_name(cls, value: Any) -> Any:
        return precoding_block(value)

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        check_shared_channel(self.pusch, self.pdsch, self.users, self.precoding, self.num_rx_ant)
        if self.link_budget is not None and isinstance(self.precoding, Csi) and self.precoding.srs is not None:
            raise ValueError(
                "precoding.srs: got srs with link_budget; allowed: without it, esn0_db of the SRS is for channels of "
                "unit mean power"
            )
        return self


class LinkConfig(LinkPhysics):
    """Everything that decides the physics of a slot, except the SNR.

    channel: one block for all users, or a list with one block per user.
    num_slots: consecutive slots of a drop over one fading process, a new block in each; only without HARQ.
        `Link.batch` makes them one by one, `Link.simulate` takes the first.
    """

    younger_fields = (*LinkPhysics.younger_fields, "num_slots")

    channel: Block | tuple[Block, ...]
    num_slots: Annotated[int, Field(ge=1, le=10_000)] = 1

    @model_validator(mode="before")
    @classmethod
    def _constellation_may_be_a_name(cls, value: Any) -> Any:
        return with_points(value)

    @field_validator("channel", mode="before")
    @classmethod
    def _name_alone_is_a_block(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, (list, tuple)):
            return tuple({"name": v} if isinstance(v, str) else v for v in value)
        return value
