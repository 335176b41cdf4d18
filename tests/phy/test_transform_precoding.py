"""DFT-s-OFDM: waveform, pi/2-BPSK and low-PAPR DM-RS, against the standard's formulas written a second way."""

import cmath
from math import floor, pi, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from ran.phy.dmrs import dmrs_grid
from ran.phy.low_papr import hopping, low_papr_type_1, low_papr_type_2
from ran.phy.pusch import PuschGrid
from ran.phy.sequences import gold_sequence
from receivers import Blind, Lmmse, LsLinear, PerfectCsi


def papr_db(spectrum, oversampling=8):
    padded = np.zeros(oversampling * len(spectrum), complex)
    padded[: len(spectrum)] = spectrum
    power = np.abs(np.fft.ifft(padded)) ** 2
    return 10 * np.log10(power.max() / power.mean())


def zadoff_chu(u, v, length):
    """TS 38.211 §5.2.2.1 term by term."""
    prime = max(p for p in range(2, length) if all(p % d for d in range(2, p)))
    q_bar = prime * (u + 1) / 31
    q = floor(q_bar + 0.5) + v * (-1) ** floor(2 * q_bar)
    return [cmath.exp(-1j * pi * q * (n % prime) * (n % prime + 1) / prime) for n in range(length)]


@given(st.integers(0, 29), st.sampled_from([0, 1]), st.sampled_from([36, 48, 54, 72, 90, 96, 120, 162, 324, 648, 1620]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_long_base_sequences(u, v, length):
    v = v if length >= 72 else 0
    np.testing.assert_allclose(low_papr_type_1(u, v, length), zadoff_chu(u, v, length), atol=2e-8)


def test_zadoff_chu_has_constant_modulus_in_both_domains():
    # over its prime length the sequence is CAZAC
    spectrum = np.abs(np.fft.fft(low_papr_type_1(11, 0, 36)[:31]))
    np.testing.assert_allclose(spectrum, sqrt(31), rtol=1e-9)


def test_sequence_of_length_30():
    expected = [cmath.exp(-1j * pi * 8 * (n + 1) * (n + 2) / 31) for n in range(30)]
    np.testing.assert_allclose(low_papr_type_1(7, 0, 30), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("length", "u", "first"),
    # first entries of rows of TS 38.211 tables 5.2.2.2-1 to -4
    [
        (6, 0, [-3, -1, 3, 3, -1, -3]),
        (6, 29, [1, 1, -3, 1, -1, -1]),
        (12, 0, [-3, 1, -3, -3, -3, 3, -3, -1, 1, 1, 1, -3]),
        (12, 14, [1, 3, -3, 1, 3, 3, 3, 1, -1, 1, -1, 3]),
        (18, 29, [-3, 3, 1, -1, -1, -1, -1, 1, -1, 3, 3, -3, -1, 1, 3, -1, 3, -1]),
        (24, 0, [-1, -3, 3, -1, 3, 1, 3, -1, 1, -3, -1, -3, -1, 1, 3, -3, -1, -3, 3, 3, 3, -3, -3, -3]),
        # as srsRAN and others have it; OpenAirInterface begins it with 3
        (24, 18, [-3, 1, -3, 1, -3, -3, 1, -3, 1, -3, -3, -3, -3, -3, 1, -3, -3, 1, 1, -3, 1, 1, -3, -3]),
    ],
)
def test_short_base_sequences_are_rows_of_the_tables(length, u, first):
    np.testing.assert_allclose(low_papr_type_1(u, 0, length), np.exp(0.25j * np.pi * np.array(first)), atol=1e-12)


@pytest.mark.parametrize(("length", "most_db"), [(6, 3.8), (12, 2.85), (18, 2.9), (24, 2.8)])
def test_short_base_sequences_have_low_papr_and_differ(length, most_db):
    # random QPSK sequences of these lengths often have 5 to 8 dB; one wrong entry of a table nearly always shows
    sequences = [low_papr_type_1(u, 0, length) for u in range(30)]
    assert max(papr_db(s) for s in sequences) < most_db
    correlation = np.abs(np.array(sequences) @ np.array(sequences).conj().T) / length
    np.fill_diagonal(correlation, 0)
    assert correlation.max() < 0.95


@pytest.mark.parametrize("length", [30, 60, 96])
def test_type_2_sequences_are_spread_pi2_bpsk(length):
    c_init = 123456
    bits = gold_sequence(c_init, length)
    symbols = [
        cmath.exp(1j * pi / 2 * (i % 2)) / sqrt(2) * ((1 - 2 * int(bits[i])) + 1j * (1 - 2 * int(bits[i])))
        for i in range(length)
    ]
    expected = [
        sum(symbols[i] * cmath.exp(-2j * pi * i * n / length) for i in range(length)) / sqrt(length)
        for n in range(length)
    ]
    for group in (0, 29):
        np.testing.assert_allclose(low_papr_type_2(group, c_init, length), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("length", "u", "values"),
    # TS 38.211 tables 5.2.3.2-1 to -4; the first three of length 12 from the summary of US 2022/0094583
    [
        (12, 0, "000000110110"),
        (12, 1, "000001000111"),
        (12, 2, "000001110111"),
        (12, 29, "011101111011"),
        (18, 0, "000001000111110001"),
        (18, 29, "011101101011101100"),
        (24, 0, "000000010011111001001001"),
        (24, 12, "101001110100010111001011"),
        (24, 29, "010010011111111110010011"),
    ],
)
def test_short_type_2_sequences_are_spread_rows_of_the_tables(length, u, values):
    symbols = np.array([1j ** (i % 2) * (1 + 1j) * (1 - 2 * int(b)) / sqrt(2) for i, b in enumerate(values)])
    n = np.arange(length)
    expected = np.exp(-2j * pi * np.outer(n, n) / length) @ symbols / sqrt(length)
    np.testing.assert_allclose(low_papr_type_2(u, 5, length), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("u", "phi"), [(0, (-1, -7, -3, -5, -1, 3)), (12, (5, 7, -3, -5, 5, -5)), (29, (1, 5, 3, -7, 5, -3))]
)
def test_sequences_of_length_6_are_spread_8_psk(u, phi):
    symbols = np.exp(1j * pi / 8 * np.array(phi))
    n = np.arange(6)
    expected = np.exp(-2j * pi * np.outer(n, n) / 6) @ symbols / sqrt(6)
    np.testing.assert_allclose(low_papr_type_2(u, 5, 6), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("length", "papr", "neighbours"),
    [
        (6, 4.4, ((1, 1 / 3),)),
        (12, 4.4, ((1, 1 / 3), (2, 1 / 3), (3, 1 / 3))),
        (18, 4.8, ((1, 0), (2, 1 / 9), (3, 0))),
        (24, 4.9, ((1, 1 / 6), (2, 1 / 6), (3, 1 / 6), (4, 1 / 6))),
    ],
)
def test_short_type_2_sequences_have_low_papr_and_little_correlation_with_near_shifts(length, papr, neighbours):
    # what they were chosen for; random pi/2-BPSK symbols have correlations of 0.3 to 0.6 and a PAPR of up to 8 dB
    for u in range(30):
        spectrum = low_papr_type_2(u, 0, length)
        assert np.mean(np.abs(spectrum) ** 2) == pytest.approx(1)
        assert papr_db(spectrum) < papr
        symbols = np.fft.ifft(spectrum, norm="ortho")
        for shift, most in neighbours:
            assert abs(np.vdot(symbols, np.roll(symbols, shift))) / length <= most + 1e-9


def test_hopping():
    # TS 38.211 §6.4.1.1.1.2: f_gh from 8 bits of the sequence initialised with floor(n_ID / 30), v from one bit of n_ID
    n_id, slot, symbol, length = 77, 3, 2, 96
    c = gold_sequence(n_id // 30, 8 * (14 * slot + symbol + 1))
    f_gh = sum(2**m * int(c[8 * (14 * slot + symbol) + m]) for m in range(8)) % 30
    assert hopping("group", n_id, 14 * slot + symbol, length) == ((f_gh + n_id) % 30, 0)
    c = gold_sequence(n_id, 14 * slot + symbol + 1)
    assert hopping("sequence", n_id, 14 * slot + symbol, length) == (n_id % 30, int(c[-1]))
    assert hopping("sequence", n_id, 14 * slot + symbol, 66) == (n_id % 30, 0)
    assert hopping("none", n_id, 14 * slot + symbol, length) == (n_id % 30, 0)


@st.composite
def allocations(draw):
    pi2_bpsk = draw(st.booleans())
    table = draw(st.sampled_from([1, 2, 3]))
    index = draw(st.integers(0, 27))
    length = draw(st.sampled_from([1, 2]))
    order_1 = pi2_bpsk and {1: index < 2, 2: False, 3: index < 6}[table]
    num_prb = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 24]))
    mapping = draw(st.sampled_from(["A", "B"]))
    pusch = Pusch(
        transform_precoding=True,
        pi2_bpsk=pi2_bpsk,
        mapping_type=mapping,
        num_symbols=draw(st.integers(6, 14)),
        mcs_table=table,
        mcs_index=index,
        n_id=draw(st.integers(0, 1023)),
        dmrs=Dmrs(
            length=length,
            additional_position=draw(st.sampled_from([0, 1])),
            n_id=draw(st.one_of(st.none(), st.integers(0, 1007))),
            low_papr_type=2 if order_1 and num_prb >= 5 and draw(st.booleans()) else 1,
            hopping=draw(st.sampled_from(["none", "group", "sequence"])),
        ),
    )
    users = Users(num_users=draw(st.sampled_from([1, 2, 4])))
    return Carrier(num_prb=num_prb, slot_number=draw(st.integers(0, 19))), pusch, users


