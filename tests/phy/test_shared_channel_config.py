"""What the configuration of a shared channel refuses, and sizes that the standard's tables give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ran.phy.config import Carrier, Dmrs, Pusch, Users
from ran.phy.mcs import limited_buffer_size, mcs
from ran.phy.pusch import PuschGrid

# FRC payloads of TS 38.104 annex A: MCS of the modulation and rate, PRBs, then payloads for 1, 2 and 4 layers
QPSK_193, QAM16_658, QAM64_567, QAM16_434 = (2, 193), (4, 658), (6, 567), (4, 434)
FRC = [
    (QPSK_193, 24, {1: 1320, 2: 2600, 4: 5256}),
    (QPSK_193, 25, {1: 1352, 2: 2728, 4: 5384}),
    (QPSK_193, 51, {1: 2792, 2: 5512}),
    (QPSK_193, 52, {1: 2856, 2: 5640}),
    (QPSK_193, 106, {1: 5768, 2: 11528}),
    (QPSK_193, 273, {1: 14856, 2: 29736, 4: 59496}),
    (QAM16_658, 24, {1: 8968, 2: 17928}),
    (QAM16_658, 25, {1: 9224, 2: 18432}),
    (QAM16_658, 51, {1: 18960, 2: 37896}),
    (QAM16_658, 52, {1: 19464, 2: 38936}),
    (QAM16_658, 106, {1: 38936, 2: 77896}),
    (QAM16_658, 273, {1: 100392, 2: 200808}),
    (QAM64_567, 24, {1: 11528}),
    (QAM64_567, 25, {1: 12040}),
    (QAM64_567, 51, {1: 24576}),
    (QAM64_567, 52, {1: 25104}),
    (QAM64_567, 106, {1: 50184}),
    (QAM64_567, 273, {1: 131176}),
    (QAM16_434, 24, {4: 23568}),
    (QAM16_434, 25, {4: 24576}),
    (QAM16_434, 273, {4: 270576}),
]


@pytest.mark.parametrize(("modulation", "num_prb", "payloads"), FRC)
def test_transport_blocks_have_the_payload_of_the_fixed_reference_channels(modulation, num_prb, payloads):
    index = next(i for i in range(29) if mcs(1, i) == modulation)
    for num_layers, payload in payloads.items():
        pusch = Pusch(mcs_index=index, num_layers=num_layers)
        assert PuschGrid.build(Carrier(num_prb=num_prb), pusch, Users()).transport_block.tb_size == payload


def test_a_default_configuration_is_written_as_before_its_fields_grew():
    # names of scenarios, and so their random numbers, come from this
    pusch = {
        "mapping_type": "A",
        "start_symbol": 0,
        "num_symbols": 14,
        "mcs_table": 1,
        "mcs_index": 14,
        "num_layers": 1,
        "n_rnti": 1,
        "n_id": None,
        "dmrs": {
            "type_a_position": 2,
            "additional_position": 1,
            "num_cdm_groups_without_data": 2,
            "n_id": None,
            "n_scid": 0,
        },
    }
    assert Pusch().model_dump(mode="json") == pusch
    changed = Pusch(rv=2, dmrs=Dmrs(length=2)).model_dump(mode="json")
    assert changed == {**pusch, "rv": 2, "dmrs": {**pusch["dmrs"], "length": 2}}
    assert Pusch.model_validate(changed) == Pusch(rv=2, dmrs=Dmrs(length=2))


IMPOSSIBLE = [
    ({"mapping_type": "A", "start_symbol": 2, "num_symbols": 10}, "allowed: 0 .TS 38.214 table 6.1.2.1-1"),
    ({"num_symbols": 3}, "allowed: 4 to 14 .TS 38.214 table 6.1.2.1-1"),
    ({"mapping_type": "B", "start_symbol": 5, "num_symbols": 10}, "allowed: at most 9 .TS 38.214 table 6.1.2.1-1"),
    ({"dmrs": {"num_cdm_groups_without_data": 3}}, "allowed: 1, 2 .TS 38.211 table 6.4.1.1.3-1"),
    ({"dmrs": {"length": 2, "additional_position": 2}}, "allowed: 0 to 1 .TS 38.211 table 6.4.1.1.3-4"),
    ({"dmrs": {"type_a_position": 3, "additional_position": 3}}, "TS 38.211 §6.4.1.1.3"),
    ({"num_symbols": 4, "dmrs": {"type_a_position": 3, "length": 2}}, "allowed: 2 .TS 38.211 §6.4.1.1.3"),
    ({"mapping_type": "B", "num_symbols": 4, "dmrs": {"length": 2}}, "durations 5 to 14 .TS 38.211 table 6.4.1.1.3-4"),
    ({"mcs_table": 2, "mcs_index": 28}, "allowed: 0 to 27 .TS 38.214 §5.1.3.1"),
    ({"mcs_table": 4, "mcs_index": 27}, "allowed: 0 to 26 .TS 38.214 §5.1.3.1"),
    ({"tpmi": 3}, "needs num_antenna_ports; allowed: 1, 2, 4 .TS 38.211 §6.3.1.5"),
    ({"num_antenna_ports": 2, "num_layers": 3}, "allowed: 1 to 2 .TS 38.211 §6.3.1.5"),
    ({"num_antenna_ports": 2, "num_layers": 2, "tpmi": 3}, "allowed: 0 to 2 .TS 38.211 §6.3.1.5"),
    ({"num_layers": 2, "max_num_layers": 1}, "allowed: 2 or more .TS 38.212 §5.4.2.1"),
]


@pytest.mark.parametrize(("keys", "message"), IMPOSSIBLE)
def test_impossible_allocations_are_refused_with_the_clause(keys, message):
    with pytest.raises(ValidationError, match=message):
        Pusch.model_validate(keys)


def test_an_allocation_of_nothing_but_dmrs_is_refused():
    pusch = Pusch(mapping_type="B", num_symbols=1)
    with pytest.raises(ValueError, match=r"all of it DM-RS .*TS 38.214 §5.1.3.2"):
        PuschGrid.build(Carrier(), pusch, Users())


def test_limited_buffer_size():
    # 273 PRBs, 64QAM, 1 layer: N_info = 156 x 273 x 948/1024 x 6 = 236566.2, quantised to 2^12 steps: 237568,
    # C = ceil((237568 + 24) / 8424) = 29, TBS = 8 x 29 x ceil(237592 / 232) - 24 = 237776
    assert limited_buffer_size(273, 6, 1) == 237776
    assert limited_buffer_size(218, 6, 1) == 237776
    assert limited_buffer_size(20, 6, 8) == limited_buffer_size(32, 6, 4)


@given(st.sampled_from([0, 1, 2, 3]), st.booleans(), st.integers(0, 28), st.integers(1, 8))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_every_redundancy_version_decodes_where_it_can(rv, limited_buffer, mcs_index, num_prb):
    pusch = Pusch(rv=rv, limited_buffer=limited_buffer, mcs_index=mcs_index)
    grid = PuschGrid.build(Carrier(num_prb=num_prb), pusch, Users())
    blocks = np.random.default_rng(1).integers(0, 2, (2, 1, grid.transport_block.tb_size), dtype=np.uint8)
    llr = 8.0 * (1 - 2 * grid.encode(blocks).astype(np.float32))
    decision = grid.decode(llr, 50, "float32")
    # rv 1 and 2 lack systematic bits, so high rates are not decodable on their own
    if rv in (0, 3) and grid.target_rate < 0.6:
        assert decision.crc_ok.all()
        np.testing.assert_array_equal(decision.bits.reshape(blocks.shape), blocks)


def test_redundancy_versions_differ():
    grids = [PuschGrid.build(Carrier(num_prb=10), Pusch(rv=rv), Users()) for rv in range(4)]
    blocks = np.random.default_rng(1).integers(0, 2, (1, 1, grids[0].transport_block.tb_size), dtype=np.uint8)
    sent = [grid.encode(blocks).tobytes() for grid in grids]
    assert len(set(sent)) == 4
