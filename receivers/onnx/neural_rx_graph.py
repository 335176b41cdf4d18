"""The hybrid neural receiver with the inputs and outputs of the contracts `aerial-nrx` and `oai-nrx`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.interface import SlotObservation
from receivers.neural.hybrid import HybridReceiver
from receivers.onnx.hybrid import HybridGraph
from receivers.onnx.least_squares import (
    TINY,
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
    """A trained `HybridReceiver` for slots shaped as `like`, fed with LS estimates at pilots; one layer or two.

    joined: the tensors of `oai-nrx`, otherwise of `aerial-nrx`. num_planes: LLR planes; those beyond the
    constellation's bits are 0. The number of PRBs, the allocated symbols, DM-RS symbols and subcarriers are fixed: a
    slot with DM-RS elsewhere, or a layer that is not active, gets LLRs of 0. The DM-RS sequence is not needed:
    conj(pilot) times the received pilot is the LS estimate times the pilot's power, which is measured. Two layers may
    share a CDM group; which cover codes they have is fixed as well (TS 38.211 table 6.4.1.1.3-1).
    """

    def __init__(
        self, model: HybridReceiver, like: SlotObservation, joined: bool, num_planes: int | None = None
    ) -> None:
        super().__init__()
        check_layout(like)
        most = 1 if joined else 2
        if like.num_layers > most:
            allowed = "1, as the plugin has" if joined else "1 or 2, which the weights know"
            raise ValueError(f"got {like.num_layers} layers; allowed: {allowed}")
        bits = like.bits_per_symbol
        self.joined = joined
        self.num_padding = (num_planes or bits) - bits
        if bits < 2 or self.num_padding < 0:
            raise ValueError(f"got {bits} bits per symbol; allowed: 2 to {num_planes or 8}")
        symbols = allocation(like)
        self.first = like.layout.first_subcarrier
        self.num_layers = like.num_layers
        self.shared = self.num_layers > len(set(self.first))
        self.num_pilot_symbols = len(like.layout.symbols)
        positions = [s - symbols.start for s in like.layout.symbols]
        layers = range(self.num_layers)
        within_prb = [[float(k) for k in like.layout.subcarriers(layer, 12)] for layer in layers]
        self.graph = HybridGraph(model, bits)
        self.wiener = nn.ModuleList(WienerGraph(model.first_estimate, like, layer, symbols) for layer in layers)
        self.place: Tensor
        self.data_mask: Tensor
        self.times_ms: Tensor
        self.positions: Tensor
        self.within_prb: Tensor
        self.amplitude: Tensor
        self.cover: Tensor
        self.register_buffer("place", torch.eye(symbols.stop - symbols.start)[:, positions].contiguous())
        self.register_buffer("data_mask", like.data_mask[symbols].float())
        self.register_buffer("times_ms", (like.symbol_times_s[symbols] * 1e3).float())
        self.register_buffer("positions", torch.tensor([positions] * self.num_layers, dtype=torch.float32))
        self.register_buffer("within_prb", torch.tensor(within_prb))
        # factor on the pilots of each layer, [layer, pilot]
        codes = torch.tensor([list(code) for code in like.layout.cover_code], dtype=torch.float32)
        self.register_buffer("cover", codes.repeat(1, like.data_mask.shape[1] // 4))
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
        # [1, pilot, layer, rx, 2] -> [1, rx, layer, pilot symbol, pilot, 2]
        h = pilots.permute(0, 3, 2, 1, 4).unflatten(3, (self.num_pilot_symbols, -1))
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
        """y [1, rx, symbol, subcarrier, 2], h [1, rx, layer, pilot symbol, pilot, 2] to LLRs and refined channel."""
        pairs = mean_of_pairs(h)
        if self.shared:
            # a pilot alone holds both layers; the mean of two has half the noise
            noise, power = 2 * noise_of(pairs, (1, 2, 3, 4)), (pairs * pairs).sum(-1).mean((1, 2, 3, 4))
            noise = at_least(noise, power)
            power = power + noise / 2
        else:
            noise, power = noise_of(h, (1, 2, 3, 4)), (h * h).sum(-1).mean((1, 2, 3, 4))
            noise = at_least(noise, power)
        # the prior is of unit power; [1, 1, 1, 1, 1]
        gain = at_least(power - noise, power).sqrt()[:, None, None, None, None]
        y, h, pairs = y / gain, h / gain.unsqueeze(-1), pairs / gain.unsqueeze(-1)
        noise = noise / gain.flatten() ** 2
        estimates = [wiener(pairs[:, :, layer], noise / 2) for layer, wiener in enumerate(self.wiener)]
        h_hat = torch.stack([estimate for estimate, _ in estimates], dim=2)
        err_var = torch.stack([error for _, error in estimates], dim=1)
        received = torch.einsum("st,brskc->brtkc", self.place, y)
        at_layers = torch.stack([received[..., first::2, :] for first in self.first], dim=2)
        boost = (at_layers * at_layers).sum() / ((h * h).sum() + TINY)
        amplitude = boost.sqrt()
        # conj(pilot) y, had all pilots been real: layers of one group say the same
        turned, pilots_at = torch.zeros_like(received), torch.zeros_like(received[:, 0, 0, :, :1])
        combs = []
        for layer, first in enumerate(self.first):
            cover = self.cover[layer, :, None]
            combs.append(on_subcarriers(cover, first))
            if first not in self.first[:layer]:
                turned = turned + on_subcarriers(amplitude * h[:, :, layer] * cover, first)
                pilots_at = pilots_at + on_subcarriers(cover * cover, first)
        turned = torch.einsum("st,brtkc->brskc", self.place, turned)
        pilot_symbols = self.place.sum(1)
        # [1, symbol, subcarrier, 1]
        at_pilots = torch.einsum("s,bkc->bskc", pilot_symbols, pilots_at)
        y = y * (1 - at_pilots) + turned
        # [layer, symbol, subcarrier, 1]
        real = amplitude * torch.einsum("s,lkc->lskc", pilot_symbols, torch.stack(combs))
        llr, refined = self.graph.refine(
            y,
            torch.cat([real, torch.zeros_like(real)], dim=-1),
            self.data_mask,
            boost * noise,
            h_hat,
            err_var,
            self.times_ms,
            self.amplitude,
        )
        return llr, refined * gain.unsqueeze(-1)


def _differs(given: Tensor, expected: Tensor) -> Tensor:
    """1 where any number of [layer, n] is another than it was when the file was made, else 0: [1, layer]."""
    return (given.float() - expected).abs().sum(1).clamp(max=1.0).unsqueeze(0)
