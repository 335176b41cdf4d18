"""Users of one slot with resource blocks of their own: each sends what it would send alone."""

import numpy as np
import pytest
import torch

from ran.bench import sionna_peer
from ran.errors import InputError
from ran.phy.config import Allocation, Carrier, Dmrs, Ptrs, Pusch, Reserved, Uci, Users
from ran.phy.pusch import PuschGrid
from ran.phy.sionna_pusch import pusch_configs
from ran.phy.user_grids import UserGrids, uplink_grid

CARRIER = Carrier(num_prb=24, n_cell_id=17, slot_number=3)


def prbs(first: int, count: int, **more) -> Allocation:
    return Allocation(first_prb=first, num_prb=count, **more)


APART = (prbs(0, 6), prbs(8, 4))
IN_PART = (prbs(2, 8), prbs(6, 10))
#: Allocations of the users, the rest of the PUSCH and of the users.
CASES = {
    "apart": (APART, {"n_rnti": 4711}, {}),
    "apart, unlike MCS": (APART, {}, {"mcs_index": (4, 20)}),
    "in part": (IN_PART, {}, {"mcs_index": (10, 3)}),
    "same and apart": ((prbs(0, 5), prbs(8, 4), prbs(0, 5)), {"num_layers": 2}, {"mcs_index": (10, 2, 3)}),
    "gaps": ((Allocation(prbs=(0, 1, 9)), Allocation(rbg_bitmap="010010000011")), {}, {}),
    "hops that cross": (
        (
            prbs(0, 4, hopping="intra-slot", second_hop_prb=12),
            prbs(12, 4, hopping="intra-slot", second_hop_prb=0),
            prbs(20, 4),
        ),
        {},
        {},
    ),
    "DFT-s-OFDM": (APART, {"transform_precoding": True, "pi2_bpsk": True}, {"mcs_index": (0, 12)}),
    "codebook": (IN_PART, {"num_antenna_ports": 2, "tpmi": 2, "n_id": 5}, {}),
    "parts of a bandwidth": ((Allocation(bwp_start=4, bwp_num_prb=6), Allocation(bwp_start=8, first_prb=1)), {}, {}),
    "PT-RS": (APART, {"ptrs": Ptrs()}, {}),
    "UCI": (APART, {"uci": Uci(num_ack_bits=2, num_csi1_bits=20)}, {"mcs_index": (4, 12)}),
    "RNTIs": (IN_PART, {}, {"n_rnti": (40000, 17)}),
    "ports": (IN_PART, {}, {"dmrs_ports": ((3,), (1,))}),
}


def grid_of(name: str) -> UserGrids:
    allocations, pusch, users = CASES[name]
    grid = uplink_grid(CARRIER, Pusch(**pusch), Users(num_users=len(allocations), allocation=allocations, **users))
    assert isinstance(grid, UserGrids)
    return grid


def random_blocks(grid: UserGrids, batch: int) -> np.ndarray:
    generator = np.random.default_rng(7)
    blocks = generator.integers(0, 2, (batch, grid.num_users, max(grid.block_sizes)), dtype=np.uint8)
    return blocks * (np.arange(blocks.shape[2]) < np.array(grid.block_sizes)[:, None])


def random_uci(grid: UserGrids, batch: int) -> dict[str, np.ndarray]:
    found = grid.codewords[0].uci
    generator = np.random.default_rng(8)
    sizes = {} if found is None else {kind: code.num_bits for kind, code in found.codes.items()}
    return {kind: generator.integers(0, 2, (batch, grid.num_users, n), dtype=np.uint8) for kind, n in sizes.items()}


