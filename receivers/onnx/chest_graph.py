"""The channel estimation of the hybrid neural receiver with the tensors of the contract `cuphy-chest`."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from receivers.interface import SlotObservation
from receivers.neural.hybrid import HybridReceiver
from receivers.onnx.least_squares import (
    WienerGraph,
    at_least,
    check_layout,
    mean_of_pairs,
    noise_of,
    on_subcarriers,
)
from receivers.onnx.pairs import as_pair, parts_of, real_arithmetic
from receivers.onnx.slots import graph_slots

#: Layers of the contract: DM-RS ports 0 to 3, two to a CDM group (TS 38.211 table 6.4.1.1.3-1, type 1).
_LAYERS, _PER_GROUP = 4, 2
#: Amplitude of DM-RS where both CDM groups are free of data: 3 dB (TS 38.214 table 6.2.2-1).
_AMPLITUDE = 2**0.5


class ChestGraph(nn.Module):
    """First estimate and first correction of a trained `HybridReceiver`, for slots with the DM-RS symbols of `like`.

    That pass looks at pilots alone. CDM groups do not meet on any RE, so four layers are two problems of two layers,
    which is what the weights know. Layers that are not there are all zeros at the input, and at the output.
    """

    def __init__(self, model: HybridReceiver, like: SlotObservation) -> None:
        super().__init__()
        check_layout(like)
        every = slice(0, like.data_mask.shape[0])
        self.groups = nn.ModuleList()
        for first in range(_LAYERS // _PER_GROUP):
            layout = replace(like.layout, first_subcarrier=(first,), cover_code=((1, 1),))
            self.groups.append(WienerGraph(model.first_estimate, replace(like, layout=layout), 0, every))
        self.model = model
        # no modulation has a part in the first pass: it is shown the range of the one with the widest
        self.widest = max(model.shown_range.highest_snr_db, key=lambda end: end[1], default=(0, 0.0))[0]
        self.positions = len(like.layout.symbol_groups)
        self.is_known = model.shown_range.has(like)
        self.place: Tensor
        self.times_ms: Tensor
        self.cover: Tensor
        num_symbols, symbols = like.data_mask.shape[0], list(like.layout.symbols)
        self.register_buffer("place", torch.eye(num_symbols)[:, symbols].contiguous())
        self.register_buffer("times_ms", (like.symbol_times_s * 1e3).float())
        # factor on the pilots of the second layer of a group
        self.register_buffer("cover", torch.tensor([1.0, -1.0]).repeat(like.data_mask.shape[1] // 4))

    def forward(self, z: Tensor) -> Tensor:
        """z [batch, pilot, layer, rx, DM-RS symbol, 2] -> [batch, rx, layer, subcarrier, DM-RS symbol, 2]."""
        # [batch, layer, rx, DM-RS symbol, pilot, 2]
        h = z.permute(0, 2, 3, 4, 1, 5)
        parts = []
        for first, wiener in enumerate(self.groups):
            parts.append(self._group(h[:, _PER_GROUP * first : _PER_GROUP * (first + 1)], first, wiener))
        # [batch, rx, layer, symbol, subcarrier, 2]
        on_grid = torch.cat(parts, dim=2)
        return torch.einsum("st,brlskc->brlktc", self.place, on_grid)

    def _group(self, h: Tensor, first: int, wiener: nn.Module) -> Tensor:
        active = ((h * h).sum((2, 3, 4, 5)) > 0).to(h.dtype)
        count = active.sum(1).clamp(min=1.0)
        pairs = mean_of_pairs(h)
        power = (pairs * pairs).sum(-1).mean((2, 3, 4)).sum(1) / count
        # the mean of two pilots has half their noise
        noise = 2 * noise_of(pairs, (2, 3, 4)).sum(1) / count
        noise = at_least(noise, power)
        gain = at_least(power - noise / 2, power).sqrt()[:, None, None, None, None]
        noise, pairs = noise / gain.flatten() ** 2, pairs / gain.unsqueeze(-1)
        estimates = [wiener(pairs[:, layer], noise / 2) for layer in range(_PER_GROUP)]
        there = active[:, None, :, None, None, None]
        h_hat = torch.stack([estimate for estimate, _ in estimates], dim=2) * there
        err_var = torch.stack([error for _, error in estimates], dim=1)
        # what was received at pilots, had they all been real: every layer that is there says so
        cover = torch.stack([torch.ones_like(self.cover), self.cover])
        turned = (h * cover[:, None, None, :, None] * active[:, :, None, None, None, None]).sum(1)
        turned = turned / (count[:, None, None, None, None] * gain)
        y = torch.einsum("st,brtkc->brskc", self.place, on_subcarriers(_AMPLITUDE * turned, first))
        # [layer, subcarrier, 1] -> [batch, layer, symbol, subcarrier, 1]
        comb = on_subcarriers(_AMPLITUDE * cover[..., None], first)
        sent = torch.einsum("s,lkc,bl->blskc", self.place.sum(1), comb, active)
        known = (sent[..., 0].abs() > 0).to(h.dtype)
        x = torch.cat([sent, torch.zeros_like(sent)], dim=-1)
        noise = _AMPLITUDE**2 * noise
        refined = h_hat
        if self.is_known:
            with real_arithmetic():
                slots = graph_slots(
                    y, x[0], known[0, 0], noise, self.times_ms, torch.ones(()), self.widest, self.positions
                )
                better, _ = self.model.corrected(
                    self.model.passes[0], slots, as_pair(h_hat), err_var, as_pair(x), known
                )
                refined = parts_of(better)
        return refined * there * gain.unsqueeze(-1)
