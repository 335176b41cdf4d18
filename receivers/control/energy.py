"""Whether a known signal was sent: the share of the received energy that its channel can explain.

With noise alone the share has a beta distribution whatever the level of the noise, so its threshold is exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

Complex = npt.NDArray[np.complexfloating]


def explained_energy(y: Complex, signal: Complex, basis: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    """Energy of y within the span of the signal times every direction of the channel, float64 [batch].

    y [batch, num_rx_ant, n]: resource elements of a hop. signal [batch, n]: what each would have been.
    basis [n, K]: orthonormal directions of the channel.
    """
    turned = y * signal.conj()[:, None]
    parts = turned @ basis.conj()
    gram = np.einsum("nk,bn,nj->bkj", basis.conj(), np.abs(signal) ** 2, basis, optimize=True)
    solved = np.linalg.solve(gram[:, None], parts[..., None])[..., 0]
    return np.asarray(np.sum(parts.conj() * solved, axis=(1, 2)).real, np.float64)


def energy(y: Complex) -> npt.NDArray[np.float64]:
    """All energy of y [batch, num_rx_ant, n], float64 [batch]."""
    return np.asarray(np.sum(np.abs(y) ** 2, axis=(1, 2), dtype=np.float64))


def share_threshold(probability: float, num_explained: int, num_all: int) -> float:
    """Share of the energy that noise alone exceeds with this probability.

    num_explained, num_all: complex dimensions, of all antennas and hops together.
    """
    return float(beta.isf(probability, num_explained, num_all - num_explained))


def shares(explained: npt.NDArray[np.float64], whole: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Quotients, 0 where nothing was received at all; whole has a value for each of the first axis."""
    column = whole.reshape(-1, *(1,) * (explained.ndim - 1))
    return np.divide(explained, column, out=np.zeros_like(explained), where=column > 0)
