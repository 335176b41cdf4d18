"""CSI-RS: rows of the table, codes, sequence; and what an estimate makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.csi_rs import CsiRs, rows_of, usual_resource

#: Row -> ports, (L in frequency, in time), k's, l's; TS 38.211 table 7.4.1.5.3-1, written down a second time.
TABLE = {
    4: (4, 2, 1, 1),
    5: (4, 2, 1, 1),
    6: (8, 2, 4, 1),
    7: (8, 2, 2, 1),
    8: (8, 4, 2, 1),
    9: (12, 2, 6, 1),
    10: (12, 4, 3, 1),
    11: (16, 2, 4, 1),
    12: (16, 4, 4, 1),
    13: (24, 2, 3, 2),
    14: (24, 4, 3, 2),
    15: (24, 8, 3, 1),
    16: (32, 2, 4, 2),
    17: (32, 4, 4, 2),
    18: (32, 8, 4, 1),
}


def made(row: int, **more) -> CsiRs:
    _, _, num_k, num_l = TABLE[row]
    return CsiRs(row, tuple(range(0, 2 * num_k, 2)), (4, 9)[:num_l], **more)


@pytest.mark.parametrize("row", TABLE)
def test_ports_of_a_row_are_orthogonal_and_density_is_one(row):
    signal = made(row)
    ports, length, _, _ = TABLE[row]
    elements, pilots = signal.pilots(6, 3)
    assert (signal.num_ports, signal.cdm_length) == (ports, length)
    # density 1: as many elements in a PRB as ports
    assert len(elements) == ports == len({tuple(e) for e in elements})
    gram = pilots @ pilots.conj().swapaxes(1, 2)
    np.testing.assert_allclose(gram, np.broadcast_to(length * np.eye(ports), gram.shape), atol=1e-12)
    assert (np.abs(pilots) > 0).sum(2).tolist() == [[length] * ports] * 6


def test_values_by_the_formula():
    """Row 17, some ports and elements, with the Gold sequence from its recursion."""
    slot, n_id, num_prb = 5, 321, 4
    signal = made(17, scrambling_id=n_id)
    elements, pilots = signal.pilots(num_prb, slot)

    def gold(seed: int, length: int) -> list[int]:
        x1, x2 = [1] + [0] * 30, [(seed >> i) & 1 for i in range(31)]
        for n in range(1600 + length):
            x1.append((x1[n + 3] + x1[n]) % 2)
            x2.append((x2[n + 3] + x2[n + 2] + x2[n + 1] + x2[n]) % 2)
        return [(x1[n + 1600] + x2[n + 1600]) % 2 for n in range(length)]

    codes = [((1, 1), (1, 1)), ((1, -1), (1, 1)), ((1, 1), (1, -1)), ((1, -1), (1, -1))]
    for port, n in ((0, 0), (5, 3), (14, 1), (31, 2)):
        group, index = divmod(port, 4)
        k0, l0 = (0, 2, 4, 6)[group % 4], (4, 9)[group // 4]
        for k, symbol in ((0, 0), (1, 0), (0, 1), (1, 1)):
            c = gold((2**10 * (14 * slot + l0 + symbol + 1) * (2 * n_id + 1) + n_id) % 2**31, 4 * num_prb)
            m = 2 * n + k
            r = ((1 - 2 * c[2 * m]) + 1j * (1 - 2 * c[2 * m + 1])) / np.sqrt(2)
            at = [tuple(e) for e in elements].index((k0 + k, l0 + symbol))
            assert pilots[n, port, at] == pytest.approx(codes[index][0][k] * codes[index][1][symbol] * r)


def test_half_density_has_every_other_prb():
    signal = made(18, density=0.5, first_prb=1)
    assert signal.prbs(7).tolist() == [1, 3, 5]
    whole, half = made(18).pilots(7, 2)[1], made(18, density=0.5).pilots(7, 2)[1]
    # m' = floor(n alpha): n = 2 has what n = 1 has at density 1
    np.testing.assert_allclose(half[1], whole[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, (0,)), "row: got 3; allowed: 4 to 18"),
        ((6, (0, 2, 4)), "subcarriers: got"),
        ((17, (0, 2, 4, 6)), "symbols: got"),
        ((6, (0, 1, 4, 6)), "do not overlap"),
        ((18, (0, 2, 4, 6), (11,)), "do not overlap in a slot"),
        ((8, (0, 2), (4,), 0.5), "density: got 0.5; allowed: 1 in row 8"),
    ],
)
def test_what_the_table_does_not_have_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        CsiRs(*arguments)


def test_number_of_ports_without_a_row():
    assert rows_of(32) == (16, 17, 18)
    with pytest.raises(InputError, match="num_ports: got 20; allowed: 4, 8, 12, 16, 24, 32"):
        usual_resource(20)
    with pytest.raises(InputError, match=r"density: got 0\.5; allowed: 1 in row 8"):
        usual_resource(8, 0.5)