def reference_symbol(bits, i):
    """TS 38.211 §5.1 by its formulas, bit by bit."""
    sign = [1 - 2 * int(b) for b in bits]
    if len(bits) == 1:
        return cmath.exp(1j * pi / 2 * (i % 2)) / sqrt(2) * (sign[0] + 1j * sign[0])
    if len(bits) == 2:
        return (sign[0] + 1j * sign[1]) / sqrt(2)
    if len(bits) == 4:
        return (sign[0] * (2 - sign[2]) + 1j * sign[1] * (2 - sign[3])) / sqrt(10)
    if len(bits) == 6:
        return (sign[0] * (4 - sign[2] * (2 - sign[4])) + 1j * sign[1] * (4 - sign[3] * (2 - sign[5]))) / sqrt(42)
    real = sign[0] * (8 - sign[2] * (4 - sign[4] * (2 - sign[6])))
    imag = sign[1] * (8 - sign[3] * (4 - sign[5] * (2 - sign[7])))
    return (real + 1j * imag) / sqrt(170)


@given(allocations())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_waveform_equals_the_formulas(allocation):
    carrier, pusch, users = allocation
    grid = PuschGrid.build(carrier, pusch, users)
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 2, (1, users.num_users, grid.transport_block.tb_size), dtype=np.uint8)
    coded = grid.encode(blocks)
    x = grid.map_to_grid(torch.from_numpy(coded)).numpy()[0]
    m = carrier.num_subcarriers
    n = np.arange(m)
    dft = np.exp(-2j * np.pi * np.outer(n, n) / m) / np.sqrt(m)
    data_symbols = [s for s in range(pusch.num_symbols) if s not in grid.dmrs_symbols]
    for user in range(users.num_users):
        symbols = np.array([reference_symbol(b, i) for i, b in enumerate(coded[0, user])])
        assert len(symbols) == m * len(data_symbols)
        for j, symbol in enumerate(data_symbols):
            np.testing.assert_allclose(x[user, symbol], dft @ symbols[j * m : (j + 1) * m], atol=3e-5)
        port = grid.ports[user][0]
        for group in pusch.dmrs_groups:
            for second, symbol in enumerate(group):
                n_id = carrier.n_cell_id if pusch.dmrs.n_id is None else pusch.dmrs.n_id
                time = 14 * carrier.slot_number + group[0]
                if pusch.dmrs.low_papr_type == 2:
                    c_init = (2**17 * (time + 1) * (2 * n_id + 1) + 2 * n_id) % 2**31
                    r = low_papr_type_2(n_id % 30, c_init, m // 2)
                else:
                    r = low_papr_type_1(*hopping(pusch.dmrs.hopping, n_id, time, m // 2), m // 2)
                expected = np.zeros(m, complex)
                for i in range(m // 2):
                    cover = (-1) ** (i % 2 * (port % 2)) * (-1) ** (second * (port // 4))
                    expected[2 * i + port % 4 // 2] = sqrt(2) * cover * r[i]
                np.testing.assert_allclose(x[user, symbol], expected, atol=1e-5)


def test_papr_falls_from_cp_ofdm_over_dft_s_ofdm_to_pi2_bpsk():
    def papr(**pusch):
        grid = PuschGrid.build(Carrier(num_prb=24), Pusch(mcs_index=1, **pusch), Users())
        blocks = np.random.default_rng(0).integers(0, 2, (20, 1, grid.transport_block.tb_size), dtype=np.uint8)
        x = grid.map_to_grid(torch.from_numpy(grid.encode(blocks))).numpy()[:, 0]
        data = [s for s in range(14) if s not in grid.dmrs_symbols]
        return np.mean([papr_db(row) for slot in x for row in slot[data]])

    cp_ofdm, qpsk, pi2_bpsk = papr(), papr(transform_precoding=True), papr(transform_precoding=True, pi2_bpsk=True)
    assert cp_ofdm - 2 > qpsk > pi2_bpsk + 0.5


@pytest.mark.parametrize(
    ("num_users", "pi2_bpsk", "mcs_index"), [(1, True, 0), (1, False, 5), (2, False, 20), (4, True, 1)]
)
def test_receivers_see_the_symbols_that_were_sent(num_users, pi2_bpsk, mcs_index):
    config = LinkConfig(
        carrier=Carrier(num_prb=6),
        pusch=Pusch(transform_precoding=True, pi2_bpsk=pi2_bpsk, mcs_index=mcs_index),
        users=Users(num_users=num_users),
        num_rx_ant=8,
        channel={"name": "tdl", "profile": "A", "delay_spread_ns": 20, "max_doppler_hz": 0},
    )
    link = Link(config)
    batch = link.batch(range(2), 40.0, seed=1, scenario_id="x")
    for receiver in (PerfectCsi(), LsLinear(), Lmmse(), Blind()):
        llr = receiver(batch.observation, batch.truth)
        assert llr.shape == batch.truth.coded_bits.shape
        assert torch.equal(llr < 0, batch.truth.coded_bits.bool()), receiver.name
        assert not link.count_errors(llr, batch).block_errors.any()


def test_despread_llrs_are_calibrated():
    # frequency-selective, at an SNR with many bit errors: P(bit wrong) must be what the LLRs claim
    config = LinkConfig(
        carrier=Carrier(num_prb=24),
        pusch=Pusch(transform_precoding=True, mcs_index=5),
        num_rx_ant=1,
        channel={"name": "tdl", "profile": "C", "delay_spread_ns": 300, "max_doppler_hz": 10},
    )
    batch = Link(config).batch(range(32), 4.0, seed=1, scenario_id="x")
    llr = PerfectCsi()(batch.observation, batch.truth)
    wrong = ((llr < 0) != batch.truth.coded_bits.bool()).double()
    claimed = 1 / (1 + torch.exp(llr.abs().double()))
    assert 0.03 < float(wrong.mean()) < 0.3
    # the residual interference of a slot is not Gaussian nor independent: 5 % of the claim
    assert abs(float(claimed.mean() / wrong.mean()) - 1) < 0.05


IMPOSSIBLE = [
    ({"num_layers": 2}, "allowed: 1 .TS 38.211 §6.3.1"),
    ({"mcs_table": 4}, "allowed: 1, 2, 3 .TS 38.214 §6.1.4.1"),
    ({"mcs_index": 28}, "allowed: 0 to 27 .TS 38.214 §6.1.4.1"),
    ({"dmrs": {"config_type": 2}}, "allowed: 1 .TS 38.211 §6.4.1.1.3"),
    ({"dmrs": {"num_cdm_groups_without_data": 1}}, "allowed: 2 .TS 38.212"),
    ({"dmrs": {"low_papr_type": 2}}, "needs pi/2-BPSK .*TS 38.211 §6.4.1.1.1.2"),
    ({"dmrs": {"n_id": 1008}}, "allowed: 0 to 1007 .nPUSCH-Identity"),
    ({"transform_precoding": False, "pi2_bpsk": True}, "needs transform_precoding"),
    ({"transform_precoding": False, "dmrs": {"hopping": "group"}}, "needs transform_precoding"),
]


@pytest.mark.parametrize(("keys", "message"), IMPOSSIBLE)
def test_impossible_allocations_are_refused_with_the_clause(keys, message):
    with pytest.raises(ValidationError, match=message):
        Pusch.model_validate({"transform_precoding": True, **keys})


def test_allocations_without_a_small_dft_are_refused():
    with pytest.raises(InputError, match=r"products of 2, 3 and 5 .TS 38.211 §6.3.1.4"):
        PuschGrid.build(Carrier(num_prb=7), Pusch(transform_precoding=True), Users())


def type_2(num_prb, **dmrs):
    pusch = Pusch(transform_precoding=True, pi2_bpsk=True, mcs_index=0, dmrs=Dmrs(low_papr_type=2, **dmrs))
    return LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=pusch,
        num_rx_ant=2,
        channel={"name": "tdl", "profile": "A", "delay_spread_ns": 20, "max_doppler_hz": 0},
    )


@pytest.mark.parametrize("num_prb", [1, 2, 3, 4])
def test_short_type_2_dmrs(num_prb):
    # pi2BPSK-ScramblingID chooses the group: TS 38.211 §6.4.1.1.1.2
    config = type_2(num_prb, n_id=30 * 2000 + 7)
    grid = dmrs_grid(config.carrier, config.pusch, 0)
    np.testing.assert_allclose(grid[2, ::2], sqrt(2) * low_papr_type_2(7, 0, 6 * num_prb), atol=1e-6)
    link = Link(config)
    batch = link.batch(range(2), 30.0, seed=1, scenario_id="x")
    for receiver in (LsLinear(), Lmmse(), Blind()):
        assert not link.count_errors(receiver(batch.observation, batch.truth), batch).block_errors.any(), receiver.name


@pytest.mark.parametrize(("num_prb", "group", "silent"), [(1, 4, 1), (2, 26, 8), (4, 17, 2)])
def test_pilots_without_power_are_refused(num_prb, group, silent):
    with pytest.raises(InputError, match=rf"leaves {2 * silent} of {12 * num_prb} pilots without power"):
        Link(type_2(num_prb, n_id=group))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((30, 0, 12), "sequence group u: got 30"), ((0, 0, 10), "multiples of 6 .TS 38.211 §5.2.3")],
)
def test_impossible_type_2_sequences_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        low_papr_type_2(*arguments)
