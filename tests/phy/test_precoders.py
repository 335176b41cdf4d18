"""Precoders: closed forms, the codebook's second mode, and the choice of a PMI against trying every matrix."""

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.phy.precoders import (
    antenna_grid,
    best_of_codebook,
    eigen_precoder,
    layer_channel,
    random_unitary,
    svd_precoder,
)
from ran.phy.type_one_codebook import OVERSAMPLING, num_indices, type_one_codebook, type_one_matrix


def gaussian(*shape, seed=0):
    parts = np.random.default_rng(seed).standard_normal((2, *shape)) / np.sqrt(2)
    return torch.from_numpy(parts[0] + 1j * parts[1]).to(torch.complex64)


def test_svd_makes_parallel_channels_of_the_singular_values():
    h = gaussian(5, 3, 4, 8)
    w = svd_precoder(h, 3)
    turned = h @ w
    gram = turned.mH @ turned
    expected = np.linalg.svd(h.numpy(), compute_uv=False)[..., :3] ** 2
    np.testing.assert_allclose(gram.numpy(), np.einsum("bgl,lm->bglm", expected, np.eye(3)), atol=2e-4)
    torch.testing.assert_close(torch.linalg.matrix_norm(w) ** 2, torch.full((5, 3), 3.0))


def test_eigenvectors_catch_the_most_power():
    h = gaussian(2, 2, 6, 50) * torch.linspace(0.2, 2, 6)[:, None]
    w = eigen_precoder(h, 2)[:, 0]
    caught = ((h.transpose(2, 3) @ w[:, None]).abs() ** 2).mean((1, 2, 3)) * 2
    rows = h.transpose(2, 3).flatten(1, 2).numpy()
    covariance = np.einsum("bip,biq->bpq", rows.conj(), rows) / rows.shape[1]
    best = np.sort(np.linalg.eigvalsh(covariance))[:, -2:].sum(1)
    np.testing.assert_allclose(caught.numpy(), best, rtol=1e-4)


@pytest.mark.parametrize(("n1", "n2"), sorted(OVERSAMPLING))
def test_mode_2_has_the_matrices_of_mode_1(n1, n2):
    # i_2 takes over part of what i_1 chooses (TS 38.214 tables 5.2.2.2.1-5 and -6): the matrices are the same
    for num_layers in (1, 2):

        def matrices(mode, layers=num_layers):
            found = type_one_codebook(n1, n2, layers, mode).reshape(-1, 2 * n1 * n2 * layers)
            return {tuple(np.round(row.view(np.float32) * 100).astype(int) + 0) for row in found.astype(np.complex64)}

        assert matrices(1) == matrices(2)
    assert num_indices(n1, n2, 1, 2) == (n1 * 2, n2 * 2 if n2 > 1 else 1, 1, 16)
    assert num_indices(n1, n2, 3 if n1 > 2 or n2 > 1 else 2, 2)[3] == (2 if n1 > 2 or n2 > 1 else 8)


def test_mode_2_written_out():
    # N2 > 1: i_2 = 4 b1 ... counts the first beam index, then the second; N2 = 1: four beams in a row
    for (n1, n2), offsets in {
        (4, 2): [(0, 0), (1, 0), (0, 1), (1, 1)],
        (4, 1): [(0, 0), (1, 0), (2, 0), (3, 0)],
    }.items():
        i12 = 1 if n2 > 1 else 0
        for step, (a, b) in enumerate(offsets):
            same = type_one_matrix(n1, n2, 1, 2 * 3 + a, 2 * i12 + b, 0, 3)
            np.testing.assert_allclose(type_one_matrix(n1, n2, 1, 3, i12, 0, 4 * step + 3, mode=2), same, atol=1e-12)
            same = type_one_matrix(n1, n2, 2, 2 * 3 + a, 2 * i12 + b, 2, 1)
            np.testing.assert_allclose(type_one_matrix(n1, n2, 2, 3, i12, 2, 2 * step + 1, mode=2), same, atol=1e-12)
    with pytest.raises(InputError, match=r"i11: got 8; allowed: 0 to 7"):
        type_one_matrix(4, 1, 1, 8, mode=2)
    with pytest.raises(InputError, match=r"mode: got 3; allowed: 1, 2"):
        num_indices(4, 1, 1, 3)


def test_the_chosen_pmi_is_the_best_of_all():
    h, groups, noise_var = gaussian(6, 2, 8, seed=3), [0, 0, 1, 1, 2, 2], 0.1
    codebook = type_one_codebook(4, 1, 2)

    def information(sample, w):
        turned = h[sample].numpy().astype(complex) @ w
        return np.log2(np.linalg.det(np.eye(2) + turned.conj().T @ turned / noise_var).real)

    table = np.array([[[information(s, w) for s in range(6)] for w in of_i1] for of_i1 in codebook])
    per_group = table.reshape(*table.shape[:2], 3, 2).sum(-1)
    i1 = per_group.max(1).sum(-1).argmax()
    expected = np.sqrt(2) * codebook[i1, per_group[i1].argmax(0)]
    found = best_of_codebook(h, groups, torch.tensor(codebook), noise_var)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_random_matrices_are_orthonormal_and_have_no_preferred_direction():
    w = random_unitary(np.random.default_rng(0), 4000, 3, 2)
    np.testing.assert_allclose(w.conj().swapaxes(-1, -2) @ w, np.broadcast_to(np.eye(2), (4000, 2, 2)), atol=1e-5)
    # E[w w^H] is the identity over 3; an entry of modulus below 1 has a standard deviation below 1/sqrt(4000)
    mean = np.einsum("gp,gq->pq", w[..., 0], w[..., 0].conj()) / 4000
    assert np.abs(mean - np.eye(3) / 3).max() < 5 / np.sqrt(4000)
    assert np.abs(w[..., 0].mean(0)).max() < 5 / np.sqrt(4000)


@pytest.mark.parametrize("first", [0, 10, 24, 30])
def test_parts_of_the_band_meet_their_own_prg(first):
    h, w = gaussian(2, 3, 4, 14, 60), gaussian(2, 3, 4, 2, seed=1)
    by_hand = torch.stack([h[..., k].transpose(2, 3) @ w[:, None, k // 24] for k in range(60)], dim=-1).transpose(2, 3)
    torch.testing.assert_close(layer_channel(h[..., first:50], w, 24, first), by_hand[..., first:50])


def test_antennas_send_what_the_layers_channel_says():
    h, w, x = gaussian(2, 3, 4, 14, 60), gaussian(2, 3, 4, 2, seed=1), gaussian(2, 2, 14, 60, seed=2)
    through_antennas = (h * antenna_grid(x, w, 24)[:, None]).sum(2)
    torch.testing.assert_close((layer_channel(h, w, 24) * x[:, None]).sum(2), through_antennas, rtol=1e-4, atol=1e-4)
