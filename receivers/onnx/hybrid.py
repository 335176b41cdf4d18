"""The hybrid neural receiver with the inputs of the `generic` contract, by its own forward pass."""

from __future__ import annotations

from torch import Tensor, nn

from receivers.neural.hybrid import HybridReceiver
from receivers.onnx.pairs import as_pair, parts_of, real_arithmetic
from receivers.onnx.slots import graph_slots


class HybridGraph(nn.Module):
    """A `HybridReceiver` after its first estimate, for one or two layers."""

    def __init__(self, model: HybridReceiver, bits_per_symbol: int) -> None:
        super().__init__()
        self.model = model
        self.bits_per_symbol = bits_per_symbol

    def forward(
        self,
        y: Tensor,
        pilots: Tensor,
        data_mask: Tensor,
        noise_var: Tensor,
        h_hat: Tensor,
        err_var: Tensor,
        symbol_times_ms: Tensor,
        layer_amplitude: Tensor,
    ) -> Tensor:
        """LLRs [batch, num_layers, num_symbols, num_subcarriers, bits_per_symbol]; see the contract for the inputs."""
        return self.refine(y, pilots, data_mask, noise_var, h_hat, err_var, symbol_times_ms, layer_amplitude)[0]

    def refine(
        self,
        y: Tensor,
        pilots: Tensor,
        data_mask: Tensor,
        noise_var: Tensor,
        h_hat: Tensor,
        err_var: Tensor,
        symbol_times_ms: Tensor,
        layer_amplitude: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The LLRs, and the channel estimate of the last pass in the shape of `h_hat`."""
        with real_arithmetic():
            slots = graph_slots(y, pilots, data_mask, noise_var, symbol_times_ms, layer_amplitude, self.bits_per_symbol)
            llr, refined = self.model.refined(slots, as_pair(h_hat), err_var)[-1]
            return llr.unflatten(2, tuple(data_mask.shape)), parts_of(refined)
