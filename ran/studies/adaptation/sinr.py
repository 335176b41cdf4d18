"""SINR of the symbols of a slot: what effective SINRs are made of.

As a receiver delivers it, `llr_sinr_db`, and after LMMSE equalisation with a known channel, `symbol_sinr_db`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ran.studies.adaptation.information import snr_of_log_deficit
from receivers import SlotObservation
from receivers.classical.equalizer import lmmse_equalize

#: Every so many subcarriers are looked at, or averaged over, and so many symbols: fading moves far less in between.
_SUBCARRIER_STEP = 6
_NUM_SYMBOLS = 3


def llr_sinr_db(llr: Tensor, coded_bits: Tensor, data_mask: Tensor) -> NDArray[np.float32]:
    """SINR in dB at which a receiver's LLRs tell of the bits what they do, float32 [batch, num_samples].

    llr float32 and coded_bits uint8 [batch, num_layers, num_data_re, bits_per_symbol]: of a block that was received,
    whose bits are known then. data_mask bool [num_ofdm_symbols, num_subcarriers].

    A sample is a layer over a sixth part of two PRBs' width and a third of the data symbols. There the information per
    bit is 1 - mean log2(1 + exp(-|llr|)), with +|llr| where the sign is wrong, and the sample the SINR at which the
    modulation carries as much (`ran.studies.adaptation.information`). So whatever the receiver loses by its estimate
    or by its detector is in it, as are LLRs that are too sure of themselves.
    """
    bits_per_symbol = llr.shape[-1]
    lost = torch.nn.functional.softplus((2 * coded_bits.double() - 1) * llr.double()).mean(-1) / np.log(2)
    places, sizes = _groups(data_mask)
    sums = lost.new_zeros(*lost.shape[:2], len(sizes)).index_add_(2, places, lost)
    deficit = (sums / sizes).flatten(1).cpu().numpy()
    # nothing was told where the LLRs mislead, and all of it where no number is large enough to say what is left
    least, most = np.finfo(np.float64).tiny, 1 - float(np.finfo(np.float32).eps)
    log_deficit = np.log(np.clip(deficit, least, most))
    return snr_of_log_deficit(log_deficit, bits_per_symbol).astype(np.float32)


def _groups(data_mask: Tensor) -> tuple[Tensor, Tensor]:
    """The sample that every data RE belongs to, int64 [num_data_re], and the number of REs of every sample."""
    symbols, subcarriers = data_mask.nonzero(as_tuple=True)
    with_data = data_mask.any(1).nonzero().squeeze(-1)
    part = torch.searchsorted(with_data, symbols) * min(_NUM_SYMBOLS, len(with_data)) // len(with_data)
    bands = -(-data_mask.shape[1] // _SUBCARRIER_STEP)
    _, places, sizes = torch.unique(
        part * bands + subcarriers // _SUBCARRIER_STEP, return_inverse=True, return_counts=True
    )
    return places, sizes


def symbol_sinr_db(observation: SlotObservation, h: Tensor, noise_var: Tensor) -> NDArray[np.float32]:
    """SINR in dB after LMMSE equalisation by a known channel, float32 [batch, num_layers * num_sampled_re].

    h [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers]; noise_var [batch].
    """
    places = _sampled(observation.data_mask)
    y = observation.y.flatten(2).index_select(2, places)
    sampled = h.flatten(3).index_select(3, places) * observation.layer_amplitude
    _, variance = lmmse_equalize(y, sampled, noise_var.unsqueeze(-1))
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
