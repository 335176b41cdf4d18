"""A network of any kind with the inputs of the `generic` contract, by its own forward pass."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from receivers.interface import SlotObservation
from receivers.levels import level_exponent, scaled
from receivers.neural.receiver import passes_of
from receivers.onnx.pairs import real_arithmetic


class TracedGraph(nn.Module):
    """What is received and sent as pilots come in, and everything else about the slot is that of `like`.

    model: called with a `SlotObservation`, as in training. There is no second forward pass: it is what is exported. It
    makes its own channel estimate: `h_hat` and `err_var` are not looked at.
    real: for runtimes that know no complex numbers, which are pairs of real ones then. A call raises
    `receivers.onnx.pairs.NoRealForm` for what there is no rule for.
    """

    def __init__(self, model: nn.Module, like: SlotObservation, real: bool = False) -> None:
        super().__init__()
        self.model = model
        self._real = real
        self._like = replace(like, decoder=None)
        self.places: Tensor
        self.register_buffer("places", like.data_mask.flatten().nonzero()[:, 0])

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
        """Inputs and output as the contract has them: LLRs on every RE, 0 where there are no data."""
        with real_arithmetic() if self._real else nullcontext():
            seen = replace(
                self._like, y=torch.view_as_complex(y), pilots=torch.view_as_complex(pilots), noise_var=noise_var
            )
            # as `neural` does: networks see slots of unit level, whatever the file is fed with
            seen = scaled(seen, 2.0 ** -level_exponent(seen).to(noise_var.dtype))
            llr = passes_of(self.model(seen))[-1][0]
            on_grid = llr.new_zeros(*llr.shape[:2], self._like.data_mask.numel(), llr.shape[3])
            filled: Tensor = on_grid.index_copy(2, self.places, llr)
            return filled.unflatten(2, tuple(self._like.data_mask.shape))
