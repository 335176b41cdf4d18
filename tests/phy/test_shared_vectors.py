"""Coded blocks and tables against digests of other makers' (hashes.json beside the repository)."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import vectors

from ran.phy import mcs as mcs_module
from ran.phy.codebook import num_tpmi, precoding_matrix
from ran.phy.config import Allocation, Carrier, Dmrs, Pdsch, Pusch, Users
from ran.phy.dmrs import dmrs_grid
from ran.phy.ldpc.base_graph import LIFTING_SIZES, base_graph_edges
from ran.phy.low_papr import low_papr_type_1
from ran.phy.mcs import mcs, num_mcs
from ran.phy.pdsch import PdschGrid
from ran.phy.pusch import PuschGrid
from ran.phy.transport_block import TransportBlock

_COMMON = ("mapping_type", "start_symbol", "num_symbols", "mcs_table", "mcs_index", "num_layers", "n_rnti", "n_id")
_UPLINK = ("num_antenna_ports", "tpmi", "transform_precoding", "pi2_bpsk")


def digests() -> dict:
    return json.loads(vectors.path_of("hashes.json").read_text())


def table(name: str) -> dict:
    return next(one for one in digests()["tables"] if one["name"] == name)


def block_of(case: dict) -> tuple[TransportBlock, int]:
    """The transport block of a case's allocation, and its coded bits where no other signal is in the way."""
    carrier = Carrier(
        subcarrier_spacing_khz=case["subcarrier_spacing_khz"],
        num_prb=case["carrier_num_prb"],
        n_cell_id=case["n_cell_id"],
    )
    given = {name: case[name] for name in _COMMON}
    dmrs = {name: value for name, value in case["dmrs"].items() if name != "ports"}
    given |= {"dmrs": Dmrs(**dmrs), "allocation": Allocation(first_prb=case["prb_start"], num_prb=case["num_prb"])}
    if "transform_precoding" in case:
        own = {name: case[name] for name in _UPLINK}
        if not case["codebook"]:
            own |= {"num_antenna_ports": None, "tpmi": 0}
        grid = PuschGrid.build(carrier, Pusch(**given, **own), Users())
    else:
        grid = PdschGrid.build(carrier, Pdsch(**given, dmrs_ports=tuple(case["dmrs"]["ports"])))
    block = grid.codewords[0].transport_block
    return block, block.num_coded_bits


def sent(block: TransportBlock, rv: int, num_coded_bits: int) -> bytes:
    own = replace(block, rv=rv, num_coded_bits=num_coded_bits)
    return np.packbits(own.encode(vectors.transport_block(block.tb_size))[0]).tobytes()


def test_coded_bits_of_uplink_blocks():
    """136 transmissions of 41 PUSCH without UCI, bit by bit."""
    cases, get = vectors.load("ulsch_only.npz")
    checked = 0
    for case in cases:
        block, coded = block_of(case)
        assert block.tb_size == case["tb_size"], case["id"]
        for one in case["transmissions"]:
            assert one["num_coded_ulsch"] == coded
            assert sent(block, one["rv"], coded) == np.packbits(get(one["ulsch_coded_bits"])).tobytes(), case["id"]
            checked += 1
    assert (len(cases), checked) == (41, 136)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "count"),
    [("ulsch_only", 482), ("pdsch", 124), ("pdsch_short", 246), ("pdsch_mixed", 280), ("pdsch_waveform", 80)],
)
def test_coded_blocks_by_digest(family, count):
    """Through the configuration; only where SSB, CSI-RS or PDCCH lie in the way the number of coded bits is given."""
    whole, checked, refused = hashlib.sha256(), 0, 0
    has_others = family in ("pdsch_mixed", "pdsch_waveform")
    for case in digests()[family]["cases"]:
        if not case.get("allowed_by_38214_table_5_1_2_1_1", True):
            with pytest.raises(ValueError, match=r"not possible with mapping type A|table 5.1.2.1-1"):
                block_of(case)
            refused += 1
            continue
        block, coded = block_of(case)
        assert block.tb_size == case["tb_size"], case["id"]
        for *_, rv, num_coded_bits, digest in case["transmissions"]:
            assert has_others or num_coded_bits == coded, case["id"]
            bits = sent(block, rv, num_coded_bits)
            assert hashlib.sha256(bits).hexdigest() == digest, case["id"]
            whole.update(bits)
            checked += 1
    assert (checked, refused) == (count, 14 if family == "pdsch_short" else 0)
    assert whole.hexdigest() == digests()[family]["digest"]


