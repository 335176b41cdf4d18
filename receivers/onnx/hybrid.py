"""The hybrid neural receiver in real arithmetic on whole grids, for runtimes that know no complex numbers.

Same numbers as `receivers.neural.hybrid`, with its trained networks: there complex tensors, compiled kernels and data
REs alone; here every complex tensor has a last axis (real, imaginary), and equalisation and demapping run on every RE.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.classical.qam import axis_scale
from receivers.classical.unrolled import LEAST_LOADING, LEAST_SINR
from receivers.neural.hybrid import HybridReceiver
from receivers.neural.shown_range import LARGEST_FEATURE, shown_levels, within_training


class HybridGraph(nn.Module):
    """A `HybridReceiver` after its first estimate, for one or two layers, with the inputs of the `generic` contract."""

    def __init__(self, model: HybridReceiver, bits_per_symbol: int) -> None:
        super().__init__()
        self.passes = model.passes
        self.highest_snr_db = model.shown_range.snr_db(bits_per_symbol)
        self.fewest_dmrs_positions = model.shown_range.fewest_dmrs_positions
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
        known = ((pilots * pilots).sum(-1) > 0).to(y.dtype).unsqueeze(0)
        x = pilots.unsqueeze(0)
        # both depend on the batch from the second pass on
        known, x = known + torch.zeros_like(err_var), x + torch.zeros_like(h_hat[:, 0])
        followed = self._followed(pilots)
        llr = torch.zeros(())
        for number, correction in enumerate(self.passes):
            h_hat, err_var = correct(
                correction, y, noise_var, h_hat, err_var, x, known, symbol_times_ms, self.highest_snr_db, followed
            )
            x_hat, x_noise = equalise(
                y, h_hat * layer_amplitude, noise_var, layer_amplitude * layer_amplitude * err_var.sum(1)
            )
            llr = demap(x_hat, x_noise, self.bits_per_symbol)
            if number + 1 < len(self.passes):
                mean, variance = soft_symbols(llr)
                x = torch.where(data_mask[..., None] > 0, layer_amplitude * mean, pilots)
                at_pilots = ((pilots * pilots).sum(-1) > 0).to(y.dtype)
                known = torch.where(data_mask > 0, 1 - variance.clamp(max=1.0), at_pilots)
        return llr, h_hat

    def _followed(self, pilots: Tensor) -> Tensor | None:
        """1 where the slot has as many DM-RS positions as training showed, 0 with fewer; None where any number will
        do. Neighbouring symbols, those of a double symbol, are one position."""
        if self.fewest_dmrs_positions <= 1:
            return None
        has = ((pilots * pilots).sum((0, 2, 3)) > 0).to(pilots.dtype)
        positions = has.sum() - (has[1:] * has[:-1]).sum()
        return (positions > self.fewest_dmrs_positions - 0.5).to(pilots.dtype)


def correct(
    correction: nn.Module,
    y: Tensor,
    noise_var: Tensor,
    h_hat: Tensor,
    err_var: Tensor,
    x: Tensor,
    known: Tensor,
    symbol_times_ms: Tensor,
    highest_snr_db: float,
    followed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One pass: a better channel estimate and its error, from what is known of the sent grid.

    x [batch, num_layers, num_symbols, num_subcarriers, 2]: sent grid. known, without the last axis: how far, 0 to 1.
    highest_snr_db: of the model. followed: factor on what the network says.
    """
    features, trust = _features(y, noise_var, h_hat, err_var, x, known, symbol_times_ms, highest_snr_db)
    if followed is not None:
        trust = trust * followed
    return _correct(correction, features, trust, h_hat, err_var)


def product(a: Tensor, b: Tensor, conjugate: bool = False) -> Tensor:
    """a b, or conj(a) b."""
    sign = -1.0 if conjugate else 1.0
    real = a[..., 0] * b[..., 0] - sign * a[..., 1] * b[..., 1]
    imag = a[..., 0] * b[..., 1] + sign * a[..., 1] * b[..., 0]
    return torch.stack([real, imag], dim=-1)


