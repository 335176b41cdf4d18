"""A trained channel predictor, loaded from its weights."""

from __future__ import annotations

import numpy as np
import torch

from receivers.csi.channel_prediction import ChannelPrediction
from receivers.csi.neural import CSI_ARCHITECTURES
from receivers.errors import bad_value
from receivers.neural.weights import load_weights

#: Users that go through the network together; more fill no cache better.
_AT_ONCE = 8


class LearnedPredictor:
    """The next channel from several estimates, by a trained network.

    weights: a name that the package ships, or a path to a .safetensors file with its card beside it. `ValueError` for
    others.
    """

    def __init__(self, weights: str) -> None:
        loaded = load_weights(weights, "csi")
        model = loaded.model(weights, CSI_ARCHITECTURES)
        if not isinstance(model, ChannelPrediction):
            raise bad_value("weights", weights, "a model of the architecture 'channel-prediction'")
        self.model, self.card, self.fingerprint = model, loaded.card, loaded.fingerprint

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """complex64 [batch, num_rx_ant, num_ports, num_prb] of [batch, num_times, ...]."""
        with torch.inference_mode():
            parts = torch.from_numpy(np.ascontiguousarray(h)).split(_AT_ONCE)
            return np.asarray(torch.cat([self.model(part) for part in parts]).numpy())
