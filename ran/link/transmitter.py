"""Who sends the slots of a drop: the users of an uplink, or the base station of a downlink."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from ran.errors import InputError
from ran.link.config import LinkConfig
from ran.phy.config import Carrier, Pdsch, SharedChannel
from ran.phy.dmrs import PILOT_SPACING, cover_code, dmrs_symbols, first_subcarrier, pair_spacing, time_cover_code
from ran.phy.shared_grid import SharedGrid
from receivers import PilotLayout

#: The channel at some subcarriers as the transmitter knows it: complex64 [batch, num_rx_ant, num_tx_ant, subcarriers].
KnownChannel = Callable[[np.ndarray], Tensor]
#: Generators of the drops of a batch for a purpose.
Streams = Callable[[str], Sequence[np.random.Generator]]


class Transmitter(ABC):
    """Grids of the slots of a drop, and the way from their layers to the transmit antennas.

    grids: one per slot of a drop, alike but for redundancy version and pilots.
    csi_delay_slots: how old the channel is that `precoder` knows; None where it does not ask for it.
    """

    csi_delay_slots: int | None = None

    def __init__(self, config: LinkConfig, slot_numbers: Sequence[int]) -> None:
        self.grids = self._build_grids(config, slot_numbers)

    def _build_grids(self, config: LinkConfig, slot_numbers: Sequence[int]) -> tuple[SharedGrid, ...]:
        """One grid per slot, counted on over the ends of frames."""
        carrier, harq, channel = config.carrier, config.harq, config.shared_channel
        if len(slot_numbers) == 1 and harq is None:
            return (self.build_grid(carrier, channel),)
        if harq is not None and config.num_slots != 1:
            raise InputError(f"num_slots: got {config.num_slots} with harq; allowed: 1, harq counts the slots")
        for name in ("rv", "rv_2") if harq is not None else ():
            if getattr(channel, name, None):
                side = "pdsch" if isinstance(channel, Pdsch) else "pusch"
                raise InputError(f"{side}.{name}: got {getattr(channel, name)} with harq; allowed: 0, harq.rv counts")
        grids = []
        for attempt, number in enumerate(slot_numbers):
            of_slot = carrier.model_copy(update={"slot_number": number % (10 * 2**carrier.numerology)})
            of_attempt = channel
            if harq is not None:
                # a second codeword follows the first
                update = {"rv": harq.rv_of(attempt)} | ({"rv_2": None} if isinstance(channel, Pdsch) else {})
                of_attempt = channel.model_copy(update=update)
            grids.append(self.build_grid(of_slot, of_attempt))
        return tuple(grids)

    @abstractmethod
    def build_grid(self, carrier: Carrier, channel: SharedChannel) -> SharedGrid:
        """Grid of one slot; `InputError` for impossible combinations."""

    @property
    @abstractmethod
    def antennas_per_user(self) -> int:
        """Transmit antennas of each user, or of the base station."""

    @property
    def num_tx_ant(self) -> int:
        """Transmit antennas of all users together."""
        return self.antennas_per_user * self.grids[0].num_users

    def precoder(self, known: KnownChannel, streams: Streams, noise_var: float) -> Tensor | None:
        """Precoders of a batch of drops (`ran.phy.precoders`), None where they do not differ from drop to drop.

        noise_var: of the receiver, per RE and antenna.
        """
        return None

    @abstractmethod
    def layer_channel(self, h: Tensor, precoder: Tensor | None, first_subcarrier: int = 0) -> Tensor:
        """The channel that the layers see: the precoder is part of it.

        h [batch, num_rx_ant, num_tx_ant, 14, n] complex64: n subcarriers from `first_subcarrier` on.
        precoder: of `precoder` for the same drops. Returns [batch, num_rx_ant, num_layers, 14, n].
        """

    @property
    def layers_are_antennas(self) -> bool:
        """Whether `layer_channel` returns the channel as it is: every layer is sent from an antenna of its own."""
        return False

    @abstractmethod
    def antenna_grid(self, x: Tensor, precoder: Tensor | None) -> Tensor:
        """Layers to antennas: x [batch, num_layers, 14, num_subcarriers] -> [batch, num_tx_ant, ...] complex64."""


def pilot_layout(channel: SharedChannel, ports: Sequence[int]) -> PilotLayout:
    """Where the DM-RS of antenna ports are, one port per layer, in the receivers' words."""
    dmrs = channel.dmrs
    prg_size = channel.prg_size if isinstance(channel, Pdsch) else None
    return PilotLayout(
        symbols=dmrs_symbols(channel),
        first_subcarrier=tuple(first_subcarrier(port, dmrs.config_type) for port in ports),
        spacing=PILOT_SPACING[dmrs.config_type],
        cover_code=tuple(cover_code(port) for port in ports),
        pair_spacing=pair_spacing(dmrs),
        num_adjacent_symbols=dmrs.length,
        time_cover_code=tuple(time_cover_code(port, dmrs.config_type) for port in ports),
        bundle_subcarriers=None if prg_size is None else 12 * prg_size,
    )
