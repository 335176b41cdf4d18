"""Allocations inside the carrier: where they lie, and what vectors of another maker have there."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import vectors

from ran.errors import InputError
from ran.phy.allocation import interleaved, placement_of
from ran.phy.config import Allocation, Carrier, Dmrs, Pdsch, Pusch, Reserved, Users
from ran.phy.dmrs import dmrs_grid, dmrs_symbols
from ran.phy.dmrs_positions import dmrs_positions_of_hops
from ran.phy.pdsch import PdschGrid
from ran.phy.pusch import PuschGrid


def pdsch_grid(case: dict) -> PdschGrid:
    """The grid of a case of `pdsch_mapping.npz`."""
    given = {k: v for k, v in case["dmrs"].items() if k != "ports"}
    reserved = [
        Reserved(
            symbols=tuple(r["symbols"]),
            first_prb=r["prb_start"],
            num_prb=r["num_prb"],
            subcarriers=tuple(r["subcarriers_in_prb"]) if "subcarriers_in_prb" in r else None,
        )
        for r in case["reserved"]
    ]
    names = ("mapping_type", "start_symbol", "num_symbols", "mcs_table", "mcs_index", "num_layers", "n_rnti", "n_id")
    pdsch = Pdsch(
        **{name: case[name] for name in (*names, "rv")},
        dmrs=Dmrs(**given),
        dmrs_ports=tuple(case["dmrs"]["ports"]),
        allocation=Allocation(
            bwp_start=case["bwp_start"],
            bwp_num_prb=case["bwp_num_prb"],
            first_prb=case["prb_start"] - case["bwp_start"],
            num_prb=case["num_prb"],
            reserved=tuple(reserved),
        ),
    )
    carrier = Carrier(
        subcarrier_spacing_khz=case["subcarrier_spacing_khz"],
        num_prb=case["carrier_num_prb"],
        n_cell_id=case["n_cell_id"],
        slot_number=case["slot_number"],
    )
    return PdschGrid.build(carrier, pdsch)


def test_pdsch_slots_of_another_maker():
    """65 slots made by MATLAB: masks, data and DM-RS on the carrier's grid, with SSB, CSI-RS and PDCCH in the way."""
    cases, get = vectors.load("pdsch_mapping.npz")
    assert len(cases) == 65
    for case in cases:
        grid = pdsch_grid(case)
        assert grid.codewords[0].transport_block.tb_size == case["tb_size"], case["id"]
        assert grid.num_coded_bits == case["num_coded_bits"], case["id"]
        blocks = vectors.transport_block(case["tb_size"])
        x = grid.placement.put(grid.map_to_grid([torch.from_numpy(b) for b in grid.encode([blocks])]))[0].numpy()
        data = grid.placement.put(grid.data_mask.float()).numpy().astype(bool)
        assert np.array_equal(data, get(case["data_mask"]).astype(bool)), case["id"]
        pilots = get(case["dmrs_mask"]).astype(bool)
        assert np.array_equal((grid.placement.put(grid.pilots).abs() > 0).any(0).numpy(), pilots), case["id"]
        # the source sends every layer with power 1
        amplitude = np.sqrt(case["num_layers"])
        np.testing.assert_allclose(amplitude * x[:, data], get(case["data_values"]), atol=1e-5, err_msg=case["id"])
        theirs = get(case["dmrs_values"])
        ours = amplitude * case["dmrs_factor_of_ran6g"] * x[:, pilots]
        # factors are given with six decimals
        np.testing.assert_allclose(ours, theirs, atol=3e-6, err_msg=case["id"])


def test_the_whole_carrier_is_the_default():
    carrier = Carrier(num_prb=24)
    grid = PuschGrid.build(carrier, Pusch(), Users())
    assert grid.placement.is_whole_carrier
    assert grid.placement.is_contiguous
    x = torch.randn(2, 14, 288)
    assert grid.placement.take(x) is x
    assert grid.placement.put(x) is x
    assert "allocation" not in Pusch().model_dump()
    assert "first_crb" not in carrier.model_dump()


@pytest.mark.parametrize("config_type", [1, 2])
def test_dm_rs_count_from_point_a(config_type):
    """The same subcarriers of the band carry the same pilots, whatever the carrier and the allocation are."""
    dmrs = Dmrs(config_type=config_type)
    whole = dmrs_grid(Carrier(num_prb=50), Pusch(dmrs=dmrs), 0)
    part = Pusch(dmrs=dmrs, allocation=Allocation(bwp_start=2, first_prb=5, num_prb=4))
    of_part = dmrs_grid(Carrier(num_prb=20, first_crb=7), part, 0)
    assert np.array_equal(of_part, whole[:, 12 * 14 : 12 * 18])
    # counted from CORESET 0 as after an SI-RNTI
    shifted = part.model_copy(update={"dmrs": Dmrs(config_type=config_type, reference_crb=9)})
    assert np.array_equal(dmrs_grid(Carrier(num_prb=20, first_crb=7), shifted, 0), whole[:, 12 * 5 : 12 * 9])


