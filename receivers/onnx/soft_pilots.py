"""The soft-pilot receiver with the inputs of the `generic` contract, by its own forward pass."""

from __future__ import annotations

from torch import Tensor, nn

from receivers.neural.soft_pilots import SoftPilotReceiver
from receivers.onnx.pairs import as_pair, real_arithmetic
from receivers.onnx.slots import graph_slots


class SoftPilotGraph(nn.Module):
    """A `SoftPilotReceiver` after its first estimate, for one to four layers.

    `noise_var`, `h_hat` and `err_var` are those of the `blind` receiver's estimate. `ValueError` for models with
    re-estimations.
    """

    def __init__(self, model: SoftPilotReceiver, bits_per_symbol: int) -> None:
        super().__init__()
        if model.num_reestimations or any(correction.reestimates for correction in model.passes):
            raise ValueError(
                "got a model with re-estimations, whose equations are solved by iterations outside of its networks; "
                "allowed: num_reestimations 0 and reestimate []"
            )
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
        with real_arithmetic():
            slots = graph_slots(y, pilots, data_mask, noise_var, symbol_times_ms, layer_amplitude, self.bits_per_symbol)
            llr = self.model.refined(self.model.first_state(slots, as_pair(h_hat), err_var))[-1].llr
            return llr.unflatten(2, tuple(data_mask.shape))
