"""Receivers of Sionna's PUSCH in links of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from receivers.errors import bad_value
from receivers.interface import Receiver, SlotObservation, Truth
from receivers.levels import at_unit_level
from receivers.sionna_slot import SionnaSlot

#: LLR of a bit that Sionna decoded with a CRC that holds, far above what any code needs.
_CERTAIN = 100.0


class SoftOutput:
    """In place of the decoder of a `sionna.phy.nr.PUSCHReceiver`: hands on the LLRs that it would decode.

    PUSCHReceiver(transmitter, tb_decoder=SoftOutput()) then returns LLRs [batch, num_tx, num_coded_bits].
    """

    def __call__(self, llr: Tensor) -> tuple[Tensor, Tensor]:
        return llr, torch.zeros(llr.shape[:2], dtype=torch.bool, device=llr.device)


class SionnaReceiver(Receiver):
    """A PUSCH receiver of Sionna as one of ours.

    receiver: called as Sionna's links call theirs, with y [batch, 1, num_rx_ant, num_allocated_symbols,
    num_subcarriers] complex64 and the noise variance [batch]. It returns either LLRs [batch, num_users,
    num_coded_bits], positive for bit 1, as a `PUSCHReceiver` with `SoftOutput` does; then the decoder is ours. Or bits
    [batch, num_users, tb_size] with the CRC status [batch, num_users], as a `PUSCHReceiver` with
    `return_tb_crc_status=True` does; then blocks are lost where Sionna's decoder loses them.
    pusch_configs: the `sionna.phy.nr.PUSCHConfig` of its transmitter, or one per user (`ran.phy.sionna_pusch` makes
    them from ours); slots with other pilots are refused. For experiment files derive a class from this one, whose
    constructor has the options.
    """

    name = "sionna"

    def __init__(self, receiver: Callable[..., Any], pusch_configs: Any) -> None:
        if not callable(receiver):
            raise bad_value("receiver", receiver, "a PUSCH receiver of Sionna")
        self.receiver = receiver
        self.pusch_configs = list(pusch_configs) if isinstance(pusch_configs, Sequence) else [pusch_configs]
        self._slot = SionnaSlot.of(self.pusch_configs)
        self._encode: Callable[[Tensor], Tensor] | None = None

    def check_slot(self, observation: SlotObservation) -> None:
        difference = self._slot.difference(observation)
        if not difference and observation.transform_precoding:
            difference = "transform precoding; allowed: CP-OFDM"
        if difference:
            raise ValueError(f"slot: got {difference}")

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32, positive means bit 0."""
        observation = at_unit_level(observation)
        found = self.receiver(observation.y[:, None, :, self._slot.symbols], observation.noise_var)
        bits, crc_ok = found if isinstance(found, tuple) else (found, None)
        if bits.shape[-1] == self.pusch_configs[0].num_coded_bits:
            llr = -bits
        elif bits.shape[-1] == int(self.pusch_configs[0].tb_size) and crc_ok is not None:
            # a block that was decoded is certain, one that was not tells nothing
            llr = _CERTAIN * crc_ok.float()[..., None] * (1 - 2 * self._encoded(bits))
        else:
            allowed = "LLRs [batch, num_users, num_coded_bits], or bits [batch, num_users, tb_size] with the CRC status"
            raise bad_value("output of the Sionna receiver", list(bits.shape), allowed)
        return self._slot.per_layer(llr).float().contiguous()

    def _encoded(self, bits: Tensor) -> Tensor:
        """Coded and scrambled bits of blocks."""
        if self._encode is None:
            from sionna.phy.nr import TBEncoder

            first = self.pusch_configs[0]
            self._encode = TBEncoder(
                target_tb_size=int(first.tb_size),
                num_coded_bits=int(first.num_coded_bits),
                target_coderate=float(first.tb.target_coderate),
                num_bits_per_symbol=int(first.tb.num_bits_per_symbol),
                num_layers=first.num_layers,
                n_rnti=[config.n_rnti for config in self.pusch_configs],
                n_id=[_n_id(config) for config in self.pusch_configs],
            )
        encoded: Tensor = self._encode(bits.float())
        return encoded


def _n_id(config: Any) -> int:
    """Scrambling identity of the data: that of the cell where there is none (TS 38.211 §6.3.1.1)."""
    return int(config.carrier.n_cell_id if config.tb.n_id is None else config.tb.n_id)
