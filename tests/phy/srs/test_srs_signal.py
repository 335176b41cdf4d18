"""The SRS: the table's closed form, hopping, cyclic shifts, sequences, and every refusal in one line."""

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from ran.errors import InputError
from ran.phy.config import Carrier, Srs
from ran.phy.srs import (
    bandwidth_levels,
    base_sequence,
    comb_of_port,
    cyclic_shift_of_port,
    first_prb,
    is_sent,
    srs_grid,
    srs_subcarriers,
    srs_symbols,
    widest_configuration,
)

CARRIER = Carrier(num_prb=275, subcarrier_spacing_khz=30)
COMBS = [(comb, ports, shift) for comb in (2, 4, 8) for ports in (1, 2, 4) for shift in (0, 1, 5)]


def test_every_level_divides_the_one_above():
    rows = [bandwidth_levels(c_srs) for c_srs in range(64)]
    for levels in rows:
        assert levels[0][1] == 1
        assert all(wide == num_prb * parts for (wide, _), (num_prb, parts) in itertools.pairwise(levels))
        assert all(num_prb % 4 == 0 for num_prb, _ in levels)
    assert len(set(rows)) == 64
    # the rows are in the order of their bandwidth, and then of the first level's parts, widest first
    assert [levels[0][0] for levels in rows] == sorted(levels[0][0] for levels in rows)
    assert (rows[0][0][0], rows[63][0][0]) == (4, 272)
    with pytest.raises(InputError, match="c_srs: got 64; allowed: 0 to 63"):
        bandwidth_levels(64)


def test_widest_configuration():
    for num_prb, m_srs in ((4, 4), (51, 48), (106, 104), (273, 272), (275, 272)):
        assert bandwidth_levels(widest_configuration(num_prb))[0][0] == m_srs
    with pytest.raises(InputError, match="num_prb: got 3; allowed: 4 or more"):
        widest_configuration(3)


def hops(srs, count):
    """First PRBs of successive transmissions of a periodic SRS."""
    found = []
    for number in range(count):
        frame, slot = divmod(number * srs.period_slots, 20)
        found.append(first_prb(CARRIER.model_copy(update={"slot_number": slot}), srs, frame_number=frame))
    return found


