"""Channel estimates from the reference signals of many ports: least squares, and linear MMSE over the band."""

from __future__ import annotations

import numpy as np

from receivers.errors import bad_value


def least_squares(y: np.ndarray, pilots: np.ndarray) -> np.ndarray:
    """Channel of every port and PRB, complex128 [..., num_rx_ant, num_ports, num_prb].

    y complex [..., num_prb, num_rx_ant, num_re]: received on the resource elements of a PRB, over which the channel is
    taken to be constant. pilots complex [num_prb, num_ports, num_re]: what every port sends there; ports that share
    elements have orthogonal codes.
    """
    if y.shape[-3] != pilots.shape[0] or y.shape[-1] != pilots.shape[-1]:
        raise bad_value("y", y.shape, f"[..., {pilots.shape[0]}, num_rx_ant, {pilots.shape[-1]}]")
    power = (np.abs(pilots) ** 2).sum(-1)
    found = y @ pilots.conj().swapaxes(-1, -2) / power[:, None, :]
    return np.asarray(np.moveaxis(found, -3, -1))


def lmmse_over_band(h_ls: np.ndarray, err_var: np.ndarray | float) -> np.ndarray:
    """Linear MMSE over PRBs with a covariance that the estimate itself shows (empirical Bayes); the shape of `h_ls`.

    h_ls complex [batch, num_rx_ant, num_ports, num_prb]; err_var [batch] or one number: variance of its error per
    entry,
    white. The covariance over PRBs is that of all antenna pairs of a drop, less the error's, with negative eigenvalues
    at 0: what is left of every mode is its part of the power that is no error.
    """
    pairs = h_ls.reshape(len(h_ls), -1, h_ls.shape[-1])
    covariance = pairs.conj().swapaxes(1, 2) @ pairs / pairs.shape[1]
    values, vectors = np.linalg.eigh(covariance)
    error = np.broadcast_to(np.asarray(err_var, float), (len(h_ls),))[:, None]
    kept = np.divide(np.maximum(values - error, 0), values, out=np.zeros_like(values), where=values > 0)
    filtered = ((pairs @ vectors) * kept[:, None, :]) @ vectors.conj().swapaxes(1, 2)
    return np.asarray(filtered.reshape(h_ls.shape))


def over_all_prbs(h: np.ndarray, prbs: np.ndarray, num_prb: int) -> np.ndarray:
    """Estimates of some PRBs [..., len(prbs)] at all of them, linear in between, the nearest beyond the ends."""
    at = np.arange(num_prb)
    right = np.clip(np.searchsorted(prbs, at), 0, len(prbs) - 1)
    left = np.clip(right - 1, 0, len(prbs) - 1)
    span = np.maximum(prbs[right] - prbs[left], 1)
    part = np.clip((at - prbs[left]) / span, 0, 1)
    return np.asarray((1 - part) * h[..., left] + part * h[..., right])
