"""The transmitted PUSCH grid against Sionna, symbol by symbol, and its DM-RS positions against the standard's table."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ran.bench import sionna_peer
from ran.errors import InputError
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from ran.phy.dmrs import dmrs_symbols
from ran.phy.pusch import PuschGrid, assign_ports


@st.composite
def allocations(draw):
    """A random allocation that the standard allows, as ours."""
    khz = draw(st.sampled_from([15, 30, 60, 120]))
    slots = {15: 10, 30: 20, 60: 40, 120: 80}[khz]
    carrier = Carrier(
        subcarrier_spacing_khz=khz,
        num_prb=draw(st.integers(1, 30)),
        n_cell_id=draw(st.integers(0, 1007)),
        slot_number=draw(st.integers(0, slots - 1)),
    )
    type_a_position = draw(st.sampled_from([2, 3]))
    groups = draw(st.sampled_from([1, 2]))
    table = draw(st.sampled_from([1, 2]))
    num_layers, num_users = draw(st.sampled_from([(1, 1), (2, 1), (1, 2)] + ([(4, 1), (2, 2), (1, 4)] * (groups == 2))))
    pusch = Pusch(
        num_symbols=draw(st.integers(type_a_position + 2, 14)),
        mcs_table=table,
        mcs_index=draw(st.integers(0, 28 if table == 1 else 27)),
        num_layers=num_layers,
        n_rnti=draw(st.integers(1, 60000)),
        n_id=draw(st.one_of(st.none(), st.integers(0, 1023))),
        dmrs=Dmrs(
            type_a_position=type_a_position,
            additional_position=draw(st.integers(0, 3 if type_a_position == 2 else 2)),
            num_cdm_groups_without_data=groups,
            n_id=draw(st.one_of(st.none(), st.integers(0, 65535))),
            n_scid=draw(st.sampled_from([0, 1])),
        ),
    )
    return carrier, pusch, Users(num_users=num_users)


@given(allocations())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_transmitted_grid_equals_sionna(allocation):
    carrier, pusch, users = allocation
    grid = PuschGrid.build(carrier, pusch, users)
    try:
        transmitter = sionna_peer.transmitter(carrier, pusch, users)
    except ValueError as error:
        assume("Unsupported coderate" not in str(error))  # Sionna has no rates below 1/5
        raise
    x_theirs, bits = transmitter(2)
    bits = bits.numpy().astype(np.uint8)
    assert bits.shape[-1] == grid.transport_block.tb_size
    coded = torch.from_numpy(grid.encode(bits))
    x = grid.map_to_grid(coded)
    # theirs: [batch, user, antenna port, symbol, subcarrier] with unit power per layer, the allocated symbols alone
    theirs = x_theirs.flatten(1, 2)
    ours = x[:, :, pusch.start_symbol : pusch.start_symbol + theirs.shape[2]] / grid.layer_amplitude
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    assert torch.all(x[:, :, pusch.num_symbols :] == 0)


@given(allocations())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_clean_llrs_decode_to_the_blocks_sent(allocation):
    carrier, pusch, users = allocation
    grid = PuschGrid.build(carrier, pusch, users)
    generator = np.random.default_rng(carrier.num_prb)
    blocks = generator.integers(0, 2, (2, users.num_users, grid.transport_block.tb_size), dtype=np.uint8)
    llr = 8.0 * (1 - 2 * grid.encode(blocks).astype(np.float32))
    decision = grid.decode(llr, 10, "float32")
    assert decision.crc_ok.all()
    np.testing.assert_array_equal(decision.bits.reshape(blocks.shape), blocks)


def test_dmrs_symbols_of_the_full_slot():
    # TS 38.211 table 6.4.1.1.3-3, mapping type A, duration 14, l0 = 2
    expected = {0: (2,), 1: (2, 11), 2: (2, 7, 11), 3: (2, 5, 8, 11)}
    for position, symbols in expected.items():
        assert dmrs_symbols(Pusch(dmrs=Dmrs(additional_position=position))) == symbols


def test_dmrs_beyond_the_allocation_is_refused():
    # a first DM-RS in symbol 3 still fits the shortest allocation of mapping type A
    assert dmrs_symbols(Pusch(num_symbols=4, dmrs=Dmrs(type_a_position=3))) == (3,)
    with pytest.raises(ValueError, match=r"allowed: 4 to 14 \(TS 38.214 table 6.1.2.1-1\)"):
        Pusch(num_symbols=3)


@pytest.mark.parametrize(
    ("pusch", "users", "message"),
    [
        (Pusch(), Users(num_users=2, dmrs_ports=((0,), (0,))), "each port at most once"),
        (Pusch(), Users(num_users=2, dmrs_ports=((0,),)), "2 lists"),
        (Pusch(num_layers=3), Users(num_users=2), "got 6 DM-RS ports; allowed: at most 4"),
        (
            Pusch(dmrs=Dmrs(num_cdm_groups_without_data=1)),
            Users(num_users=2, dmrs_ports=((0,), (2,))),
            "data occupies the other CDM group",
        ),
    ],
)
def test_impossible_ports_are_refused(pusch, users, message):
    with pytest.raises(InputError, match=message):
        assign_ports(pusch, users)


def test_tensors_are_decoded_like_arrays():
    grid = PuschGrid.build(Carrier(num_prb=4), Pusch(num_layers=2), Users(num_users=2))
    rng = np.random.default_rng(3)
    blocks = rng.integers(0, 2, (3, 2, grid.transport_block.tb_size), dtype=np.uint8)
    llr = 2.0 - 4.0 * grid.encode(blocks) + 0.9 * rng.standard_normal(grid.encode(blocks).shape)
    of_array, of_tensor = (
        grid.decode_blocks(values, 6, "int8")[0]
        for values in (llr.astype(np.float32), torch.from_numpy(llr.astype(np.float32)))
    )
    np.testing.assert_array_equal(of_array.bits.reshape(blocks.shape), blocks)
    for name in ("bits", "crc_ok", "iterations"):
        np.testing.assert_array_equal(getattr(of_tensor, name), getattr(of_array, name))