@pytest.mark.parametrize("c_srs", [9, 13, 28, 49, 61, 63])
@pytest.mark.parametrize(("b_hop", "b_srs"), [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
def test_hopping_sounds_every_part_once(c_srs, b_hop, b_srs):
    levels = bandwidth_levels(c_srs)
    srs = Srs(c_srs=c_srs, b_srs=b_srs, b_hop=b_hop, n_rrc=3, period_slots=1)
    width, band = levels[b_srs][0], levels[b_hop][0]
    found = hops(srs, 2 * band // width)
    start = first_prb(CARRIER, Srs(c_srs=c_srs, b_srs=b_hop, b_hop=3, n_rrc=3))
    assert sorted(found[: band // width]) == list(range(start, start + band, width))
    assert found[: band // width] == found[band // width :]


def test_order_of_hops():
    # 17 parts: floor(17 / 2) = 8 parts further every time; 2 parts of 2: the halves in turn, bit-reversed below
    assert hops(Srs(c_srs=63, b_srs=1, period_slots=2), 17) == [16 * (8 * n % 17) for n in range(17)]
    four = Srs(c_srs=17, b_srs=2, period_slots=1)  # 64 PRBs, 2 x 2 parts of 16
    assert hops(four, 4) == [0, 32, 16, 48]


def test_hops_within_a_slot():
    srs = Srs(c_srs=17, b_srs=1, num_symbols=4, start_position=5, repetition=2)
    assert srs_symbols(CARRIER, srs) == (8, 9, 10, 11)
    assert [first_prb(CARRIER, srs, index) for index in range(4)] == [0, 0, 32, 32]


def test_position_in_the_frequency_domain():
    inner = Carrier(num_prb=52, first_crb=20)
    # n_shift counts from the bandwidth part where that is above it, else from common resource block 0
    assert first_prb(inner, Srs(c_srs=12, n_shift=3)) == 3
    assert first_prb(inner, Srs(c_srs=12, n_shift=24)) == 4
    assert first_prb(inner, Srs(c_srs=0, n_shift=3, bwp_start_crb=30)) == 13
    assert first_prb(inner, Srs(c_srs=12, b_srs=1, b_hop=1, n_rrc=9)) == 32
    with pytest.raises(InputError, match="allowed: within 0 to 51"):
        first_prb(inner, Srs(c_srs=12, n_shift=5))


def test_size_that_mathworks_documents():
    # nrSRS, first example: 480 symbols of each of two ports in four OFDM symbols with CSRS = 5 and KTC = 2
    grid = srs_grid(CARRIER, Srs(c_srs=5, num_ports=2, num_symbols=4, start_position=5))
    assert np.count_nonzero(grid, axis=(1, 2)).tolist() == [480, 480]
    assert set(np.nonzero(grid)[1]) == {8, 9, 10, 11}


def test_periodic_slots():
    srs = Srs(c_srs=0, period_slots=40, offset_slots=21)
    sent = [
        (frame, slot)
        for frame in range(4)
        for slot in range(20)
        if is_sent(CARRIER.model_copy(update={"slot_number": slot}), srs, frame)
    ]
    assert sent == [(1, 1), (3, 1)]
    with pytest.raises(InputError, match="period_slots 40 and offset_slots 21"):
        srs_grid(CARRIER, srs)


@pytest.mark.parametrize(("comb", "ports", "shift"), COMBS)
def test_ports_are_orthogonal_and_of_constant_power(comb, ports, shift):
    carrier = Carrier(num_prb=24)
    srs = Srs(c_srs=5, comb=comb, comb_offset=1, num_ports=ports, cyclic_shift=shift, start_position=2)
    grid = srs_grid(carrier, srs)
    assert grid.shape == (ports, 14, 288)
    assert set(np.nonzero(grid)[1]) == {11}
    sent = grid[:, 11].astype(complex)
    length = 20 * 12 // comb
    assert (np.count_nonzero(sent, axis=1) == length).all()
    np.testing.assert_allclose(np.abs(sent[sent != 0]), ports**-0.5, rtol=1e-6)
    np.testing.assert_allclose(sent @ sent.conj().T, length / ports * np.eye(ports), atol=1e-4)
    for port in range(ports):
        places = srs_subcarriers(carrier, srs, comb_of_port(srs, port))
        # a cyclic shift is an advance in time: all of a port's energy is in one tap
        taps = np.fft.ifft(sent[port, places] * base_sequence(carrier, srs).conj())
        place = -length * cyclic_shift_of_port(srs, port) // srs.max_cyclic_shifts % length
        np.testing.assert_allclose(np.abs(taps), ports**-0.5 * (np.arange(length) == place), atol=1e-6)


def test_shifts_and_combs_of_four_ports():
    def ports(**srs):
        made = Srs(c_srs=5, num_ports=4, **srs)
        return [(comb_of_port(made, p), cyclic_shift_of_port(made, p)) for p in range(4)]

    assert ports(comb=2, cyclic_shift=1) == [(0, 1), (0, 3), (0, 5), (0, 7)]
    assert ports(comb=4, cyclic_shift=7, comb_offset=3) == [(3, 7), (1, 10), (3, 1), (1, 4)]
    # comb 8 has six shifts, four do not fit evenly: two of them on two combs
    assert ports(comb=8, cyclic_shift=1, comb_offset=2) == [(2, 1), (6, 1), (2, 4), (6, 4)]


def gold_bit_by_bit(c_init, length):
    first, second = [1] + 30 * [0], [c_init >> i & 1 for i in range(31)]
    for n in range(1600 + length - 31):
        first.append(first[n + 3] ^ first[n])
        second.append(second[n + 3] ^ second[n + 2] ^ second[n + 1] ^ second[n])
    return [a ^ b for a, b in zip(first[1600:], second[1600:], strict=True)]


def test_group_and_sequence_hopping():
    carrier = Carrier(num_prb=24, slot_number=3)
    plain = {"c_srs": 6, "num_symbols": 2, "start_position": 4}
    time = 14 * 3 + 9  # the first symbol, counted in the frame
    bits = gold_bit_by_bit(500, 8 * time + 16)
    for index in range(2):
        f_gh = sum(bits[8 * (time + index) + m] << m for m in range(8)) % 30
        grouped = base_sequence(carrier, Srs(**plain, n_id=500, hopping="group"), index)
        fixed = base_sequence(carrier, Srs(**plain, n_id=(f_gh + 500) % 30), index)
        np.testing.assert_array_equal(grouped, fixed)
    numbers = gold_bit_by_bit(501, time + 2)[time:]
    v = [base_sequence(carrier, Srs(**plain, n_id=501, hopping="sequence"), index) for index in range(2)]
    same = [np.array_equal(v[index], base_sequence(carrier, Srs(**plain, n_id=501), index)) for index in range(2)]
    assert same == [number == 0 for number in numbers]
    # sequences below 72 have one number alone
    short = Srs(c_srs=0, n_id=501, hopping="sequence")
    np.testing.assert_array_equal(base_sequence(carrier, short), base_sequence(carrier, Srs(c_srs=0, n_id=501)))


def test_peak_power_is_far_below_that_of_random_symbols():
    carrier = Carrier(num_prb=24)

    def papr_db(rows):
        power = np.abs(np.fft.ifft(rows, 2048, axis=-1)) ** 2
        return 10 * np.log10(power.max(-1) / power.mean(-1))

    sent = np.stack([srs_grid(carrier, Srs(c_srs=6, n_id=n_id))[0, 13] for n_id in range(30)])
    random = sent.copy()
    random[sent != 0] = np.exp(0.5j * np.pi * np.random.default_rng(1).integers(4, size=np.count_nonzero(sent)))
    # the largest of 144 random taps has about ln 144 = 7 dB at least; a Zadoff-Chu sequence has none above the others
    assert papr_db(sent).max() < papr_db(random).min()
    assert papr_db(sent).mean() < papr_db(random).mean() - 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"c_srs": 64}, "less than or equal to 63"),
        ({"comb": 4, "comb_offset": 4}, "comb_offset 4 with comb 4; allowed: 0 to 3"),
        ({"comb": 8, "cyclic_shift": 6}, "cyclic_shift 6 with comb 8; allowed: 0 to 5"),
        ({"num_symbols": 4, "start_position": 2}, "start_position 2 with num_symbols 4; allowed: 3 to 13"),
        ({"num_symbols": 4, "start_position": 3, "repetition": 8}, "repetition 8 with num_symbols 4; allowed: 1, 2, 4"),
        ({"period_slots": 3}, "period_slots 3; allowed: 1, 2, 4, 5, 8"),
        ({"period_slots": 4, "offset_slots": 4}, "offset_slots 4 with period_slots 4; allowed: 0 to 3"),
        ({"offset_slots": 1}, "offset_slots 1 with period_slots None; allowed: 0 to 0"),
        ({"num_ports": 8}, "Input should be 1, 2 or 4"),
    ],
)
def test_refusals(values, message):
    with pytest.raises(ValidationError, match=message):
        Srs(**{"c_srs": 5} | values)


def test_symbols_are_within_the_slot():
    extended = Carrier(subcarrier_spacing_khz=60, cyclic_prefix="extended")
    assert srs_symbols(extended, Srs(c_srs=0, start_position=11)) == (0,)
    with pytest.raises(InputError, match="start_position: got 12; allowed: 0 to 11 with 12 symbols"):
        srs_symbols(extended, Srs(c_srs=0, start_position=12))
