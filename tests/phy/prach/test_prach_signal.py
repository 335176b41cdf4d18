"""Preambles: another maker's vectors and waveforms, properties of Zadoff-Chu sequences, tables by hash, refusals."""

import hashlib

import numpy as np
import pytest
import vectors
from pydantic import ValidationError

from ran.errors import InputError
from ran.phy.config import Carrier, Prach
from ran.phy.prach import (
    cyclic_shifts,
    doppler_shift,
    first_subcarrier,
    num_cyclic_shifts,
    num_prefix_samples,
    num_repetitions,
    place,
    prach_demodulate,
    prach_waveform,
    preamble,
    preamble_set,
    prefix_s,
    root_of,
    root_sequence,
)

SHORT = ("A1", "A2", "A3", "B1", "B2", "B3", "B4", "C0", "C2")


def of_case(case):
    """Carrier and preamble of a vector; its format is told by repetitions and prefix."""
    carrier = Carrier(
        subcarrier_spacing_khz=case["carrier_subcarrier_spacing_khz"], num_prb=case["carrier_num_prb"]
    )  # fmt: skip
    names = ("root_sequence_index", "zero_correlation_zone", "preamble_index")
    values = {name: case[name] for name in names} | {"subcarrier_spacing_khz": case["prach_subcarrier_spacing_khz"]}
    prefix = case["cyclic_prefix_lengths"][case["grid_symbols"][0]]
    for name in SHORT:
        prach = Prach(format=name, **values)
        extra = prefix - prefix_s(prach) * case["sample_rate_hz"]
        if num_repetitions(prach) == case["num_repetitions"] and round(extra) in (0, 16):
            break
    first = case["frequency_start_prb"] + place(carrier, prach)[0] * case["frequency_index"]
    return carrier, prach.model_copy(update={"first_prb": first})


def test_preambles_of_another_maker():
    cases, get = vectors.load("prach.npz")
    assert len(cases) == 16
    compared = 0
    for case in cases:
        carrier, prach = of_case(case)
        cell = preamble_set(prach)
        assert cell.roots[cell.root_index[prach.preamble_index]] == case["root"], case["id"]
        assert cell.cyclic_shifts[prach.preamble_index] == case["cyclic_shift"], case["id"]
        assert num_cyclic_shifts(prach) == case["num_cs"], case["id"]
        values = get(case["preamble"]) / np.sqrt(139)
        assert np.abs(preamble(prach) - values).max() < 1e-5, case["id"]
        at = first_subcarrier(carrier, prach) + case["grid_shape"][1] // 2
        assert at == case["grid_first_subcarrier"], case["id"]
        if "waveform" not in case:
            continue
        stored, rate = get(case["waveform"]), case["sample_rate_hz"]
        start_s = case["waveform_first_sample"] / rate % 1e-3
        mine = prach_waveform(carrier, prach, rate, start_s)
        assert mine.shape == stored.shape, case["id"]
        factor = np.vdot(mine, stored) / np.vdot(mine, mine)
        assert np.abs(factor * mine - stored).max() < 1e-6 * np.abs(stored).max(), case["id"]
        sent = prach_demodulate(carrier, prach, mine, rate, start_s)
        assert np.abs(sent - preamble(prach)).max() < 1e-5
        compared += 1
    assert compared == 8


def test_long_roots():
    """All 838 entries, by the digest of the table that two public base stations agree on."""
    roots = [root_of(839, index) for index in range(838)]
    assert sorted(roots) == list(range(1, 839))
    digest = hashlib.sha256(",".join(map(str, roots)).encode()).hexdigest()
    assert digest == "0dccfdef706decb98a569eb12b011d6900d8f06485007dfb866d511d3df91538"
    assert root_of(839, 838) == roots[0]
    assert sorted(root_of(139, index) for index in range(138)) == list(range(1, 139))


@pytest.mark.parametrize("length", [139, 839])
def test_zadoff_chu(length):
    """Constant power in time and frequency, no correlation with its own shifts, 1/sqrt(L) with every other root."""
    one, other = root_sequence(length, 7), root_sequence(length, 22)
    spectrum = np.fft.fft(one, norm="ortho")
    assert np.abs(np.abs(spectrum) - 1).max() < 1e-9
    own = np.fft.ifft(np.fft.fft(one) * np.fft.fft(one).conj()) / length
    assert np.abs(own[1:]).max() < 1e-9
    across = np.fft.ifft(np.fft.fft(one) * np.fft.fft(other).conj()) / length
    assert np.abs(np.abs(across) - 1 / np.sqrt(length)).max() < 1e-9