def test_low_papr_dm_rs_count_from_the_allocation():
    pusch = Pusch(transform_precoding=True, mcs_index=2, allocation=Allocation(first_prb=9, num_prb=6))
    alone = pusch.model_copy(update={"allocation": Allocation()})
    assert np.array_equal(dmrs_grid(Carrier(num_prb=24), pusch, 0), dmrs_grid(Carrier(num_prb=6), alone, 0))


def test_transport_block_size_counts_allocated_blocks():
    part = PuschGrid.build(Carrier(num_prb=106), Pusch(allocation=Allocation(first_prb=80, num_prb=24)), Users())
    assert (
        part.transport_block.tb_size == PuschGrid.build(Carrier(num_prb=24), Pusch(), Users()).transport_block.tb_size
    )
    assert part.num_prb == 24
    assert part.num_data_re == 24 * 12 * 12


@pytest.mark.parametrize(
    ("num_prb", "config", "start", "sizes"),
    [
        (25, 1, 0, [2] * 12 + [1]),
        (25, 1, 3, [1, *[2] * 12]),
        (52, 2, 4, [4, *[8] * 6]),
        (106, 1, 0, [8] * 13 + [2]),
        (273, 1, 10, [6, *[16] * 16, 11]),
    ],
)
def test_resource_block_groups(num_prb, config, start, sizes):
    # TS 38.214 §5.1.2.2.1: first group P - start mod P, last what is left
    carrier = Carrier(num_prb=num_prb, first_crb=start)
    edges = np.cumsum([0, *sizes])
    for group in range(len(sizes)):
        bitmap = "".join("1" if i == group else "0" for i in range(len(sizes)))
        pusch = Pusch(allocation=Allocation(rbg_bitmap=bitmap, rbg_config=config))
        assert placement_of(carrier, pusch).hops == (tuple(range(edges[group], edges[group + 1])),)


def test_interleaving_follows_the_formula():
    # TS 38.211 §7.3.1.6 by hand: 10 PRBs from CRB 0 in bundles of 2: C = 2, f(0..3) = 0, 2, 1, 3; the last stays
    assert interleaved(10, 0, 2) == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9]
    # from CRB 1 the first bundle is short: bundles [0], [1 2], [3 4], [5 6], [7 8], [9]; C = 3
    assert interleaved(10, 1, 2) == [0, 5, 6, 1, 2, 7, 8, 3, 4, 9]
    for size in range(4, 60, 5):
        for start in range(5):
            for bundle in (2, 4):
                assert sorted(interleaved(size, start, bundle)) == list(range(size))


def test_interleaved_blocks_carry_the_pilots_of_their_place():
    carrier, plain = Carrier(num_prb=10), Pdsch()
    mixed = Pdsch(allocation=Allocation(vrb_bundle=2))
    grid = PdschGrid.build(carrier, mixed)
    assert not grid.placement.is_contiguous
    assert len(grid.placement.parts) == 1
    on_carrier = grid.placement.put(grid.pilots)
    assert torch.equal(on_carrier, PdschGrid.build(carrier, plain).pilots)
    x = torch.randn(3, 14, 120)
    assert torch.equal(grid.placement.put(grid.placement.take(x)), x)
    columns = grid.placement.parts[0].columns
    assert np.array_equal(grid.placement.subcarriers[0, columns], np.arange(120))


def test_parts_are_rectangles_without_gaps():
    pusch = Pusch(allocation=Allocation(prbs=(1, 2, 5, 6, 7, 11)))
    parts = placement_of(Carrier(num_prb=12), pusch).parts
    assert [len(part.columns) for part in parts] == [24, 36, 12]
    hopping = Pusch(allocation=Allocation(first_prb=1, num_prb=4, hopping="intra-slot", second_hop_prb=8))
    placement = placement_of(Carrier(num_prb=12), hopping)
    assert [(part.symbols.start, part.symbols.stop) for part in placement.parts] == [(0, 7), (7, 14)]
    assert placement.prbs(6).tolist() == [1, 2, 3, 4]
    assert placement.prbs(7).tolist() == [8, 9, 10, 11]
    covered = np.zeros((14, 48), int)
    for part in placement.parts:
        covered[part.symbols, part.columns] += 1
    assert (covered == 1).all()


def test_hops_between_slots_alternate():
    pusch = Pusch(allocation=Allocation(first_prb=0, num_prb=4, hopping="inter-slot", second_hop_prb=6))
    for slot, first in ((0, 0), (1, 6), (2, 0), (7, 6)):
        assert placement_of(Carrier(num_prb=12, slot_number=slot), pusch).hops == (tuple(range(first, first + 4)),)


