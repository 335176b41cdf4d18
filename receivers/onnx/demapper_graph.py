"""The demapper of the hybrid neural receiver with the tensors of the contracts `oai-demapper` and `llrnet`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.classical.qam import demap_maxlog
from receivers.onnx.pairs import as_pair, real_arithmetic

#: LLRs of `oai-demapper` are written as 16-bit integers of 1/256.
_LARGEST = 127.0


class DemapperGraph(nn.Module):
    """Max-log demapping of square QAM at a stated noise level, which these contracts do not hand over.

    scale: what unit-power symbols were multiplied with. noise_var: of unit-power symbols. num_outputs: LLRs per symbol;
    those beyond the constellation's bits are 0.
    """

    def __init__(self, bits_per_symbol: int, noise_var: float, scale: float = 1.0, num_outputs: int | None = None):
        super().__init__()
        self.bits_per_symbol = bits_per_symbol
        self.noise_var = noise_var
        self.scale = scale
        self.num_outputs = num_outputs or bits_per_symbol
        if bits_per_symbol < 2 or bits_per_symbol > self.num_outputs:
            raise ValueError(f"got {bits_per_symbol} bits per symbol; allowed: 2 to {self.num_outputs}")

    def forward(self, y: Tensor) -> Tensor:
        """y [n, 2] -> LLRs [n, num_outputs] float32."""
        x = y.float() / self.scale
        with real_arithmetic():
            llr = demap_maxlog(as_pair(x), torch.full_like(x[:, 0], self.noise_var), self.bits_per_symbol)
        llr = llr.clamp(-_LARGEST, _LARGEST)
        missing = self.num_outputs - self.bits_per_symbol
        return torch.cat([llr, torch.zeros_like(llr[:, :1]).repeat(1, missing)], dim=1) if missing else llr
