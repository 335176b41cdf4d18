"""The users that share an allocation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from ran.errors import InputError
from ran.phy.config.base import Config
from ran.phy.config.pusch import Pusch
from ran.phy.mcs import num_mcs


class Users(Config):
    """The users that share the allocation by MU-MIMO with orthogonal DM-RS ports.

    num_users: users transmitting at once.
    dmrs_ports: one list of DM-RS ports (TS 38.211 tables 6.4.1.1.3-1 and -2: 0 to 3, 5, 7 or 11) per user, one port per
        layer; by default ports are handed out alternating between the CDM groups: 0, 2, 1, 3.
    mcs_index: MCS index of every user, all of `pusch.mcs_table`, where they differ; by default `pusch.mcs_index` is
        that of all. Each user then has a transport block size and a modulation of its own.
    """

    younger_fields = ("mcs_index",)

    num_users: Annotated[int, Field(ge=1, le=12)] = 1
    dmrs_ports: tuple[tuple[Annotated[int, Field(ge=0, le=11)], ...], ...] | None = None
    mcs_index: tuple[Annotated[int, Field(ge=0, le=28)], ...] | None = None

    @field_validator("mcs_index", mode="before")
    @classmethod
    def _list_is_a_tuple(cls, value: Any) -> Any:
        # strict validation takes lists only straight from JSON
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_mcs_per_user(self) -> Users:
        if self.mcs_index is not None and len(self.mcs_index) != self.num_users:
            raise ValueError(
                f"mcs_index: got {len(self.mcs_index)} for {self.num_users} users; allowed: a list of "
                f"{self.num_users}, one per user"
            )
        return self

    def mcs_indices(self, pusch: Pusch) -> tuple[int, ...]:
        """MCS index of every user. `InputError` for indices that go neither with the table nor with the PUSCH."""
        if self.mcs_index is None:
            return (pusch.mcs_index,) * self.num_users
        given = f"{list(self.mcs_index)}"
        default = Pusch.model_fields["mcs_index"].default
        if pusch.mcs_index != default:
            raise InputError(
                f"pusch.mcs_index: got {pusch.mcs_index} with users.mcs_index {given}; allowed: one of the two"
            )
        for name, value in (("constellation", pusch.constellation), ("uci", pusch.uci)):
            if value is not None:
                raise InputError(
                    f"users.mcs_index: got {given} with pusch.{name}; allowed: pusch.mcs_index for all users"
                )
        last = num_mcs(pusch.mcs_table, pusch.transform_precoding) - 1
        for index in self.mcs_index:
            if index > last:
                raise InputError(
                    f"users.mcs_index: got {index}, which has no code rate in mcs_table {pusch.mcs_table}; "
                    f"allowed: 0 to {last} (TS 38.214 {'§6.1.4.1' if pusch.transform_precoding else '§5.1.3.1'})"
                )
        return self.mcs_index
