"""A batch of nothing is coded and decoded to nothing, in the shapes of any other batch."""

import numpy as np
import pytest

from ran.phy.config import Carrier, Pusch, Uci, Users
from ran.phy.pusch import PuschGrid
from ran.phy.uci.coding import UciCode


@pytest.mark.parametrize(("bits", "coded"), [(1, 8), (2, 8), (11, 30), (12, 60), (25, 120), (400, 1200), (1021, 2000)])
def test_uci(bits, coded):
    code = UciCode(bits, coded, 2)
    assert code.encode(np.zeros((0, bits), np.uint8)).shape == (0, coded)
    decision = code.decode(np.zeros((0, coded), np.float32))
    assert decision.bits.shape == (0, bits)
    assert decision.ok.shape == decision.metric.shape == (0,)


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    ("pusch", "users"),
    [
        (Pusch(), Users(num_users=2)),
        (Pusch(mcs_index=28), Users()),  # two code blocks
        (Pusch(uci=Uci(num_ack_bits=2, num_csi1_bits=20)), Users()),
        (Pusch(), Users(num_users=2, mcs_index=(4, 16))),
    ],
)
def test_transport_blocks(pusch, users, precision):
    grid = PuschGrid.build(Carrier(num_prb=16), pusch, users)
    coded = grid.encode(np.zeros((0, users.num_users, max(grid.block_sizes)), np.uint8))
    assert coded.shape == (0, grid.num_layers, grid.num_data_re, grid.bits_per_symbol)
    decisions = grid.decode_blocks(coded.astype(np.float32), 5, precision)
    assert [d.bits.shape for d in decisions] == [(0, c.transport_block.tb_size) for c in grid.codewords]
    assert all(d.crc_ok.shape == (0,) for d in decisions)
