"""Estimates from SRS against their Cramer-Rao bounds, with tolerances from the sample size."""

import numpy as np
import pytest
import torch

from ran.errors import InputError
from ran.phy.config import Carrier, Srs
from ran.phy.srs import SrsEstimator, comb_of_port, cyclic_shift_of_port, srs_grid

CARRIER = Carrier(num_prb=24)
CASES = [(2, 1, 0), (2, 4, 0), (2, 4, 5), (4, 2, 3), (4, 4, 7), (8, 1, 5), (8, 4, 1)]


def gaussian(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def received(h, srs, noise_var, seed=1):
    """h [batch, antennas, ports, subcarriers], the same in every symbol."""
    sent = srs_grid(CARRIER, srs)
    y = np.einsum("bapk,psk->bask", h, sent)
    return torch.from_numpy(y + np.sqrt(noise_var) * gaussian(np.random.default_rng(seed), *y.shape))


@pytest.mark.parametrize(("comb", "ports", "shift"), CASES)
def test_lmmse_reaches_the_bayesian_cramer_rao_bound(comb, ports, shift):
    srs = Srs(c_srs=6, comb=comb, num_ports=ports, cyclic_shift=shift)
    estimator = SrsEstimator(CARRIER, srs)
    noise_var, batch, antennas = 0.02, 60, 2
    earliest, latest = (delay * 30e3 for delay in estimator.delays_s)
    k = np.arange(288)
    apart = k[:, None] - k
    prior = np.sinc(apart * (latest - earliest)) * np.exp(-1j * np.pi * apart * (earliest + latest))
    # one draw of the prior per port: R = F F^H
    values, vectors = np.linalg.eigh(prior)
    factor = vectors * np.sqrt(values.clip(0))
    h = gaussian(np.random.default_rng(0), batch, antennas, ports, 288) @ factor.T
    estimate = estimator(received(h, srs, noise_var))
    bound = np.zeros((ports, 288))
    sent = srs_grid(CARRIER, srs)[:, 13].astype(complex)
    # linear and Gaussian: the bound is the posterior variance, here by a plain inverse over all of the carrier
    carried = np.flatnonzero(np.abs(sent).sum(0))
    inside = sum(s[carried, None] * prior[np.ix_(carried, carried)] * s[carried].conj() for s in sent)
    inverse = np.linalg.inv(inside + noise_var * np.eye(len(carried)))
    for port in range(ports):
        cross = prior[:, carried] * sent[port, carried].conj()
        bound[port] = 1 - np.einsum("km,mn,kn->k", cross, inverse, cross.conj()).real
    error = (np.abs(estimate.h[:, :, :, 0].numpy() - h) ** 2).mean(-1)
    draws = error.reshape(-1, ports).mean(1)
    tolerance = 4 * draws.std() / np.sqrt(len(draws))
    # the powers of channel and noise are measured too, which costs 3 % at most here
    assert bound.mean() - tolerance < draws.mean() < 1.03 * bound.mean() + tolerance
    np.testing.assert_allclose(estimate.err_var.mean(), bound.mean(), rtol=0.04)


@pytest.mark.parametrize(("comb", "ports", "shift"), CASES)
def test_least_squares_reach_the_cramer_rao_bound_of_a_flat_channel(comb, ports, shift):
    srs = Srs(c_srs=6, comb=comb, num_ports=ports, cyclic_shift=shift)
    noise_var, batch, antennas = 0.05, 300, 2
    h = np.repeat(gaussian(np.random.default_rng(3), batch, antennas, ports, 1), 288, -1)
    shifts = {}
    for port in range(ports):
        shifts.setdefault(comb_of_port(srs, port), []).append(cyclic_shift_of_port(srs, port))
    pilots = max(map(len, shifts.values()))
    assert len({len(of_comb) for of_comb in shifts.values()}) == 1
    # ports of one comb only: with two combs the centres of the groups differ
    whole = SrsEstimator(CARRIER, srs, "ls")
    centre = srs.comb * (pilots - 1) / 2
    assert whole.places[0] == 0
    for offset, of_comb in shifts.items():
        places = np.arange(offset + centre, 288 - srs.comb * pilots / 2, srs.comb * pilots)
        estimate = SrsEstimator(CARRIER, srs, "ls", places=places)(received(h, srs, noise_var))
        chosen = [port for port in range(ports) if comb_of_port(srs, port) == offset]
        error = np.abs(estimate.h[:, :, chosen, 0].numpy() - h[:, :, chosen, :1]) ** 2
        # n pilots of amplitude num_ports ** -0.5 tell n ports apart: no unbiased estimate has less
        bound = noise_var * ports / pilots
        assert len(of_comb) == len(chosen)
        assert abs(error.mean() / bound - 1) < 4 / np.sqrt(error.size)


@pytest.mark.parametrize("method", ["lmmse", "ls"])
def test_noise_is_measured_without_bias(method):
    srs = Srs(c_srs=6, comb=2, num_ports=2, num_symbols=2, start_position=1)
    h = gaussian(np.random.default_rng(3), 50, 2, 2, 1) * np.exp(-2j * np.pi * np.arange(288) * 30e3 * 400e-9)
    for noise_var in (1.0, 1e-3):
        estimate = SrsEstimator(CARRIER, srs, method)(received(h, srs, noise_var))
        # 144 pilots of which the two windows take 56, in two symbols
        tolerance = 4 / np.sqrt(50 * 2 * 2 * (144 - 56))
        assert abs(estimate.noise_var.mean() / noise_var - 1) < tolerance


def test_every_antenna_has_its_own_powers():
    srs = Srs(c_srs=6, comb=2, num_ports=2)
    y = received(gaussian(np.random.default_rng(3), 100, 3, 2, 1).repeat(288, -1), srs, 0.01)
    y[:, 0] = 0  # a dead antenna
    y[:, 2] *= 10
    estimate = SrsEstimator(CARRIER, srs)(y)
    assert (estimate.h[:, 0] == 0).all()
    tolerance = 4 / np.sqrt(100 * (144 - 56))
    np.testing.assert_allclose(estimate.noise_var.mean(0).numpy(), [0, 0.01, 1], rtol=tolerance)


def test_ports_do_not_leak_into_one_another():
    srs = Srs(c_srs=6, comb=4, num_ports=4)
    h = np.zeros((4, 1, 4, 288), complex)
    for port in range(4):
        h[port, 0, port] = np.exp(-2j * np.pi * np.arange(288) * 30e3 * 150e-9)
    estimate = SrsEstimator(CARRIER, srs)(received(h, srs, 0.0)).h[:, 0, :, 0].numpy()
    power = (np.abs(estimate) ** 2).mean(-1)
    assert (power[~np.eye(4, dtype=bool)] < 1e-3).all()
    np.testing.assert_allclose(np.diag(power), 1, atol=0.01)


def test_hopping_bands_are_estimated_where_they_are():
    carrier = Carrier(num_prb=66)
    srs = Srs(c_srs=17, b_srs=1, num_symbols=2, start_position=1, n_shift=2)
    h = np.exp(-2j * np.pi * np.arange(792) * 30e3 * 200e-9)
    y = torch.from_numpy(srs_grid(carrier, srs)[:1] * h)[None]
    estimator = SrsEstimator(carrier, srs)
    assert estimator.first_subcarriers == (24, 24 + 32 * 12)
    estimate = estimator(y)
    for index, first in enumerate(estimator.first_subcarriers):
        np.testing.assert_allclose(estimate.h[0, 0, 0, index].numpy(), h[first : first + 384], atol=0.01)


@pytest.mark.parametrize("method", ["lmmse", "ls"])
@pytest.mark.parametrize("level", [1e-9, 1e9])
def test_nothing_depends_on_the_level(method, level):
    srs = Srs(c_srs=6, comb=4, num_ports=2)
    y = received(gaussian(np.random.default_rng(3), 2, 2, 2, 1).repeat(288, -1), srs, 0.1)
    estimator = SrsEstimator(CARRIER, srs, method)
    one, other = estimator(y), estimator(level * y)
    torch.testing.assert_close(other.h / level, one.h, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.noise_var / level**2, one.noise_var, rtol=1e-4, atol=0)
    torch.testing.assert_close(other.err_var / level**2, one.err_var, rtol=1e-4, atol=0)


@pytest.mark.parametrize("method", ["lmmse", "ls"])
def test_silence(method):
    estimate = SrsEstimator(CARRIER, Srs(c_srs=6), method)(torch.zeros(1, 2, 14, 288, dtype=torch.complex64))
    assert (estimate.h == 0).all()
    assert (estimate.noise_var == 0).all()
    assert (estimate.err_var == 0).all()


def test_short_sequences_need_the_noise():
    srs = Srs(c_srs=0, comb=4, num_ports=2)
    estimator = SrsEstimator(CARRIER, srs)
    y = received(np.ones((1, 1, 2, 288)), srs, 1e-4)
    assert not estimator.measures_noise
    with pytest.raises(InputError, match="noise_var: got none for SRS sequences of 12"):
        estimator(y)
    estimate = estimator(y, torch.tensor([[1e-4]]))
    # between the pilots, of which the last is on subcarrier 44
    np.testing.assert_allclose(estimate.h[0, 0, :, 0, :45].numpy(), np.ones((2, 45)), atol=0.1)


def test_refusals():
    srs = Srs(c_srs=6, comb=4, num_ports=4)
    with pytest.raises(InputError, match="method: got 'mmse'; allowed: lmmse, ls"):
        SrsEstimator(CARRIER, srs, "mmse")
    with pytest.raises(InputError, match=r"shorter than 2.083e-06 s, the distance of two ports"):
        SrsEstimator(CARRIER, srs, delays_s=(0.0, 3e-6))
    with pytest.raises(InputError, match="shape of y"):
        SrsEstimator(CARRIER, srs)(torch.zeros(1, 2, 14, 280, dtype=torch.complex64))
    with pytest.raises(InputError, match="allowed: within 0 to 23"):
        SrsEstimator(CARRIER, Srs(c_srs=20))
