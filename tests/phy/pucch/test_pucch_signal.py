"""PUCCH signals: every bit and symbol of another maker's, format 1 by its closed forms, and refusals in one line."""

import itertools

import numpy as np
import pytest
import vectors
from pydantic import ValidationError

from ran.errors import InputError
from ran.phy.config import Carrier, Pucch
from ran.phy.low_papr import low_papr_type_1
from ran.phy.pucch import cover, data_mask, despread, dmrs_mask, dmrs_symbols, hops, pucch_grid, spread, uci_code
from ran.phy.sequences import gold_sequence

CARRIER = Carrier(num_prb=52, subcarrier_spacing_khz=15, slot_number=3)
KEYS = ("group_hopping", "hopping_id", "n_rnti", "n_id", "n_id0", "additional_dmrs", "spreading_factor", "occ_index")


def of_case(case, slot_number):
    """Carrier and PUCCH of a vector."""
    spacing, num_prb = case["subcarrier_spacing_khz"], case["carrier_num_prb"]
    carrier = Carrier(subcarrier_spacing_khz=spacing, num_prb=num_prb, slot_number=slot_number)
    number = int(case["format"])
    values = {key: case[key] for key in (*KEYS, "initial_cyclic_shift") if key in case}
    if number in (3, 4):
        values["modulation"] = case["modulation"]
    if number in (2, 3):
        values["num_prb"] = case["num_prb"]
    if case["intra_slot_hopping"] and case["num_symbols"] > 1:
        values["second_hop_prb"] = case["second_hop_prb"]
    time = {key: case[key] for key in ("start_symbol", "num_symbols", "prb_start")}
    return carrier, Pucch(format=number, num_bits=case["num_uci_bits"], **time, **values)


@pytest.mark.parametrize(("number", "count"), [(0, 16), (2, 18), (3, 12), (4, 16)])
def test_signals_of_another_maker(number, count):
    cases, get = vectors.load("polar_small_block.npz")
    mine = [case for case in cases if case["kind"] == "pucch" and int(case["format"]) == number]
    assert len(mine) == count
    for case, slot in itertools.product(mine, (0, 1)):
        stored = case["slots"][slot]
        carrier, pucch = of_case(case, stored["slot_number"])
        bits = get(stored["uci_bits"])[None]
        if number:
            assert np.array_equal(uci_code(carrier, pucch).encode(bits)[0], get(stored["codeword_bits"])), case["id"]
        mask = get(stored["re_mask"]).astype(bool)
        expected = np.zeros(mask.shape, np.complex64)
        expected[mask] = get(stored["re_values"])
        grid = pucch_grid(carrier, pucch, bits, bool(case.get("scheduling_request")))[0]
        assert np.abs(grid - expected).max() < 1e-5, case["id"]