@pytest.mark.parametrize("name", CASES)
def test_every_user_sends_what_it_would_send_alone(name):
    grid = grid_of(name)
    allocations, options, of_users = CASES[name]
    blocks, uci = random_blocks(grid, 2), random_uci(grid, 2)
    coded = grid.code(blocks, uci)
    x = grid.placement.put(grid.to_grid(torch.from_numpy(coded)))
    n, base = grid.pusch.num_layers, Pusch(**options)
    for user, allocation in enumerate(allocations):
        index = of_users.get("mcs_index", (base.mcs_index,) * len(allocations))[user]
        rnti = of_users["n_rnti"][user] if "n_rnti" in of_users else base.n_rnti + user
        alone = {**options, "mcs_index": index, "n_rnti": rnti, "allocation": allocation}
        ports = grid.layer_ports[user * n : (user + 1) * n]
        own = PuschGrid.build(CARRIER, Pusch(**alone), Users(dmrs_ports=(ports,)))
        assert grid.block_sizes[user] == own.block_sizes[0]
        mine = {kind: bits[:, user : user + 1] for kind, bits in uci.items()}
        bits = own.code(blocks[:, user : user + 1, : own.block_sizes[0]], mine)
        layers = slice(user * n, (user + 1) * n)
        np.testing.assert_array_equal(coded[:, layers, : own.num_data_re, : own.bits_per_symbol], bits)
        assert coded[:, layers].sum() == bits.sum()
        assert torch.equal(x[:, layers], own.placement.put(own.to_grid(torch.from_numpy(bits))))
        assert grid.num_prb_of_users[user] == own.num_prb
    decisions = grid.decode_blocks(8.0 * (1 - 2 * coded.astype(np.float32)), 5, "float32")
    for decision, sent in zip(decisions, grid.split_blocks(blocks), strict=True):
        np.testing.assert_array_equal(decision.bits.reshape(sent.shape), sent)


