"""The soft-pilot receiver in real arithmetic on whole grids, for runtimes that know no complex numbers.

Same numbers as `receivers.neural.soft_pilots` after the `blind` receiver's first estimate, with its trained networks.
Complex tensors have a last axis (real, imaginary); every OFDM symbol and subcarrier is computed, with data or without.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.classical.qam import axis_scale
from receivers.neural.shown_range import shown_levels, within_training
from receivers.neural.soft_pilots import NODE_SUBCARRIERS, NODE_SYMBOLS, SoftPilotReceiver
from receivers.onnx.hybrid import demap, equalise, of_networks, product, soft_symbols

# As in `receivers.classical.expectation_propagation`.
_LEAST_PRECISION, _LEAST_PIVOT, _MIN_VARIANCE = 1e-9, 2.0**-20, 1e-4


class SoftPilotGraph(nn.Module):
    """A `SoftPilotReceiver` after its first estimate, for one to four layers, with inputs of the `generic` contract.

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
        self.passes = model.passes
        if model.shown_range.fewest_dmrs_positions > 1:
            raise ValueError(
                f"got a model trained with {model.shown_range.fewest_dmrs_positions} DM-RS positions and more, on "
                "which the graph does not fall back; allowed: one trained with a single position too"
            )
        self.highest_snr_db = model.shown_range.snr_db(bits_per_symbol)
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
        at_pilots = ((pilots * pilots).sum(-1) > 0).to(y.dtype)
        llr = self._detect(y, noise_var, h_hat, err_var, layer_amplitude)
        for correction in self.passes:
            mean, variance = soft_symbols(llr)
            x = torch.where(data_mask[..., None] > 0, layer_amplitude * mean, pilots)
            known = torch.where(data_mask > 0, 1 - variance.clamp(max=1.0), at_pilots)
            rest = data_mask * layer_amplitude * layer_amplitude * variance
            features, turn = _features(
                y, noise_var, h_hat, err_var, x, known, rest, at_pilots, symbol_times_ms, self.highest_snr_db
            )
            batch, num_layers, num_rx_ant = features.shape[:3]
            out = within_training(_network(correction, of_networks(features), num_layers, num_rx_ant))
            out = out.reshape(batch, num_layers, num_rx_ant, *out.shape[1:])
            own = _on_grid(out[:, :, :, :2].flatten(0, 2)).reshape(batch, num_layers, num_rx_ant, 2, *y.shape[2:4])
            scale = err_var.sqrt()[..., None] * turn
            # [batch, layer, rx, symbol, subcarrier, part]
            change = product(own.permute(0, 1, 2, 4, 5, 3), scale.unsqueeze(2))
            h_hat = h_hat + change.transpose(1, 2)
            common = _on_grid(out[:, :, :, 2:].mean(2).flatten(0, 1)).reshape(batch, num_layers, 2, *y.shape[2:4])
            err_var = err_var * torch.exp(common[:, :, 0].clamp(-4.0, 4.0))
            llr = self._detect(y, noise_var, h_hat, err_var, layer_amplitude)
            llr = llr * torch.exp(common[:, :, 1].clamp(-2.0, 2.0)).unsqueeze(-1)
        return llr

    def _detect(self, y: Tensor, noise_var: Tensor, h_hat: Tensor, err_var: Tensor, amplitude: Tensor) -> Tensor:
        error = amplitude * amplitude * err_var.sum(1)
        if h_hat.shape[2] == 1:
            x_hat, x_noise = equalise(y, h_hat * amplitude, noise_var, error)
        else:
            noise = noise_var[:, None, None] + error
            x_hat, x_noise = _propagate(y, h_hat * amplitude, noise, self.bits_per_symbol)
        return demap(x_hat, x_noise, self.bits_per_symbol)


