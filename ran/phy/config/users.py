"""The users that share an allocation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ran.phy.config.base import Config


class Users(Config):
    """The users that share the allocation by MU-MIMO with orthogonal DM-RS ports.

    num_users: users transmitting at once.
    dmrs_ports: one list of DM-RS ports (TS 38.211 tables 6.4.1.1.3-1 and -2: 0 to 3, 5, 7 or 11) per user, one port per
        layer; by default ports are handed out alternating between the CDM groups: 0, 2, 1, 3.
    """

    num_users: Annotated[int, Field(ge=1, le=12)] = 1
    dmrs_ports: tuple[tuple[Annotated[int, Field(ge=0, le=11)], ...], ...] | None = None
