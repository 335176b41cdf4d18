"""PT-RS of a CP-OFDM PUSCH against tables and against the standard's procedure followed by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.codebook import num_tpmi, precoding_matrix
from ran.phy.config import Carrier, Dmrs, Ptrs, Pusch, Users
from ran.phy.ptrs import ptrs_amplitude, ptrs_subcarriers, ptrs_symbols
from ran.phy.pusch import PuschGrid
from ran.phy.sequences import gold_sequence
from receivers import Lmmse, LsLinear, PerfectCsi


@pytest.mark.parametrize(
    ("pusch", "symbols"),
    [
        # DM-RS in 2 and 11: counting starts anew after each
        ({"ptrs": {"time_density": 1}}, (0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13)),
        ({"ptrs": {"time_density": 2}}, (0, 4, 6, 8, 10, 13)),
        ({"ptrs": {"time_density": 4}}, (0, 6, 10)),
        # double symbols 2, 3 and 10, 11: counting starts at the second
        ({"ptrs": {"time_density": 2}, "dmrs": {"length": 2}}, (0, 5, 7, 9, 13)),
        # mapping B from symbol 4 on, DM-RS in 4 and 10
        (
            {"ptrs": {"time_density": 2}, "mapping_type": "B", "start_symbol": 4, "num_symbols": 9},
            (6, 8, 12),
        ),
    ],
)
def test_symbols(pusch, symbols):
    assert ptrs_symbols(Pusch.model_validate(pusch)) == symbols


@pytest.mark.parametrize(
    ("num_prb", "density", "n_rnti", "config_type", "port", "offset", "expected"),
    [
        (8, 2, 4, 1, 0, 0, [0, 24, 48, 72]),
        (8, 2, 5, 1, 0, 0, [12, 36, 60, 84]),
        (8, 2, 5, 1, 3, 2, [21, 45, 69, 93]),
        (7, 4, 5, 1, 1, 3, [34, 82]),  # k_ref^RB = 5 mod (7 mod 4) = 2
        (6, 4, 3, 2, 5, 3, [16, 64]),  # k_ref^RB = 3 mod 2 = 1, k_ref^RE = 4
        (3, 4, 5, 2, 2, 1, [27]),  # k_ref^RB = 5 mod 3 = 2
    ],
)
def test_subcarriers(num_prb, density, n_rnti, config_type, port, offset, expected):
    groups = {1: 2, 2: 3}[config_type]
    pusch = Pusch(
        dmrs=Dmrs(config_type=config_type, num_cdm_groups_without_data=groups),
        ptrs=Ptrs(frequency_density=density, re_offset=offset),
    )
    assert list(ptrs_subcarriers(Carrier(num_prb=num_prb), pusch, n_rnti, port)) == expected


# Table 6.4.1.2.2.1-1 of TS 38.211 by DM-RS port: four offsets of configuration type 1, four of type 2, as
# OpenAirInterface (ptrs_nr.c) has it
FIRST_RE = """
    0 2 6 8   0 1 6 7
    2 4 8 10  1 6 7 0
    1 3 7 9   2 3 8 9
    3 5 9 11  3 8 9 2
    - - - -   4 5 10 11
    - - - -   5 10 11 4
