"""A convolutional receiver that starts from the `blind` receiver and learns what it misses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from receivers.classical.blind_estimate import BlindEstimator, SlotEstimate
from receivers.classical.bursts import bursts_rejected
from receivers.classical.data_aided import fit_to_decisions, fit_to_symbols
from receivers.classical.detection import DemapperName, Detection, adds_transmissions, undecoded
from receivers.classical.impaired import ImpairedSlot
from receivers.classical.phase_tracking import common_phase
from receivers.classical.pilotless import estimate_slot
from receivers.classical.semi_blind import reestimated
from receivers.classical.soft_grid import soft_grid
from receivers.interface import SlotObservation
from receivers.neural.constellation import LearnedConstellation
from receivers.neural.convolutions import Separable, add_to_groups, mean_of, pairs, pointwise, unpair, zeroed
from receivers.neural.shown_range import LARGEST_FEATURE, Shown, ShownRange, shown_levels, within_training

_NUM_FEATURES = 12
# Real and imaginary part of the correction, the step towards the suggestion, log error variance, log scale of LLRs.
_NUM_OUTPUTS = 5


class SharingBlock(nn.Module):
    """Residual block; what antennas and layers have in common is shared through their means.

    A mean does not know an order, so neither does the block: layers and antennas may be permuted.
    """

    def __init__(self, num_channels: int, dilation: int) -> None:
        super().__init__()
        self.spread = Separable(num_channels, 2 * num_channels, dilation)
        self.over_antennas = nn.Conv2d(num_channels, 2 * num_channels, 1)
        self.over_layers = nn.Conv2d(num_channels, 2 * num_channels, 1)
        self.merge = zeroed(nn.Conv2d(2 * num_channels, num_channels, 1))

    def forward(self, z: Tensor, num_layers: int, num_rx_ant: int) -> Tensor:
        # z: [batch * layer * rx, channel, symbol, node]. On a processor moving data costs more than multiplying: memory
        # stays in one order, channels last, and sums are taken in place
        of_layer = mean_of(z, num_rx_ant)
        common = pointwise(self.over_antennas, of_layer)
        if num_layers > 1:
            of_slot = pointwise(self.over_layers, mean_of(of_layer, num_layers))
            common = add_to_groups(common, num_layers, of_slot)
        spread = add_to_groups(self.spread(z), num_rx_ant, common)
        return pointwise(self.merge, spread.relu_()).add_(z)


class _Correction(nn.Module):
    """From the features of every layer at every antenna to `_NUM_OUTPUTS` numbers, zero before training."""

    def __init__(self, num_features: int, num_channels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.enter = Separable(num_features, num_channels, 1)
        self.blocks = nn.ModuleList([SharingBlock(num_channels, d) for d in dilations])
        self.leave = zeroed(nn.Conv2d(num_channels, _NUM_OUTPUTS, 1))

    def forward(self, features: Tensor, num_layers: int, num_rx_ant: int) -> Tensor:
        z = self.enter(features)
        for block in self.blocks:
            z = block(z, num_layers, num_rx_ant)
        out: Tensor = self.leave(z)
        return out


@dataclass(frozen=True)
class State:
    """What is known after a pass.

    observation: with the estimated noise power. estimate: the statistics of the slot; None where they were found
        elsewhere, for models that look at no more than the channel. phase [batch, layer, symbol]: of PT-RS, or None.
    h, err_var, llr: as receivers have them. distortion: what amplifiers were found to add to the symbols, [batch,
    layer, symbol, subcarrier], already taken off the observation; or None where that is not looked for.
    """

    observation: SlotObservation
    estimate: SlotEstimate | None
    phase: Tensor | None
    h: Tensor
    err_var: Tensor
    llr: Tensor
    distortion: Tensor | None = None

    def select(self, slots: Tensor) -> State:
        phase = None if self.phase is None else self.phase[slots]
        distortion = None if self.distortion is None else self.distortion[slots]
        return State(
            self.observation.select(slots),
            None if self.estimate is None else self.estimate.select(slots),
            phase,
            self.h[slots],
            self.err_var[slots],
            self.llr[slots],
            distortion,
        )


class RefinedBlindReceiver(nn.Module):
    """Unrolled receiver: the `blind` receiver, then passes of data-aided estimation, correction and detection.

    The first estimate takes all statistics from the slot: noise, delays early and late, Doppler, frequency offset; and
    then its decisions, by expectation maximisation. In every pass another such step with the LLRs so far is a
    suggestion; one small network per pass, shared among antennas and layers, sees it beside the estimate, the residual,
    what is known of each RE and the noise. It states a correction, how far to follow the suggestion, the error variance
    and a factor on the LLRs. Equalisation and demapping are those of the classical receivers. The output layers start
    at zero: an untrained model is the `blind` receiver with as many re-estimations.

    PRBs, antennas, layers, modulation and the pattern of pilots are free.

    num_channels: width of the networks. dilations: frequency dilation of each residual block. num_passes: passes.
    num_reestimations: rounds before the passes. max_cfo_hz: largest frequency offset that is looked for.
    demapper: "maxlog" or "exact".
    constellation_bits, mean_power: a constellation that is trained with the receiver, see `LearnedConstellation`, of so
        many bits per symbol; with 0 there is none. Gradients then go through all of the receiver, and slots may be
        without pilots: the first estimate is that from the constellation's mean.
    track_phase, amplifier_order: what of the radios' impairments these rounds look for, as options of `blind`. The
        networks then see the distortion that was found beside the rest.
    """

    #: What of slots the networks are shown; of trained weights what training showed.
    shown_range = ShownRange()
    #: Whether symbols that a burst of interference hits are detected again after the last pass
    #: (`receivers.classical.bursts`); not in training, nor in exported graphs.
    rejects_bursts = False

    def __init__(
        self,
        num_channels: int = 24,
        dilations: Sequence[int] = (1, 2, 4),
        num_passes: int = 1,
        num_reestimations: int = 2,
        max_cfo_hz: float = 200.0,
        demapper: DemapperName = "maxlog",
        constellation_bits: int = 0,
        mean_power: float = 0.0,
        track_phase: bool = False,
        amplifier_order: int = 1,
    ) -> None:
        super().__init__()
        self.constellation = LearnedConstellation(constellation_bits, mean_power) if constellation_bits else None
        self.impaired = ImpairedSlot(track_phase, amplifier_order)
        if self.impaired.is_on and constellation_bits:
            raise ValueError(
                f"constellation_bits: got {constellation_bits} with track_phase or amplifier_order; allowed: 0"
            )
        num_features = _NUM_FEATURES + self.impaired.is_on
        self.first_estimate = BlindEstimator(max_cfo_hz)
        self.num_reestimations = num_reestimations
        self.detection = Detection("ep", demapper)
        self.passes = nn.ModuleList(
            [_Correction(num_features, num_channels, tuple(dilations)) for _ in range(num_passes)]
        )

    def networks(self) -> list[nn.Module]:
        """The trained parts without complex numbers: what may be compiled or computed in bfloat16."""
        return list(self.passes)

    def check_slot(self, observation: SlotObservation) -> None:
        """`ValueError` for slots whose channel is cut into bundles, over whose ends the networks would smooth."""
        if len(observation.bundles()) > 1:
            size = observation.layout.bundle_subcarriers
            raise ValueError(f"got a precoder that changes every {size} subcarriers; allowed: one for the whole band")
        if self.constellation is not None:
            points, own = observation.constellation, self.constellation.points()
            if points is None or points.shape != own.shape or not torch.allclose(points, own, atol=1e-3):
                got = "QAM" if points is None else "another one"
                raise ValueError(
                    f"constellation: got {got}; allowed: that of the weights, pusch.constellation names it"
                )

    def forward(self, observation: SlotObservation) -> list[tuple[Tensor, Tensor]]:
        """LLRs [batch, num_layers, num_data_re, bits_per_symbol] and channel estimate of every pass, last one best."""
        states = self.refined(self._start(observation))
        outputs = [(state.llr, state.h) for state in states]
        if self.rejects_bursts:
            last = states[-1]
            llr = bursts_rejected(last.observation, last.h, last.err_var, last.llr, self.detection)
            outputs[-1] = (llr, last.h)
        return outputs

    def refined(self, state: State) -> list[State]:
        """What is known after every pass, from what is known before the first."""
        states = []
        for correction in self.passes:
            state = self._pass(correction, state, state.llr, None)
            states.append(state)
        return states

    def in_turns(self, observation: SlotObservation, num_turns: int) -> Tensor:
        """LLRs after up to `num_turns` rounds of decoding, and estimation and detection with what the decoder knows.

        The network of the last pass serves in every round. Slots leave the loop once they are decoded.
        """
        if observation.decoder is None:
            raise ValueError("decoder: got None; allowed: observations with a decoder, for num_turbo above 0")
        state = self._start(observation)
        state = (self.refined(state) or [state])[-1]
        llr = state.llr
        first = llr.clone() if adds_transmissions(observation) else None
        left = torch.arange(len(llr), device=llr.device)
        for _ in range(num_turns):
            extrinsic, arrived = undecoded(observation.decoder, llr[left])
            stay = (~arrived).nonzero().squeeze(1)
            left, state = left[stay], state.select(stay)
            if not len(left):
                break
            state = self._pass(self.passes[-1], state, extrinsic, extrinsic)
            llr[left] = state.llr
        if first is not None and len(left):
            failed = left[~observation.decoder(llr[left])[1]]
            llr[failed] = first[failed]
        return llr

    def _start(self, observation: SlotObservation) -> State:
        with torch.set_grad_enabled(self._trains_all):
            estimate = estimate_slot(self.first_estimate, observation)
            phase = common_phase(observation, estimate.h_hat, estimate.noise_var)
            if self.impaired.is_on:
                return self._start_impaired(observation, estimate, phase)
            known = replace(observation, noise_var=estimate.noise_var)
            estimate = reestimated(known, estimate, self.detection, self.num_reestimations, phase)
            h = estimate.h_hat
            if phase is not None:
                h = h * phase[:, None, :, :, None]
            llr = self.detection(known, h, estimate.err_var)
        return State(known, estimate, phase, h, estimate.err_var, llr)

    def _start_impaired(self, observation: SlotObservation, estimate: SlotEstimate, phase: Tensor | None) -> State:
        found = self.impaired(observation, estimate, self.num_reestimations, phase)
        known, error = found.observation, found.estimate.err_var
        llr = self.detection(known, found.h_hat, error)
        return State(known, found.estimate, found.phase, found.h_hat, error, llr, found.distortion)

    def _pass(self, correction: nn.Module, state: State, known_llr: Tensor, prior_llr: Tensor | None) -> State:
        """known_llr: of what the symbols are taken to be; prior_llr: what of it the detection may use."""
        observation = state.observation
        x, known, rest = soft_grid(observation, known_llr)
        suggested, err_suggested = self._suggestion(state, x, rest, prior_llr is not None, self._trains_all)
        shown = shown_snr(state, self.shown_range)
        features = self._features(state, x, known, rest, suggested, err_suggested, shown)
        batch, num_rx_ant, num_layers = state.h.shape[:3]
        # depthwise convolutions run several times faster on a CPU with channels last
        flat = features.flatten(0, 2).contiguous(memory_format=torch.channels_last)
        out = unpair(within_training(correction(flat, num_layers, num_rx_ant).float()))
        out = out.unflatten(0, (batch, num_layers, num_rx_ant))
        scale = (state.err_var.sqrt() * shown.trust).unsqueeze(2)
        own = torch.complex(out[:, :, :, 0] * scale, out[:, :, :, 1] * scale).transpose(1, 2)
        step = (out[:, :, :, 2] * shown.trust.unsqueeze(2)).transpose(1, 2)
        h = state.h + own + step * (suggested - state.h)
        err_var = state.err_var * torch.exp(out[:, :, :, 3].mean(2).clamp(-4, 4) * shown.trust)
        llr = self.detection(observation, h, err_var, prior_llr)
        if prior_llr is None:
            llr = llr * self._llr_scale(observation, out[:, :, :, 4].mean(2) * shown.trust)
        return replace(state, h=h, err_var=err_var, llr=llr)

    @property
    def _trains_all(self) -> bool:
        """Whether gradients go through the classical parts as well, to the constellation."""
        return self.constellation is not None and torch.is_grad_enabled()

    @staticmethod
    def _suggestion(
        state: State, x: Tensor, rest: Tensor, from_decoder: bool, trains_all: bool
    ) -> tuple[Tensor, Tensor]:
        """Channel and error variance from pilots and soft symbols. Gradients end here but for a constellation."""
        observation, estimate, phase = state.observation, state.estimate, state.phase
        if estimate is None:
            raise ValueError("estimate: got None; allowed: the statistics of the slot, for models that re-estimate")
        with torch.set_grad_enabled(trains_all):
            sent = x if phase is None else x * phase.unsqueeze(-1)
            statistics = (*estimate.profiles(), estimate.correlation(observation))
            fit = fit_to_symbols if from_decoder else fit_to_decisions
            h, error = fit(observation, state.h, *statistics, estimate.noise_var, sent, rest)
            return (h if phase is None else h * phase[:, None, :, :, None]), error

    @staticmethod
    def _features(
        state: State,
        x: Tensor,
        known: Tensor,
        rest: Tensor,
        suggested: Tensor,
        err_suggested: Tensor,
        shown: Shown,
    ) -> Tensor:
        """What the networks see, [batch, layer, rx, feature, symbol, node].

        All features are ratios: a common factor on the received grid changes nothing.
        """
        observation, h = state.observation, state.h
        num_rx_ant = h.shape[1]
        noise, power = shown.noise, shown.power
        err_var, err_suggested = state.err_var + shown.added_error, err_suggested + shown.added_error
        # what the residual is expected to hold: noise, errors of the channel, symbols that are not known
        strength = (h.real**2 + h.imag**2).mean(1)
        # [batch, 1, symbol, subcarrier]
        expected = noise.amin(1, keepdim=True) + ((x.real**2 + x.imag**2) * err_var + strength * rest).sum(
            1, keepdim=True
        )
        residual = (observation.y - (h * x.unsqueeze(1)).sum(2)) / expected.sqrt()
        # [batch, layer, rx, symbol, subcarrier]
        matched = (residual.unsqueeze(2) * (x.conj() * known).unsqueeze(1)).transpose(1, 2)
        estimate = h.transpose(1, 2) / power.unsqueeze(2).sqrt()
        ahead = (suggested - h).transpose(1, 2) / (err_var + err_suggested).sqrt().unsqueeze(2)
        times = (observation.symbol_times_s.to(noise) * 1e3 - 0.25)[:, None].expand_as(err_var)
        levels = []
        if state.distortion is not None:
            added = state.distortion.real**2 + state.distortion.imag**2
            levels.append(torch.log10(added / observation.layer_amplitude**2 + 1e-4))
        common = torch.stack(
            [
                known * (x.real**2 + x.imag**2),
                known,
                torch.log10(err_var / power + 1e-6),
                torch.log10(err_suggested / power + 1e-6),
                (torch.log10(noise / power)).expand_as(err_var),
                times,
                *levels,
            ],
            dim=2,
        )
        own = [pairs(torch.view_as_real(part).movedim(-1, 3)) for part in (estimate, matched, ahead)]
        shared = pairs(common).unsqueeze(2).expand(-1, -1, num_rx_ant, -1, -1, -1)
        return torch.cat([*own, shared], dim=3).clamp(-LARGEST_FEATURE, LARGEST_FEATURE)

    @staticmethod
    def _llr_scale(observation: SlotObservation, log_scale: Tensor) -> Tensor:
        """Factor on LLRs [batch, num_layers, num_data_re, 1] from its logarithm on the grid."""
        if observation.transform_precoding:
            # every symbol is spread over its OFDM symbol
            log_scale = log_scale.mean(-1, keepdim=True).expand_as(log_scale)
        return torch.exp(observation.at_data(log_scale).clamp(-2, 2)).unsqueeze(-1)


def shown_snr(state: State, shown_range: ShownRange) -> Shown:
    """What the networks are shown of every layer's levels, [batch, layer, 1, 1]: users may be far and near."""
    h = state.h
    power = (h.real**2 + h.imag**2).mean((1, 3, 4))[..., None, None]
    observation = state.observation
    noise_var = observation.noise_var[:, None, None, None].expand_as(power)
    is_known = shown_range.has(observation)
    return shown_levels(noise_var, power, shown_range.snr_db_of(observation), is_known)
