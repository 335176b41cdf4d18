"""A trained two-sided model, loaded from its weights: encoder and decoder with their bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from receivers.csi.autoencoder import Autoencoder
from receivers.csi.channel_prediction import ChannelPrediction
from receivers.csi.delay_angle_model import DelayAngleModel
from receivers.csi.refinement import Refinement
from receivers.csi.two_sided import TwoSided
from receivers.errors import bad_value
from receivers.neural.weights import Weights, load_weights

#: Architectures of models for CSI by the name that model cards and recipes use.
CSI_ARCHITECTURES: dict[str, type[nn.Module]] = {
    "refinement": Refinement,
    "autoencoder": Autoencoder,
    "delay-angle": DelayAngleModel,
    "channel-prediction": ChannelPrediction,
}


def pair_of(card: Mapping[str, Any]) -> str:
    """Names the latents that a model's sides understand: the SHA-256 of the weights that were trained together.

    A side that was trained alone, on reports of such weights or against one of their sides, carries theirs.
    """
    return str(card.get("pair", card["sha256"]))


def indices_of(reports: np.ndarray, bits_per_index: int) -> Tensor:
    """Reports, bits [batch, num_indices * bits_per_index], as indices of the quantiser, int64 [batch, num_indices]."""
    places = 1 << np.arange(bits_per_index - 1, -1, -1)
    return torch.from_numpy(reports.reshape(len(reports), -1, bits_per_index).astype(np.int64) @ places)


class NeuralCoder:
    """Latents of a trained model as reports beside those of the codebook that it refines.

    weights: a name that the package ships, or a path to a .safetensors file with its card beside it. num_values:
    latents of a report, 0 to those of the model. decoder: weights whose decoder is taken; without, that of `weights`.
    `base` in the card says which codebook's precoders it refines, if any. `ValueError` for weights that do not belong
    together.
    """

    def __init__(self, weights: str, num_values: int, decoder: str | None = None) -> None:
        loaded = load_weights(weights, "csi")
        self.model, self.card, self.num_values = _model(loaded, weights), loaded.card, num_values
        self.fingerprint = loaded.fingerprint
        if "encoder" not in loaded.card.get("trained_sides", ("encoder",)):
            raise bad_value("weights", weights, "weights with an encoder; these hold a decoder that was trained alone")
        self.decoding = self.model
        if decoder is not None:
            other = load_weights(decoder, "csi")
            self.decoding = _model(other, decoder)
            self.fingerprint = f"{loaded.fingerprint}-{other.fingerprint}"
            for what, ours, theirs in (
                ("pair", pair_of(loaded.card), pair_of(other.card)),
                ("base", loaded.card["base"], other.card["base"]),
                ("bits_per_value", self.model.bits_per_value, self.decoding.bits_per_value),
                ("vector_size", self.model.vector_size, self.decoding.vector_size),
            ):
                if ours != theirs:
                    raise bad_value(f"decoder {decoder}: {what}", theirs, f"{ours}, that of the encoder {weights}")
        most = min(self.model.num_latents, self.decoding.num_latents)
        if not 0 <= num_values <= most:
            raise bad_value("num_values", num_values, f"0 to {most}, the latents of {weights}")
        if num_values % self.model.vector_size:
            raise bad_value("num_values", num_values, f"multiples of {self.model.vector_size}, latents of a codeword")

    @property
    def num_bits(self) -> int:
        """Of a report, beside the codebook's if there is one."""
        return self.num_values * self.model.bits_per_value

    def encode(self, v: Tensor, base: Tensor) -> np.ndarray:
        """Reports, uint8 [batch, num_bits]; v, base complex64 [batch, num_units, num_ports], zeros for the base of a
        model that refines nothing."""
        with torch.no_grad():
            indices = self.model.encode(v, base, self.num_values).numpy()
        places = np.arange(self.model.bits_per_index - 1, -1, -1)
        return ((indices[..., None] >> places) & 1).reshape(len(v), self.num_bits).astype(np.uint8)

    def decode(self, bits: np.ndarray, base: Tensor) -> Tensor:
        """Unit-norm precoders complex64 [batch, num_units, num_ports]. `ValueError` for reports of another length."""
        if bits.ndim != 2 or bits.shape[1] != self.num_bits:
            raise bad_value("report", bits.shape, f"[batch, {self.num_bits}] bits of {self.num_values} latents")
        indices = indices_of(bits, self.model.bits_per_index) if self.num_values else torch.zeros(len(bits), 0).long()
        with torch.no_grad():
            return self.decoding.decode(indices, base)


def _model(loaded: Weights, asked: str) -> TwoSided:
    model = loaded.model(asked, CSI_ARCHITECTURES)
    if not isinstance(model, TwoSided):
        raise bad_value("weights", asked, "a model of the architecture 'refinement' or 'autoencoder'")
    return model
