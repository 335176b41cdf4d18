"""Lattice and entropy-coded transform coders: reports, rate against entropy, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_csi_coders import SHAPE, vectors

from receivers.csi import EntropyTransformCoder, LatticeTransformCoder, TransformCoder, sgcs
from receivers.csi.arithmetic import ArithmeticDecoder, ArithmeticEncoder
from receivers.csi.lattice import D4, E8
from receivers.csi.transform_entropy import DEAD_ZONE, STEP_BITS, Table, fitted_scale

CODERS = (EntropyTransformCoder, LatticeTransformCoder)


@pytest.mark.parametrize("coder_class", CODERS)
def test_reports_have_their_length_and_more_bits_say_more(coder_class):
    train, test = vectors(400), vectors(200, 5)
    last = 0.0
    for bits in (18, 48):
        coder = coder_class(bits, SHAPE).fit(train)
        reports = coder.encode(test)
        assert (reports.shape, reports.dtype) == ((200, bits), np.uint8)
        assert set(np.unique(reports)) <= {0, 1}
        found = float(sgcs(test, coder.decode(reports)).mean())
        assert found > last
        last = found
    assert last > 0.5
    # as the cache keeps it: with zeros behind
    shapes = coder.state_shapes(2 * train[0].numel())
    state = {name: np.zeros(shape, coder.state()[name].dtype) for name, shape in shapes.items()}
    for name, values in coder.state().items():
        state[name][tuple(slice(n) for n in values.shape)] = values
    loaded = coder_class(48, SHAPE).load(state)
    np.testing.assert_array_equal(loaded.encode(test), reports)
    torch.testing.assert_close(loaded.decode(reports), coder.decode(reports))
    with pytest.raises(ValueError, match=r"report: got \(200, 47\); allowed: \[batch, 48\] bits"):
        coder.decode(reports[:, 1:])


@pytest.mark.parametrize("coder_class", CODERS)
def test_over_a_base_the_difference_is_coded(coder_class):
    train, test = vectors(400), vectors(200, 5)

    def coarse(v: torch.Tensor) -> torch.Tensor:
        coder = TransformCoder(16, SHAPE).fit(train)
        return coder.decode(coder.encode(v))

    coder = coder_class(32, SHAPE).fit(train, coarse(train))
    base = coarse(test)
    found = coder.decode(coder.encode(test, base), base)
    assert float(sgcs(test, found).mean()) > float(sgcs(test, base).mean()) + 0.05


def laplacian_entropy(scale: float, step: float) -> float:
    """Bits of a Laplacian in cells that end at +-(DEAD_ZONE + n) * step: 0 or not, the sign, and a geometric number."""
    out, ratio = math.exp(-DEAD_ZONE * step / scale), math.exp(-step / scale)
    binary = [-p * math.log2(p) - (1 - p) * math.log2(1 - p) for p in (out, ratio)]
    return binary[0] + out * (1 + binary[1] / (1 - ratio))


@pytest.mark.parametrize("step", [0.4, 1.5, 4.0])
def test_the_code_takes_the_entropy(step):
    """4000 Laplacian indices by threshold: bits of the code within 5 deviations of entropy, and decoded again."""
    count = 4000
    z = np.random.default_rng(3).laplace(0, 1, count)
    table = Table.of(np.ones(1), np.ones(1, bool), step, math.ceil(20 / step))
    k = np.sign(z) * np.maximum(np.floor(np.abs(z) / step + 1 - DEAD_ZONE), 0)
    index = k.astype(int) + table.largest
    encoder = ArithmeticEncoder()
    for value in index.tolist():
        encoder.put(table.rising_lists()[0], value)
    code = encoder.bits()
    decoder = ArithmeticDecoder(code)
    assert [decoder.take(table.rising[0]) for _ in range(count)] == index.tolist()
    information = table.information[0, index]
    assert len(code) == pytest.approx(information.sum(), abs=3)
    assert information.mean() == pytest.approx(laplacian_entropy(1, step), abs=5 * information.std() / math.sqrt(count))


def test_values_of_indices_are_means_of_their_cells():
    """Of a Laplacian and a Gaussian, against samples."""
    rng, step = np.random.default_rng(4), 0.9
    table = Table.of(np.array([1.0, 1.0]), np.array([True, False]), step, 6)
    for column, z in enumerate((rng.laplace(0, 1, 200_000), rng.standard_normal(200_000))):
        for k in (1, 2):
            cell = z[(z > (k - 1 + DEAD_ZONE) * step) & (z <= (k + DEAD_ZONE) * step)]
            value = table.values[column, table.largest + k]
            assert value == pytest.approx(cell.mean(), abs=5 * cell.std() / math.sqrt(len(cell)))
            share = np.diff(table.rising[column])[table.largest + k] / 2**20
            assert share == pytest.approx(len(cell) / len(z), abs=5 * math.sqrt(share / len(z)))
            assert table.values[column, table.largest - k] == -value


def test_the_likelier_distribution_is_taken():
    rng = np.random.default_rng(5)
    z = np.stack([rng.laplace(0, 2, 20_000), 3 * rng.standard_normal(20_000)], 1)
    scale, laplacian = fitted_scale(z)
    assert laplacian.tolist() == [True, False]
    # deviations of the estimates: b / sqrt(n) and sigma / sqrt(2 n)
    np.testing.assert_allclose(scale, [2, 3], atol=5 * 3 / math.sqrt(20_000))


def test_a_price_moves_bits_into_error():
    z = np.random.default_rng(6).laplace(0, 1, (50, 64))
    table = Table.of(np.ones(64), np.ones(64, bool), 1.0, 20)
    free, dear = table.chosen(z, 0.0), table.chosen(z, 0.2)
    assert np.all(dear.bits <= free.bits)
    assert dear.bits.mean() < free.bits.mean()
    assert np.all(free.error <= dear.error)


def test_nothing_but_the_mean_is_a_report_too():
    train, test = vectors(400), vectors(8, 5)
    coder = EntropyTransformCoder(STEP_BITS, SHAPE).fit(train)
    reports = coder.encode(test)
    torch.testing.assert_close(coder.decode(reports), coder.decode(np.ones_like(reports)))
    with pytest.raises(ValueError, match="num_bits: got 3; allowed: 4 or more"):
        EntropyTransformCoder(3, SHAPE)


@pytest.mark.parametrize("lattice", [D4, E8])
def test_moduli_of_a_lattice_fit_the_bits_and_other_numbers_are_refused(lattice):
    coder = LatticeTransformCoder(43, SHAPE, lattice).fit(vectors(400))
    assert 0.9 * 43 <= math.log2(coder.num_reports) < 43
    # groups in the order of their variance
    assert np.all(np.diff(coder.moduli) <= 1)
    last = coder.num_reports - 1
    written = np.array([[int(bit) for bit in f"{number:043b}"] for number in (0, last)], np.uint8)
    assert coder.decode(written).shape == (2, 9, 16)
    beyond = np.array([[int(bit) for bit in f"{last + 1:043b}"]], np.uint8)
    with pytest.raises(ValueError, match=f"report: got {last + 1}; allowed: numbers below"):
        coder.decode(beyond)
