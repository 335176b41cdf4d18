"""What networks that detect by themselves look at: the matched filter of every layer, whatever the antennas."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from receivers.classical.linear import interpolate_linear
from receivers.interface import SlotObservation
from receivers.neural.shown_range import shown_levels

#: Features per layer.
NUM_FEATURES = 11
#: Most bits of a symbol: outputs for more bits than a modulation has are left away.
MAX_BITS = 8


@dataclass(frozen=True)
class Matched:
    """Front end of a network: sums over the antennas, so their number and order do not matter.

    features [batch, num_layers, NUM_FEATURES, num_ofdm_symbols, num_subcarriers] float32: matched filter output,
    what the other layers' outputs leak into it, gain, its square root's logarithm, noise level, whether the RE carries
    data and whether a pilot of the layer, distances to the layer's nearest pilot over time and frequency.
    coupling [batch, num_layers, num_layers, num_ofdm_symbols, num_subcarriers] complex64: correlation of two layers'
    channels, relative to their powers.
    """

    features: Tensor
    coupling: Tensor

    @classmethod
    def of(cls, observation: SlotObservation, highest_snr_db: float = math.inf) -> Matched:
        """From least-squares channel estimates, linearly interpolated.

        highest_snr_db: of a layer at one antenna, that the features show.
        """
        with torch.no_grad():
            h, _ = interpolate_linear(observation)
            # [batch, layer, layer, symbol, subcarrier]
            gram = torch.einsum("brikn,brjkn->bijkn", h.conj(), h)
            gain = torch.diagonal(gram, dim1=1, dim2=2).real.permute(0, 3, 1, 2)
            power = gain.mean((2, 3), keepdim=True)
            noise_var = observation.noise_var[:, None, None, None].expand_as(power)
            shown = shown_levels(noise_var, power, highest_snr_db + 10 * math.log10(h.shape[1]))
            power = shown.power
            root = power.sqrt()
            coupling = gram / (root.unsqueeze(2) * root.unsqueeze(1))
            filtered = torch.einsum("brikn,brkn->bikn", h.conj(), observation.y) / power
            own = torch.diagonal(coupling, dim1=1, dim2=2).permute(0, 3, 1, 2)
            # as if the others' symbols were their outputs
            leaked = torch.einsum("bijkn,bjkn->bikn", coupling, filtered) - own * filtered
            noise = torch.log10(shown.noise / power + 1e-6)
            grid = filtered.real.shape
            features = torch.stack(
                [
                    filtered.real,
                    filtered.imag,
                    leaked.real,
                    leaked.imag,
                    gain / power,
                    torch.log10(gain / power + 1e-3),
                    noise.expand(grid),
                    observation.data_mask.to(noise).expand(grid),
                    *(part.expand(grid) for part in _positions(observation, noise)),
                ],
                dim=2,
            )
        return cls(features, coupling)


def _positions(observation: SlotObservation, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether a RE is a pilot of the layer, and how far the nearest is over time (in seven symbols) and frequency (in
    half a resource block), each [num_layers, num_ofdm_symbols, num_subcarriers]."""
    pilots = observation.pilots.abs() > 0
    num_symbols, num_subcarriers = pilots.shape[1:]
    over_time, over_frequency = [], []
    for layer in range(observation.num_layers):
        k = torch.arange(num_subcarriers, device=pilots.device)
        at = torch.tensor(observation.layout.subcarriers(layer, num_subcarriers), device=pilots.device)
        symbols = torch.tensor(observation.layout.symbols, device=pilots.device)
        t = torch.arange(num_symbols, device=pilots.device)
        frequency = (k[:, None] - at).abs().amin(1).to(like) / 6
        time = (t[:, None] - symbols).abs().amin(1).to(like) / 7
        over_time.append(time[:, None].expand(num_symbols, num_subcarriers))
        over_frequency.append(frequency.expand(num_symbols, num_subcarriers))
    return pilots.to(like), torch.stack(over_time), torch.stack(over_frequency)


def data_llr(observation: SlotObservation, on_grid: Tensor) -> Tensor:
    """LLRs of the data REs [batch, num_layers, num_data_re, bits_per_symbol] from those on the grid, [batch *
    num_layers, MAX_BITS, num_ofdm_symbols, num_subcarriers].

    The labels of TS 38.211 §5.1 refine one another: the first bits of a symbol say the same in every square QAM.
    """
    bits = observation.bits_per_symbol
    if bits > MAX_BITS:
        raise ValueError(f"bits_per_symbol: got {bits}; allowed: up to {MAX_BITS}")
    data = observation.data_mask.flatten().nonzero().squeeze(-1)
    llr = on_grid[:, :bits].flatten(2).index_select(2, data).transpose(1, 2)
    return llr.unflatten(0, (-1, observation.num_layers))


def refuse_spread_symbols(observation: SlotObservation) -> None:
    """`ValueError` for DFT-s-OFDM, whose symbols are not on the subcarriers."""
    if observation.transform_precoding:
        raise ValueError("got transform precoding; allowed: CP-OFDM")
