"""A convolutional receiver that starts from the LMMSE receiver and learns what it misses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from receivers.classical.bursts import bursts_rejected
from receivers.classical.equalizer import detect
from receivers.classical.lmmse import WienerInterpolator
from receivers.classical.soft_grid import soft_grid
from receivers.interface import SlotObservation
from receivers.neural.convolutions import Separable, add_to_groups, mean_of, pairs, pointwise, unpair, zeroed
from receivers.neural.shown_range import LARGEST_FEATURE, ShownRange, shown_levels, within_training

_NUM_FEATURES = 10
#: Power of the first estimate's prior over what the pilots show. Training had a prior of the channel's mean power; with
#: a stronger one the networks see error variances that they do not know, and lose with a single DM-RS symbol.
PRIOR_MARGIN = 1.0
#: Mean delays of slots that the first estimate is made for, in delay spreads of its prior, which begins at zero. None
#: of the training of pusch-hybrid is beyond (of 2,860 layers), and of that of pusch-munich 2 %.
EARLIEST, LATEST = -1 / 6, 2.0


class _Block(nn.Module):
    """Residual block; what all antennas have in common is shared through their mean."""

    def __init__(self, num_channels: int, dilation: int) -> None:
        super().__init__()
        self.spread = Separable(num_channels, 2 * num_channels, dilation)
        self.common = nn.Conv2d(num_channels, 2 * num_channels, 1)
        self.merge = zeroed(nn.Conv2d(2 * num_channels, num_channels, 1))

    def forward(self, z: Tensor, num_rx_ant: int) -> Tensor:
        # z: [batch * layer * rx, channel, symbol, node]
        common = pointwise(self.common, mean_of(z, num_rx_ant))
        spread = add_to_groups(self.spread(z), num_rx_ant, common)
        return pointwise(self.merge, spread.relu_()).add_(z)


class _Correction(nn.Module):
    """Correction of a channel estimate from the residual that it leaves; the output layer starts at zero."""

    def __init__(self, num_channels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.enter = Separable(_NUM_FEATURES, num_channels, 1)
        self.blocks = nn.ModuleList([_Block(num_channels, d) for d in dilations])
        self.leave = zeroed(nn.Conv2d(num_channels, 3, 1))

    def forward(self, features: Tensor, num_rx_ant: int) -> Tensor:
        z = self.enter(features)
        for block in self.blocks:
            z = block(z, num_rx_ant)
        out: Tensor = self.leave(z)
        return out


class HybridReceiver(nn.Module):
    """Unrolled receiver: LMMSE estimate, then passes of correction, detection and soft re-estimation.

    Every pass looks at each antenna and layer with one small network shared among them, so the number of antennas,
    layers and PRBs is free. It sees the channel estimate, the residual of the received grid after the soft symbols
    (pilots in the first pass) are taken away, how far those are known, the expected error, the noise level and where in
    time the RE lies; it returns a correction of the channel and of the error variance. Equalisation and demapping are
    the closed forms of the classical receivers. Since the output layers start at zero, an untrained model is the
    `lmmse` receiver with the same prior, its power that of the pilots.

    num_channels: width of the networks. dilations: frequency dilation of each residual block. num_passes: passes.
    prior_delay_spread_ns, prior_max_doppler_hz: prior of the first estimate.
    """

    #: What of slots the networks are shown; of trained weights what training showed.
    shown_range = ShownRange()
    #: As of `RefinedBlindReceiver`.
    rejects_bursts = False

    def __init__(
        self,
        num_channels: int = 24,
        dilations: tuple[int, ...] = (1, 2, 4),
        num_passes: int = 2,
        prior_delay_spread_ns: float = 300.0,
        prior_max_doppler_hz: float = 300.0,
    ) -> None:
        super().__init__()
        self.first_estimate = WienerInterpolator(prior_delay_spread_ns * 1e-9, prior_max_doppler_hz, PRIOR_MARGIN)
        self.passes = nn.ModuleList([_Correction(num_channels, tuple(dilations)) for _ in range(num_passes)])
        #: As `receivers.neural.alignment.aligned` takes them, s.
        self.mean_delays_s = EARLIEST * prior_delay_spread_ns * 1e-9, LATEST * prior_delay_spread_ns * 1e-9

    def networks(self) -> list[nn.Module]:
        """The trained parts without complex numbers: what may be compiled or computed in bfloat16."""
        return list(self.passes)

    def forward(self, observation: SlotObservation) -> list[tuple[Tensor, Tensor]]:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] and channel estimate of every pass, last one best."""
        passes = self._passes(observation, *self.first_estimate(observation))
        outputs = [(llr, h_hat) for llr, h_hat, _ in passes]
        if self.rejects_bursts:
            llr, h_hat, err_var = passes[-1]
            outputs[-1] = bursts_rejected(observation, h_hat, err_var, llr, detect), h_hat
        return outputs

    def refined(self, observation: SlotObservation, h_hat: Tensor, err_var: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What `forward` finds after a first estimate, before bursts of interference are looked for."""
        return [(llr, h) for llr, h, _ in self._passes(observation, h_hat, err_var)]

    def _passes(
        self, observation: SlotObservation, h_hat: Tensor, err_var: Tensor
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """LLRs, channel estimate and its error variance after every pass."""
        batch = observation.y.shape[0]
        x = observation.pilots.expand(batch, -1, -1, -1)
        known = (x.real**2 + x.imag**2 > 0).float()
        outputs = []
        for number, correction in enumerate(self.passes):
            h_hat, err_var = self.corrected(correction, observation, h_hat, err_var, x, known)
            llr = detect(observation, h_hat, err_var)
            outputs.append((llr, h_hat, err_var))
            if number + 1 < len(self.passes):
                x, known = soft_grid(observation, llr)[:2]
        return outputs

    def corrected(
        self,
        correction: nn.Module,
        observation: SlotObservation,
        h_hat: Tensor,
        err_var: Tensor,
        x: Tensor,
        known: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """A better channel estimate and its error variance, by the network of one pass.

        x [batch, num_layers, num_ofdm_symbols, num_subcarriers]: the sent grid as far as it is known; known: how far,
        0 to 1.
        """
        batch, num_rx_ant, num_layers, num_symbols, num_subcarriers = h_hat.shape
        # all features are ratios, so a common factor on the received grid changes nothing
        power = (h_hat.real**2 + h_hat.imag**2).mean((1, 2, 3, 4))[:, None, None, None]
        highest_snr_db, is_known = self.shown_range.snr_db_of(observation), self.shown_range.has(observation)
        shown = shown_levels(observation.noise_var[:, None, None, None], power, highest_snr_db, is_known)
        noise, power, shown_err_var = shown.noise, shown.power, err_var + shown.added_error
        residual = observation.y - (h_hat * x.unsqueeze(1)).sum(2)
        # [batch, layer, rx, symbol, subcarrier]
        matched = (residual.unsqueeze(2) * x.conj().unsqueeze(1) * known.unsqueeze(1)).transpose(1, 2)
        matched = matched / noise.unsqueeze(-1).sqrt()
        estimate = h_hat.transpose(1, 2) / power.unsqueeze(-1).sqrt()
        energy = known * (x.real**2 + x.imag**2)
        times = observation.symbol_times_s.to(noise) * 1e3
        common = torch.stack(
            [
                pairs(energy),
                pairs(known),
                pairs(torch.log10(shown_err_var / power + 1e-6)),
                torch.log10(noise / power).expand(batch, num_layers, num_symbols, num_subcarriers // 2),
                (times[:, None] - 0.25).expand(batch, num_layers, num_symbols, num_subcarriers // 2),
                pairs(torch.log10(shown_err_var / noise + 1e-6)),
            ],
            dim=2,
        )
        features = torch.cat(
            [
                pairs(torch.view_as_real(estimate).movedim(-1, 3)),
                pairs(torch.view_as_real(matched).movedim(-1, 3)),
                common.unsqueeze(2).expand(-1, -1, num_rx_ant, -1, -1, -1),
            ],
            dim=3,
        )
        # limits after the axes are joined: LiteRT knows maximum and minimum of five axes at most
        features = features.flatten(0, 2).clamp(-LARGEST_FEATURE, LARGEST_FEATURE)
        # depthwise convolutions run several times faster on a CPU with channels last
        features = features.contiguous(memory_format=torch.channels_last)
        out = within_training(correction(features, num_rx_ant).float())
        out = unpair(out).unflatten(0, (batch, num_layers, num_rx_ant))
        scale = (err_var.sqrt() * shown.trust).unsqueeze(2)
        change = torch.complex(out[:, :, :, 0] * scale, out[:, :, :, 1] * scale)
        err_var = err_var * torch.exp(out[:, :, :, 2].mean(2).clamp(-4, 4) * shown.trust)
        return h_hat + change.transpose(1, 2), err_var
