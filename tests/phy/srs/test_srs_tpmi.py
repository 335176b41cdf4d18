"""The choice of a TPMI: matched channels, and the search of another codebook."""

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.phy.codebook import num_tpmi, precoding_matrix
from ran.phy.config import Carrier, Srs
from ran.phy.precoders import best_of_codebook, scaled
from ran.phy.srs import SrsEstimator, best_tpmi, srs_grid


def gaussian(*shape, seed=0):
    parts = np.random.default_rng(seed).standard_normal((2, *shape)) / np.sqrt(2)
    return torch.from_numpy(parts[0] + 1j * parts[1])


@pytest.mark.parametrize(("num_layers", "num_ports"), [(1, 2), (2, 2), (1, 4), (2, 4), (3, 4), (4, 4)])
def test_is_that_of_a_search_written_by_another(num_layers, num_ports):
    h = gaussian(20, 4, num_ports, 6)
    found = best_tpmi(h, torch.full((20,), 0.3), num_layers)
    matrices = [precoding_matrix(num_layers, num_ports, tpmi, False) for tpmi in range(num_tpmi(num_layers, num_ports))]
    codebook = torch.from_numpy(np.stack(matrices)).to(torch.complex64)
    for drop, tpmi in zip(h, found, strict=True):
        other = best_of_codebook(drop.permute(2, 0, 1).to(torch.complex64), [0] * 6, codebook[None], 0.3)
        # matrices of full rank may be equally good: their squares are the same
        chosen = [int(torch.linalg.matrix_norm(scaled(codebook) - other[0]).argmin()), int(tpmi)]
        received = drop.permute(2, 0, 1)[:, None] @ codebook[chosen].to(torch.complex128)
        information = torch.linalg.slogdet(received.mH @ received / 0.3 + torch.eye(num_layers)).logabsdet.mean(0)
        torch.testing.assert_close(information[0], information[1], rtol=1e-6, atol=0)


def test_matched_channel_through_an_srs():
    # a channel of rank one along the conjugate of a matrix: that one collects all of it
    carrier, srs = Carrier(num_prb=24), Srs(c_srs=6, num_ports=4)
    for tpmi in range(12, 28):
        w = precoding_matrix(1, 4, tpmi, False)[:, 0]
        h = np.outer(np.ones(2), w.conj()) * 2
        y = np.einsum("ap,psk->ask", h, srs_grid(carrier, srs)) + 0.1 * gaussian(2, 14, 288, seed=tpmi).numpy()
        estimate = SrsEstimator(carrier, srs)(torch.from_numpy(y)[None])
        assert best_tpmi(estimate.h[:, :, :, 0], estimate.noise_var, 1).item() == tpmi


def test_one_port_and_refusals():
    assert best_tpmi(gaussian(2, 2, 1, 3), torch.ones(2), 1).tolist() == [0, 0]
    with pytest.raises(InputError, match="num_layers, num_ports"):
        best_tpmi(gaussian(2, 2, 2, 3), torch.ones(2), 3)
    with pytest.raises(InputError, match=r"noise_var: got 0\.0; allowed: above 0"):
        best_tpmi(gaussian(2, 2, 2, 3), torch.zeros(2), 1)
