"""Layers of unlike modulation, against the enumeration of all pairs of points."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ran.phy.modulation import constellation
from receivers.classical.expectation_propagation import ExpectationPropagation
from receivers.classical.points import soft_symbols

BITS = (2, 4)
MODULATIONS = ((2, (0,)), (4, (1,)))


def labels(bits):
    return (np.arange(2**bits)[:, None] >> np.arange(bits - 1, -1, -1)) & 1


def enumerated(y, h, noise_var, prior):
    """Exact extrinsic LLRs [n, 2, 4] of QPSK beside 16QAM, float64. y [rx, n]; h [rx, 2, n]; prior [n, 2, 4]."""
    pairs = [(a, b) for a in range(4) for b in range(16)]
    x = np.array([(constellation(2)[a], constellation(4)[b]) for a, b in pairs])
    log = np.zeros((y.shape[1], len(pairs)))
    bits = np.zeros((len(pairs), 2, 4), int)
    for k, (a, b) in enumerate(pairs):
        log[:, k] = -(np.abs(y - np.einsum("rln,l->rn", h, x[k])) ** 2).sum(0) / noise_var
        bits[k, 0, :2], bits[k, 1] = labels(2)[a], labels(4)[b]
    log += 0.5 * np.einsum("nlb,klb->nk", prior, 1 - 2 * bits)
    llr = np.zeros((y.shape[1], 2, 4))
    for layer, width in enumerate(BITS):
        for j in range(width):
            one = bits[:, layer, j] == 1
            llr[:, layer, j] = np.logaddexp.reduce(log[:, ~one], 1) - np.logaddexp.reduce(log[:, one], 1)
            llr[:, layer, j] -= prior[:, layer, j]
    return llr


def case(orthogonal, n=400, noise_var=0.2, seed=3):
    rng = np.random.default_rng(seed)
    sent = np.stack([constellation(bits)[rng.integers(0, 2**bits, n)] for bits in BITS])
    h = rng.normal(size=(3, 2, n)) + 1j * rng.normal(size=(3, 2, n))
    if orthogonal:
        h[2:], h[0, 1], h[1, 0] = 0, 0, 0
    noise = (rng.normal(size=(3, n)) + 1j * rng.normal(size=(3, n))) * np.sqrt(noise_var / 2)
    prior = rng.normal(size=(n, 2, 4)) * 2
    prior[:, 0, 2:] = 0
    return np.einsum("rln,ln->rn", h, sent) + noise, h, noise_var, prior


def detected(detector, y, h, noise_var, prior):
    given = None if prior is None else torch.from_numpy(prior.astype(np.float32)).movedim(0, 1)[None]
    y, h = (torch.from_numpy(v.astype(np.complex64))[None] for v in (y, h))
    return detector(y, h, torch.full((1, 1), noise_var), 4, given, MODULATIONS)[0].movedim(0, 1).numpy()


@pytest.mark.parametrize("with_prior", [False, True])
def test_layers_that_do_not_disturb_one_another_are_detected_exactly(with_prior):
    y, h, noise_var, prior = case(orthogonal=True)
    wanted = enumerated(y, h, noise_var, prior if with_prior else 0 * prior)
    found = detected(ExpectationPropagation(1, rule="exact"), y, h, noise_var, prior if with_prior else None)
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-2)


@pytest.mark.parametrize("with_prior", [False, True])
def test_expectation_propagation_is_nearer_to_the_posterior_than_its_first_step(with_prior):
    y, h, noise_var, prior = case(orthogonal=False, noise_var=1.0)
    wanted = enumerated(y, h, noise_var, prior if with_prior else 0 * prior)
    given = prior if with_prior else None
    errors = []
    for iterations in (0, 1):
        found = detected(ExpectationPropagation(iterations, rule="exact"), y, h, noise_var, given)
        assert not found[:, 0, 2:].any()
        # of the means of the bits: where both are certain, it does not matter how much
        errors.append(np.abs(np.tanh(found / 2) - np.tanh(wanted / 2)))
    assert errors[1][:, 0, :2].mean() < 0.8 * errors[0][:, 0, :2].mean()
    assert errors[1][:, 1].mean() < 0.8 * errors[0][:, 1].mean()


def test_soft_symbols_of_unlike_layers():
    rng = np.random.default_rng(1)
    llr = rng.normal(size=(1, 2, 50, 4)).astype(np.float32) * 3
    slot = SimpleNamespace(constellation=None, modulations=MODULATIONS)
    mean, variance = soft_symbols(torch.from_numpy(llr), slot)
    for layer, width in enumerate(BITS):
        weight = np.exp(0.5 * llr[0, layer, :, :width].astype(float) @ (1 - 2 * labels(width)).T)
        weight /= weight.sum(1, keepdims=True)
        points = constellation(width)
        wanted = weight @ points
        np.testing.assert_allclose(mean[0, layer].numpy(), wanted, atol=1e-5)
        np.testing.assert_allclose(variance[0, layer], weight @ np.abs(points) ** 2 - np.abs(wanted) ** 2, atol=1e-5)
