"""Models of the contract `cuphy-chest`: LS estimates at pilots to a channel on all subcarriers of the DM-RS symbols."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from receivers.classical.equalizer import detect
from receivers.classical.linear import line_over_time
from receivers.interface import SlotObservation
from receivers.onnx.generic import check_sizes, pairs
from receivers.onnx.least_squares import check_layout
from receivers.onnx.model import RunsModel
from receivers.onnx.neural_rx import estimates_at_pilots

_LAYERS, _RX = 4, 4
#: First subcarrier and cover code of DM-RS ports 0 to 3 (TS 38.211 table 6.4.1.1.3-1, type 1).
_PORTS = ((0, (1, 1)), (0, (1, -1)), (1, (1, 1)), (1, (1, -1)))


class ChestModel:
    """Feeds an estimator; its channel is interpolated over time, then LMMSE equalisation and max-log demapping."""

    def __init__(self, model: RunsModel, sizes: dict[str, int]) -> None:
        self._model = model
        self._sizes = sizes

    def check(self, observation: SlotObservation) -> None:
        """`ValueError` for slots of a kind that the contract or the file does not take."""
        check_layout(observation)
        if observation.y.shape[1] != _RX:
            raise ValueError(f"got num_rx_ant {observation.y.shape[1]}; allowed: {_RX}")
        self._slots(observation)
        num_subcarriers = observation.data_mask.shape[1]
        check_sizes(
            self._sizes,
            {
                "num_subcarriers": num_subcarriers,
                "num_pilot_symbols": len(observation.layout.symbols),
                "num_pilots": num_subcarriers // 2,
            },
        )

    def __call__(self, observation: SlotObservation) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32."""
        return detect(observation, self.channel(observation) / observation.layer_amplitude, None)

    def channel(self, observation: SlotObservation) -> Tensor:
        """Channel [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers], the layers' power included."""
        slots = self._slots(observation)
        # [batch, rx, layer, pilot symbol, pilot] -> [batch, pilot, layer, rx, pilot symbol]
        found = estimates_at_pilots(observation).permute(0, 4, 2, 1, 3)
        z = found.new_zeros(*found.shape[:2], _LAYERS, *found.shape[3:])
        z[:, :, slots] = found
        step = self._sizes.get("batch", len(z))
        if len(z) % step:
            raise ValueError(f"got a batch of {len(z)} slots; allowed: a multiple of {step}, which the file fixes")
        parts = [self._model.run({"z": pairs(z[i : i + step])}, ["zout"])[0] for i in range(0, len(z), step)]
        out = torch.view_as_complex(torch.from_numpy(np.concatenate(parts)))[:, :, slots]
        line = line_over_time(observation.layout.symbols, observation.data_mask.shape[0], out.device)
        return torch.einsum("st,brlkt->brlsk", line.to(out.dtype), out).to(observation.y.device)

    @staticmethod
    def _slots(observation: SlotObservation) -> list[int]:
        """Which of the contract's layers each layer is: its DM-RS port."""
        layout = observation.layout
        ports = []
        for first, cover in zip(layout.first_subcarrier, layout.cover_code, strict=True):
            if (first, tuple(cover)) not in _PORTS:
                raise ValueError(f"got a layer on subcarrier {first} with cover code {cover}; allowed: ports 0 to 3")
            ports.append(_PORTS.index((first, tuple(cover))))
        return ports
