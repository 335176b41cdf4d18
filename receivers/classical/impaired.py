"""Channel estimation, detection and what radios do to the signal, each from what the others have found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from receivers.classical.amplifier import MAX_ORDER, distortion_basis, distortion_coefficients
from receivers.classical.blind_estimate import SlotEstimate
from receivers.classical.data_aided import fit_to_decisions, symbol_covariance
from receivers.classical.detection import Detection
from receivers.classical.noise_parts import noise_parts
from receivers.classical.soft_grid import soft_grid
from receivers.classical.symbol_phase import smoothed_phase, symbol_phase
from receivers.interface import SlotObservation


@dataclass(frozen=True)
class Cleaned:
    """A slot without the impairments that were found.

    observation: the received grid with the amplifiers' distortion taken off, and the noise that is left.
    estimate: of the channel, error variance with what of the noise comes with the signal.
    phase [batch, num_layers, num_ofdm_symbols] complex64: rotation of every symbol beside the estimate.
    distortion [batch, num_layers, num_ofdm_symbols, num_subcarriers] complex64: what was taken off, as sent.
    """

    observation: SlotObservation
    estimate: SlotEstimate
    phase: Tensor
    distortion: Tensor

    @property
    def h_hat(self) -> Tensor:
        """The channel with its rotations."""
        return self.estimate.h_hat * self.phase[:, None, :, :, None]


class ImpairedSlot:
    """Rounds of detection and of estimating anew phases, amplifiers, channel and noise from soft symbols.

    track_phase: the common phase of every OFDM symbol, of each user, with or without PT-RS.
    amplifier_order: highest odd order of a polynomial without memory for each layer's amplifier; 1 is none. The layers
        of a user are taken to leave from antennas of their own.
    """

    def __init__(self, track_phase: bool = False, amplifier_order: int = 1) -> None:
        if amplifier_order not in range(1, MAX_ORDER + 1, 2):
            raise ValueError(f"amplifier_order: got {amplifier_order}; allowed: 1 (none), 3, 5")
        self.track_phase = track_phase
        self.amplifier_order = amplifier_order
        # bits that count the best level of an axis alone look surer than they are, and noise then seems to grow
        self._detection = Detection("ep", "exact")

    @property
    def is_on(self) -> bool:
        """Whether anything is looked for."""
        return self.track_phase or self.amplifier_order > 1

    def __call__(
        self, observation: SlotObservation, estimate: SlotEstimate, num_rounds: int, phase: Tensor | None
    ) -> Cleaned:
        """What is found after so many rounds. observation: as received; phase: of PT-RS, or None."""
        statistics = (*estimate.profiles(), estimate.correlation(observation))
        h, err_var, noise_var = estimate.h_hat, estimate.err_var, estimate.noise_var
        found = Cleaned(
            replace(observation, noise_var=noise_var),
            estimate,
            torch.ones_like(h[:, 0, :, :, 0]) if phase is None else phase,
            torch.zeros_like(h[:, 0]),
        )
        coefficients = h.new_zeros(*h.shape[:1], h.shape[2], (self.amplifier_order - 1) // 2)
        for _ in range(num_rounds):
            turn, added = found.phase, found.distortion
            if self.track_phase:
                turn = turn * _turns(found)
            turned = h * turn[:, None, :, :, None]
            clean = replace(found.observation, y=_without(observation.y, turned, added))
            x, _, rest = soft_grid(observation, self._detection(clean, turned, found.estimate.err_var))
            if self.amplifier_order > 1:
                noise = noise_var[:, None, None] + observation.layer_amplitude**2 * found.estimate.err_var.sum(1)
                coefficients, added = self._distortion(observation, turned, x, rest, noise, coefficients)
            sent = (x + added) * turn.unsqueeze(-1)
            h, err_var = fit_to_decisions(observation, h, *statistics, noise_var, sent, rest)
            left = _without(observation.y, h, sent)
            power = left.real**2 + left.imag**2 + _unknown(h, rest, noise_var)
            noise_var, with_signal = noise_parts(power, h, noise_var)
            error = err_var + _as_error(h, with_signal / observation.layer_amplitude**2)
            turned = h * turn[:, None, :, :, None]
            found = Cleaned(
                replace(observation, y=_without(observation.y, turned, added), noise_var=noise_var),
                replace(estimate, h_hat=h, err_var=error, noise_var=noise_var),
                turn,
                added,
            )
        return found

    def _distortion(
        self, observation: SlotObservation, h: Tensor, x: Tensor, rest: Tensor, noise: Tensor, before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Coefficients of the amplifiers, and what they add to the symbols; before: those so far."""
        power = (x.real**2 + x.imag**2 + rest).mean((2, 3))
        basis = distortion_basis(x, rest, power, self.amplifier_order)
        residual = _without(observation.y, h, x + (before[..., None, None] * basis).sum(2))
        found = distortion_coefficients(h, residual, x, rest, basis, noise, before)
        return found, (found[..., None, None] * basis).sum(2)


def _without(y: Tensor, h: Tensor, sent: Tensor) -> Tensor:
    """The received grid without what arrives of `sent` [batch, num_layers, num_ofdm_symbols, num_subcarriers]."""
    return y - (h * sent.unsqueeze(1)).sum(2)


def _unknown(h: Tensor, rest: Tensor, noise_var: Tensor) -> Tensor:
    """Power that what is unknown of the symbols brings, like the received grid; of several layers together, since what
    a detector cannot tell apart is hardly seen."""
    weight = (1 / noise_var)[:, None, None].expand_as(rest[:, 0])
    covariance = symbol_covariance(h, weight, rest)
    return torch.einsum("brisk,bijsk,brjsk->brsk", h, covariance, h.conj()).real.clamp_min(0)


def _turns(found: Cleaned) -> Tensor:
    angle = smoothed_phase(*symbol_phase(found.observation, found.h_hat, found.estimate.err_var))
    return torch.polar(torch.ones_like(angle), angle)


def _as_error(h: Tensor, with_signal: Tensor) -> Tensor:
    """Noise that comes with the layers [batch, num_layers], relative to them, as an error of the channel that detectors
    count as white: after combining the antennas it leaves a layer's symbols with that much noise.
    """
    num_rx_ant, num_layers = h.shape[1:3]
    share = max(num_rx_ant - num_layers + 1, 1) / (num_rx_ant * num_layers)
    return share * with_signal[:, :, None, None] * (h.real**2 + h.imag**2).sum(1)
