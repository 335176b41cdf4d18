"""Noise: the counter-based generator against published vectors, and the distribution of what the kernel adds."""

import numpy as np
import pytest
import torch
from scipy import stats

from ran.link.kernels import _philox, receive, white_noise
from ran.link.noise import complex_normals, philox, stream_key

# known answers of Philox4x32-10 published with Random123 1.14 (kat_vectors): counter, key, words
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_words(counter, key, expected):
    low = np.array([counter[0] | counter[1] << 32], np.uint64).view(np.int64)
    keys = np.array([[*key, *counter[2:]]], np.uint32)
    words = philox(torch.from_numpy(keys.astype(np.int64)), torch.from_numpy(low))
    assert tuple(words[0, 0].tolist()) == expected
    of_kernel = np.empty((4, 1), np.uint32)
    _philox(keys[0], int(low[0]), 1, of_kernel)
    assert tuple(of_kernel[:, 0].tolist()) == expected


def test_kernel_and_reference_draw_the_same_words():
    keys = np.array([[1, 2**32 - 1, 3, 2**31]], np.uint32)
    words = np.empty((4, 300), np.uint32)
    _philox(keys[0], 2**32 - 150, 300, words)
    counters = torch.arange(2**32 - 150, 2**32 + 150)
    reference = philox(torch.from_numpy(keys.astype(np.int64)), counters)
    np.testing.assert_array_equal(words, reference[0].numpy().T)


NO_TIMES = np.empty((0, 0), np.float32)


def noise(keys, num_rx_ant=1, num_symbols=14, num_subcarriers=24, offset=0, width=None):
    """What the kernel adds to a silent grid, complex64 [batch, rx, symbol, subcarrier]."""
    width = num_subcarriers if width is None else width
    batch = len(keys)
    h = np.zeros((batch, num_rx_ant, 1, num_symbols, 2 * width), np.float32)
    x = np.zeros((batch, 1, num_symbols, 2 * num_subcarriers), np.float32)
    y = np.zeros((batch, num_rx_ant, num_symbols, 2 * num_subcarriers), np.float32)
    receive(h, NO_TIMES, x, 0, keys, offset, np.float32(1), y, np.empty((0, 0, 0, 0, 0), np.float32))
    return y.view(np.complex64)


def keys_of(drops, purpose="noise"):
    return np.stack([stream_key(1, "noise", drop, purpose) for drop in drops])


def test_kernel_equals_the_reference():
    keys = keys_of(range(2))
    got = noise(keys, num_rx_ant=3, num_subcarriers=3276)
    expected = complex_normals(keys, 3 * 14 * 3276).numpy().reshape(got.shape)
    # single precision: the words are rounded to 24 bits, whose effect on the amplitude is largest near zero
    assert np.abs(got - expected).max() < 2e-5
    assert np.abs(got - expected).mean() < 2e-7


def test_parts_of_the_band_get_the_noise_of_the_whole():
    keys = keys_of(range(2))
    whole = noise(keys, 2, num_subcarriers=2400)
    for offset, width in ((0, 2), (600, 1200), (2398, 2)):
        part = noise(keys, 2, num_subcarriers=2400, offset=offset, width=width)
        inside = slice(offset, offset + width)
        np.testing.assert_array_equal(part[..., inside], whole[..., inside])
        assert not part[..., :offset].any()
        assert not part[..., offset + width :].any()


@pytest.fixture(scope="module")
def sample():
    """Noise of 16 drops, complex64 [16, 275184]; 8.8 million real numbers."""
    return noise(keys_of(range(16)), num_rx_ant=6, num_subcarriers=3276).reshape(16, -1)


def test_moments_and_shape_are_gaussian(sample):
    axes = sample.view(np.float32).astype(np.float64).ravel() * np.sqrt(2)  # N(0, 1)
    n = axes.size
    # variances of the mean of z^k: E z^2k - (E z^k)^2
    for k, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (5, 0, 945), (6, 15, 10170)):
        assert abs((axes**k).mean() - mean) < 4.5 * np.sqrt(variance / n), k
    assert stats.kstest(axes[: 2 * 10**6], "norm").pvalue > 1e-3


@pytest.mark.parametrize("threshold", [2.0, 3.0, 4.0, 4.5, 5.0])
def test_tails_hold_to_five_deviations(sample, threshold):
    axes = sample.view(np.float32).ravel() * np.sqrt(2)
    for side in (axes, -axes):
        count, expected = int((side > threshold).sum()), axes.size * stats.norm.sf(threshold)
        low, high = stats.poisson.ppf([1e-5, 1 - 1e-5], expected)
        assert low <= count <= high


def test_amplitude_and_angle_are_independent_and_right(sample):
    numbers = sample.ravel()[: 10**6].astype(np.complex128)
    assert stats.kstest(np.abs(numbers) ** 2, "expon").pvalue > 1e-3
    assert stats.kstest(np.angle(numbers) / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3
    # amplitude by angle in 8 x 16 cells of equal probability
    table = np.histogram2d(
        np.exp(-(np.abs(numbers) ** 2)), np.angle(numbers), bins=(np.linspace(0, 1, 9), np.linspace(-np.pi, np.pi, 17))
    )[0]
    assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_neighbours_axes_and_drops_are_uncorrelated(sample):
    n = sample.shape[1]
    limit = 5 / np.sqrt(n)
    re, im = sample.real.astype(np.float64) * np.sqrt(2), sample.imag.astype(np.float64) * np.sqrt(2)
    for a, b in ((re, im), (re**2 - 1, im**2 - 1), (np.abs(re) - re.std(), np.sign(im))):
        # between the axes of the same number
        assert np.abs((a * b).mean(1)).max() < 2 * limit
    for values in (re, im, re**2 - 1):
        spread = values / values.std()
        # between drops
        correlation = spread @ spread.T / n
        assert np.abs(correlation - np.eye(16)).max() < limit * 1.2
        # along frequency, and to the next symbol and antenna
        for lag in (1, 2, 3, 4, 512, 3276, 14 * 3276):
            products = (spread[:, lag:] * spread[:, :-lag]).mean()
            assert abs(products) < limit / 4 * 1.2, lag


def test_keys_differ_in_every_part():
    keys = [
        stream_key(*key)
        for key in [(1, "a", 0, "n"), (2, "a", 0, "n"), (1, "b", 0, "n"), (1, "a", 1, "n"), (1, "a", 0, "m")]
    ]
    assert len({key.tobytes() for key in keys}) == len(keys)
    # each of the four words matters
    base = np.array([5, 6, 7, 8], np.uint32)
    words = [noise((base + np.eye(4, dtype=np.uint32)[i])[None]).tobytes() for i in range(4)]
    assert len({*words, noise(base[None]).tobytes()}) == 5


def test_rows_of_white_noise_are_those_of_the_grid():
    keys = keys_of([0, 1])
    rows = np.empty((2, 3, 2 * 14 * 24), np.float32)
    white_noise(keys, np.float32(1), rows)
    grid = noise(keys, num_rx_ant=3)
    assert np.array_equal(rows.view(np.complex64).reshape(grid.shape), grid)