def of_networks(features: Tensor) -> Tensor:
    """Features [batch, layer, rx, feature, symbol, node] in the range of the training, one grid after the other.

    The limits come after the axes are joined: LiteRT knows maximum and minimum of five axes at most.
    """
    return features.flatten(0, 2).clamp(-LARGEST_FEATURE, LARGEST_FEATURE)


def _features(
    y: Tensor,
    noise_var: Tensor,
    h_hat: Tensor,
    err_var: Tensor,
    x: Tensor,
    known: Tensor,
    times_ms: Tensor,
    highest_snr_db: float,
) -> tuple[Tensor, Tensor]:
    """What `of_networks` gets, [batch, layer, rx, feature, symbol, node], and how far the networks are trusted."""
    power = (h_hat * h_hat).sum(-1).mean((1, 2, 3, 4))[:, None, None, None]
    shown = shown_levels(noise_var[:, None, None, None], power, highest_snr_db)
    noise, power, shown_err_var = shown.noise, shown.power, err_var + shown.added_error
    residual = y - product(h_hat, x.unsqueeze(1)).sum(2)
    # [batch, layer, rx, symbol, subcarrier, part]
    matched = product(x.unsqueeze(2), residual.unsqueeze(1), conjugate=True) * known[:, :, None, :, :, None]
    matched = matched / noise[..., None, None].sqrt()
    estimate = h_hat.transpose(1, 2) / power[..., None, None].sqrt()
    energy = known * (x * x).sum(-1)
    on_nodes = torch.zeros_like(_nodes(energy))
    common = torch.stack(
        [
            _nodes(energy),
            _nodes(known),
            _nodes(torch.log10(shown_err_var / power + 1e-6)),
            torch.log10(noise / power) + on_nodes,
            (times_ms[:, None] - 0.25) + on_nodes,
            _nodes(torch.log10(shown_err_var / noise + 1e-6)),
        ],
        dim=2,
    )
    own = [_nodes(part.permute(0, 1, 2, 5, 3, 4)) for part in (estimate, matched)]
    shared = common.unsqueeze(2) + torch.zeros_like(own[0][:, :, :, :1])
    return torch.cat([*own, shared], dim=3), shown.trust


def _correct(
    correction: nn.Module, features: Tensor, trust: Tensor, h_hat: Tensor, err_var: Tensor
) -> tuple[Tensor, Tensor]:
    batch, num_layers, num_rx_ant = features.shape[:3]
    out = within_training(_network(correction, of_networks(features), batch * num_layers, num_rx_ant))
    out = _subcarriers(out).reshape(batch, num_layers, num_rx_ant, 3, *h_hat.shape[3:5])
    # [batch, layer, rx, part, symbol, subcarrier] -> [batch, rx, layer, symbol, subcarrier, part]
    scale = err_var.sqrt() * trust
    change = (out[:, :, :, :2] * scale[:, :, None, None]).permute(0, 2, 1, 4, 5, 3)
    return h_hat + change, err_var * torch.exp(out[:, :, :, 2].mean(2).clamp(-4.0, 4.0) * trust)


def _network(correction: nn.Module, z: Tensor, num_grids: int, num_rx_ant: int) -> Tensor:
    """The trained correction; its blocks spelt out so that the number of antennas may be left open."""
    z = correction.enter(z)  # type: ignore[operator]
    for block in correction.blocks:  # type: ignore[union-attr]
        per_grid = z.reshape(num_grids, num_rx_ant, *z.shape[1:])
        common = block.common(per_grid.mean(1)).unsqueeze(1)
        spread = block.spread(z)
        spread = spread.reshape(num_grids, num_rx_ant, *spread.shape[1:])
        z = z + block.merge(torch.relu(spread + common).flatten(0, 1))
    out: Tensor = correction.leave(z)  # type: ignore[operator]
    return out


def _nodes(values: Tensor) -> Tensor:
    """Mean over pairs of neighbouring subcarriers."""
    return 0.5 * (values[..., 0::2] + values[..., 1::2])