@pytest.mark.parametrize("num_symbols", range(4, 15))
@pytest.mark.parametrize("hop_to", [None, 40])
def test_format_1_by_the_text_of_the_standard(num_symbols, hop_to):
    """No vectors exist: sums as the clause writes them, with N_SF of table 6.3.2.4.1-1 and of 6.4.1.3.1.1-1 by hand."""
    bits, n_id, m_0 = (1, 0), 500, 5
    pucch = Pucch(
        format=1, num_bits=2, num_symbols=num_symbols, second_hop_prb=hop_to, prb_start=2, hopping_id=n_id,
        initial_cyclic_shift=m_0, group_hopping="enable",
    )  # fmt: skip
    grid = pucch_grid(CARRIER, pucch, [bits])[0]
    d = ((1 - 2 * bits[0]) + 1j * (1 - 2 * bits[1])) / np.sqrt(2)
    groups = gold_sequence(n_id // 30, 1000)
    shifts = gold_sequence(n_id, 2000)
    data, pilots = num_symbols // 2, -(-num_symbols // 2)
    # N_SF,0 of the data and of the DM-RS with hopping, by length
    with_hopping = {
        4: (1, 1),
        5: (1, 1),
        6: (1, 2),
        7: (1, 2),
        8: (2, 2),
        9: (2, 2),
        10: (2, 3),
        11: (2, 3),
        12: (3, 3),
    }
    first = with_hopping.get(num_symbols, (3, 3) if num_symbols == 13 else (3, 4))
    expected = np.zeros_like(grid)
    for l in range(num_symbols):  # noqa: E741
        in_first = hop_to is None or (l // 2 < first[0] if l % 2 else l // 2 < first[1])
        hop = 0 if in_first else 1
        start = 7 * 2 * CARRIER.slot_number
        f_gh = sum(2**m * int(groups[8 * (2 * 3 + hop) + m]) for m in range(8)) % 30
        n_cs = sum(2**m * int(shifts[8 * (start + l) + m]) for m in range(8))
        base = low_papr_type_1((f_gh + n_id % 30) % 30, 0, 12)
        alpha = 2 * np.pi / 12 * ((m_0 + n_cs) % 12)
        prb = 2 if hop == 0 else hop_to
        sequence = np.exp(1j * alpha * np.arange(12)) * base
        expected[l, 12 * prb : 12 * prb + 12] = sequence * (d if l % 2 else 1)
    assert np.abs(grid - expected).max() < 1e-6
    counts = [sum(symbol % 2 for symbol in hop.symbols) for hop in hops(CARRIER, pucch)]
    assert (sum(counts), len(dmrs_symbols(pucch))) == (data, pilots)
    if hop_to is not None:
        assert counts[0] == first[0]


@pytest.mark.parametrize("length", range(1, 8))
def test_covers_of_format_1_are_orthogonal(length):
    matrix = np.stack([cover(length, index) for index in range(length)])
    assert np.abs(matrix @ matrix.conj().T - length * np.eye(length)).max() < 1e-12
    assert np.abs(np.abs(matrix) - 1).max() < 1e-12


def test_users_of_a_format_1_resource_are_orthogonal():
    """Twelve shifts and three covers in one PRB with hopping: data and DM-RS separate without any channel estimate."""
    users = [
        pucch_grid(CARRIER, Pucch(format=1, second_hop_prb=51, initial_cyclic_shift=m, occ_index=n), [[1]])[0]
        for m in range(12)
        for n in range(3)
    ]
    for rows in (slice(0, 7, 2), slice(1, 7, 2), slice(7, 14, 2), slice(8, 14, 2)):
        parts = np.stack([user[rows].ravel() for user in users])
        gram = parts @ parts.conj().T
        assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-4 * np.abs(gram).max()


@pytest.mark.parametrize("spreading_factor", [2, 4])
def test_users_of_a_format_4_resource_are_orthogonal(spreading_factor):
    """On the grid they are on combs of their own; their DM-RS have shifts apart."""
    rng = np.random.default_rng(0)
    grids, resources = [], []
    for n in range(spreading_factor):
        pucch = Pucch(format=4, num_bits=10, num_symbols=6, spreading_factor=spreading_factor, occ_index=n, n_rnti=n)
        resources.append(pucch)
        grids.append(pucch_grid(CARRIER, pucch, rng.integers(0, 2, (1, 10)))[0])
    mask = data_mask(CARRIER, resources[0])
    used = np.stack([np.abs(grid[mask]) > 1e-5 for grid in grids])
    assert used.sum(0).max() == 1
    pilots = np.stack([grid[1, :12] for grid in grids])
    assert np.abs(pilots @ pilots.conj().T - 12 * np.eye(spreading_factor)).max() < 1e-4
    for pucch, grid in zip(resources, grids, strict=True):
        symbols = despread(pucch, grid[mask])
        assert np.abs(np.abs(symbols) - 1).max() < 1e-5
        assert np.abs(spread(pucch, symbols) - grid[mask]).max() < 1e-5


def test_power_and_shapes():
    for pucch in (
        Pucch(format=0, num_symbols=2), Pucch(format=1), Pucch(format=2, num_bits=40, num_symbols=2, num_prb=4),
        Pucch(format=3, num_bits=30, num_prb=3, modulation="pi/2-BPSK"), Pucch(format=4, num_bits=4, num_symbols=5),
    ):  # fmt: skip
        bits = np.random.default_rng(1).integers(0, 2, (200, pucch.num_bits))
        grid = pucch_grid(CARRIER, pucch, bits)
        assert (grid.shape, grid.dtype) == ((200, 14, 624), np.complex64)
        mask = data_mask(CARRIER, pucch) | dmrs_mask(CARRIER, pucch)
        assert np.mean(np.abs(grid[:, mask]) ** 2) == pytest.approx(1, abs=0.03)
        assert not grid[:, ~mask].any()
        assert pucch_grid(CARRIER, pucch, bits[:0]).shape == (0, 14, 624)


def test_nothing_is_sent_without_a_request():
    alone = Pucch(format=0, num_bits=0, num_symbols=1)
    assert not pucch_grid(CARRIER, alone, np.zeros((1, 0))).any()
    assert np.count_nonzero(pucch_grid(CARRIER, alone, np.zeros((1, 0)), scheduling_request=True)) == 12


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 0, "num_symbols": 3}, "num_symbols 3 of PUCCH format 0; allowed: 1 to 2"),
        ({"format": 1, "num_bits": 3}, "num_bits 3 of PUCCH format 1; allowed: 1 to 2"),
        ({"format": 1, "start_symbol": 1}, "start_symbol 0 to 0, within the slot"),
        ({"format": 1, "num_prb": 2}, "num_prb 2 of PUCCH format 1; allowed: in formats 2, 3"),
        ({"format": 1, "num_symbols": 4, "second_hop_prb": 9, "occ_index": 1}, "allowed: 0 to 0"),
        ({"format": 2, "num_bits": 4, "num_symbols": 1, "second_hop_prb": 9}, "allowed: from 2 symbols on"),
        ({"format": 3, "num_bits": 4, "num_prb": 7}, "num_prb 7 of PUCCH format 3; allowed: 1, 2, 3, 4, 5, 6, 8"),
        ({"format": 4, "num_bits": 4, "occ_index": 2}, "occ_index 2 of PUCCH format 4 here; allowed: 0 to 1"),
        ({"format": 4, "num_bits": 116}, "num_bits 116 of PUCCH format 4; allowed: 3 to 115"),
    ],
)
def test_refusals_of_a_resource(values, message):
    with pytest.raises(ValidationError, match=message):
        Pucch(**values)


