"""The hybrid neural receiver with the inputs and outputs of the contracts `aerial-nrx` and `oai-nrx`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.interface import SlotObservation
from receivers.neural.hybrid import HybridReceiver
from receivers.onnx.hybrid import HybridGraph
from receivers.onnx.least_squares import (
    WienerGraph,
    at_least,
    check_layout,
    mean_of_pairs,
    noise_of,
    on_subcarriers,
)
from receivers.onnx.neural_rx import allocation

#: LLRs of `oai-nrx` are written as 16-bit integers of 1/256 by the stack.
_LARGEST_OAI = 127.0


class NeuralRxGraph(nn.Module):
    """A trained `HybridReceiver` for slots shaped as `like`, fed with LS estimates at pilots; one layer.

    joined: the tensors of `oai-nrx`, otherwise of `aerial-nrx`. num_planes: LLR planes; those beyond the
    constellation's bits are 0. The number of PRBs, the allocated symbols, DM-RS symbols and subcarriers are fixed: a
    slot with DM-RS elsewhere, or a layer that is not active, gets LLRs of 0. The DM-RS sequence is not needed:
    conj(pilot) times the received pilot is the LS estimate times the pilot's power, which is measured.
    """

    def __init__(
        self, model: HybridReceiver, like: SlotObservation, joined: bool, num_planes: int | None = None
    ) -> None:
        super().__init__()
        check_layout(like)
        if like.num_layers != 1:
            raise ValueError(f"got {like.num_layers} layers; allowed: 1, no input tells which ports share REs")
        bits = like.bits_per_symbol
        self.joined = joined
        self.num_padding = (num_planes or bits) - bits
        if bits < 2 or self.num_padding < 0:
            raise ValueError(f"got {bits} bits per symbol; allowed: 2 to {num_planes or 8}")
        symbols = allocation(like)
        self.first = like.layout.first_subcarrier[0]
        self.num_pilot_symbols = len(like.layout.symbols)
        positions = [s - symbols.start for s in like.layout.symbols]
        within_prb = [float(k) for k in like.layout.subcarriers(0, 12)]
        self.graph = HybridGraph(model, bits)
        self.wiener = WienerGraph(model.first_estimate, like, 0, symbols)
        self.place: Tensor
        self.data_mask: Tensor
        self.times_ms: Tensor
        self.positions: Tensor
        self.within_prb: Tensor
        self.amplitude: Tensor
        self.register_buffer("place", torch.eye(symbols.stop - symbols.start)[:, positions].contiguous())
        self.register_buffer("data_mask", like.data_mask[symbols].float())
        self.register_buffer("times_ms", (like.symbol_times_s[symbols] * 1e3).float())
        self.register_buffer("positions", torch.tensor([positions], dtype=torch.float32))
        self.register_buffer("within_prb", torch.tensor([within_prb]))
        self.register_buffer("amplitude", torch.tensor(1.0))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs in the contract's order. Returns `output_1`, and of `aerial-nrx` `output_2` as well."""
        if self.joined:
            slot, pilots, ports, pos, sub = inputs
        else:
            slot, pilots = torch.stack(inputs[0:2], dim=-1), torch.stack(inputs[2:4], dim=-1)
            ports, pos, sub = inputs[4:]
        # [1, rx, symbol, subcarrier, 2]
        y = slot.permute(0, 3, 2, 1, 4)
        # [1, pilot, layer, rx, 2] -> [1, rx, pilot symbol, pilot, 2]
        h = pilots.permute(0, 3, 2, 1, 4)[:, :, 0].unflatten(2, (self.num_pilot_symbols, -1))
        llr, h_hat = self._receive(y, h)
        there = ports * (1 - _differs(pos, self.positions)) * (1 - _differs(sub, self.within_prb))
        # [1, layer, symbol, subcarrier, bit] -> [1, bit, layer, subcarrier, symbol]
        planes = llr.permute(0, 4, 1, 3, 2) * there[:, None, :, None, None]
        if self.num_padding:
            planes = torch.cat([planes, torch.zeros_like(planes[:, :1]).repeat(1, self.num_padding, 1, 1, 1)], dim=1)
        if self.joined:
            return (planes.clamp(-_LARGEST_OAI, _LARGEST_OAI),)
        # [1, rx, layer, symbol, subcarrier, 2] -> [1, layer, subcarrier, symbol, part and rx]
        return planes, h_hat.permute(0, 2, 4, 3, 5, 1).flatten(4)

    def _receive(self, y: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        noise = noise_of(h, (1, 2, 3))
        power = (h * h).sum(-1).mean((1, 2, 3))
        noise = at_least(noise, power)
        # the prior is of unit power; [1, 1, 1, 1, 1]
        gain = at_least(power - noise, power).sqrt()[:, None, None, None, None]
        y, h, noise = y / gain, h / gain, noise / gain.flatten() ** 2
        h_hat, err_var = self.wiener(mean_of_pairs(h), noise / 2)
        received = torch.einsum("st,brskc->brtkc", self.place, y)[..., self.first :: 2, :]
        boost = (received * received).sum() / ((h * h).sum() + 1e-30)
        amplitude = boost.sqrt()
        # conj(pilot) y, had all pilots been real
        turned = torch.einsum("st,brtkc->brskc", self.place, on_subcarriers(amplitude * h, self.first))
        comb = on_subcarriers(torch.ones_like(h[:1, 0, :1]), self.first)[..., :1]
        # [1, symbol, subcarrier, 1]
        at_pilots = torch.einsum("s,tkc->skc", self.place.sum(1), comb[0]).unsqueeze(0)
        y = y * (1 - at_pilots) + turned
        sent = torch.cat([amplitude * at_pilots, torch.zeros_like(at_pilots)], dim=-1)
        noise_var = boost * noise
        llr, refined = self.graph.refine(
            y,
            sent,
            self.data_mask,
            noise_var,
            h_hat.unsqueeze(2),
            err_var.unsqueeze(1),
            self.times_ms,
            self.amplitude,
        )
        return llr, refined * gain.unsqueeze(-1)


def _differs(given: Tensor, expected: Tensor) -> Tensor:
    """1 where any number of [layer, n] is another than it was when the file was made, else 0: [1, layer]."""
    return (given.float() - expected).abs().sum(1).clamp(max=1.0).unsqueeze(0)
