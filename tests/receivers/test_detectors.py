"""MIMO detectors against brute force and closed forms."""

import itertools

import numpy as np
import pytest
import torch

from ran.phy.modulation import constellation, modulate
from receivers.classical.equalizer import lmmse_equalize
from receivers.classical.expectation_propagation import ExpectationPropagation, demap
from receivers.classical.qam import demap_maxlog, soft_symbols
from receivers.classical.two_layer_list import TwoLayerList


def case(num_layers, bits_per_symbol, n=40, num_rx=4, noise=0.2, seed=1):
    torch.manual_seed(seed)
    bits = torch.randint(0, 2, (2, num_layers, n * bits_per_symbol), dtype=torch.uint8)
    x = modulate(bits, bits_per_symbol)
    h = torch.randn(2, num_rx, num_layers, n, dtype=torch.complex64) / num_layers**0.5
    noise_var = noise * (0.5 + torch.rand(2, n))
    w = torch.randn(2, num_rx, n, dtype=torch.complex64)
    y = (h * x.unsqueeze(1)).sum(2) + noise_var.sqrt().unsqueeze(1) * w
    return y, h, noise_var, bits.reshape(2, num_layers, n, bits_per_symbol)


def enumerate_llr(y, h, noise_var, bits_per_symbol, exact=False, prior=None):
    """LLRs over all combinations of all layers' points."""
    points = torch.from_numpy(constellation(bits_per_symbol))
    labels = (torch.arange(len(points))[:, None] >> torch.arange(bits_per_symbol - 1, -1, -1)) & 1
    num_layers = h.shape[2]
    index = torch.tensor(list(itertools.product(range(len(points)), repeat=num_layers)))
    error = y.unsqueeze(-1) - torch.einsum("brln,cl->brnc", h, points[index].to(h.dtype))
    log = -(error.abs() ** 2).sum(1) / noise_var.unsqueeze(-1)
    out = torch.empty(2, num_layers, y.shape[2], bits_per_symbol)
    if prior is not None:
        log = log + 0.5 * torch.einsum("blnk,clk->bnc", prior, 1.0 - 2 * labels[index])
    for layer in range(num_layers):
        for bit in range(bits_per_symbol):
            one = labels[index[:, layer], bit].bool()
            best = torch.logsumexp if exact else torch.amax
            out[:, layer, :, bit] = best(log[..., ~one], dim=-1) - best(log[..., one], dim=-1)
    return out if prior is None else out - prior


