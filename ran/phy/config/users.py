"""The users of a slot."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from ran.errors import InputError
from ran.phy.config.allocation import Allocation
from ran.phy.config.base import Config
from ran.phy.config.pusch import Pusch
from ran.phy.mcs import num_mcs


class Users(Config):
    """The users of a slot. Those that share resource blocks do so by MU-MIMO with orthogonal DM-RS ports.

    num_users: users transmitting at once.
    dmrs_ports: one list of DM-RS ports (TS 38.211 tables 6.4.1.1.3-1 and -2: 0 to 3, 5, 7 or 11) per user, one port per
        layer; by default ports are handed out alternating between the CDM groups, 0, 2, 1, 3, to users that share
        resource blocks.
    mcs_index: MCS index of every user, all of `pusch.mcs_table`, where they differ; by default `pusch.mcs_index` is
        that of all. Each user then has a transport block size and a modulation of its own.
    allocation: resource blocks of every user, where they differ; by default `pusch.allocation` is that of all. They may
        lie apart, be the same, or overlap. Each user then has a transport block size and DM-RS of its own.
    n_rnti: RNTI of every user, where they do not count up from `pusch.n_rnti`, as those of recorded users do not.
    """

    younger_fields = ("mcs_index", "allocation", "n_rnti")

    num_users: Annotated[int, Field(ge=1, le=12)] = 1
    dmrs_ports: tuple[tuple[Annotated[int, Field(ge=0, le=11)], ...], ...] | None = None
    mcs_index: tuple[Annotated[int, Field(ge=0, le=28)], ...] | None = None
    allocation: tuple[Allocation, ...] | None = None
    n_rnti: tuple[Annotated[int, Field(ge=0, le=65535)], ...] | None = None

    @field_validator("mcs_index", "allocation", "n_rnti", mode="before")
    @classmethod
    def _list_is_a_tuple(cls, value: Any) -> Any:
        # strict validation takes lists only straight from JSON
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_per_user(self) -> Users:
        for name in ("mcs_index", "allocation", "n_rnti"):
            given = getattr(self, name)
            if given is not None and len(given) != self.num_users:
                raise ValueError(
                    f"{name}: got {len(given)} for {self.num_users} users; allowed: a list of {self.num_users}, one "
                    "per user"
                )
        if self.n_rnti is not None and len(set(self.n_rnti)) < self.num_users:
            raise ValueError(f"n_rnti: got {list(self.n_rnti)}; allowed: each RNTI at most once")
        return self

    @property
    def has_own_allocations(self) -> bool:
        """Whether users differ in their resource blocks."""
        return self.allocation is not None and len(set(map(repr, self.allocation))) > 1

    def check_one_allocation(self, where: str) -> None:
        """`InputError` for users that differ in their resource blocks, where all must have the same."""
        if self.has_own_allocations:
            raise InputError(
                f"users.allocation: got resource blocks of their own for {self.num_users} users; allowed {where}: "
                "pusch.allocation for all users"
            )

    def with_common_allocation(self, pusch: Pusch) -> tuple[Pusch, Users]:
        """The same PUSCH and users, with an allocation that is that of all users in the PUSCH.

        `InputError` for allocations in both.
        """
        if self.allocation is None:
            return pusch, self
        if pusch.allocation != Allocation():
            raise InputError(
                f"pusch.allocation: got one with users.allocation of {self.num_users} users; allowed: one of the two"
            )
        if self.has_own_allocations:
            return pusch, self
        same = {**pusch.model_dump(), "allocation": self.allocation[0].model_dump()}
        return Pusch.model_validate(same), self.model_copy(update={"allocation": None})

    def rntis(self, pusch: Pusch) -> tuple[int, ...]:
        """RNTI of every user. `InputError` for RNTIs in both, and for more than there are."""
        if self.n_rnti is None:
            last = pusch.n_rnti + self.num_users - 1
            if last > 65535:
                raise InputError(
                    f"pusch.n_rnti: got {pusch.n_rnti} for {self.num_users} users; allowed: the last at most 65535"
                )
            return tuple(range(pusch.n_rnti, last + 1))
        if pusch.n_rnti != Pusch.model_fields["n_rnti"].default:
            raise InputError(
                f"pusch.n_rnti: got {pusch.n_rnti} with users.n_rnti {list(self.n_rnti)}; allowed: one of the two"
            )
        return self.n_rnti

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
        if pusch.constellation is not None:
            raise InputError(
                f"users.mcs_index: got {given} with pusch.constellation; allowed: pusch.mcs_index for all users"
            )
        last = num_mcs(pusch.mcs_table, pusch.transform_precoding) - 1
        for index in self.mcs_index:
            if index > last:
                raise InputError(
                    f"users.mcs_index: got {index}, which has no code rate in mcs_table {pusch.mcs_table}; "
                    f"allowed: 0 to {last} (TS 38.214 {'§6.1.4.1' if pusch.transform_precoding else '§5.1.3.1'})"
                )
        return self.mcs_index
