"""Effective SINR: identities of a mean, its place between its inputs, and limits in beta."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ran.errors import InputError
from ran.studies.adaptation.effective import MAPPINGS, effective_sinr_db

BETAS = st.floats(0.05, 2000)
SINRS = st.lists(st.floats(-40, 60), min_size=1, max_size=40)
ORDERS = st.sampled_from([2, 4, 6, 8, 10])


@pytest.mark.parametrize("mapping", MAPPINGS)
@given(sinr_db=st.floats(-60, 80), count=st.integers(1, 50), beta=BETAS, bits=ORDERS)
@settings(max_examples=40, deadline=None)
def test_equal_sinrs_give_themselves(mapping, sinr_db, count, beta, bits):
    assert float(effective_sinr_db(np.full(count, sinr_db), mapping, bits, beta)) == pytest.approx(sinr_db, abs=1e-5)


@pytest.mark.parametrize("mapping", MAPPINGS)
@given(sinr_db=SINRS, beta=BETAS, bits=ORDERS, seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_mean_without_order(mapping, sinr_db, beta, bits, seed):
    values = np.array(sinr_db)
    found = float(effective_sinr_db(values, mapping, bits, beta))
    assert values.min() - 1e-4 <= found <= values.max() + 1e-4
    shuffled = np.random.default_rng(seed).permutation(values)
    assert float(effective_sinr_db(shuffled, mapping, bits, beta)) == pytest.approx(found, abs=1e-6)
    # twice the same symbols are the same channel, and a better symbol never hurts
    assert float(effective_sinr_db(np.tile(values, 2), mapping, bits, beta)) == pytest.approx(found, abs=1e-6)
    assert float(effective_sinr_db(values + 1, mapping, bits, beta)) > found
    # nor does the mapping promise more than the mean power (Jensen)
    assert found <= 10 * np.log10(np.mean(10 ** (values / 10))) + 1e-4


def test_eesm_is_its_formula():
    sinr_db, beta = np.array([3.0, 7.5, 12.0, -2.0]), 4.2
    linear = 10 ** (sinr_db / 10)
    expected = 10 * np.log10(-beta * np.log(np.mean(np.exp(-linear / beta))))
    assert float(effective_sinr_db(sinr_db, "eesm", 4, beta)) == pytest.approx(expected, abs=1e-9)


def test_large_beta_is_the_mean_and_small_the_worst():
    sinr_db = np.array([0.0, 10.0, 20.0])
    mean_db = 10 * np.log10(np.mean(10 ** (sinr_db / 10)))
    assert float(effective_sinr_db(sinr_db, "eesm", 4, 1e6)) == pytest.approx(mean_db, abs=1e-3)
    assert float(effective_sinr_db(sinr_db, "eesm", 4, 1e-2)) == pytest.approx(0, abs=0.06)


def test_shapes():
    sinr_db = np.random.default_rng(0).normal(10, 5, (3, 4, 50)).astype(np.float32)
    for mapping in MAPPINGS:
        found = effective_sinr_db(sinr_db, mapping, 6, 2.0)
        assert found.shape == (3, 4)
        assert found[1, 2] == pytest.approx(float(effective_sinr_db(sinr_db[1, 2], mapping, 6, 2.0)), abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("esm", 4, 1.0), "mapping: got 'esm'; allowed: eesm, miesm; did you mean"),
        (("eesm", 4, 0.0), "beta: got 0.0; allowed: a finite number above 0"),
        (("miesm", 4, float("nan")), "beta: got nan"),
        (("miesm", 5, 1.0), "bits_per_symbol: got 5"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        effective_sinr_db(np.zeros(3), *arguments)