def _subcarriers(nodes: Tensor) -> Tensor:
    """Linear interpolation from nodes [..., node] back to subcarriers [..., subcarrier], constant beyond the ends."""
    left = torch.cat([nodes[..., :1], nodes[..., :-1]], dim=-1)
    right = torch.cat([nodes[..., 1:], nodes[..., -1:]], dim=-1)
    return torch.stack([0.75 * nodes + 0.25 * left, 0.75 * nodes + 0.25 * right], dim=-1).flatten(-2)


def equalise(y: Tensor, h: Tensor, noise_var: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Unbiased LMMSE estimates [batch, layer, symbol, subcarrier, part] and their noise variance, closed form.

    At any level, as `receivers.classical.equalizer.lmmse_equalize`.
    """
    noise = noise_var[:, None, None] + error
    # [batch, layer, symbol, subcarrier, part]
    matched = product(h, y.unsqueeze(2), conjugate=True).sum(1)
    gain = (h * h).sum((1, -1))
    if h.shape[2] == 1:
        gain = torch.maximum(gain, LEAST_SINR * noise.unsqueeze(1))
        return matched / gain.unsqueeze(-1), noise.unsqueeze(1) / gain
    loading = torch.maximum(noise.unsqueeze(1), LEAST_LOADING * gain)
    loaded = gain + loading
    # relative to their sum: a determinant is of the fourth power in amplitude
    level = loaded.sum(1)
    p, q = loaded[:, 0] / level, loaded[:, 1] / level
    matched = matched / level[:, None, ..., None]
    r = product(h[:, :, 0], h[:, :, 1], conjugate=True).sum(1) / level.unsqueeze(-1)
    determinant = torch.maximum(p * q - (r * r).sum(-1), LEAST_LOADING * p * q)
    first = q.unsqueeze(-1) * matched[:, 0] - product(r, matched[:, 1])
    second = p.unsqueeze(-1) * matched[:, 1] - product(r, matched[:, 0], conjugate=True)
    biased = torch.stack([first, second], dim=1) / determinant[:, None, ..., None]
    diagonal = torch.stack([q, p], dim=1) / determinant.unsqueeze(1)
    bias = (1 - loading / level.unsqueeze(1) * diagonal).clamp(LEAST_SINR, 1.0)
    return biased / bias.unsqueeze(-1), (1 / bias - 1).clamp(min=LEAST_LOADING)


def demap(x_hat: Tensor, noise_var: Tensor, bits_per_symbol: int) -> Tensor:
    """Max-log LLRs of square QAM; `receivers.classical.qam.demap_maxlog` derives them."""
    scale = axis_scale(bits_per_symbol // 2)
    x = x_hat / scale
    precision = (scale * scale / noise_var).unsqueeze(-1)
    per_bit = []
    for m in range(bits_per_symbol // 2, 0, -1):
        a = x.abs()
        nearest = (2 * torch.floor(a / 2) + 1).clamp(max=2.0**m - 1)
        size = (1 + nearest) * (2 * a + 1 - nearest)
        per_bit.append(torch.where(x < 0, -size, size) * precision)
        x = 2.0 ** (m - 1) - a
    return torch.stack(per_bit, dim=-2).flatten(-2)


def soft_symbols(llr: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of symbols with these bits; as `receivers.classical.qam.soft_symbols`."""
    bits_per_axis = llr.shape[-1] // 2
    t = torch.tanh(llr.reshape(*llr.shape[:-1], bits_per_axis, 2) / 2)
    level = torch.ones_like(t[..., 0, :])
    square = torch.ones_like(level)
    for j in range(bits_per_axis - 1, 0, -1):
        step = 2.0 ** (bits_per_axis - j)
        square = step * step - 2 * step * t[..., j, :] * level + square
        level = step - t[..., j, :] * level
    mean = t[..., 0, :] * level
    scale = axis_scale(bits_per_axis)
    return mean * scale, ((square - mean * mean).sum(-1) * scale * scale).clamp(min=0.0)
