"""A convolutional receiver on a coarse grid: soft symbols as pilots beside the estimate of the `blind` receiver."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from receivers.classical.detection import DemapperName
from receivers.classical.soft_grid import soft_grid
from receivers.interface import SlotObservation
from receivers.neural.convolutions import Separable, mean_of_neighbours, zeroed
from receivers.neural.refined_blind import RefinedBlindReceiver, SharingBlock, State, shown_snr
from receivers.neural.shown_range import LARGEST_FEATURE, Shown, where_known, within_training

#: Neighbouring OFDM symbols of a node of the networks.
NODE_SYMBOLS = 2
#: How many subcarriers a node may have: with these, PRBs are made of whole nodes.
NODE_SIZES = (2, 3, 4, 6, 12)
#: From this phase over a node on, it counts as the negative one a turn before.
HALF_TURN = math.pi - 0.05
#: Least error variance beside a re-estimation, as a share of the channel's power.
LEAST_ERROR = 1e-12
#: Features of a pass, and further ones after a re-estimation.
_NUM_FEATURES, _NUM_MOVED = 15, 3
# Real and imaginary part of the correction, log error variance, and log scale of the LLRs; after a re-estimation,
# instead of a scale, how far to go back to the estimate before.
_NUM_OUTPUTS = 4


class CoarseCorrection(nn.Module):
    """From the features of every layer at every antenna to a few numbers per node, zero before training.

    reestimates: whether its pass begins with a re-estimation.
    """

    def __init__(self, num_channels: int, dilations: Sequence[int], reestimates: bool) -> None:
        super().__init__()
        self.reestimates = reestimates
        num_features = _NUM_FEATURES + (_NUM_MOVED if reestimates else 0)
        self.enter = Separable(num_features, num_channels, 1)
        self.blocks = nn.ModuleList([SharingBlock(num_channels, d) for d in dilations])
        self.leave = zeroed(nn.Conv2d(num_channels, _NUM_OUTPUTS, 1))

    def forward(self, features: Tensor, num_layers: int, num_rx_ant: int) -> Tensor:
        z = self.enter(features)
        for block in self.blocks:
            z = block(z, num_layers, num_rx_ant)
        out: Tensor = self.leave(z)
        return out


class SoftPilotReceiver(RefinedBlindReceiver):
    """Unrolled receiver: the `blind` receiver, then passes of a network on nodes of 2 symbols by a few subcarriers.

    A pass takes the soft symbols of the last detection as pilots. What they say about the channel is summed over the
    REs of a node, the delay of the layer turned back first, so that little is lost: with n nodes, n/8 of the work of
    looking at every RE. One small network per pass, shared among antennas and layers, smooths that over frequency and
    time. It states a correction of the channel, the error variance and a factor on the LLRs. Equalisation and demapping
    are those of the classical receivers. The output layers start at zero: untrained, this is the `blind` receiver, with
    as many re-estimations as there were. Gradients do not pass through the features.

    Beyond the trained range of SNR the networks see its end, and their corrections stay, unlike those of
    `RefinedBlindReceiver`: they are of use where the first estimate takes itself for better than it is. With one DM-RS
    symbol, two users and 200 Hz (16QAM 434/1024, 60 dB) `blind` loses 8 of 64 blocks, `pusch-realtime` none.

    PRBs, antennas, layers, modulation and the pattern of pilots are free.

    num_channels: width of the networks. dilations: frequency dilation of each residual block, in nodes. num_passes:
    passes. num_reestimations: rounds of expectation maximisation before the passes. reestimate: passes that begin with
    another, counted from 0. max_cfo_hz: largest frequency offset that is looked for. demapper: "maxlog" or "exact".
    node_subcarriers: of a node, one of `NODE_SIZES`; the work of the networks falls with it.
    """

    def __init__(
        self,
        num_channels: int = 32,
        dilations: Sequence[int] = (1, 2, 4, 8),
        num_passes: int = 2,
        num_reestimations: int = 0,
        reestimate: Sequence[int] = (),
        max_cfo_hz: float = 200.0,
        demapper: DemapperName = "maxlog",
        node_subcarriers: int = 4,
    ) -> None:
        super().__init__(num_channels, dilations, 0, num_reestimations, max_cfo_hz, demapper)
        if node_subcarriers not in NODE_SIZES:
            raise ValueError(f"node_subcarriers: got {node_subcarriers!r}; allowed: {', '.join(map(str, NODE_SIZES))}")
        self.node_subcarriers = node_subcarriers
        if any(not 0 <= number < num_passes for number in reestimate):
            raise ValueError(f"reestimate: got {list(reestimate)}; allowed: from 0 to {num_passes - 1}")
        passes = [CoarseCorrection(num_channels, tuple(dilations), i in reestimate) for i in range(num_passes)]
        self.passes = nn.ModuleList(passes)

    def check_slot(self, observation: SlotObservation) -> None:
        """`ValueError` for slots in bundles, over whose ends the networks would smooth, and for odd grids."""
        super().check_slot(observation)
        num_symbols, num_subcarriers = observation.data_mask.shape
        if num_symbols % NODE_SYMBOLS or num_subcarriers % self.node_subcarriers:
            raise ValueError(
                f"got {num_symbols} symbols and {num_subcarriers} subcarriers; "
                f"allowed: multiples of {NODE_SYMBOLS} and {self.node_subcarriers}"
            )

    def first_state(self, observation: SlotObservation, h: Tensor, err_var: Tensor) -> State:
        """What is known before the first pass, from an estimate that was made elsewhere; for models that do not
        re-estimate. observation: with the estimated noise power."""
        return State(observation, None, None, h, err_var, self.detection(observation, h, err_var))

    def _pass(self, correction: nn.Module, state: State, known_llr: Tensor, prior_llr: Tensor | None) -> State:
        observation = state.observation
        batch, num_rx_ant, num_layers = state.h.shape[:3]
        with torch.no_grad():
            x, known, rest = soft_grid(observation, known_llr)
            before = None
            if correction.reestimates:
                before = (state.h, state.err_var)
                h, err_var = self._suggestion(state, x, rest, from_decoder=prior_llr is not None, trains_all=False)
                state = replace(state, h=h, err_var=err_var)
            shown = shown_snr(state, self.shown_range)
            features, turn = _features(state, x, known, rest, before, shown, self.node_subcarriers)
            # depthwise convolutions run several times faster on a CPU with channels last
            # (and LiteRT knows maximum and minimum of five axes at most)
            flat = features.flatten(0, 2).clamp(-LARGEST_FEATURE, LARGEST_FEATURE)
            flat = flat.contiguous(memory_format=torch.channels_last)
        out = within_training(correction(flat, num_layers, num_rx_ant).float())
        out = where_known(out, self.shown_range.has(observation))
        out = out.unflatten(0, (batch, num_layers, num_rx_ant))
        # [batch, layer, rx, 2, symbol, subcarrier]
        own = self._on_grid(out[:, :, :, :2])
        change = torch.complex(own[:, :, :, 0], own[:, :, :, 1]) * (turn * state.err_var.sqrt()).unsqueeze(2)
        if before is not None:
            back = self._on_grid(out[:, :, :, 3:])[:, :, :, 0]
            change = change + back * (before[0] - state.h).transpose(1, 2)
        h = state.h + change.transpose(1, 2)
        # [batch, layer, 2, symbol, subcarrier]
        common = self._on_grid(out[:, :, :, 2:].mean(2))
        err_var = state.err_var * torch.exp(common[:, :, 0].clamp(-4, 4))
        llr = self.detection(observation, h, err_var, prior_llr)
        if prior_llr is None and before is None:
            llr = llr * self._llr_scale(observation, common[:, :, 1])
        return replace(state, h=h, err_var=err_var, llr=llr)

    def _on_grid(self, values: Tensor) -> Tensor:
        """Linear interpolation from nodes [..., channel, symbol node, frequency node] to symbols and subcarriers."""
        flat = values.flatten(0, -4)
        scale = (float(NODE_SYMBOLS), float(self.node_subcarriers))
        out = nn.functional.interpolate(flat, scale_factor=scale, mode="bilinear", align_corners=False)
        return out.unflatten(0, values.shape[:-3])


def _features(
    state: State,
    x: Tensor,
    known: Tensor,
    rest: Tensor,
    before: tuple[Tensor, Tensor] | None,
    shown: Shown,
    node_subcarriers: int,
) -> tuple[Tensor, Tensor]:
    """What the networks see, [batch, layer, rx, feature, symbol node, frequency node], and the rotation [batch, layer,
    symbol, subcarrier] that was taken off the channel.

    before: channel and error variance before a re-estimation. All features are ratios: a common factor on the received
    grid changes nothing.
    """
    observation, turn = state.observation, _rotation(state, node_subcarriers)
    noise, power, err_var = shown.noise, shown.power, state.err_var + shown.added_error
    h = state.h.transpose(1, 2)
    num_rx_ant = h.shape[2]
    residual = observation.y - (state.h * x.unsqueeze(1)).sum(2)
    # [batch, layer, rx, symbol, subcarrier]
    turned = h * turn.conj().unsqueeze(2)
    matched = residual.unsqueeze(1) * (x * turn).conj().unsqueeze(2)
    # expectation maximisation: the slope of the expected log likelihood over the channel
    slope = matched - turned * rest.unsqueeze(2)
    strength = (h.real**2 + h.imag**2).mean(2)
    others = (strength * rest).sum(1, keepdim=True) - strength * rest
    energy = x.real**2 + x.imag**2
    at_pilots = (observation.pilots.abs() > 0).to(noise).expand_as(known)
    times = (observation.symbol_times_s.to(noise) * 1e3 - 0.25)[:, None].expand_as(err_var)
    means = torch.stack([energy, energy + rest, known, at_pilots, err_var, others, times], dim=2)
    energy, expected, known, at_pilots, err, others, times = _to_nodes(means, node_subcarriers).unbind(2)
    # node by node: the LMMSE estimate of the error that is left, over its deviation
    per_node = NODE_SYMBOLS * node_subcarriers / noise
    deviation = err.sqrt()
    plain_gain = per_node * deviation / (1 + per_node * energy * err)
    slope_gain = per_node * deviation / (1 + per_node * expected * err)
    own = [
        _parts(turned, node_subcarriers) / power.sqrt()[:, :, None, None],
        _parts(matched, node_subcarriers) * plain_gain[:, :, None, None],
        _parts(slope, node_subcarriers) * slope_gain[:, :, None, None],
    ]
    smooth_f, smooth_t = _smoothness(turned, node_subcarriers)
    common = [
        torch.log10(per_node * expected * err + 1e-3),
        known,
        at_pilots,
        torch.log10(err / power + 1e-6),
        torch.log10(noise / power + 1e-6).expand_as(err),
        torch.log10(1 + others / noise),
        times,
        smooth_f.expand_as(err),
        smooth_t.expand_as(err),
    ]
    if before is not None:
        moved = (h - before[0].transpose(1, 2)) * turn.conj().unsqueeze(2)
        err_before = _to_nodes(before[1] + shown.added_error, node_subcarriers)
        least = LEAST_ERROR * power
        own.append(_parts(moved, node_subcarriers) / (err + err_before + least).sqrt()[:, :, None, None])
        common.append(torch.log10((err_before + least) / (err + least)))
    shared = torch.stack(common, dim=2).unsqueeze(2).expand(-1, -1, num_rx_ant, -1, -1, -1)
    return torch.cat([*own, shared], dim=3), turn


def _rotation(state: State, step: int) -> Tensor:
    """Phase of a layer's mean delay over the subcarriers, and of PT-RS over the symbols [batch, layer, symbol,
    subcarrier] complex64: without it, neighbouring REs are alike. step: subcarriers between which the delay shows."""
    h = state.h
    if state.phase is not None:
        h = h * state.phase.conj()[:, None, :, :, None]
    angle = (h[..., step:] * h[..., :-step].conj()).sum((1, 3, 4)).angle()
    # half a turn may be either: rounding would choose, another way in every runtime
    angle = torch.where(angle > HALF_TURN, angle - 2 * math.pi, angle) / step
    k = torch.arange(h.shape[-1], device=h.device, dtype=torch.float32)
    ramp = angle[..., None, None] * (k - k.mean())
    turn = torch.polar(torch.ones_like(ramp), ramp)
    if state.phase is not None:
        return turn * state.phase.unsqueeze(-1)
    return turn.expand(-1, -1, h.shape[3], -1)


def _smoothness(turned: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """How much the channel changes over a node's width and over the slot, logarithms [batch, layer, 1, 1]."""
    squares = turned.real**2 + turned.imag**2
    tiny = torch.finfo(squares.dtype).tiny
    over_f = (turned[..., step:] * turned[..., :-step].conj()).mean((2, 3, 4)).abs()
    over_f = over_f / squares.mean((2, 3, 4)).clamp_min(tiny)
    first, last = turned[..., 0, :], turned[..., -1, :]
    ends = ((first.abs() ** 2).mean((2, 3)) * (last.abs() ** 2).mean((2, 3))).sqrt()
    over_t = (last * first.conj()).mean((2, 3)).abs() / ends.clamp_min(tiny)
    both = [torch.log10((1 - value).clamp_min(0) + 1e-4)[..., None, None] for value in (over_f, over_t)]
    return both[0], both[1]


def _to_nodes(values: Tensor, node_subcarriers: int) -> Tensor:
    """Means over nodes: [..., symbol, subcarrier] -> [..., symbol node, frequency node]."""
    return mean_of_neighbours(mean_of_neighbours(values, node_subcarriers), NODE_SYMBOLS, -2)


def _parts(values: Tensor, node_subcarriers: int) -> Tensor:
    """Means over nodes of complex [batch, layer, rx, symbol, subcarrier]: [batch, layer, rx, 2, node, node] float32."""
    return _to_nodes(torch.stack([values.real, values.imag], dim=3), node_subcarriers)