def _features(
    y: Tensor,
    noise_var: Tensor,
    h_hat: Tensor,
    err_var: Tensor,
    x: Tensor,
    known: Tensor,
    rest: Tensor,
    at_pilots: Tensor,
    times_ms: Tensor,
    highest_snr_db: float,
) -> tuple[Tensor, Tensor]:
    """What `of_networks` gets, [batch, layer, rx, feature, symbol node, frequency node], and the
    rotation that was taken off, [batch, layer, 1, subcarrier, 2]."""
    turn = _rotation(h_hat)
    h = h_hat.transpose(1, 2)
    strength = (h * h).sum(-1).mean(2)
    power = strength.mean((2, 3), keepdim=True)
    shown = shown_levels(noise_var[:, None, None, None] + torch.zeros_like(power), power, highest_snr_db)
    noise, power, err_var = shown.noise, shown.power, err_var + shown.added_error
    residual = y - product(h_hat, x.unsqueeze(1)).sum(2)
    turned = product(turn.unsqueeze(2), h, conjugate=True)
    matched = product(product(x, turn).unsqueeze(2), residual.unsqueeze(1), conjugate=True)
    slope = matched - turned * rest[:, :, None, ..., None]
    others = _nodes((strength * rest).sum(1, keepdim=True) - strength * rest)
    energy = (x * x).sum(-1)
    plain, expected, err = _nodes(energy), _nodes(energy + rest), _nodes(err_var)
    nothing = torch.zeros_like(err)
    per_node = NODE_SYMBOLS * NODE_SUBCARRIERS / noise
    deviation = err.sqrt()
    plain_gain = per_node * deviation / (1 + per_node * plain * err)
    slope_gain = per_node * deviation / (1 + per_node * expected * err)
    own = torch.cat(
        [
            _parts(turned) / power.sqrt()[:, :, None, None],
            _parts(matched) * plain_gain[:, :, None, None],
            _parts(slope) * slope_gain[:, :, None, None],
        ],
        dim=3,
    )
    smooth_f, smooth_t = _smoothness(turned)
    common = torch.stack(
        [
            torch.log10(per_node * expected * err + 1e-3),
            _nodes(known),
            _nodes(at_pilots) + nothing,
            torch.log10(err / power + 1e-6),
            torch.log10(noise / power + 1e-6) + nothing,
            torch.log10(1 + others / noise),
            _nodes((times_ms[:, None] - 0.25) + torch.zeros_like(err_var)),
            smooth_f + nothing,
            smooth_t + nothing,
        ],
        dim=2,
    )
    shared = common.unsqueeze(2) + torch.zeros_like(own[:, :, :, :1])
    return torch.cat([own, shared], dim=3), turn


def _rotation(h_hat: Tensor) -> Tensor:
    """Phase of a layer's mean delay over the subcarriers [batch, layer, 1, subcarrier, 2]."""
    step = NODE_SUBCARRIERS
    around = product(h_hat[..., :-step, :], h_hat[..., step:, :], conjugate=True).sum((1, 3, 4))
    angle = torch.atan2(around[..., 1], around[..., 0]) / step
    ones = torch.ones_like(h_hat[0, 0, 0, 0, :, 0])
    k = torch.cumsum(ones, 0)
    ramp = angle[..., None, None] * (k - k.mean())
    return torch.stack([torch.cos(ramp), torch.sin(ramp)], dim=-1)


def _smoothness(turned: Tensor) -> tuple[Tensor, Tensor]:
    """How much the channel changes over a node's width and over the slot, logarithms [batch, layer, 1, 1]."""
    step = NODE_SUBCARRIERS
    squares = (turned * turned).sum(-1)
    tiny = torch.finfo(torch.float32).tiny
    power = squares.mean((2, 3, 4)).clamp(min=tiny)
    over_f = product(turned[..., :-step, :], turned[..., step:, :], conjugate=True).mean((2, 3, 4))
    over_f = over_f / power.unsqueeze(-1)
    over_f = (over_f * over_f).sum(-1).sqrt()
    ends = squares[..., 0, :].mean((2, 3)).sqrt() * squares[..., -1, :].mean((2, 3)).sqrt()
    over_t = product(turned[..., 0, :, :], turned[..., -1, :, :], conjugate=True).mean((2, 3))
    over_t = over_t / ends.clamp(min=tiny).unsqueeze(-1)
    over_t = (over_t * over_t).sum(-1).sqrt()
    both = [torch.log10((1 - value).clamp(min=0) + 1e-4)[..., None, None] for value in (over_f, over_t)]
    return both[0], both[1]


def _network(correction: nn.Module, z: Tensor, num_layers: int, num_rx_ant: int) -> Tensor:
    """The trained correction; its blocks spelt out so that the number of antennas may be left open."""
    z = correction.enter(z)  # type: ignore[operator]
    for block in correction.blocks:  # type: ignore[union-attr]
        of_layer = z.reshape(-1, num_rx_ant, *z.shape[1:]).mean(1)
        common = block.over_antennas(of_layer)
        if num_layers > 1:
            of_slot = of_layer.reshape(-1, num_layers, *of_layer.shape[1:]).mean(1)
            by_layer = common.reshape(-1, num_layers, *common.shape[1:])
            common = (by_layer + block.over_layers(of_slot).unsqueeze(1)).flatten(0, 1)
        spread = block.spread(z)
        spread = spread.reshape(-1, num_rx_ant, *spread.shape[1:]) + common.unsqueeze(1)
        z = z + block.merge(torch.relu(spread).flatten(0, 1))
    out: Tensor = correction.leave(z)  # type: ignore[operator]
    return out


def _nodes(values: Tensor) -> Tensor:
    """Means over nodes [..., symbol, subcarrier]."""
    over_frequency = torch.stack([values[..., i::NODE_SUBCARRIERS] for i in range(NODE_SUBCARRIERS)]).mean(0)
    return torch.stack([over_frequency[..., i::NODE_SYMBOLS, :] for i in range(NODE_SYMBOLS)]).mean(0)


