"""Our receivers in links of Sionna."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sionna.phy import Block
from torch import Tensor

from receivers.errors import bad_value
from receivers.interface import Receiver
from receivers.sionna_slot import SionnaSlot


class AsSionnaReceiver(Block):
    """A receiver of ours as a block that is called as `sionna.phy.nr.PUSCHReceiver` is.

    receiver: any of `receivers` that needs neither the truth nor the decoder. pusch_transmitter: of the link, which
    sends CP-OFDM in the frequency domain. pusch_configs: that it was made with, one or a list.
    tb_decoder: by default a `TBDecoder` of Sionna as it is.
    """

    def __init__(
        self,
        receiver: Receiver,
        pusch_transmitter: Any,
        pusch_configs: Any,
        tb_decoder: Any = None,
        return_tb_crc_status: bool = False,
    ) -> None:
        from sionna.phy.nr import TBDecoder

        super().__init__()
        if receiver.needs_truth or receiver.uses_decoder:
            raise bad_value("receiver", receiver.name, "one that needs neither the truth nor the decoder")
        configs = list(pusch_configs) if isinstance(pusch_configs, Sequence) else [pusch_configs]
        self._slot = SionnaSlot.of(configs)
        self._receiver = receiver
        self._return_tb_crc_status = return_tb_crc_status
        # the encoder is what Sionna's own receiver makes its decoder from
        self._decoder = tb_decoder or TBDecoder(pusch_transmitter._tb_encoder)

    def call(self, y: Tensor, no: Tensor | float) -> Tensor | tuple[Tensor, Tensor]:
        """y [batch, 1, num_rx_ant, num_ofdm_symbols, num_subcarriers] complex64, no: noise variance, a number, [batch]
        or [batch, 1, num_rx_ant] equal over the antennas.

        Returns bits [batch, num_tx, tb_size] and, if asked for, the CRC status [batch, num_tx].
        """
        if y.shape[1] != 1:
            raise bad_value("receivers of y", y.shape[1], "1")
        noise_var = torch.as_tensor(no, dtype=torch.float32, device=y.device)
        noise_var = noise_var.reshape(*noise_var.shape, *(1,) * (3 - noise_var.ndim)).expand(*y.shape[:3])
        if not torch.equal(noise_var, noise_var[..., :1].expand_as(noise_var)):
            raise bad_value("no", "noise that differs over the antennas", "one variance for a slot")
        observation = self._slot.observation(y[:, 0], noise_var[:, 0, 0].contiguous())
        self._receiver.check_on(observation)
        llr = self._receiver(observation)
        bits, crc_ok = self._decoder(-self._slot.per_user(llr))  # positive means bit 1 in Sionna
        return (bits, crc_ok) if self._return_tb_crc_status else bits
