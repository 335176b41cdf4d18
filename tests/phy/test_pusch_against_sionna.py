"""The complete CP-OFDM PUSCH against Sionna: the transmitted antenna grids of random allocations, symbol by symbol."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sionna.phy.nr.utils import decode_mcs_index

from ran.bench import sionna_peer
from ran.errors import InputError
from ran.phy.codebook import num_tpmi, precoding_matrix
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from ran.phy.dmrs import num_ports
from ran.phy.mcs import mcs, num_mcs
from ran.phy.pusch import PuschGrid


@st.composite
def allocations(draw, config_type=None, length=None, mapping_type=None, tables=(1, 2, 3, 4), codebook=None):
    """A random allocation that the standard allows. Sionna has no code rates below 1/5."""
    khz = draw(st.sampled_from([15, 30, 60, 120]))
    slots = {15: 10, 30: 20, 60: 40, 120: 80}[khz]
    carrier = Carrier(
        subcarrier_spacing_khz=khz,
        num_prb=draw(st.integers(1, 16)),
        n_cell_id=draw(st.integers(0, 1007)),
        slot_number=draw(st.integers(0, slots - 1)),
    )
    config_type = config_type or draw(st.sampled_from([1, 2]))
    length = length or draw(st.sampled_from([1, 2]))
    mapping_type = mapping_type or draw(st.sampled_from(["A", "B"]))
    type_a_position = draw(st.sampled_from([2, 3])) if mapping_type == "A" else 2
    shortest = {("A", 1): 4, ("A", 2): 4 if type_a_position == 2 else 5, ("B", 1): 1, ("B", 2): 5}[mapping_type, length]
    num_symbols = draw(st.integers(shortest, 14))
    positions = [0, 1] if length == 2 else ([0, 1, 2] if type_a_position == 3 else [0, 1, 2, 3])
    groups = draw(st.integers(1, 1 + config_type))
    dmrs = Dmrs(
        config_type=config_type,
        length=length,
        type_a_position=type_a_position,
        additional_position=draw(st.sampled_from(positions)),
        num_cdm_groups_without_data=groups,
        n_id=draw(st.one_of(st.none(), st.integers(0, 65535))),
        n_scid=draw(st.sampled_from([0, 1])),
    )
    available = 2 * groups * length
    assert available <= num_ports(dmrs)
    # without a codebook Sionna has no 3 layers
    with_codebook = draw(st.booleans()) if codebook is None else codebook
    num_layers = draw(st.sampled_from([n for n in ((1, 2, 3, 4) if with_codebook else (1, 2, 4)) if n <= available]))
    num_users = draw(st.integers(1, available // num_layers))
    ports = draw(st.booleans())
    num_antenna_ports, tpmi = None, 0
    if with_codebook:
        num_antenna_ports = draw(st.sampled_from([n for n in (2, 4) if n >= num_layers]))
        tpmi = draw(st.integers(0, num_tpmi(num_layers, num_antenna_ports) - 1))
    table = draw(st.sampled_from(tables))
    sane = [i for i in range(num_mcs(table)) if mcs(table, i).target_rate >= 0.2]
    pusch = Pusch(
        mapping_type=mapping_type,
        start_symbol=0 if mapping_type == "A" else draw(st.integers(0, 14 - num_symbols)),
        num_symbols=num_symbols,
        mcs_table=table,
        mcs_index=draw(st.sampled_from(sane)),
        num_layers=num_layers,
        num_antenna_ports=num_antenna_ports,
        tpmi=tpmi,
        n_rnti=draw(st.integers(1, 60000)),
        n_id=draw(st.one_of(st.none(), st.integers(0, 1023))),
        dmrs=dmrs,
    )
    given_ports = None
    if ports:
        per_symbol = 2 * (1 + config_type)
        usable = [half * per_symbol + port for half in range(length) for port in range(2 * groups)]
        shuffled = draw(st.permutations(usable))
        given_ports = tuple(tuple(shuffled[u * num_layers : (u + 1) * num_layers]) for u in range(num_users))
    return carrier, pusch, Users(num_users=num_users, dmrs_ports=given_ports)


def check_equal(allocation):
    carrier, pusch, users = allocation
    try:
        grid = PuschGrid.build(carrier, pusch, users)
    except InputError as error:
        assume("all of it DM-RS" not in str(error))
        raise
    try:
        transmitter = sionna_peer.transmitter(carrier, pusch, users)
    except ValueError as error:
        # Sionna takes the rate from what the transport block's size really gives
        assume("coderate" not in str(error))
        raise
    # Sionna chooses the base graph by the rate after coding with the CRC, TS 38.212 §6.2.2 by the target rate
    assume(transmitter._tb_encoder._encoder._bg == f"bg{grid.transport_block.base_graph}")
    theirs, bits = transmitter(1)
    bits = bits.numpy().astype(np.uint8)
    assert bits.shape[-1] == grid.transport_block.tb_size
    x = grid.map_to_grid(torch.from_numpy(grid.encode(bits)))
    # theirs: unit power per layer, the allocated symbols alone
    antennas = grid.precode(x) if grid.precoder is not None else x / grid.layer_amplitude
    allocated = slice(pusch.start_symbol, pusch.start_symbol + pusch.num_symbols)
    np.testing.assert_allclose(antennas[:, :, allocated].numpy(), theirs.flatten(1, 2).numpy(), atol=1e-5)
    antennas[:, :, allocated] = 0
    assert not antennas.any()


def sionna_test(max_examples, **kinds):
    @given(allocations(**kinds))
    @settings(max_examples=max_examples, deadline=None, derandomize=True)
    def test(allocation):
        check_equal(allocation)

    return test


test_mapping_a_type_1 = sionna_test(55, mapping_type="A", config_type=1, length=1, tables=(1, 2), codebook=False)
test_mapping_a_type_2 = sionna_test(55, mapping_type="A", config_type=2, length=1, tables=(1, 2), codebook=False)
test_mapping_b = sionna_test(55, mapping_type="B", length=1, tables=(1, 3), codebook=False)
test_double_symbols = sionna_test(55, length=2, tables=(1, 2), codebook=False)
test_codebook = sionna_test(55, codebook=True, tables=(1,))
test_mcs_tables_3_and_4 = sionna_test(45, tables=(3, 4), codebook=False)
test_everything = sionna_test(40)


def test_every_precoding_matrix_equals_sionna():
    from sionna.phy.nr import PUSCHConfig

    for num_antenna_ports in (2, 4):
        for num_layers in range(1, num_antenna_ports + 1):
            if (num_layers, num_antenna_ports) in ((3, 2),):
                continue
            for tpmi in range(num_tpmi(num_layers, num_antenna_ports)):
                other = PUSCHConfig()
                other.num_layers, other.num_antenna_ports, other.precoding = num_layers, num_antenna_ports, "codebook"
                other.tpmi = tpmi
                ours = precoding_matrix(num_layers, num_antenna_ports, tpmi, False)
                np.testing.assert_allclose(ours, other.precoding_matrix, atol=1e-12)


def test_every_mcs_equals_sionna():
    cases = [(table, False, False) for table in (1, 2, 3, 4)]
    # Sionna counts tables 6.1.4.1-1 and -2 as 1 and 2
    cases += [(table, True, pi2_bpsk) for table in (1, 3) for pi2_bpsk in (False, True)]
    for table, transform, pi2_bpsk in cases:
        for index in range(num_mcs(table, transform)):
            theirs = {(1, True): 1, (3, True): 2}.get((table, transform), table)
            order, rate = decode_mcs_index(
                index, theirs, is_pusch=True, transform_precoding=transform, pi2bpsk=pi2_bpsk
            )
            ours = mcs(table, index, transform, pi2_bpsk)
            assert ours.bits_per_symbol == int(order)
            assert ours.target_rate == pytest.approx(float(rate), rel=1e-6)