def _parts(values: Tensor) -> Tensor:
    """Means over nodes of complex [batch, layer, rx, symbol, subcarrier, 2], the parts before the symbols."""
    return _nodes(values.permute(0, 1, 2, 5, 3, 4))


def _on_grid(values: Tensor) -> Tensor:
    """Linear interpolation from nodes [n, channel, symbol node, frequency node] to symbols and subcarriers."""
    scale = (float(NODE_SYMBOLS), float(NODE_SUBCARRIERS))
    return nn.functional.interpolate(values, scale_factor=scale, mode="bilinear", align_corners=False)


def _propagate(y: Tensor, h: Tensor, noise: Tensor, bits_per_symbol: int) -> tuple[Tensor, Tensor]:
    """Estimates of symbols [batch, layer, symbol, subcarrier, 2] and their noise variance, by one iteration of
    expectation propagation."""
    num_layers = h.shape[2]
    weighted = h / noise[:, None, None, ..., None]
    matched = [product(weighted[:, :, i], y, conjugate=True).sum(1) for i in range(num_layers)]
    gram = [
        [product(weighted[:, :, i], h[:, :, j], conjugate=True).sum(1) for j in range(i + 1)] for i in range(num_layers)
    ]
    precision = [torch.ones_like(noise) for _ in range(num_layers)]
    shift = [torch.zeros_like(m) for m in matched]
    x, variance = _cavity(gram, matched, precision, shift)
    for i in range(num_layers):
        mean, spread = _moments(x[i], variance[i], bits_per_symbol)
        new = 1 / spread - 1 / variance[i]
        usable = (new > 0).to(new.dtype)
        precision[i] = 1 + usable * (new - 1)
        shift[i] = usable[..., None] * (mean / spread[..., None] - x[i] / variance[i][..., None])
    x, variance = _cavity(gram, matched, precision, shift)
    return torch.stack(x, dim=1), torch.stack(variance, dim=1)


def _moments(x: Tensor, variance: Tensor, bits_per_symbol: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of a symbol of the constellation given an observation of it."""
    count = 2 ** (bits_per_symbol // 2)
    levels = (torch.arange(count, dtype=x.dtype) * 2 - (count - 1)) * axis_scale(bits_per_symbol // 2)
    p = torch.softmax(-((x.unsqueeze(-1) - levels) ** 2) / variance[..., None, None], dim=-1)
    mean = (p * levels).sum(-1)
    spread = ((p * levels * levels).sum(-1) - mean * mean).sum(-1)
    return mean, spread.clamp(min=_MIN_VARIANCE)


def _cavity(
    gram: list[list[Tensor]], matched: list[Tensor], precision: list[Tensor], shift: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """What the observation and the other layers say about each layer: mean and variance of its symbol."""
    rows, diagonal = _inverse_factor(gram, precision)
    count = len(gram)
    inner = []
    for i in range(count):
        value = (matched[i] + shift[i]) * diagonal[i].unsqueeze(-1)
        for j in range(i):
            value = value + product(rows[i][j], matched[j] + shift[j])
        inner.append(value)
    means, variances = [], []
    for i in range(count):
        value, variance = inner[i] * diagonal[i].unsqueeze(-1), diagonal[i] ** 2
        for j in range(i + 1, count):
            value = value + product(rows[j][i], inner[j], conjugate=True)
            variance = variance + (rows[j][i] ** 2).sum(-1)
        rest = (1 / variance - precision[i]).clamp(min=_LEAST_PRECISION)
        means.append((value / variance.unsqueeze(-1) - shift[i]) / rest.unsqueeze(-1))
        variances.append(1 / rest)
    return means, variances


def _inverse_factor(gram: list[list[Tensor]], precision: list[Tensor]) -> tuple[list[list[Tensor]], list[Tensor]]:
    """Inverse of the Cholesky factor of gram + diag(precision): entries below the diagonal, and the real diagonal."""
    factor: list[list[Tensor]] = []
    inverse: list[list[Tensor]] = []
    diagonal: list[Tensor] = []
    for i in range(len(gram)):
        row: list[Tensor] = []
        for j in range(i):
            value = gram[i][j]
            for k in range(j):
                value = value - product(factor[j][k], row[k], conjugate=True)
            row.append(value * diagonal[j].unsqueeze(-1))
        diagonal_entry = gram[i][i][..., 0] + precision[i]
        rest = diagonal_entry
        for value in row:
            rest = rest - (value * value).sum(-1)
        own = 1 / torch.maximum(rest, _LEAST_PIVOT * diagonal_entry).sqrt()
        inverse_row = []
        for j in range(i):
            value = row[j] * diagonal[j].unsqueeze(-1)
            for k in range(j + 1, i):
                value = value + product(row[k], inverse[k][j])
            inverse_row.append(-value * own.unsqueeze(-1))
        factor.append(row)
        inverse.append(inverse_row)
        diagonal.append(own)
    return inverse, diagonal
