"""Precoding with transform precoding, which Sionna has no table of, against OpenAirInterface's."""

import numpy as np
import pytest

from ran.phy.codebook import num_tpmi, precoding_matrix

# TS 38.211 table 6.3.1.5-2 as in OpenAirInterface (gNB_scheduler_srs.c): per TPMI from 12 on the phases of the four
# antenna ports in quarter turns. TPMI 0 to 11 are those of table 6.3.1.5-3.
QUARTERS = "0002 0011 0020 0033 0101 0110 0123 0132 0200 0213 0222 0231 0303 0312 0321 0330"


def test_one_layer_on_four_ports_with_transform_precoding():
    for tpmi, quarters in enumerate(QUARTERS.split(), start=12):
        expected = np.array([1j ** int(q) for q in quarters]) / 2
        np.testing.assert_allclose(precoding_matrix(1, 4, tpmi, True)[:, 0], expected, atol=1e-12)
    for tpmi in range(12):
        np.testing.assert_array_equal(precoding_matrix(1, 4, tpmi, True), precoding_matrix(1, 4, tpmi, False))
    assert num_tpmi(1, 4) == 28


@pytest.mark.parametrize("tpmi", range(6))
def test_two_ports_have_one_table(tpmi):
    np.testing.assert_array_equal(precoding_matrix(1, 2, tpmi, True), precoding_matrix(1, 2, tpmi, False))