@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6])
@pytest.mark.parametrize("num_rx", [2, 3])
def test_two_layer_list_is_exact_maxlog(bits_per_symbol, num_rx):
    y, h, noise_var, _ = case(2, bits_per_symbol, num_rx=num_rx)
    expected = enumerate_llr(y, h, noise_var, bits_per_symbol)
    torch.testing.assert_close(TwoLayerList()(y, h, noise_var, bits_per_symbol), expected, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("detector", [TwoLayerList(), ExpectationPropagation(2)])
@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6, 8])
def test_one_layer_is_combining_and_demapping(detector, bits_per_symbol):
    y, h, noise_var, _ = case(1, bits_per_symbol, n=3000)
    expected = demap_maxlog(*lmmse_equalize(y, h, noise_var), bits_per_symbol)
    torch.testing.assert_close(detector(y, h, noise_var, bits_per_symbol), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_no_iteration_is_lmmse(num_layers):
    y, h, noise_var, _ = case(num_layers, 4)
    expected = demap_maxlog(*lmmse_equalize(y, h, noise_var), 4)
    torch.testing.assert_close(ExpectationPropagation(0)(y, h, noise_var, 4), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("num_iterations", [0, 1])
def test_a_prior_without_information_changes_nothing(num_iterations):
    y, h, noise_var, _ = case(3, 4)
    detector = ExpectationPropagation(num_iterations)
    nothing = torch.zeros(2, 3, 40, 4)
    torch.testing.assert_close(
        detector(y, h, noise_var, 4, nothing), detector(y, h, noise_var, 4), rtol=1e-3, atol=1e-3
    )


def test_soft_in_is_mmse_with_parallel_interference_cancellation():
    y, h, noise_var, bits = case(3, 2, n=20)
    prior = 1.5 * (1 - 2.0 * bits) + torch.randn(bits.shape)
    mean, variance = soft_symbols(prior)
    expected = torch.empty_like(prior)
    for layer in range(3):
        others = [i for i in range(3) if i != layer]
        clean = y - (h * mean.unsqueeze(1))[:, :, others].sum(2)
        # [batch, n, rx]
        columns = h.permute(0, 3, 1, 2)
        left = columns[..., others] * variance.permute(0, 2, 1)[..., None, others]
        r = left @ columns[..., others].mH + noise_var[..., None, None] * torch.eye(4)
        filtered = torch.linalg.solve(r, columns[..., layer : layer + 1])
        gain = (columns[..., layer].conj() * filtered[..., 0]).sum(-1).real
        x = (filtered[..., 0].conj() * clean.permute(0, 2, 1)).sum(-1) / gain
        expected[:, layer] = demap(x, 1 / gain, 2, prior[:, layer], "maxlog")
    torch.testing.assert_close(ExpectationPropagation(0)(y, h, noise_var, 2, prior), expected, rtol=1e-3, atol=1e-3)


def test_certain_interferers_leave_a_single_layer():
    y, h, noise_var, bits = case(2, 4)
    prior = 60.0 * (1 - 2.0 * bits)
    prior[:, 0] = 0
    points = torch.from_numpy(constellation(4))
    value = (bits[:, 1].long() * torch.tensor([8, 4, 2, 1])).sum(-1)
    alone = y - h[:, :, 1] * points[value].to(h.dtype).unsqueeze(1)
    expected = demap_maxlog(*lmmse_equalize(alone, h[:, :, :1], noise_var), 4)[:, 0]
    llr = ExpectationPropagation(0)(y, h, noise_var, 4, prior)[:, 0]
    torch.testing.assert_close(llr, expected, rtol=2e-2, atol=5e-2)


@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6])
def test_exact_demapping_equals_the_sum_over_the_constellation(bits_per_symbol):
    y, h, noise_var, bits = case(1, bits_per_symbol)
    prior = torch.randn(bits.shape)
    detector = ExpectationPropagation(0, rule="exact")
    for given in (None, prior):
        expected = enumerate_llr(y, h, noise_var, bits_per_symbol, exact=True, prior=given)
        torch.testing.assert_close(detector(y, h, noise_var, bits_per_symbol, given), expected, rtol=1e-3, atol=1e-3)


def test_expectation_propagation_is_nearer_to_the_optimum_than_lmmse():
    y, h, noise_var, bits = case(3, 4, n=150, num_rx=3, noise=0.03)
    sign = 1 - 2.0 * bits

    def lost_information(llr):
        # bits of information that LLRs miss; misplaced confidence costs too
        return float(torch.nn.functional.softplus(-sign * llr).mean() / np.log(2))

    best = lost_information(enumerate_llr(y, h, noise_var, 4, exact=True))
    refined = lost_information(ExpectationPropagation(1)(y, h, noise_var, 4))
    lmmse = lost_information(ExpectationPropagation(0)(y, h, noise_var, 4))
    assert best < refined < lmmse - 0.3 * (lmmse - best)


@pytest.mark.parametrize("options", [{"num_iterations": -1}, {"damping": 0.0}, {"damping": 1.5}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="allowed"):
        ExpectationPropagation(**options)


def test_list_refuses_what_it_cannot_do():
    y, h, noise_var, bits = case(3, 2)
    with pytest.raises(ValueError, match="num_layers: got 3; allowed: 1 or 2"):
        TwoLayerList()(y, h, noise_var, 2)
    with pytest.raises(ValueError, match="prior_llr"):
        TwoLayerList()(y[:, :, :], h[:, :, :2], noise_var, 2, torch.zeros(bits.shape))