@pytest.mark.parametrize(("name", "zone"), [("0", 1), ("0", 0), ("3", 2), ("A2", 11), ("B4", 14)])
def test_preambles_of_a_cell_are_apart(name, zone):
    """A delay within N_CS takes no preamble into another's window."""
    prach = Prach(format=name, zero_correlation_zone=zone, root_sequence_index=30)
    cell = preamble_set(prach)
    assert len(cell.roots) == -(-64 // (cell.sequence_length // cell.num_cs if cell.num_cs else 1))
    pairs = set(zip(cell.root_index.tolist(), cell.cyclic_shifts.tolist(), strict=True))
    assert len(pairs) == 64
    for root in range(len(cell.roots)):
        shifts = cell.cyclic_shifts[cell.root_index == root]
        assert (np.diff(shifts) == cell.num_cs).all()
        assert shifts[-1] + cell.num_cs <= cell.sequence_length


@pytest.mark.parametrize(("name", "zones"), [("0", 15), ("3", 16)])
def test_restricted_windows_stay_apart(name, zones):
    """Type A: for every root and N_CS, windows and what one subcarrier up or down makes of them do not overlap."""
    used = 0
    for zone in range(zones):
        num_cs = num_cyclic_shifts(Prach(format=name, restricted_set="A", zero_correlation_zone=zone))
        for root in range(1, 839, 4):
            d_u, shifts = doppler_shift(839, root), cyclic_shifts(839, root, num_cs, restricted=True)
            assert d_u * root % 839 in (1, 838)
            lags = [(s + move + n) % 839 for s in shifts for move in (-d_u, 0, d_u) for n in range(num_cs)]
            assert len(set(lags)) == len(lags)
            used += len(shifts)
    assert used > 1000


def test_an_offset_of_a_subcarrier_is_a_cyclic_shift():
    for root in (1, 129, 710, 400):
        sequence = root_sequence(839, root)
        moved = sequence * np.exp(2j * np.pi * np.arange(839) / 839)
        lags = np.abs(np.fft.ifft(np.fft.fft(moved) * np.fft.fft(sequence).conj())) / 839
        d_u = doppler_shift(839, root)
        assert lags.argmax() in (d_u, 839 - d_u)
        assert lags.max() == pytest.approx(1)


def test_restricted_cell():
    cell = preamble_set(Prach(format="0", restricted_set="A", zero_correlation_zone=4, root_sequence_index=384))
    assert len(cell.root_index) == 64
    assert all(cyclic_shifts(839, root, 32, restricted=True) for root in cell.roots)


def test_durations():
    """Preamble lengths of the standard: formats 0 and 3 fill 1 ms, B4 with 12 symbols, C2 the longest prefix."""
    totals = {name: prefix_s(Prach(format=name)) for name in ("0", "1", "2", "3")}
    assert {name: round(value * 1e6, 2) for name, value in totals.items()} == {
        "0": 103.12, "1": 684.38, "2": 152.6, "3": 103.12,
    }  # fmt: skip
    b4 = Prach(format="B4", subcarrier_spacing_khz=30)
    assert prefix_s(b4) == pytest.approx(468 / 30.72e6)
    # B4 of 15 kHz from the start of a subframe overlaps two starts of half subframes
    assert num_prefix_samples(Prach(format="B4"), 30.72e6, 0.0) == 936 + 32
    assert num_prefix_samples(Prach(format="0"), 30.72e6, 0.0) == 3168


@pytest.mark.parametrize("name", ["0", "1", "2", "3", *SHORT])
def test_waveforms_come_back(name):
    carrier = Carrier(num_prb=25, subcarrier_spacing_khz=15)
    prach = Prach(format=name, zero_correlation_zone=3, preamble_index=9, first_prb=1)
    samples = prach_waveform(carrier, prach, 7.68e6)
    received = prach_demodulate(carrier, prach, samples, 7.68e6)
    assert received.shape == (num_repetitions(prach), prach.sequence_length)
    assert np.abs(received - preamble(prach)).max() < 1e-4
    first = first_subcarrier(carrier, prach) * prach.spacing_hz
    occupied = first + prach.sequence_length * prach.spacing_hz
    num_prb, _ = place(carrier, prach)
    low = (12 - 150) * 15e3
    assert low <= first
    assert occupied <= low + num_prb * 180e3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "A1", "root_sequence_index": 138}, "root_sequence_index 138 of format A1; allowed: 0 to 137"),
        (
            {"format": "A1", "restricted_set": "A"},
            "restricted_set A with format A1, .* allowed: formats 0 to 3 with 0",
        ),
        ({"format": "0", "subcarrier_spacing_khz": 15}, "subcarrier_spacing_khz 15 of format 0; allowed: null"),
    ],
)
def test_refusals_of_a_preamble(values, message):
    with pytest.raises(ValidationError, match=message):
        Prach(**values)


def test_refusals_on_a_carrier():
    carrier = Carrier(num_prb=25, subcarrier_spacing_khz=15)
    with pytest.raises(InputError, match="first_prb of the PRACH: got 14; allowed: up to 13: it takes 12 of 25 PRBs"):
        prach_waveform(carrier, Prach(format="A1", first_prb=14), 7.68e6)
    with pytest.raises(InputError, match=r"sample_rate_hz: got 3840000.0; allowed: multiples of 15000 Hz from 4.5e"):
        prach_waveform(carrier, Prach(format="A1"), 3.84e6)
    with pytest.raises(InputError, match=r"sample_rate_hz: got 4800000.0; allowed: rates at which the cyclic prefix"):
        prach_waveform(carrier, Prach(format="B1"), 4.8e6)
    with pytest.raises(InputError, match="samples of the PRACH: got 100"):
        prach_demodulate(carrier, Prach(format="A1"), np.zeros(100, np.complex64), 7.68e6)
    fr2 = Carrier(num_prb=66, subcarrier_spacing_khz=120)
    with pytest.raises(InputError, match="carrier of PRACH format 0: got 120; allowed: 15, 30, 60"):
        prach_waveform(fr2, Prach(format="0"), 122.88e6)
    with pytest.raises(InputError, match="carrier of a PRACH with 15 kHz: got 120; allowed: 15, 30, 60"):
        prach_waveform(fr2, Prach(format="A1"), 122.88e6)
