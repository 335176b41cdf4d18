"""SINR of the symbols of a slot after linear equalisation: what effective SINRs are made of."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.errors import InputError
from ran.link import SlotBatch
from receivers import Blind, SlotObservation
from receivers.classical.equalizer import lmmse_equalize

#: Every so many subcarriers are looked at, and so many symbols: fading moves far less in between.
_SUBCARRIER_STEP = 6
_NUM_SYMBOLS = 3

#: Who measures: a base station, with noise and channel estimated from the pilots, or a genie, who is told both.
Knowledge = Literal["pilots", "truth"]


class SinrMeter:
    """Measures the SINR of slots. For "pilots" with the estimator of the receiver `blind`."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._receiver = Blind()

    def check(self, observation: SlotObservation) -> None:
        """`InputError` for pilots that the estimator does not know."""
        if self.knowledge == "pilots":
            try:
                self._receiver.check_pilots(observation.layout)
            except ValueError as error:
                raise InputError(f"adaptation: measuring the SINR: {error}") from None

    def __call__(self, batch: SlotBatch) -> NDArray[np.float32]:
        """SINR in dB of a grid of data REs on all layers, float32 [batch, num_samples].

        The error of the estimate counts as white noise, as it does in the receivers.
        """
        observation = batch.observation
        if self.knowledge == "truth":
            return symbol_sinr_db(observation, batch.truth.h, observation.noise_var)
        estimate = self._receiver.estimate(observation)
        return symbol_sinr_db(observation, estimate.h_hat, estimate.noise_var, estimate.err_var)


def symbol_sinr_db(
    observation: SlotObservation, h: Tensor, noise_var: Tensor, err_var: Tensor | None = None
) -> NDArray[np.float32]:
    """SINR in dB after LMMSE equalisation, float32 [batch, num_layers * num_sampled_re].

    h [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers]; noise_var [batch]; err_var [batch, num_layers,
    num_ofdm_symbols, num_subcarriers].
    """
    places = _sampled(observation.data_mask)
    amplitude = observation.layer_amplitude
    noise = noise_var.unsqueeze(-1)
    if err_var is not None:
        noise = noise + amplitude**2 * err_var.flatten(2).index_select(2, places).sum(1)
    y = observation.y.flatten(2).index_select(2, places)
    _, variance = lmmse_equalize(y, h.flatten(3).index_select(3, places) * amplitude, noise)
    sinr_db: NDArray[np.float32] = (-10 * torch.log10(variance)).flatten(1).float().cpu().numpy()
    return sinr_db


def _sampled(data_mask: Tensor) -> Tensor:
    """Places of the REs that are looked at, in the flattened grid: some subcarriers of the first, middle and last
    symbol with data."""
    with_data = data_mask.any(1).nonzero().squeeze(-1)
    middle = torch.linspace(0, len(with_data) - 1, min(_NUM_SYMBOLS, len(with_data))).round().long()
    chosen = torch.zeros_like(data_mask)
    chosen[with_data[middle], _SUBCARRIER_STEP // 2 :: _SUBCARRIER_STEP] = True
    places = (chosen & data_mask).flatten().nonzero().squeeze(-1)
    return places if len(places) else data_mask.flatten().nonzero().squeeze(-1)
