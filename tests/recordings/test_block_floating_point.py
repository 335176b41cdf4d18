"""Block floating point against recorded samples of another maker, and back and forth."""

import numpy as np
import pytest
import vectors

from ran.errors import InputError
from ran.recordings.block_floating_point import bytes_per_prb, compress, decompress


@pytest.mark.parametrize("width", [9, 14])
def test_recorded_samples_decompress_exactly(width):
    with np.load(vectors.path_of("bfp_samples.npz")) as file:
        octets, values = file[f"bytes_{width}bit"], file[f"values_{width}bit"]
    assert np.array_equal(decompress(octets, width), values)
    # compressed again they are the same values; the exponent is free where smaller ones fit too
    assert np.array_equal(decompress(compress(values, width), width), values)


@pytest.mark.parametrize("width", range(1, 17))
def test_what_was_compressed_once_comes_back(width):
    rng = np.random.default_rng(width)
    values = (rng.standard_normal((50, 12, 2)) * 2.0 ** rng.integers(0, 14, (50, 1, 1))).clip(-32768, 32767).astype(int)
    octets = compress(values, width)
    assert octets.shape == (50, bytes_per_prb(width))
    once = decompress(octets, width)
    assert np.array_equal(decompress(compress(once, width), width), once)
    # what is cut off is less than a step of the exponent
    step = 1 << (octets[:, 0].astype(int) & 15)
    assert (np.abs(once - values).max((1, 2)) < step).all()
    if width == 16:
        assert np.array_equal(once, values)


def test_extremes_and_plain_numbers():
    values = np.tile(np.array([-32768, 32767]), (2, 12, 1)).reshape(2, 12, 2)
    for width in (2, 9, 14, 16):
        assert decompress(compress(values, width), width).min() == -32768
    plain = np.arange(-12, 12).reshape(1, 12, 2)
    assert np.array_equal(decompress(compress(plain, 6, False), 6, False), plain)
    with pytest.raises(InputError, match="values: got 32768; allowed: -32 to 31 without an exponent"):
        compress(values, 6, False)
    with pytest.raises(InputError, match="bytes of a PRB: got 28; allowed: 43 with 14 bits"):
        decompress(np.zeros((3, 28), np.uint8), 14)
    with pytest.raises(InputError, match="bit_width: got 17; allowed: 1 to 16"):
        compress(values, 17)


def test_against_the_formula_bit_by_bit():
    """One PRB taken apart with whole numbers and text alone."""
    values = np.arange(24).reshape(1, 12, 2) * 23 - 250
    octets = compress(values, 9)[0]
    exponent = octets[0] & 15
    digits = "".join(f"{octet:08b}" for octet in octets[1:])
    mantissas = [int(digits[i : i + 9], 2) for i in range(0, 216, 9)]
    signed = [m - 512 if m >= 256 else m for m in mantissas]
    assert exponent == 1  # 279 needs ten bits
    assert signed == (values.ravel() // 2).tolist()