@pytest.mark.parametrize("base_graph", [1, 2])
def test_base_graphs(base_graph):
    wanted = table(f"ldpc_base_graph_{base_graph}_edges")
    rows = []
    for size in LIFTING_SIZES:
        edges = base_graph_edges(base_graph, size)
        rows += [(size, int(r), int(c), int(s)) for r, c, s in zip(edges.row, edges.column, edges.shift, strict=True)]
    found = np.array(sorted(rows), "<i4")
    assert len(found) == wanted["count"]
    assert hashlib.sha256(found.tobytes()).hexdigest() == wanted["sha256"]


def test_mcs_and_block_size_tables():
    wanted = table("mcs_tables")
    rows = []
    for number, (ours, precoded) in enumerate([(1, False), (2, False), (3, False), (1, True), (3, True)], 1):
        for index in range(num_mcs(ours, precoded)):
            entry = mcs(ours, index, precoded)
            rows.append((number, index, entry.bits_per_symbol, round(10 * entry.target_rate_x1024)))
    found = np.array(rows, "<i4")
    assert len(found) == wanted["count"]
    assert hashlib.sha256(found.tobytes()).hexdigest() == wanted["sha256"]
    sizes = np.array(mcs_module._SMALL_SIZES, "<i4")
    assert hashlib.sha256(sizes.tobytes()).hexdigest() == table("tbs_table")["sha256"]


@pytest.mark.parametrize("length", [12, 24])
def test_phases_of_short_sequences(length):
    phases = [np.angle(low_papr_type_1(group, 0, length)) * 4 / np.pi for group in range(30)]
    found = np.rint(phases).astype(np.int8)
    assert hashlib.sha256(found.tobytes()).hexdigest() == table(f"low_papr_phases_{length}")["sha256"]


def rounded(values: np.ndarray) -> bytes:
    pairs = np.stack([values.real, values.imag], -1)
    return np.rint(1000 * pairs).astype("<i2").tobytes()


@pytest.mark.parametrize("num_prb", [1, 4])
def test_double_dmrs_of_type_2(num_prb):
    whole = hashlib.sha256()
    dmrs = Dmrs(config_type=2, length=2, additional_position=1, num_cdm_groups_without_data=3, n_id=4)
    for cell in (0, 1, 10, 24, 99, 1006):
        for slot in (0, 1, 5, 9):
            carrier = Carrier(subcarrier_spacing_khz=15, num_prb=num_prb, n_cell_id=cell, slot_number=slot)
            for port in (0, 3, 4, 9, 11):
                grid = dmrs_grid(carrier, Pusch(dmrs=dmrs), port) / np.sqrt(3)
                symbols = grid[[2, 3, 10, 11]]
                whole.update(rounded(symbols[:, np.any(symbols != 0, axis=0)]))
    assert whole.hexdigest() == table(f"pusch_dmrs_type_2_double_{num_prb}_prb")["sha256"]


def test_precoded_dmrs():
    whole, count = hashlib.sha256(), 0
    dmrs = Dmrs(config_type=2, length=2, additional_position=0, num_cdm_groups_without_data=3, n_id=8)
    carrier = Carrier(subcarrier_spacing_khz=15, num_prb=1, slot_number=1)
    for layers, ports in ((1, 2), (1, 4), (2, 2), (2, 4), (3, 4), (4, 4)):
        grids = np.stack([dmrs_grid(carrier, Pusch(num_layers=layers, dmrs=dmrs), p) for p in range(layers)]) / np.sqrt(
            3
        )
        for tpmi in range(num_tpmi(layers, ports)):
            w = precoding_matrix(layers, ports, tpmi, False)
            whole.update(rounded(np.einsum("pl,lsk->psk", w, grids)))
            count += 1
    assert count == table("pusch_dmrs_precoded")["count"]
    assert whole.hexdigest() == table("pusch_dmrs_precoded")["sha256"]
