"""PDSCH: positions against bit masks transcribed a second time, grids against our PUSCH (which equals Sionna's) and
against the standard's formulas, the type I codebook against its matrices written out, receivers on precoded slots."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from channels import RayleighBlock
from ran.errors import InputError
from ran.link.link import pilot_layout
from ran.phy.config import Carrier, Dmrs, Pdsch, Pusch, Users
from ran.phy.modulation import constellation
from ran.phy.numerology import symbol_times_s
from ran.phy.pdsch import PdschGrid, num_prgs
from ran.phy.pusch import PuschGrid
from ran.phy.sequences import gold_sequence
from ran.phy.type_one_codebook import OVERSAMPLING, num_indices, two_port_matrix, type_one_matrix
from receivers import Lmmse, LsLinear, PerfectCsi, SlotObservation, Truth

# Additional DM-RS symbols as bit masks, by duration: 4 positions of mapping type A, then 4 of type B with l0 as bit 0
SINGLE = {
    2: (None,) * 4 + (1, 1, 1, 1),
    3: (0, 0, 0, 0, 1, 1, 1, 1),
    4: (0, 0, 0, 0, 1, 1, 1, 1),
    5: (0, 0, 0, 0, 1, 17, 17, 17),
    6: (0, 0, 0, 0, 1, 17, 17, 17),
    7: (0, 0, 0, 0, 1, 17, 17, 17),
    8: (0, 128, 128, 128, 1, 65, 73, 73),
    9: (0, 128, 128, 128, 1, 129, 145, 145),
    10: (0, 512, 576, 576, 1, 129, 145, 145),
    11: (0, 512, 576, 576, 1, 257, 273, 585),
    12: (0, 512, 576, 2336, 1, 513, 545, 585),
    13: (0, 2048, 2176, 2336, 1, 513, 545, 585),
    14: (0, 2048, 2176, 2336) + (None,) * 4,
}
DOUBLE = {
    2: (None,) * 4,
    3: (None,) * 4,
    4: (0, 0, None, None),
    5: (0, 0, 3, 3),
    6: (0, 0, 3, 3),
    7: (0, 0, 3, 3),
    8: (0, 0, 3, 99),
    9: (0, 0, 3, 99),
    10: (0, 768, 3, 387),
    11: (0, 768, 3, 387),
    12: (0, 768, 3, 771),
    13: (0, 3072, 3, 771),
    14: (0, 3072, None, None),
}


def mask(pdsch):
    return sum(1 << symbol for group in pdsch.dmrs_groups for symbol in group)


def test_dmrs_positions_equal_the_bit_masks():
    checked = 0
    for table, length, count in ((SINGLE, 1, 4), (DOUBLE, 2, 2)):
        for duration, row in table.items():
            for position in range(count):
                dmrs = Dmrs(length=length, additional_position=position)
                if row[position] is not None:
                    pdsch = Pdsch(num_symbols=duration, dmrs=dmrs)
                    assert mask(pdsch) == row[position] | (4 if length == 1 else 12)
                    checked += 1
                extra = row[count + position]
                if extra is not None:
                    pdsch = Pdsch(mapping_type="B", start_symbol=14 - duration, num_symbols=duration, dmrs=dmrs)
                    assert mask(pdsch) == extra << (14 - duration)
                    checked += 1
    assert checked == 12 * 4 + 12 * 4 + 11 * 2 + 9 * 2


@st.composite
def single_codewords(draw):
    """Keys that PUSCH and PDSCH share, where their DM-RS positions agree: mapping type A from symbol 0."""
    config_type, length = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2]))
    groups = draw(st.integers(1, config_type + 1))
    table = draw(st.sampled_from([1, 2, 3, 4]))
    keys = {
        "num_symbols": draw(st.integers(4, 14)),
        "mcs_table": table,
        "mcs_index": draw(st.integers(0, 26)),
        "num_layers": draw(st.integers(1, min(4, 2 * groups * length))),
        "n_rnti": draw(st.integers(1, 65519)),
        "n_id": draw(st.one_of(st.none(), st.integers(0, 1023))),
        "rv": draw(st.sampled_from([0, 1, 2, 3])),
        "overhead": draw(st.sampled_from([0, 6, 12, 18])),
        "dmrs": Dmrs(
            config_type=config_type,
            length=length,
            additional_position=draw(st.integers(0, 1 if length == 2 else 3)),
            num_cdm_groups_without_data=groups,
            n_id=draw(st.one_of(st.none(), st.integers(0, 65535))),
            n_scid=draw(st.sampled_from([0, 1])),
        ),
    }
    return Carrier(num_prb=draw(st.integers(1, 12)), slot_number=draw(st.integers(0, 19))), keys


@given(single_codewords())
@settings(max_examples=100, deadline=None, derandomize=True)
def test_one_codeword_is_sent_like_a_pusch(case):
    carrier, keys = case
    try:
        uplink = PuschGrid.build(carrier, Pusch(limited_buffer=True, **keys), Users())
    except InputError as error:
        with pytest.raises(InputError, match=re.escape(str(error))):
            PdschGrid.build(carrier, Pdsch(**keys))
        return
    downlink = PdschGrid.build(carrier, Pdsch(**keys))
    blocks = np.random.default_rng(0).integers(0, 2, (1, uplink.transport_block.tb_size), dtype=np.uint8)
    x = uplink.map_to_grid(torch.from_numpy(uplink.encode(blocks[:, None])))
    coded = downlink.encode([blocks])
    assert torch.equal(downlink.map_to_grid([torch.from_numpy(coded[0])]), x)


@pytest.mark.parametrize("num_layers", [5, 6, 7, 8])
def test_two_codewords(num_layers):
    carrier = Carrier(num_prb=6, n_cell_id=77)
    pdsch = Pdsch(
        num_layers=num_layers, mcs_index=5, mcs_index_2=20, rv_2=3, n_rnti=1234, dmrs=Dmrs(length=2, config_type=1)
    )
    grid = PdschGrid.build(carrier, pdsch)
    first = {5: 2, 6: 3, 7: 3, 8: 4}[num_layers]  # TS 38.211 table 7.3.1.3-1
    assert [c.num_layers for c in grid.codewords] == [first, num_layers - first]
    assert [c.bits_per_symbol for c in grid.codewords] == [2, 6]
    assert [c.transport_block.rv for c in grid.codewords] == [0, 3]
    rng = np.random.default_rng(1)
    blocks = [rng.integers(0, 2, (2, c.transport_block.tb_size), dtype=np.uint8) for c in grid.codewords]
    coded = grid.encode(blocks)
    x = grid.map_to_grid([torch.from_numpy(bits) for bits in coded]).numpy()
    data = x[:, :, grid.data_mask.numpy()] * np.sqrt(num_layers)
    # layers by the formulas: symbol i of a codeword goes to layer i mod its layers
    start = 0
    for q, (codeword, bits) in enumerate(zip(grid.codewords, blocks, strict=True)):
        sent = codeword.transport_block.encode(bits) ^ gold_sequence(
            1234 * 2**15 + q * 2**14 + 77, codeword.transport_block.num_coded_bits
        )
        order = codeword.bits_per_symbol
        index = sent.reshape(2, -1, order) @ (1 << np.arange(order - 1, -1, -1))
        symbols = constellation(order)[index]
        for layer in range(codeword.num_layers):
            np.testing.assert_allclose(data[:, start + layer], symbols[:, layer :: codeword.num_layers], atol=1e-6)
        start += codeword.num_layers
    llr = [8.0 * (1 - 2 * bits.astype(np.float32)) for bits in coded]
    decisions = grid.decode(llr, 20, "float32")
    # rv 3 alone may miss systematic bits at the higher rate, rv 0 may not
    assert decisions[0].crc_ok.all()
    np.testing.assert_array_equal(decisions[0].bits, blocks[0])


def test_known_transport_block_sizes():
    # TS 38.101-4 reference channels count other overheads; these follow TS 38.214 §5.1.3.2 by hand:
    # 51 PRB, 12 symbols, DM-RS 2 x 12 REs: N_RE = 51 x 120, 64QAM 0.5537 x 2 layers -> N_info 40664, n = 10
    pdsch = Pdsch(num_layers=2, mcs_index=20, start_symbol=2, num_symbols=12)
    assert PdschGrid.build(Carrier(num_prb=51), pdsch).codewords[0].transport_block.tb_size == by_hand(
        51 * 120, 567, 6, 2
    )


def by_hand(num_re, rate, order, layers):
    n_info = num_re * rate / 1024 * order * layers
    n = int(np.floor(np.log2(n_info - 24))) - 5
    quantised = 2**n * int(np.floor((n_info - 24) / 2**n + 0.5))
    blocks = -(-(quantised + 24) // 8424)
    return 8 * blocks * -(-(quantised + 24) // (8 * blocks)) - 24


IMPOSSIBLE = [
    ({"start_symbol": 4, "num_symbols": 9}, "allowed: 0 to 3 .TS 38.214 table 5.1.2.1-1"),
    ({"start_symbol": 3, "num_symbols": 9}, "needs dmrs.type_a_position 3"),
    ({"num_symbols": 2}, "allowed: 3 to 14 .TS 38.214 table 5.1.2.1-1"),
    ({"mapping_type": "B", "num_symbols": 14}, "allowed: 2 to 13 .TS 38.214 table 5.1.2.1-1"),
    ({"num_symbols": 3, "dmrs": {"type_a_position": 3}}, "allowed: 2 .TS 38.211 §7.4.1.1.2"),
    ({"num_symbols": 4, "dmrs": {"type_a_position": 3, "length": 2}}, "allowed: 2 .TS 38.211 §7.4.1.1.2"),
    ({"dmrs": {"type_a_position": 3, "additional_position": 3}}, "TS 38.211 §7.4.1.1.2"),
    ({"mcs_index_2": 3}, "from 5 layers on .TS 38.211 table 7.3.1.3-1"),
    ({"num_layers": 6, "mcs_table": 2, "mcs_index_2": 28}, "mcs_index_2 28 has no code rate"),
    ({"dmrs": {"hopping": "group"}}, "TS 38.211 §7.4.1.1"),
    ({"dmrs": {"length": 2, "additional_position": 2}}, "table 7.4.1.1.2-4"),
]


@pytest.mark.parametrize(("keys", "message"), IMPOSSIBLE)
def test_impossible_allocations_are_refused_with_the_clause(keys, message):
    with pytest.raises(ValidationError, match=message):
        Pdsch.model_validate(keys)


def test_impossible_ports_and_precoders_are_refused():
    with pytest.raises(InputError, match=r"got 6 DM-RS ports; allowed: at most 4"):
        PdschGrid.build(Carrier(), Pdsch(num_layers=6))
    for shape in ((3, 4, 2), (12, 4, 1), (12, 1, 2)):
        with pytest.raises(InputError, match="shape of the precoder"):
            PdschGrid.build(Carrier(num_prb=24), Pdsch(num_layers=2, prg_size=2), np.ones(shape))
    with pytest.raises(InputError, match="zero or not finite"):
        PdschGrid.build(Carrier(), Pdsch(), np.zeros((1, 2, 1)))


@pytest.mark.parametrize(("n1", "n2"), sorted(OVERSAMPLING))
def test_type_one_matrices_have_orthogonal_columns_of_equal_norm(n1, n2):
    rng = np.random.default_rng(0)
    for num_layers in range(1, min(8, 2 * n1 * n2) + 1):
        limits = num_indices(n1, n2, num_layers)
        for _ in range(20):
            w = type_one_matrix(n1, n2, num_layers, *(int(rng.integers(limit)) for limit in limits))
            assert w.shape == (2 * n1 * n2, num_layers)
            np.testing.assert_allclose(np.abs(w), 1 / np.sqrt(2 * n1 * n2 * num_layers), atol=1e-12)
            np.testing.assert_allclose(w.conj().T @ w, np.eye(num_layers) / num_layers, atol=1e-12)


def test_type_one_matrices_written_out():
    n1, n2, o1, o2 = 4, 2, 4, 4

    def v(a, b):
        return np.array(
            [np.exp(2j * np.pi * (a * i / (o1 * n1) + b * j / (o2 * n2))) for i in range(n1) for j in range(n2)]
        )

    def v_half(a, b):
        return np.array(
            [
                np.exp(2j * np.pi * (2 * a * i / (o1 * n1) + b * j / (o2 * n2)))
                for i in range(n1 // 2)
                for j in range(n2)
            ]
        )

    i11, i12, n = 5, 3, 1
    f = 1j**n
    a, b, c, d = v(5, 3), v(5 + o1, 3), v(5 + o1, 3 + o2), v(5, 3 + o2)
    ports = 2 * n1 * n2
    expected = {
        1: [[a], [f * a]],
        2: [[a, b], [f * a, -f * b]],
        5: [[a, a, b, b, c], [f * a, -f * a, b, -b, c]],
        6: [[a, a, b, b, c, c], [f * a, -f * a, f * b, -f * b, c, -c]],
        7: [[a, a, b, d, d, c, c], [f * a, -f * a, f * b, d, -d, c, -c]],
        8: [[a, a, b, b, d, d, c, c], [f * a, -f * a, f * b, -f * b, d, -d, c, -c]],
    }
    for num_layers, rows in expected.items():
        w = np.concatenate([np.stack(row, axis=1) for row in rows]) / np.sqrt(num_layers * ports)
        i13 = 1 if num_layers == 2 else 0
        np.testing.assert_allclose(type_one_matrix(n1, n2, num_layers, i11, i12, i13, n), w, atol=1e-12)
    h, t = v_half(5, 3), np.exp(3j * np.pi / 4)
    rows = [[h, h, h, h], [t * h, -t * h, t * h, -t * h], [f * h, f * h, -f * h, -f * h]]
    rows.append([f * t * h, -f * t * h, -f * t * h, f * t * h])
    w = np.concatenate([np.stack(row, axis=1) for row in rows]) / np.sqrt(4 * ports)
    np.testing.assert_allclose(type_one_matrix(n1, n2, 4, i11, i12, 3, n), w, atol=1e-12)
    np.testing.assert_allclose(type_one_matrix(n1, n2, 3, i11, i12, 3, n), w[:, :3] * np.sqrt(4 / 3), atol=1e-12)
    # 3 and 4 layers below 16 ports: 4 x 1 columns, i13 = 1 is two beam widths away
    a, b = np.exp(2j * np.pi * np.arange(4) * 2 / 16), np.exp(2j * np.pi * np.arange(4) * 10 / 16)
    w = np.concatenate([np.stack([a, b, a, b], 1), np.stack([f * a, f * b, -f * a, -f * b], 1)]) / np.sqrt(32)
    np.testing.assert_allclose(type_one_matrix(4, 1, 4, 2, 0, 1, n), w, atol=1e-12)


def test_two_port_matrices():
    np.testing.assert_allclose(two_port_matrix(1, 3), np.array([[1], [-1j]]) / np.sqrt(2), atol=1e-12)
    np.testing.assert_allclose(two_port_matrix(2, 1), np.array([[1, 1], [1j, -1j]]) / 2, atol=1e-12)
    for call in (lambda: two_port_matrix(1, 4), lambda: two_port_matrix(3, 0), lambda: type_one_matrix(3, 3, 1)):
        with pytest.raises(InputError, match=r"TS 38.214"):
            call()
    with pytest.raises(InputError, match=r"i11: got 16; allowed: 0 to 15"):
        type_one_matrix(4, 1, 1, 16)


def received(grid, num_rx_ant, esn0_db, seed=1, batch=2):
    """Slots of a PDSCH over a flat channel, and the coded bits of each codeword."""
    carrier, rng = grid.carrier, np.random.default_rng(seed)
    blocks = [rng.integers(0, 2, (batch, c.transport_block.tb_size), dtype=np.uint8) for c in grid.codewords]
    coded = [torch.from_numpy(bits) for bits in grid.encode(blocks)]
    x = grid.map_to_grid(coded)
    times = symbol_times_s(carrier.numerology)
    frequencies = np.arange(carrier.num_subcarriers) * carrier.subcarrier_spacing_hz
    generators = [np.random.default_rng([seed, i]) for i in range(batch)]
    h = RayleighBlock().response(
        generators, num_rx_ant, grid.num_antenna_ports, times, frequencies, torch.device("cpu")
    )
    y = (h * grid.precode(x).unsqueeze(1)).sum(2)
    torch.testing.assert_close(y, (grid.layer_channel(h) * x.unsqueeze(1)).sum(2), rtol=1e-4, atol=1e-4)
    variance = 10 ** (-esn0_db / 10)
    noise = rng.standard_normal((*y.shape, 2), dtype=np.float32) * np.sqrt(variance / 2)
    observation = SlotObservation(
        y=y + torch.view_as_complex(torch.from_numpy(noise.astype(np.float32))),
        pilots=grid.pilots,
        layout=pilot_layout(grid.pdsch, grid.ports),
        data_mask=grid.data_mask,
        noise_var=torch.full((batch,), variance),
        bits_per_symbol=grid.codewords[0].bits_per_symbol,
        layer_amplitude=grid.layer_amplitude,
        layer_to_user=(0,) * grid.num_layers,
        symbol_times_s=torch.from_numpy(times),
        subcarrier_spacing_hz=carrier.subcarrier_spacing_hz,
    )
    return observation, grid.layer_channel(h), coded, blocks


@pytest.mark.parametrize(
    ("num_layers", "prg_size", "num_prb"), [(1, 2, 9), (2, 4, 10), (4, 2, 8), (8, None, 6), (6, 2, 8)]
)
def test_receivers_on_precoded_slots(num_layers, prg_size, num_prb):
    carrier = Carrier(num_prb=num_prb)
    pdsch = Pdsch(
        num_layers=num_layers,
        prg_size=prg_size,
        mcs_index=12,
        mcs_index_2=20 if num_layers > 4 else None,
        dmrs=Dmrs(length=2 if num_layers > 4 else 1),
    )
    rng = np.random.default_rng(0)
    # another beam in every PRG: whoever interpolates across them is lost
    precoder = np.stack(
        [
            type_one_matrix(4, 2, num_layers, i11=int(rng.integers(8)), i2=int(rng.integers(2)))
            for _ in range(num_prgs(carrier, pdsch))
        ]
    )
    grid = PdschGrid.build(carrier, pdsch, precoder)
    observation, h, coded, blocks = received(grid, 16, 45.0)
    for receiver in (PerfectCsi(), LsLinear(), Lmmse(prior_delay_spread_ns=1, prior_max_doppler_hz=0)):
        llrs = []
        for codeword, layers in zip(grid.codewords, grid.layers_of_codewords, strict=True):
            # receivers demap one modulation at a time: each codeword takes its layers
            seen = SlotObservation(**{**vars(observation), "bits_per_symbol": codeword.bits_per_symbol})
            truth = Truth(h, coded[0])
            llrs.append(receiver(seen, truth)[:, layers].numpy())
        for decision, sent in zip(grid.decode(llrs, 20, "float32"), blocks, strict=True):
            assert decision.crc_ok.all(), receiver.name
            np.testing.assert_array_equal(decision.bits, sent)


def test_unit_power_leaves_the_antennas():
    grid = PdschGrid.build(
        Carrier(num_prb=8), Pdsch(num_layers=3, prg_size=4), np.random.default_rng(0).standard_normal((2, 8, 3))
    )
    blocks = np.random.default_rng(1).integers(0, 2, (64, grid.codewords[0].transport_block.tb_size), dtype=np.uint8)
    x = grid.precode(grid.map_to_grid([torch.from_numpy(grid.encode([blocks])[0])]))
    power = (x.abs() ** 2).sum(1)[:, grid.data_mask].mean()
    # 64 slots of over 1000 symbols each
    assert abs(float(power) - 1) < 0.01
