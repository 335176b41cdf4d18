import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ran.errors import InputError
from ran.phy.crc import crc, crc_length, crc_ok

POLYNOMIALS = ("24A", "24B", "24C", "16", "11", "6")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(POLYNOMIALS), st.integers(1, 9000), st.integers(0, 2**32 - 1))
def test_equals_sionna(polynomial, num_bits, seed):
    from sionna.phy.fec.crc import CRCEncoder

    bits = np.random.default_rng(seed).integers(0, 2, (3, num_bits)).astype(np.uint8)
    expected = CRCEncoder("CRC" + polynomial)(torch.tensor(bits, dtype=torch.float32)).numpy()
    assert np.array_equal(np.concatenate([bits, crc(bits, polynomial)], axis=1), expected)


@pytest.mark.parametrize("num_bits", [2048, 2049, 4096, 5 * 2048, 200_000])
def test_long_messages_equal_polynomial_division(num_bits):
    bits = np.random.default_rng(num_bits).integers(0, 2, num_bits).astype(np.uint8)
    register = 0
    for bit in np.concatenate([bits, np.zeros(24, np.uint8)]).tolist():
        register = (register << 1) | bit
        if register >> 24:
            register ^= 0x1864CFB
    expected = [register >> (23 - i) & 1 for i in range(24)]
    assert crc(bits, "24A").tolist() == expected


@pytest.mark.parametrize("polynomial", POLYNOMIALS)
def test_every_single_error_is_detected(polynomial):
    bits = np.random.default_rng(1).integers(0, 2, 60).astype(np.uint8)
    message = np.concatenate([bits, crc(bits, polynomial)])
    assert crc_ok(message, polynomial)
    damaged = message ^ np.eye(message.size, dtype=np.uint8)
    assert not crc_ok(damaged, polynomial).any()


def test_batch_axes_are_kept():
    bits = np.random.default_rng(2).integers(0, 2, (2, 3, 100)).astype(np.uint8)
    parity = crc(bits, "16")
    assert parity.shape == (2, 3, 16)
    assert np.array_equal(parity[1, 2], crc(bits[1, 2], "16"))
    assert crc_ok(np.concatenate([bits, parity], axis=-1), "16").shape == (2, 3)


def test_bad_input():
    with pytest.raises(InputError, match="did you mean '24"):
        crc(np.zeros(8, np.uint8), "24")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"at least 24"):
        crc_ok(np.zeros(10, np.uint8), "24A")
    assert crc_length("11") == 11


def test_the_order_in_memory_does_not_matter():
    """Arrays of another order of axes, such as a decoder's list, have the checks of their copies."""
    bits = np.random.default_rng(3).integers(0, 2, (5, 20)).astype(np.uint8)
    whole = np.concatenate([bits, crc(bits, "11")], axis=1)
    assert crc_ok(np.asfortranarray(whole), "11").all()
    assert np.array_equal(crc(np.asfortranarray(bits), "24A"), crc(bits, "24A"))
    assert crc_ok(np.repeat(whole.T[:, None], 2, axis=1).transpose(2, 1, 0), "11").all()
