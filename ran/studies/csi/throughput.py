"""What a decoded precoder is worth on the link: SINR of a PDSCH that is sent with it, to one user or to several.

Channels have unit mean power per antenna pair, the base station sends unit power per resource element shared by all
layers, and the noise per receive antenna is 1 / SNR. Receivers are linear MMSE with perfect knowledge of the channel
and of the interference. Spectral efficiencies are of Gaussian symbols, log2(1 + SINR); throughputs in Mbit/s those of
the best MCS at the effective SINR (mean mutual information of 64QAM symbols), from block error rates that were measured
through coding and decoding (`ran.studies.beams.link_rate`): link adaptation without delay. Neither counts CSI-RS,
DM-RS or uplink overhead beyond what `LinkRate` says.
"""

from __future__ import annotations

import numpy as np

from ran.studies.adaptation.effective import effective_sinr_db
from ran.studies.beams.link_rate import LinkRate

#: Modulation whose information rate averages the SINRs of a band.
_BITS_PER_SYMBOL = 6
#: Part of the mean power on the diagonal of the users' Gram matrix: two users who report the same are still separable.
_LOADING = 1e-3


def one_user_sinr(h: np.ndarray, w: np.ndarray, units: tuple[range, ...], snr: float) -> np.ndarray:
    """SINR of every layer and PRB, float64 [num_drops, num_layers, num_prb].

    h complex64 [num_drops, num_rx_ant, num_ports, num_prb]; w complex64 [num_drops, num_layers, num_units, num_ports],
    unit norm. The layers of a user share its power.
    """
    num_layers = w.shape[1]
    out = np.empty((len(h), num_layers, h.shape[-1]))
    for number, unit in enumerate(units):
        precoder = w[:, :, number].swapaxes(1, 2) / np.sqrt(num_layers)
        # [drop, PRB, receive antenna, layer]
        g = h[..., list(unit)].transpose(0, 3, 1, 2) @ precoder[:, None]
        out[..., list(unit)] = _mmse_sinr(g, snr).transpose(0, 2, 1)
    return out


def zero_forcing(v: np.ndarray) -> np.ndarray:
    """Precoders of users who are served together, complex [..., num_ports, num_users]: unit power in all.

    v complex [..., num_users, num_ports]: the vector that every user reported. Columns have equal power; each is
    orthogonal to what the others reported, but for `_LOADING` of the mean power.
    """
    gram = v.conj() @ v.swapaxes(-1, -2)
    users = v.shape[-2]
    scale = np.trace(gram, axis1=-2, axis2=-1).real[..., None, None] / users
    inverse = np.linalg.inv(gram + _LOADING * scale * np.eye(users))
    found = v.swapaxes(-1, -2) @ inverse
    norm = np.linalg.norm(found, axis=-2, keepdims=True)
    return np.asarray(found / (norm * np.sqrt(users)))


def served_together_sinr(h: np.ndarray, w: np.ndarray, units: tuple[range, ...], snr: float) -> np.ndarray:
    """SINR of every user of every group and PRB, float64 [num_groups, num_users, num_prb].

    h complex64 [num_groups, num_users, num_rx_ant, num_ports, num_prb]; w complex64 [num_groups, num_users, num_units,
    num_ports]: the vector of its strongest layer that each user reported.
    """
    out = np.empty((*h.shape[:2], h.shape[-1]))
    for number, unit in enumerate(units):
        precoder = zero_forcing(w[:, :, number].astype(np.complex128))
        # [group, user, PRB, receive antenna, user served]
        g = h[..., list(unit)].transpose(0, 1, 4, 2, 3) @ precoder[:, None, None]
        sinr = _mmse_sinr(g, snr)
        users = np.arange(h.shape[1])
        out[..., list(unit)] = sinr[:, users, :, users].transpose(1, 0, 2)
    return out


def _mmse_sinr(g: np.ndarray, snr: float) -> np.ndarray:
    """SINR of every layer after linear MMSE equalisation, float64 [..., num_layers]; g [..., num_rx_ant,
    num_layers]."""
    layers = g.shape[-1]
    gram = g.conj().swapaxes(-1, -2) @ g * snr + np.eye(layers)
    error = np.diagonal(np.linalg.inv(gram.astype(np.complex128)), axis1=-2, axis2=-1).real
    return np.asarray(1 / np.clip(error, 1e-12, 1) - 1)


def spectral_efficiency(sinr: np.ndarray) -> np.ndarray:
    """Mean over the band of log2(1 + SINR), bit/s/Hz, float64 [...] of [..., num_prb]."""
    return np.asarray(np.log2(1 + sinr).mean(-1))


def throughput_mbps(sinr: np.ndarray, link: LinkRate) -> np.ndarray:
    """Mbit/s of the best MCS at the effective SINR over the band, float64 [...] of [..., num_prb]."""
    sinr_db = 10 * np.log10(np.maximum(sinr, 1e-6))
    return link.mbps(effective_sinr_db(sinr_db, "miesm", _BITS_PER_SYMBOL, 1.0))