"""


def test_first_subcarriers_are_those_of_the_table():
    for port, row in enumerate(FIRST_RE.strip().splitlines()):
        for column, value in enumerate(row.split()):
            config_type, offset = divmod(column, 4)
            pusch = Pusch(
                dmrs=Dmrs(config_type=config_type + 1, num_cdm_groups_without_data=config_type + 2),
                ptrs=Ptrs(re_offset=offset),
            )
            if value == "-":
                with pytest.raises(InputError, match="allowed: 0 to 3"):
                    ptrs_subcarriers(Carrier(num_prb=1), pusch, 1, port)
            else:
                assert list(ptrs_subcarriers(Carrier(num_prb=1), pusch, 1, port)) == [int(value)]


def test_power_is_what_muted_layers_leave():
    """What TS 38.214 table 6.2.3.1-3 counts with one PT-RS port: layers on the antennas of that of the PT-RS are muted.

    The claims of US 11115932 (3, 4.77 and 6 dB with full coherence) and US 10999031 (0 dB without) say the same.
    """
    for num_antenna_ports, num_layers in [(2, 2), (4, 2), (4, 3), (4, 4)]:
        for tpmi in range(num_tpmi(num_layers, num_antenna_ports)):
            keys = {"num_layers": num_layers, "num_antenna_ports": num_antenna_ports, "tpmi": tpmi, "ptrs": {}}
            occupied = precoding_matrix(num_layers, num_antenna_ports, tpmi, False) != 0
            sharing = int((occupied[:, :1] & occupied).any(0).sum())
            assert ptrs_amplitude(Pusch.model_validate(keys)) ** 2 == pytest.approx(sharing)


@pytest.mark.parametrize(
    ("keys", "boost_db"),
    [
        ({}, 0),
        ({"num_layers": 4}, 0),
        ({"num_layers": 4, "ptrs": {"power": 1}}, 6.02),
        ({"num_layers": 2, "num_antenna_ports": 2, "tpmi": 0}, 0),
        ({"num_layers": 2, "num_antenna_ports": 2, "tpmi": 1}, 3.01),
        ({"num_layers": 4, "num_antenna_ports": 4, "tpmi": 1}, 3.01),
        ({"num_layers": 3, "num_antenna_ports": 4, "tpmi": 4}, 4.77),
    ],
)
def test_power(keys, boost_db):
    pusch = Pusch.model_validate({"ptrs": {}, **keys})
    assert 20 * np.log10(ptrs_amplitude(pusch)) == pytest.approx(boost_db, abs=0.01)


@given(
    st.sampled_from([1, 2, 4]),
    st.sampled_from([2, 4]),
    st.integers(0, 3),
    st.integers(1, 65519),
    st.integers(2, 20),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2]),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_grid(time_density, frequency_density, re_offset, n_rnti, num_prb, config_type, length, num_layers):
    carrier = Carrier(subcarrier_spacing_khz=120, num_prb=num_prb, n_cell_id=9, slot_number=33)
    ptrs = Ptrs(
        time_density=time_density, frequency_density=frequency_density, re_offset=re_offset, layer=num_layers - 1
    )
    pusch = Pusch(
        num_layers=num_layers,
        n_rnti=n_rnti,
        ptrs=ptrs,
        dmrs=Dmrs(config_type=config_type, length=length),
    )
    grid = PuschGrid.build(carrier, pusch, Users())
    without = PuschGrid.build(carrier, pusch.model_copy(update={"ptrs": None}), Users())
    extra = grid.pilots.numpy() - without.pilots.numpy()
    where = without.data_mask.numpy() & ~grid.data_mask.numpy()
    assert where.any()
    # nothing on the other layers, data nowhere near, transport block as without PT-RS (TS 38.214 §6.1.4.2)
    assert not extra[: num_layers - 1].any()
    np.testing.assert_array_equal(extra[-1] != 0, where)
    assert grid.transport_block.tb_size == without.transport_block.tb_size
    # the value is the DM-RS sequence of the first DM-RS symbol at the same subcarrier
    c = gold_sequence((2**17 * (14 * 33 + 2 + 1) * 19 + 18) % 2**31, 24 * num_prb).astype(int)
    port = grid.ports[0][-1]
    for symbol, k in zip(*np.nonzero(where), strict=True):
        if config_type == 1:
            n, second = divmod(k - port % 4 // 2, 4)
            second //= 2
        else:
            n, second = divmod(k - 2 * (port % 6 // 2), 6)
        m = 2 * n + second
        expected = ((1 - 2 * c[2 * m]) + 1j * (1 - 2 * c[2 * m + 1])) / np.sqrt(2 * num_layers)
        assert extra[-1, symbol, k] == pytest.approx(expected, abs=1e-6)


def test_receivers_leave_ptrs_alone():
    config = LinkConfig(
        carrier=Carrier(subcarrier_spacing_khz=120, num_prb=8),
        pusch=Pusch(num_layers=2, ptrs=Ptrs()),
        num_rx_ant=4,
        channel={"name": "rayleigh-block"},
    )
    batch = Link(config).batch(range(4), 60.0, seed=1, scenario_id="x")
    for receiver in (PerfectCsi(), LsLinear(), Lmmse()):
        llr = receiver(batch.observation, batch.truth)
        assert torch.equal(llr < 0, batch.truth.coded_bits.bool()), receiver.name


def test_impossible_combinations_are_refused():
    with pytest.raises(ValidationError, match=r"ptrs.layer 1 does not exist; allowed: 0 to 0"):
        Pusch(ptrs=Ptrs(layer=1))
    with pytest.raises(ValidationError, match="PT-RS with transform precoding"):
        Pusch(ptrs=Ptrs(), transform_precoding=True)
    with pytest.raises(InputError, match="allowed: 1, since a user's PT-RS"):
        PuschGrid.build(Carrier(), Pusch(ptrs=Ptrs()), Users(num_users=2))
    with pytest.raises(InputError, match=r"allowed: 0 to 3 \(TS 38.214 §6.2.2\)"):
        PuschGrid.build(Carrier(), Pusch(ptrs=Ptrs(), dmrs=Dmrs(length=2)), Users(dmrs_ports=((4,),)))