def test_refusals_on_a_carrier():
    with pytest.raises(InputError, match="second_hop_prb of the PUCCH: got 52; allowed: 0 to 51"):
        pucch_grid(CARRIER, Pucch(format=1, second_hop_prb=52), [[0]])
    extended = Carrier(subcarrier_spacing_khz=60, cyclic_prefix="extended")
    with pytest.raises(InputError, match=r"up to 12, the symbols of the slot \(TS 38.211"):
        pucch_grid(extended, Pucch(format=1), [[0]])
    with pytest.raises(InputError, match="num_bits of the PUCCH: got 20; allowed: up to 16"):
        pucch_grid(CARRIER, Pucch(format=2, num_bits=20, num_symbols=1), np.zeros((1, 20)))
    with pytest.raises(InputError, match=r"shape of PUCCH bits: got \(1, 2\); allowed: \[batch, 1\]"):
        pucch_grid(CARRIER, Pucch(format=1), [[0, 1]])
    with pytest.raises(InputError, match="PUCCH bits: got 2; allowed: 0 and 1"):
        pucch_grid(CARRIER, Pucch(format=1), [[2]])
    with pytest.raises(InputError, match="scheduling_request: got True; allowed: format 0"):
        pucch_grid(CARRIER, Pucch(format=1), [[0]], scheduling_request=True)
