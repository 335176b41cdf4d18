"""A trained two-sided model, loaded from its weights: encoder and decoder with their bits."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from receivers.csi.refinement import Refinement
from receivers.errors import bad_value
from receivers.neural.weights import load_weights

#: Architectures of two-sided models by the name that model cards and recipes use.
CSI_ARCHITECTURES: dict[str, type[nn.Module]] = {"refinement": Refinement}


class NeuralCoder:
    """Latents of a trained model as reports beside those of the codebook that it refines.

    weights: a name that the package ships, or a path to a .safetensors file with its card beside it. num_values:
    latents
    of a report, 0 to those of the model. `base` in the card says which codebook's precoders it refines.
    """

    def __init__(self, weights: str, num_values: int) -> None:
        loaded = load_weights(weights, "csi")
        model = loaded.model(weights, CSI_ARCHITECTURES)
        if not isinstance(model, Refinement):
            raise bad_value("weights", weights, "a model of the architecture 'refinement'")
        if not 0 <= num_values <= model.num_latents:
            raise bad_value("num_values", num_values, f"0 to {model.num_latents}, the latents of {weights}")
        self.model, self.card, self.num_values = model, loaded.card, num_values
        self.fingerprint = loaded.fingerprint

    @property
    def num_bits(self) -> int:
        """Of a report, beside the codebook's."""
        return self.num_values * self.model.bits_per_value

    def encode(self, v: Tensor, base: Tensor) -> np.ndarray:
        """Reports, uint8 [batch, num_bits]; v, base complex64 [batch, num_units, num_ports]."""
        with torch.no_grad():
            indices = self.model.encode(v, base, self.num_values).numpy()
        places = np.arange(self.model.bits_per_value - 1, -1, -1)
        return ((indices[..., None] >> places) & 1).reshape(len(v), self.num_bits).astype(np.uint8)

    def decode(self, bits: np.ndarray, base: Tensor) -> Tensor:
        """Unit-norm precoders complex64 [batch, num_units, num_ports]. `ValueError` for reports of another length."""
        if bits.ndim != 2 or bits.shape[1] != self.num_bits:
            raise bad_value("report", bits.shape, f"[batch, {self.num_bits}] bits of {self.num_values} latents")
        places = 1 << np.arange(self.model.bits_per_value - 1, -1, -1)
        indices = bits.reshape(len(bits), self.num_values, self.model.bits_per_value).astype(np.int64) @ places
        with torch.no_grad():
            return self.model.decode(torch.from_numpy(indices), base)
