"""The users of a PUSCH."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from ran.link.config import LinkConfig
from ran.link.transmitter import Transmitter
from ran.phy.config import Carrier, Pusch, SharedChannel
from ran.phy.pusch import PuschGrid
from ran.phy.user_grids import UserGrids, uplink_grid


class Uplink(Transmitter):
    """Users with antennas of their own; a codebook precoder is the same in every drop."""

    def __init__(self, config: LinkConfig, slot_numbers: list[int]) -> None:
        self._users = config.users
        super().__init__(config, slot_numbers)

    @property
    def grid(self) -> PuschGrid | UserGrids:
        """Grid of the first transmission."""
        return cast(PuschGrid | UserGrids, self.grids[0])

    def build_grid(self, carrier: Carrier, channel: SharedChannel) -> PuschGrid | UserGrids:
        return uplink_grid(carrier, cast(Pusch, channel), self._users)

    @property
    def antennas_per_user(self) -> int:
        return self.grid.num_antennas_per_user

    def layer_channel(self, h: Tensor, precoder: Tensor | None, first_subcarrier: int = 0) -> Tensor:
        return self.grid.layer_channel(h)

    @property
    def layers_are_antennas(self) -> bool:
        return self.grid.precoder is None

    def antenna_grid(self, x: Tensor, precoder: Tensor | None) -> Tensor:
        return self.grid.precode(x)
