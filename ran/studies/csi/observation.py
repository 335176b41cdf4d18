"""What a user knows of the channel: least squares or LMMSE estimates from CSI-RS with noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ran.phy.csi.aggregated_csi_rs import AggregatedCsiRs, usual_resources
from ran.phy.csi.csi_rs import CsiRs
from ran.studies.csi.experiment import CsiExperiment
from receivers.csi.channel_estimate import least_squares, lmmse_over_band, over_all_prbs


def resource(experiment: CsiExperiment) -> CsiRs | AggregatedCsiRs:
    """The CSI-RS of the experiment."""
    return usual_resources(experiment.panel.num_ports, experiment.estimate.density)


def overhead(experiment: CsiExperiment) -> float:
    """Part of the downlink's resource elements that CSI-RS take, one occasion every period: a PRB and slot has 12 x 14
    elements, of which every port has `density`."""
    slots = experiment.timing.period_ms * experiment.band.subcarrier_spacing_khz / 15
    return experiment.panel.num_ports * experiment.estimate.density / (12 * 14 * max(1.0, slots))


def observed(h: np.ndarray, experiment: CsiExperiment, generators: Sequence[np.random.Generator]) -> np.ndarray:
    """Channel estimates of drops at all times, complex64 of the shape of `h`.

    h complex64 [num_drops, num_times, num_rx_ant, num_ports, num_prb]: taken to be constant over a PRB and the
    symbols of
    the CSI-RS. generators: of the noise, one per drop. Every port sends unit power on each element of its group, the
    noise per element and receive antenna is 1 / Es/N0; what is estimated of a port has the code's gain.
    """
    estimate = experiment.estimate
    signal = resource(experiment)
    num_prb = experiment.band.num_prb
    prbs = signal.prbs(num_prb)
    _, pilots = signal.pilots(num_prb)
    noise_var = 10 ** (-estimate.esn0_db / 10)
    # [drop, time, PRB, receive antenna, port]
    at_prbs = np.moveaxis(h[..., prbs], -1, 2)
    y = at_prbs @ pilots
    shape = (2, *y.shape[1:])
    noise = np.stack([generator.standard_normal(shape) for generator in generators])
    y = y + np.sqrt(noise_var / 2) * (noise[:, 0] + 1j * noise[:, 1])
    found = least_squares(y, pilots)
    if estimate.method == "lmmse":
        flat = found.reshape(-1, *found.shape[2:])
        found = lmmse_over_band(flat, noise_var / signal.cdm_length).reshape(found.shape)
    return np.asarray(over_all_prbs(found, prbs, num_prb)).astype(np.complex64)
