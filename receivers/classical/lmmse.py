"""LMMSE channel estimation over frequency and time with a stated prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import j0
from torch import Tensor

from receivers.classical.detecting_receiver import DetectingReceiver
from receivers.classical.detection import DemapperName, DetectorName
from receivers.classical.estimate import ChannelEstimate, estimate_bundles
from receivers.classical.phase_tracking import tracked
from receivers.classical.pilots import pilot_estimates
from receivers.interface import PilotLayout, SlotObservation, Truth
from receivers.levels import at_unit_level

# Eigenvalues of the frequency correlation below this share of the largest carry no channel energy worth a column.
_RANK_TOLERANCE = 1e-6
# Power of the prior over what the pilots of the slot show: a slot shows one fade of the channel that it is about.
# A prior that is too strong costs little, one that is too weak shrinks the estimate of a slot in a fade.
_MARGIN = 2.0
# Least power of the prior over the noise of a pilot estimate, for slots whose pilots show noise alone.
_LEAST_POWER = 0.2


@dataclass(frozen=True)
class Basis:
    """One axis of the Wiener filter: pilots -> modes -> grid.

    analysis [num_modes, num_pilots], synthesis [num_grid, num_modes], eigenvalues [num_modes];
    power [num_grid, num_modes]: squared magnitudes of `synthesis`.
    """

    analysis: Tensor
    synthesis: Tensor
    power: Tensor
    eigenvalues: Tensor


def _basis(pilot_cov: np.ndarray, cross_cov: np.ndarray, device: torch.device) -> Basis:
    """Eigenmodes of the pilots' covariance, and the grid's covariance with them."""
    eigenvalues, modes = np.linalg.eigh(pilot_cov)
    keep = eigenvalues > _RANK_TOLERANCE * eigenvalues[-1]
    eigenvalues, modes = eigenvalues[keep], modes[:, keep]
    synthesis = cross_cov @ modes
    return Basis(
        analysis=torch.from_numpy(modes.conj().T.astype(np.complex64)).to(device),
        synthesis=torch.from_numpy(synthesis.astype(np.complex64)).to(device),
        power=torch.from_numpy((np.abs(synthesis) ** 2).astype(np.float32)).to(device),
        eigenvalues=torch.from_numpy(eigenvalues.astype(np.float32)).to(device),
    )


class WienerInterpolator:
    """Two-dimensional Wiener filter from despread pilot estimates to the whole grid.

    Prior: `power_margin` times the power that the slot's pilots show, the same for all antennas and layers; exponential
    power delay profile (correlation 1 / (1 + 2j pi df tau) over frequency), Jakes spectrum (J0(2 pi f_d dt) over time),
    independent of each other. The covariance is then a Kronecker product, so the exact joint filter for any noise
    variance needs only the eigenmodes of each axis, computed once per slot layout.
    """

    def __init__(self, delay_spread_s: float, max_doppler_hz: float, power_margin: float = _MARGIN) -> None:
        """power_margin: power of the prior over what the slot's pilots show without their noise."""
        self.power_margin = power_margin
        self.delay_spread_s = delay_spread_s
        self.max_doppler_hz = max_doppler_hz
        self._cache: dict[tuple, tuple[Basis, list[Basis]]] = {}

    def _frequency_basis(
        self, subcarriers: tuple[int, ...], num_subcarriers: int, df: float, dev: torch.device
    ) -> Basis:
        def correlation(distance: np.ndarray) -> np.ndarray:
            return 1 / (1 + 2j * np.pi * distance * df * self.delay_spread_s)

        pilots = np.array(subcarriers)
        among = correlation(pilots[:, None] - pilots[None, :])
        cross = correlation(np.arange(num_subcarriers)[:, None] - pilots[None, :])
        # a despread estimate is the mean of a pair of pilots
        among = among.reshape(len(pilots) // 2, 2, len(pilots) // 2, 2).mean((1, 3))
        cross = cross.reshape(num_subcarriers, len(pilots) // 2, 2).mean(2)
        return _basis(among, cross, dev)

    def _time_basis(self, layout: PilotLayout, times: np.ndarray, device: torch.device) -> Basis:
        def correlation(distance: np.ndarray) -> np.ndarray:
            return j0(2 * np.pi * self.max_doppler_hz * distance)

        known = times[list(layout.symbols)]
        # the estimate of a double symbol is the mean of two
        groups, size = len(layout.symbol_groups), layout.num_adjacent_symbols
        among = correlation(known[:, None] - known).reshape(groups, size, groups, size).mean((1, 3))
        cross = correlation(times[:, None] - known).reshape(len(times), groups, size).mean(2)
        return _basis(among, cross, device)

    def bases(self, observation: SlotObservation) -> tuple[Basis, list[Basis]]:
        """Both axes of the filter for such slots: time, and frequency per layer. Nothing received is looked at."""
        layout, device = observation.layout, observation.y.device
        num_subcarriers = observation.data_mask.shape[1]
        times = observation.symbol_times_s.cpu().numpy()
        df = observation.subcarrier_spacing_hz
        key = (layout, num_subcarriers, df, times.tobytes(), device)
        if key not in self._cache:
            if len(self._cache) >= 64:
                self._cache.clear()
            by_offset = {
                first: self._frequency_basis(layout.subcarriers(layer, num_subcarriers), num_subcarriers, df, device)
                for first, layer in {first: i for i, first in enumerate(layout.first_subcarrier)}.items()
            }
            self._cache[key] = (
                self._time_basis(layout, times, device),
                [by_offset[first] for first in layout.first_subcarrier],
            )
        return self._cache[key]

    def __call__(self, observation: SlotObservation) -> tuple[Tensor, Tensor]:
        """Channel estimate and its mean square error under the prior.

        Returns h_hat [batch, num_rx_ant, num_layers, num_ofdm_symbols, num_subcarriers] complex64 and
        err_var [batch, num_layers, num_ofdm_symbols, num_subcarriers] float32.
        """
        return self.estimate(observation).on_grid()

    def estimate(self, observation: SlotObservation) -> ChannelEstimate:
        """The same as a sum over the eigenmodes of the time axis."""
        power = self._power(observation)
        return estimate_bundles(lambda bundle: self._filter(bundle, power), observation)

    def _power(self, observation: SlotObservation) -> Tensor:
        """Power of the prior [batch], for all antennas and layers: from that of the estimates at the pilots, without
        the noise in them."""
        pairs, pair_var = pilot_estimates(observation)
        seen = (pairs.real**2 + pairs.imag**2).mean((1, 2, 3, 4))
        noise = observation.noise_var * pair_var.mean()
        return torch.maximum(self.power_margin * (seen - noise), _LEAST_POWER * noise)

    def _filter(self, observation: SlotObservation, power: Tensor) -> ChannelEstimate:
        """power [batch]: of the prior."""
        pairs, pair_var = pilot_estimates(observation)
        time, frequency = self.bases(observation)
        modes, explained = [], []
        for layer, axis in enumerate(frequency):
            # relative to the prior's power, as the eigenvalues are
            noise = observation.noise_var * pair_var[layer] / power
            # [batch, time mode, frequency mode]
            gain = 1 / (time.eigenvalues[:, None] * axis.eigenvalues + noise[:, None, None])
            at_pilots = time.analysis @ (pairs[:, :, layer] @ axis.analysis.T)
            modes.append((at_pilots * gain.unsqueeze(1)) @ axis.synthesis.T)
            explained.append(power[:, None, None] * (gain @ axis.power.T))
        # correlations over time are real, and so are their eigenvectors
        over_time = time.synthesis.real
        offset = power.unsqueeze(1).expand(-1, len(frequency))
        return ChannelEstimate(
            torch.stack(modes, dim=2), over_time, torch.stack(explained, dim=1), -(over_time**2), offset
        )


class Lmmse(DetectingReceiver):
    """LMMSE channel estimation over frequency and time with a stated prior, LMMSE equalisation, max-log demapping.

    detector, demapper, num_paths, num_turbo, reject_bursts: see `Detection`. PT-RS are used where there are any.
    prior_delay_spread_ns: rms delay spread of the exponential power delay profile assumed, ns.
    prior_max_doppler_hz: maximum Doppler frequency of the Jakes spectrum assumed, Hz.
    """

    name = "lmmse"

    def __init__(
        self,
        prior_delay_spread_ns: float = 300.0,
        prior_max_doppler_hz: float = 300.0,
        detector: DetectorName = "lmmse",
        demapper: DemapperName = "maxlog",
        num_paths: int = 16,
        num_turbo: int = 3,
        reject_bursts: bool = False,
    ) -> None:
        if not prior_delay_spread_ns > 0:
            raise ValueError(f"prior_delay_spread_ns: got {prior_delay_spread_ns}; allowed: above 0")
        if not prior_max_doppler_hz >= 0:
            raise ValueError(f"prior_max_doppler_hz: got {prior_max_doppler_hz}; allowed: 0 or more")
        self.prior_delay_spread_ns = prior_delay_spread_ns
        self.prior_max_doppler_hz = prior_max_doppler_hz
        super().__init__(detector, demapper, num_paths, num_turbo, reject_bursts)
        self._interpolate = WienerInterpolator(prior_delay_spread_ns * 1e-9, prior_max_doppler_hz)

    def __call__(self, observation: SlotObservation, truth: Truth | None = None) -> Tensor:
        observation = at_unit_level(observation)
        estimate = tracked(observation, self._interpolate.estimate(observation))
        return self._detection.of_estimate(observation, estimate)
