"""Models of the contracts `oai-demapper` and `llrnet`: equalised symbols to LLRs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from receivers.classical.equalizer import lmmse_equalize
from receivers.classical.linear import interpolate_linear
from receivers.interface import SlotObservation
from receivers.onnx.model import RunsModel

#: Largest number of symbols at once (Sionna Research Kit 1.2.0).
_MOST = 512


class DemapperModel:
    """Feeds a demapper, after LS channel estimation with linear interpolation and LMMSE equalisation.

    llrnet: float32 symbols of unit power and any QAM up to 256, otherwise those of `oai-demapper`.
    """

    def __init__(self, model: RunsModel, sizes: dict[str, int], llrnet: bool) -> None:
        self._model = model
        self._sizes = sizes
        self._llrnet = llrnet

    def check(self, observation: SlotObservation) -> None:
        """`ValueError` for slots of a kind that the contract does not take."""
        if observation.transform_precoding:
            raise ValueError("got transform precoding; allowed: CP-OFDM")
        if self._llrnet and not 2 <= observation.bits_per_symbol <= 8:
            raise ValueError(f"got {observation.bits_per_symbol} bits per symbol; allowed: 2 to 8")
        if not self._llrnet and observation.bits_per_symbol != 4:
            raise ValueError(f"got {observation.bits_per_symbol} bits per symbol; allowed: 4 (16QAM)")

    def __call__(self, observation: SlotObservation) -> Tensor:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] float32."""
        h_hat, err_var = interpolate_linear(observation)
        data, amplitude = observation.data_mask.flatten(), observation.layer_amplitude
        noise = observation.noise_var[:, None] + amplitude**2 * err_var.flatten(2)[:, :, data].sum(1)
        x_hat, _ = lmmse_equalize(observation.y.flatten(2)[:, :, data], h_hat.flatten(3)[..., data] * amplitude, noise)
        symbols = torch.view_as_real(x_hat.flatten()).cpu().numpy()
        if self._llrnet:
            name, output, taken = "input", "dense_1", symbols
        else:
            name, output = "y", "output_1"
            taken = np.clip(symbols * (10**0.5 / 2), -60000, 60000).astype(np.float16)
        size = self._sizes.get("num_res", _MOST)
        padded = np.pad(taken, ((0, -len(taken) % size if "num_res" in self._sizes else 0), (0, 0)))
        parts = [self._model.run({name: padded[i : i + size]}, [output])[0] for i in range(0, len(padded), size)]
        llr = np.concatenate(parts)[: len(taken), : observation.bits_per_symbol]
        on_layers = torch.from_numpy(np.ascontiguousarray(llr)).view(*x_hat.shape, observation.bits_per_symbol)
        return on_layers.to(observation.y.device)
