"""Models of the contracts `aerial-nrx` and `oai-nrx`: the allocation and LS estimates at its pilots, slot by slot."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from receivers.interface import SlotObservation
from receivers.onnx.contract import PilotOrder
from receivers.onnx.generic import check_sizes, pairs
from receivers.onnx.model import RunsModel

_PILOTS_PER_PRB = 6
_SUBCARRIERS_PER_PRB = 12


class NeuralRxModel:
    """Feeds a model of either contract.

    joined: complex numbers have a last axis (`oai-nrx`), instead of a tensor for each part (`aerial-nrx`); the received
    grid is then scaled to unit power, and the estimates with it.
    """

    def __init__(self, model: RunsModel, sizes: dict[str, int], joined: bool) -> None:
        self._model = model
        self._sizes = sizes
        self._joined = joined
        self.pilot_order: PilotOrder = "symbol-major"

    def check(self, observation: SlotObservation) -> None:
        """`ValueError` for slots of a kind that the contract or the file does not take."""
        layout = observation.layout
        if observation.transform_precoding:
            raise ValueError("got transform precoding; allowed: CP-OFDM")
        if not layout.is_comb or layout.num_adjacent_symbols > 1 or layout.bundle_subcarriers is not None:
            raise ValueError(
                "got DM-RS of type 2, of double symbols or precoded by PRG; allowed: type 1, single symbols"
            )
        if observation.bits_per_symbol > self._sizes.get("num_bits", 8) or observation.bits_per_symbol < 2:
            most = self._sizes.get("num_bits", 8)
            raise ValueError(f"got {observation.bits_per_symbol} bits per symbol; allowed: 2 to {most}")
        if self._joined:
            check_sizes(
                {"num_rx_ant": 1, "num_layers": 1, "bits_per_symbol": 4},
                {
                    "num_rx_ant": observation.y.shape[1],
                    "num_layers": observation.num_layers,
                    "bits_per_symbol": observation.bits_per_symbol,
                },
            )
        allocated = allocation(observation)
        num_subcarriers = observation.data_mask.shape[1]
        check_sizes(
            self._sizes,
            {
                "num_subcarriers": num_subcarriers,
                "num_symbols": allocated.stop - allocated.start,
                "num_rx_ant": observation.y.shape[1],
                "num_layers": observation.num_layers,
                "num_pilot_symbols": len(layout.symbols),
                "num_pilots": len(layout.symbols) * num_subcarriers // _SUBCARRIERS_PER_PRB * _PILOTS_PER_PRB,
            },
        )

    def __call__(self, observation: SlotObservation) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32."""
        allocated = allocation(observation)
        y, estimates = observation.y[:, :, allocated], self._pilot_estimates(observation)
        if self._joined:
            scale = (y.real**2 + y.imag**2).mean((1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny).rsqrt()
            y, estimates = y * scale[:, None, None, None], estimates * scale[:, None, None, None]
        # [batch, subcarrier, symbol, rx]
        y = y.permute(0, 3, 2, 1)
        layout, layers = observation.layout, range(observation.num_layers)
        positions = np.array(layout.symbols, np.int32) - allocated.start
        within_prb = [layout.subcarriers(layer, _SUBCARRIERS_PER_PRB) for layer in layers]
        common: dict[str, NDArray] = {
            "active_dmrs_ports": np.ones((1, observation.num_layers), np.float32),
            "dmrs_ofdm_pos": np.tile(positions, (observation.num_layers, 1)),
            "dmrs_subcarrier_pos": np.array(within_prb, np.int32),
        }
        mask = observation.data_mask[allocated].cpu().numpy()
        slots = [self._llr(y[i : i + 1], estimates[i : i + 1], common, mask) for i in range(len(y))]
        llr = np.stack(slots)[..., : observation.bits_per_symbol]
        return torch.from_numpy(np.ascontiguousarray(llr)).to(observation.y.device)

    def _llr(self, y: Tensor, estimates: Tensor, common: dict[str, NDArray], mask: NDArray[np.bool_]) -> NDArray:
        """LLRs [num_layers, num_data_re, bits] of a slot."""
        if self._joined:
            feeds = {"rx_slot": pairs(y), "h_hat": pairs(estimates)}
        else:
            feeds = {
                "rx_slot_real": y.real.cpu().numpy(),
                "rx_slot_imag": y.imag.cpu().numpy(),
                "h_hat_real": estimates.real.cpu().numpy(),
                "h_hat_imag": estimates.imag.cpu().numpy(),
            }
        (output,) = self._model.run({**feeds, **common}, ["output_1"])
        # [1, bit, layer, subcarrier, symbol] -> [layer, symbol, subcarrier, bit], of which the data REs
        on_grid: NDArray = output[0].transpose(1, 3, 2, 0)[:, mask]
        return on_grid

    def _pilot_estimates(self, observation: SlotObservation) -> Tensor:
        """Raw LS estimates [batch, num_pilots, num_layers, num_rx_ant] of the channel, the layers' power included."""
        # [batch, rx, layer, pilot symbol, pilot]
        estimates = estimates_at_pilots(observation)
        if self.pilot_order == "frequency-major":
            estimates = estimates.transpose(3, 4)
        return estimates.flatten(3).permute(0, 3, 2, 1)


def estimates_at_pilots(observation: SlotObservation) -> Tensor:
    """Raw LS estimates [batch, num_rx_ant, num_layers, num_pilot_symbols, num_pilots], the layers' power included."""
    symbols = list(observation.layout.symbols)
    per_layer = []
    for layer in range(observation.num_layers):
        k = list(observation.layout.subcarriers(layer, observation.data_mask.shape[1]))
        sent = observation.pilots[layer, symbols][:, k]
        per_layer.append(observation.y[:, :, symbols][..., k] / sent * observation.layer_amplitude)
    return torch.stack(per_layer, dim=2)


def allocation(observation: SlotObservation) -> slice:
    """OFDM symbols from the first to the last that carries data or pilots."""
    used = observation.data_mask.any(1) | (observation.pilots.abs() > 0).any(2).any(0)
    symbols = used.nonzero().flatten().tolist()
    return slice(symbols[0], symbols[-1] + 1)
