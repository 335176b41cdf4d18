"""K-best search against brute force and against Sionna's."""

import numpy as np
import pytest
import torch
from mimo_cases import case, enumerate_llr
from sionna.phy.mimo import KBestDetector

from receivers.classical.tree_search import KBest


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("num_layers", "bits", "num_rx"), [(1, 6, 2), (2, 4, 2), (3, 2, 3), (2, 2, 1)])
def test_with_room_for_all_paths_the_search_is_exact(num_layers, bits, num_rx, exact):
    y, h, noise_var, _ = case(num_layers, bits, num_rx=num_rx, noise=0.1)
    expected = enumerate_llr(y, h, noise_var, bits, exact=exact)
    llr = KBest(2 ** (num_layers * bits), "exact" if exact else "maxlog")(y, h, noise_var, bits)
    torch.testing.assert_close(llr, expected, rtol=1e-3, atol=1e-3)


def test_few_paths_are_nearer_to_the_optimum_than_those_of_sionna():
    num_layers, bits = 3, 4
    y, h, noise_var, _ = case(num_layers, bits, n=30, num_rx=3, noise=0.03)
    best = enumerate_llr(y, h, noise_var, bits)
    detector = KBestDetector("bit", num_layers, 16, constellation_type="qam", num_bits_per_symbol=bits)
    s = noise_var[..., None, None] * torch.eye(3)
    theirs = -detector(y.permute(0, 2, 1), h.permute(0, 3, 1, 2), s.to(torch.complex64)).transpose(1, 2)
    ours = KBest(16)(y, h, noise_var, bits)

    def loss(llr):
        # what Sionna clips counts as equal
        return float((llr.clamp(-20, 20) - best.clamp(-20, 20)).abs().mean())

    assert loss(ours) < 0.5 * loss(theirs)
    assert float(((ours > 0) == (best > 0)).float().mean()) > 0.98


def test_every_bit_has_an_llr_even_with_one_path():
    y, h, noise_var, _ = case(4, 6, n=20)
    llr = KBest(1)(y, h, noise_var, 6)
    assert torch.isfinite(llr).all()
    assert float(llr.abs().min()) > 0


def test_resource_elements_do_not_meet():
    y, h, noise_var, _ = case(3, 4)
    whole = KBest(8)(y, h, noise_var, 4)
    assert torch.equal(KBest(8)(y[1:, :, 5:6], h[1:, ..., 5:6], noise_var[1:, 5:6], 4), whole[1:, :, 5:6])


def test_layers_beyond_the_antennas_are_searched_too():
    y, h, noise_var, _ = case(3, 2, num_rx=2, noise=0.01)
    expected = enumerate_llr(y, h, noise_var, 2)
    np.testing.assert_allclose(KBest(64)(y, h, noise_var, 2), expected, rtol=2e-2, atol=2e-2)


def test_what_the_search_cannot_do_is_refused():
    y, h, noise_var, bits = case(2, 2)
    with pytest.raises(ValueError, match="prior_llr: got LLRs; allowed: None"):
        KBest()(y, h, noise_var, 2, torch.zeros(bits.shape))
    with pytest.raises(ValueError, match="num_paths: got 0; allowed: 1 to 1024"):
        KBest(0)