def test_dm_rs_of_hops():
    # TS 38.211 table 6.4.1.1.3-6
    hopping = Allocation(num_prb=4, hopping="intra-slot", second_hop_prb=6)
    assert dmrs_symbols(Pusch(allocation=hopping)) == (2, 6, 7, 11)
    assert dmrs_symbols(Pusch(allocation=hopping, dmrs=Dmrs(additional_position=0))) == (2, 7)
    assert dmrs_symbols(Pusch(allocation=hopping, num_symbols=12)) == (2, 6, 10)
    assert dmrs_symbols(Pusch(allocation=hopping, dmrs=Dmrs(type_a_position=3))) == (3, 7, 11)
    short = {"mapping_type": "B", "start_symbol": 3, "allocation": hopping}
    assert dmrs_symbols(Pusch(num_symbols=10, **short)) == (3, 7, 8, 12)
    assert dmrs_symbols(Pusch(num_symbols=2, **short)) == (3, 4)
    with pytest.raises(InputError, match="additional_position: got 2 with intra-slot hopping; allowed: 0, 1"):
        dmrs_positions_of_hops("A", 0, (7, 7), 1, 2, 2)


def test_extended_prefix_has_twelve_symbols():
    carrier = Carrier(subcarrier_spacing_khz=60, cyclic_prefix="extended", num_prb=12)
    grid = PuschGrid.build(carrier, Pusch(num_symbols=12), Users())
    assert grid.data_mask.shape == (12, 144)
    assert grid.dmrs_symbols == (2, 9)
    with pytest.raises(InputError, match="num_symbols: got 14 from symbol 0 with the extended cyclic prefix"):
        PuschGrid.build(carrier, Pusch(), Users())


@pytest.mark.parametrize(
    ("allocation", "text"),
    [
        ({"first_prb": 20, "num_prb": 6}, "pusch.allocation.first_prb: got 20 with 6 PRBs; allowed: inside"),
        ({"bwp_start": 30}, "pusch.allocation.bwp_start: got 30"),
        ({"bwp_num_prb": 25}, "pusch.allocation.bwp_start: got 0 with 25 PRBs"),
        ({"rbg_bitmap": "101"}, "pusch.allocation.rbg_bitmap: got '101'; allowed: 12 characters"),
        ({"prbs": [3, 30]}, "pusch.allocation.prbs: got 30"),
        ({"num_prb": 8, "hopping": "intra-slot", "second_hop_prb": 17}, "second_hop_prb: got 17; allowed: 0 to 16"),
    ],
)
def test_allocations_outside_are_refused(allocation, text):
    with pytest.raises(InputError, match=text) as caught:
        PuschGrid.build(Carrier(num_prb=24), Pusch(allocation=allocation), Users())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"allocation": {"first_prb": 1, "prbs": [2]}}, "got first_prb or num_prb and prbs; allowed: one of"),
        ({"allocation": {"prbs": [2, 2]}}, "ascending order, each once"),
        ({"allocation": {"second_hop_prb": 2}}, "allowed: both or neither"),
        ({"allocation": {"vrb_bundle": 2}}, "a PUSCH is not interleaved"),
        ({"transform_precoding": True, "allocation": {"prbs": [2, 5]}}, "type 0 with transform_precoding"),
        ({"transform_precoding": True, "allocation": {"reserved": [{"symbols": [1], "num_prb": 1}]}}, "CP-OFDM"),
    ],
)
def test_contradictions_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        Pusch(**options)


def test_rules_of_broadcast_identities():
    assert Pusch(n_rnti=65535).n_rnti == 65535
    assert Pusch(n_rnti=0).n_rnti == 0
    assert Pdsch(n_rnti=65535, mcs_index=4).n_rnti == 65535
    with pytest.raises(ValueError, match="mcs_index 14 with n_rnti 65535, the SI-RNTI; allowed: QPSK"):
        Pdsch(n_rnti=65535, mcs_index=14)
    # TS 38.214 table 5.1.3.2-2: a quarter of the REs count
    carrier = Carrier(num_prb=24)
    full, quarter = (
        PdschGrid.build(carrier, Pdsch(n_rnti=65534, mcs_index=5, tb_scaling=s)).block_sizes[0] for s in (1.0, 0.25)
    )
    assert 0.22 < quarter / full < 0.28


def test_rate_matching_is_round_what_is_reserved():
    carrier = Carrier(num_prb=24)
    pattern = Reserved(symbols=(4, 5), first_prb=3, num_prb=2)
    grid = PdschGrid.build(carrier, Pdsch(allocation=Allocation(reserved=(pattern,))))
    plain = PdschGrid.build(carrier, Pdsch())
    assert plain.num_data_re - grid.num_data_re == 2 * 24
    assert grid.block_sizes == plain.block_sizes
    assert not grid.data_mask[4:6, 36:60].any()
    assert all(b > a for a, b in pairwise(np.flatnonzero(grid.data_mask)))
