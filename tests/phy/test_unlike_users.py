"""Users of one slot that differ in MCS: each sends what it would send alone."""

import numpy as np
import pytest
import torch

from ran.bench import sionna_peer
from ran.errors import InputError
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from ran.phy.pusch import PuschGrid

CARRIER = Carrier(num_prb=6, n_cell_id=17, slot_number=3)
#: MCS of the users, and the rest of the allocation.
CASES = {
    "two users": ((4, 16), {}),
    "runs of equal MCS": ((3, 3, 20, 3), {"n_rnti": 4711}),
    "two layers each": ((27, 0), {"num_layers": 2, "mcs_table": 2}),
    "DFT-s-OFDM": ((0, 12), {"transform_precoding": True, "pi2_bpsk": True}),
    "codebook": ((10, 19), {"num_antenna_ports": 2, "tpmi": 2, "n_id": 5}),
}


def random_blocks(grid: PuschGrid, batch: int) -> np.ndarray:
    generator = np.random.default_rng(7)
    blocks = generator.integers(0, 2, (batch, grid.num_users, max(grid.block_sizes)), dtype=np.uint8)
    return blocks * (np.arange(blocks.shape[2]) < np.array(grid.block_sizes)[:, None])


@pytest.mark.parametrize("name", CASES)
def test_every_user_sends_what_it_would_send_alone(name):
    indices, options = CASES[name]
    users = Users(num_users=len(indices), mcs_index=indices)
    grid = PuschGrid.build(CARRIER, Pusch(**options), users)
    blocks = random_blocks(grid, 2)
    coded = grid.encode(blocks)
    x = grid.map_to_grid(torch.from_numpy(coded))
    n = grid.pusch.num_layers
    for user, index in enumerate(indices):
        alone = Pusch(**{**options, "mcs_index": index, "n_rnti": grid.pusch.n_rnti + user})
        own = PuschGrid.build(CARRIER, alone, Users(dmrs_ports=(grid.ports[user],)))
        assert grid.block_sizes[user] == own.block_sizes[0]
        bits = own.encode(blocks[:, user : user + 1, : own.block_sizes[0]])
        layers = slice(user * n, (user + 1) * n)
        assert set(grid.bits_per_layer[layers]) == {own.bits_per_symbol}
        np.testing.assert_array_equal(coded[:, layers, :, : own.bits_per_symbol], bits)
        assert not coded[:, layers, :, own.bits_per_symbol :].any()
        assert torch.equal(x[:, layers], own.map_to_grid(torch.from_numpy(bits)))
    decisions = grid.decode_blocks(8.0 * (1 - 2 * coded.astype(np.float32)), 5, "float32")
    found = [d.bits.reshape(2, -1, d.bits.shape[-1]) for d in decisions]
    for bits, sent in zip(found, grid.split_blocks(blocks), strict=True):
        np.testing.assert_array_equal(bits, sent)


def test_the_grid_of_unlike_users_equals_sionna():
    # Sionna's transmitter takes users of one MCS: its users are asked one by one
    pusch = Pusch(n_rnti=300, dmrs=Dmrs(additional_position=1))
    users = Users(num_users=4, mcs_index=(4, 13, 13, 27), dmrs_ports=((0,), (3,), (1,), (2,)))
    grid = PuschGrid.build(CARRIER, pusch, users)
    blocks = np.zeros((2, 4, max(grid.block_sizes)), np.uint8)
    theirs = []
    for user, index in enumerate(users.mcs_index):
        alone = pusch.model_copy(update={"mcs_index": index, "n_rnti": 300 + user})
        x, bits = sionna_peer.transmitter(CARRIER, alone, Users(dmrs_ports=(users.dmrs_ports[user],)))(2)
        theirs.append(x.flatten(1, 2).numpy())
        blocks[:, user, : bits.shape[-1]] = bits[:, 0].numpy()
        assert bits.shape[-1] == grid.block_sizes[user]
    x = grid.map_to_grid(torch.from_numpy(grid.encode(blocks)))
    np.testing.assert_allclose(x.numpy(), np.concatenate(theirs, axis=1), atol=1e-5)


def test_users_of_one_mcs_share_a_codeword():
    grid = PuschGrid.build(CARRIER, Pusch(), Users(num_users=2, mcs_index=(9, 9)))
    same = PuschGrid.build(CARRIER, Pusch(mcs_index=9), Users(num_users=2))
    assert len(grid.codewords) == 1
    assert grid.block_sizes == same.block_sizes
    np.testing.assert_array_equal(grid.scrambling, same.scrambling)


REFUSED = [
    (Pusch(mcs_index=3), (1, 2), r"pusch.mcs_index: got 3 with users.mcs_index \[1, 2\]; allowed: one of the two"),
    (Pusch(mcs_table=2), (1, 28), "users.mcs_index: got 28, which has no code rate in mcs_table 2; allowed: 0 to 27"),
]


@pytest.mark.parametrize(("pusch", "indices", "message"), REFUSED)
def test_indices_that_go_with_nothing_are_refused(pusch, indices, message):
    with pytest.raises(InputError, match=message):
        PuschGrid.build(CARRIER, pusch, Users(num_users=2, mcs_index=indices))


def test_one_index_per_user():
    with pytest.raises(ValueError, match="mcs_index: got 1 for 2 users; allowed: a list of 2, one per user"):
        Users(num_users=2, mcs_index=(1,))


def test_what_is_of_one_codeword_is_refused_for_several():
    grid = PuschGrid.build(CARRIER, Pusch(), Users(num_users=2, mcs_index=(4, 16)))
    with pytest.raises(InputError, match=r"users.mcs_index: got transport blocks of .* bits; allowed: one MCS"):
        _ = grid.transport_block


def test_rntis_of_their_own():
    grid = PuschGrid.build(CARRIER, Pusch(), Users(num_users=3, n_rnti=(9, 10, 4000)))
    plain = [PuschGrid.build(CARRIER, Pusch(n_rnti=rnti), Users()) for rnti in (9, 10, 4000)]
    assert [codeword.num_users for codeword in grid.codewords] == [2, 1]
    scrambling = np.concatenate([codeword.scrambling for codeword in grid.codewords])
    np.testing.assert_array_equal(scrambling, np.concatenate([own.scrambling for own in plain]))
    with pytest.raises(InputError, match=r"users.n_rnti: got 2 codewords; allowed: RNTIs that count up"):
        _ = grid.codeword
    with pytest.raises(ValueError, match=r"n_rnti: got \[3, 3\]; allowed: each RNTI at most once"):
        Users(num_users=2, n_rnti=(3, 3))