@pytest.mark.parametrize("name", CASES)
def test_parts_hold_every_resource_element_of_every_user_once(name):
    grid = grid_of(name)
    n = grid.pusch.num_layers
    seen: list[list[int]] = [[] for _ in range(grid.num_layers)]
    for part in grid.parts:
        mask = grid.data_mask[part.symbols][:, part.columns]
        carrier = grid.placement.subcarriers[part.symbols, :][:, part.columns]
        assert (np.diff(carrier[0]) == 1).all()
        rows = np.broadcast_to(np.arange(grid.carrier.num_symbols)[part.symbols, None], carrier.shape)
        for layer, places in zip(part.layers, part.places, strict=True):
            own = grid.grids[layer // n]
            assert int(mask.sum()) == len(places)
            # where the part says that a data RE of the user is, it is on the carrier
            at = np.argwhere(own.data_mask.numpy())[places]
            np.testing.assert_array_equal(at[:, 0], rows[mask.numpy()])
            np.testing.assert_array_equal(own.placement.subcarriers[at[:, 0], at[:, 1]], carrier[mask.numpy()])
            seen[layer] += places.tolist()
    for layer, places in enumerate(seen):
        assert sorted(places) == list(range(grid.grids[layer // n].num_data_re))


@pytest.mark.slow
def test_the_slot_equals_sionna_user_by_user():
    # Sionna's PUSCH fills its carrier: each user has one of its own, at whose first subcarrier its DM-RS begin
    allocations = (prbs(0, 6), prbs(6, 10), prbs(16, 8))
    pusch = Pusch(n_rnti=300, dmrs=Dmrs(additional_position=1))
    users = Users(num_users=3, mcs_index=(4, 13, 27), allocation=allocations)
    blocks, theirs, sizes = [], [], []
    for user, index in enumerate(users.mcs_index):
        alone = pusch.model_copy(update={"mcs_index": index, "n_rnti": 300 + user})
        carrier = CARRIER.model_copy(update={"num_prb": allocations[user].num_prb})
        x, bits = sionna_peer.transmitter(carrier, alone, Users())(2)
        theirs.append(x.flatten(1, 2)[:, 0].numpy())
        blocks.append(bits[:, 0].numpy())
        sizes.append(bits.shape[-1])
    grid = uplink_grid(CARRIER, pusch, users)
    assert grid.block_sizes == tuple(sizes)
    sent = np.zeros((2, 3, max(sizes)), np.uint8)
    for user, bits in enumerate(blocks):
        sent[:, user, : bits.shape[-1]] = bits
    x = grid.to_grid(torch.from_numpy(grid.code(sent))).numpy()
    for user, allocation in enumerate(allocations):
        columns = slice(12 * allocation.first_prb, 12 * (allocation.first_prb + allocation.num_prb))
        assert not np.delete(x[:, user], np.r_[columns], axis=-1).any()
        data = grid.grids[user].data_mask.numpy()
        np.testing.assert_allclose(x[:, user, :, columns][:, data], theirs[user][:, data], atol=1e-5)
    # the first user's DM-RS begin where Sionna's do, those of the others further on in the same sequence
    np.testing.assert_allclose(x[:, 0, :, :72], theirs[0], atol=1e-5)
    whole = sionna_peer.transmitter(CARRIER, pusch, Users())(2)[0].flatten(1, 2)[:, 0].numpy()
    pilots = grid.pilots.sum(0).numpy()
    np.testing.assert_allclose(np.where(pilots != 0, whole, 0)[0], pilots, atol=1e-5)


def test_ports_are_handed_out_to_users_that_meet():
    assert grid_of("apart").layer_ports == (0, 0)
    assert grid_of("in part").layer_ports == (0, 2)
    assert grid_of("same and apart").layer_ports == (0, 2, 0, 2, 1, 3)
    groups = [users for users, _ in grid_of("same and apart").groups]
    assert groups == [(0, 2), (1,)]


def test_the_same_resource_blocks_are_those_of_the_pusch():
    same = uplink_grid(CARRIER, Pusch(), Users(num_users=2, allocation=(prbs(3, 6), prbs(3, 6))))
    plain = uplink_grid(CARRIER, Pusch(allocation=prbs(3, 6)), Users(num_users=2))
    assert isinstance(same, PuschGrid)
    assert torch.equal(same.pilots, plain.pilots)
    assert same.block_sizes == plain.block_sizes
    np.testing.assert_array_equal(same.scrambling, plain.scrambling)


REFUSED = [
    (Pusch(allocation=prbs(0, 4)), APART, {}, "pusch.allocation: got one with users.allocation of 2 users"),
    (Pusch(), (prbs(0, 6), prbs(20, 6)), {}, r"users.allocation\[1\]: pusch.allocation.first_prb: got 20 with 6 PRBs"),
    (Pusch(transform_precoding=True), IN_PART, {}, "users 0, 1 share in part with transform_precoding"),
    (Pusch(transform_precoding=True), (prbs(0, 7), prbs(7, 4)), {}, r"users.allocation\[0\]: .*got 7 with transform"),
    (Pusch(ptrs=Ptrs()), IN_PART, {}, "users 0, 1 share with pusch.ptrs"),
    (Pusch(), (prbs(0, 8, hopping="intra-slot", second_hop_prb=9), prbs(4, 8)), {}, "in part with intra-slot hopping"),
    (
        Pusch(),
        (prbs(0, 8), prbs(4, 8, reserved=(Reserved(symbols=(5,), num_prb=6),))),
        {},
        "with different reserved resource elements",
    ),
    (Pusch(), IN_PART, {"dmrs_ports": ((1,), (1,))}, "users.dmrs_ports: got .*; allowed: each port at most once"),
    (Pusch(), IN_PART, {"dmrs_ports": ((1,),)}, "users.dmrs_ports: got 1 lists of ports; allowed: 2"),
    (Pusch(n_rnti=65535), APART, {}, "pusch.n_rnti: got 65535 for 2 users"),
    (
        Pusch(n_rnti=5),
        APART,
        {"n_rnti": (7, 9)},
        r"pusch.n_rnti: got 5 with users.n_rnti \[7, 9\]; allowed: one of the",
    ),
    (Pusch(num_layers=4), IN_PART, {}, "got 8 DM-RS ports; allowed: at most 4"),
]


@pytest.mark.parametrize(("pusch", "allocations", "users", "message"), REFUSED)
def test_what_cannot_be_is_refused(pusch, allocations, users, message):
    with pytest.raises(InputError, match=message) as caught:
        uplink_grid(CARRIER, pusch, Users(num_users=2, allocation=allocations, **users))
    assert "\n" not in str(caught.value)


def test_sionna_has_one_allocation():
    with pytest.raises(InputError, match=r"users.allocation: got resource blocks of their own .* allowed in Sionna's"):
        pusch_configs(CARRIER, Pusch(), Users(num_users=2, allocation=APART))
    # all the same, but not the whole carrier
    with pytest.raises(InputError, match=r"pusch.allocation: got .* Sionna's configuration has no other"):
        pusch_configs(CARRIER, Pusch(), Users(num_users=2, allocation=(prbs(0, 6), prbs(0, 6))))


def test_one_allocation_per_user():
    with pytest.raises(ValueError, match="allocation: got 1 for 2 users; allowed: a list of 2, one per user"):
        Users(num_users=2, allocation=(prbs(0, 2),))


def test_one_grid_has_one_allocation():
    with pytest.raises(InputError, match=r"users.allocation: got resource blocks of their own for 2 users; allowed on"):
        PuschGrid.build(CARRIER, Pusch(), Users(num_users=2, allocation=APART))
