"""MIMO detectors against brute force and closed forms."""

import numpy as np
import pytest
import torch
from mimo_cases import case, enumerate_llr
from sionna.phy.mimo import EPDetector, MMSEPICDetector

from ran.phy.modulation import constellation
from receivers.classical.equalizer import lmmse_equalize
from receivers.classical.expectation_propagation import ExpectationPropagation, demap
from receivers.classical.qam import demap_maxlog, soft_symbols
from receivers.classical.two_layer_list import TwoLayerList


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


@pytest.mark.parametrize("rule", ["maxlog", "exact"])
@pytest.mark.parametrize("bits_per_symbol", [2, 4, 6])
def test_soft_in_equals_the_mmse_pic_detector_of_sionna(bits_per_symbol, rule):
    y, h, noise_var, bits = case(3, bits_per_symbol, n=30)
    prior = 1.5 * (1 - 2.0 * bits) + torch.randn(bits.shape)
    detector = MMSEPICDetector(
        "bit", "app" if rule == "exact" else "maxlog", constellation_type="qam", num_bits_per_symbol=bits_per_symbol
    )
    s = (noise_var[..., None, None] * torch.eye(4)).to(torch.complex64)
    # theirs: positive means bit 1, and the layer before the resource element
    theirs = -detector(y.permute(0, 2, 1), h.permute(0, 3, 1, 2), s, -prior.transpose(1, 2)).transpose(1, 2)
    ours = ExpectationPropagation(0, rule=rule)(y, h, noise_var, bits_per_symbol, prior)
    # they add the floor of a softmax here and there
    torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=2e-2)


def test_many_iterations_agree_with_the_expectation_propagation_of_sionna():
    y, h, noise_var, _ = case(2, 4, n=200)
    s = (noise_var[..., None, None] * torch.eye(4)).to(torch.complex64)
    theirs = -EPDetector("bit", 4, l=10)(y.permute(0, 2, 1), h.permute(0, 3, 1, 2), s).transpose(1, 2)
    ours = ExpectationPropagation(10, damping=0.7, rule="exact")(y, h, noise_var, 4)
    # the same fixed point, but theirs is damped otherwise and need not have arrived
    near = (ours - theirs).abs() < 0.1 * theirs.abs() + 0.3
    assert float(near.float().mean()) > 0.9


@pytest.mark.parametrize("bits_per_symbol", [2, 4])
def test_exact_two_layer_list_equals_the_sum_over_all_points(bits_per_symbol):
    y, h, noise_var, _ = case(2, bits_per_symbol, num_rx=2)
    expected = enumerate_llr(y, h, noise_var, bits_per_symbol, exact=True)
    llr = TwoLayerList("exact")(y, h, noise_var, bits_per_symbol)
    torch.testing.assert_close(llr, expected, rtol=1e-3, atol=1e-3)


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
