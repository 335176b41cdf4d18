"""UCI on PUSCH: codes and multiplexing against vectors of another maker and against Sionna."""

import numpy as np
import pytest
import torch
import vectors

from ran.errors import InputError
from ran.phy.config import Allocation, Carrier, Dmrs, Pusch, Uci, Users
from ran.phy.pusch import PuschGrid
from ran.phy.uci.coding import UciCode
from ran.phy.uci.multiplexing import KINDS
from ran.phy.uci.polar import PolarCode, triangle
from ran.phy.uci.small_block import X, Y, encode_small


def with_placeholders(bits: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = bits.astype(np.uint8).copy()
    out[x], out[y] = X, Y
    return out


def test_small_blocks_of_another_maker():
    cases, get = vectors.load("polar_small_block.npz")
    mine = [case for case in cases if case["kind"] == "small_block"]
    assert len(mine) == 19
    for case in mine:
        coded = encode_small(get(case["input_bits"])[None], case["bits_per_symbol"] or 2)[0]
        x, y = get(case["output_placeholder_x"]), get(case["output_placeholder_y"])
        assert np.array_equal(coded, with_placeholders(get(case["output_bits"]), x, y)), case["id"]


def test_polar_codes_of_another_maker():
    """Without the input interleaving of the downlink, which three of six cases have."""
    cases, get = vectors.load("polar_small_block.npz")
    encoded = [c for c in cases if c["kind"] == "polar_encode" and not c["input_interleaving"]]
    assert len(encoded) == 3
    for case in encoded:
        code = PolarCode(get(case["input_bits"]).size, case["e"])
        assert code.size == case["n"]
        assert np.array_equal(code.encode(get(case["input_bits"])[None])[0], get(case["output_bits"])), case["id"]
    matched = [c for c in cases if c["kind"] == "polar_rate_match" and c["coded_bit_interleaving"]]
    recovered = [c for c in cases if c["kind"] == "polar_rate_recover" and c["coded_bit_interleaving"]]
    assert matched
    assert recovered
    for case in matched:
        code = PolarCode(case["k"], case["e"])
        assert np.array_equal(code.rate_match(get(case["input_bits"])[None])[0], get(case["output_bits"])), case["id"]
    for case in recovered:
        code = PolarCode(case["k"], case["e"])
        sent = np.zeros(code.size, bool)
        sent[code.selection] = True
        hard = code.rate_recover(1 - 2 * get(case["input_bits"]).astype(np.float32)[None])[0] < 0
        assert np.array_equal(hard & sent, get(case["output_bits"]).astype(bool) & sent), case["id"]
    segmented = [c for c in cases if c["kind"] == "polar_segmentation"]
    for case in segmented:
        code = UciCode(case["a"], case["e_total"], 2)
        assert code.num_blocks == case["num_code_blocks"]
        assert np.array_equal(code.segment(get(case["input_bits"])[None])[0], get(case["output_bits"])), case["id"]


@pytest.mark.parametrize(
    ("k", "e"), [(18, 60), (20, 220), (25, 300), (31, 54), (40, 100), (64, 128), (100, 260), (200, 500), (500, 1024)]
)
def test_polar_codes_against_sionna(k, e):
    """The positions of information, the transform, and puncturing, shortening and repetition."""
    from sionna.phy.fec.polar.encoding import Polar5GEncoder

    code = PolarCode(k, e)
    if code.num_parity_bits:
        # Sionna has no parity-check bits: only the sizes can be compared
        assert code.info_positions.size == k + 3
        return
    crc = 11
    theirs = Polar5GEncoder(k - crc, e, channel_type="uplink")
    assert theirs.n_polar == code.size
    assert np.array_equal(np.sort(code.info_positions), np.sort(theirs.info_pos))
    rng = np.random.default_rng(k)
    payload = rng.integers(0, 2, (4, k - crc), dtype=np.uint8)
    uci = UciCode(k - crc, e, 2)
    expected = theirs(torch.from_numpy(payload.astype(np.float32))).numpy().astype(np.uint8)
    assert np.array_equal(uci.encode(payload), expected)


def test_the_triangle_is_read_by_columns():
    # 6 bits fill rows of 3, 2, 1: columns 0 3 5, 1 4, 2
    assert triangle(6).tolist() == [0, 3, 5, 1, 4, 2]
    assert triangle(5).tolist() == [0, 3, 1, 4, 2]


def noisy(coded: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """LLRs of antipodal bits in noise; X and Y as a decoder would find them: certain 1, the bit before again."""
    bits = coded.copy()
    for n in range(1, bits.shape[1]):
        bits[:, n] = np.where(bits[:, n] == Y, bits[:, n - 1], bits[:, n])
    bits = np.where(bits == X, 1, bits)
    variance = 10 ** (-snr_db / 10)
    y = 1 - 2.0 * bits + rng.standard_normal(bits.shape) * np.sqrt(variance)
    return (2 * y / variance).astype(np.float32)


@pytest.mark.parametrize("num_bits", [1, 2, 3, 7, 11, 12, 19, 20, 50, 370])
def test_decoders_undo_encoders(num_bits):
    rng = np.random.default_rng(num_bits)
    code = UciCode(num_bits, max(96, 4 * num_bits), 4)
    payload = rng.integers(0, 2, (40, num_bits), dtype=np.uint8)
    found = code.decode(noisy(code.encode(payload), 3.0, rng))
    assert np.array_equal(found.bits, payload)
    assert found.ok.all()
    if num_bits > 11:
        lost = code.decode(rng.standard_normal((40, code.num_coded_bits)).astype(np.float32))
        # eight candidates of a CRC of 6 or 11 bits
        assert lost.ok.mean() < (0.3 if num_bits < 20 else 0.1)


def test_list_decoding_against_sionna():
    """Block error rates of the same list size: ours within the interval of theirs."""
    from sionna.phy.fec.polar.decoding import Polar5GDecoder
    from sionna.phy.fec.polar.encoding import Polar5GEncoder

    k, e, count = 40, 120, 1000
    rng = np.random.default_rng(2)
    payload = rng.integers(0, 2, (count, k), dtype=np.uint8)
    code = UciCode(k, e, 2)
    llr = noisy(code.encode(payload), 0.0, rng)
    ours = (code.decode(llr).bits != payload).any(1).mean()
    decoder = Polar5GDecoder(Polar5GEncoder(k, e, channel_type="uplink"), dec_type="SCL", list_size=8)
    theirs = (decoder(torch.from_numpy(-llr)).numpy() != payload).any(1).mean()
    assert 0.01 < ours < 0.5, ours
    assert abs(ours - theirs) < 4 * np.sqrt(2 * max(ours, theirs) * (1 - ours) / count)


def uci_of(case: dict) -> Uci:
    given = {k: v for k, v in case["uci"].items() if not k.endswith("_index") and v is not None}
    return Uci(**given, has_ulsch=case["has_ulsch"])


def grid_of(case: dict, sent: dict) -> PuschGrid:
    names = ("mapping_type", "start_symbol", "num_symbols", "mcs_table", "mcs_index", "num_layers", "n_rnti", "n_id")
    pusch = Pusch(
        **{name: case[name] for name in (*names, "num_antenna_ports", "tpmi", "transform_precoding", "pi2_bpsk")},
        rv=sent["rv"],
        dmrs=Dmrs(**case["dmrs"]),
        uci=uci_of(case),
        allocation=Allocation(first_prb=case["prb_start"], num_prb=case["num_prb"]),
    )
    carrier = Carrier(
        subcarrier_spacing_khz=case["subcarrier_spacing_khz"],
        num_prb=case["carrier_num_prb"],
        n_cell_id=case["n_cell_id"],
        slot_number=sent["slot_number"],
    )
    return PuschGrid.build(carrier, pusch, Users())


def test_codewords_of_another_maker():
    """152 transmissions of 76 PUSCH: coded UCI, places, the multiplexed codeword, and the symbols of the ports."""
    cases, get = vectors.load("ulsch_uci.npz")
    checked = symbols = 0
    for case in cases:
        for sent in case["transmissions"]:
            grid = grid_of(case, sent)
            codeword = grid.codeword
            uci = codeword.uci
            assert codeword.transport_block.tb_size == (case["tb_size"] or codeword.transport_block.tb_size)
            payloads = {}
            for kind in KINDS:
                if not case["uci"][f"num_{kind}_bits"]:
                    continue
                payloads[kind] = get(sent[f"{kind}_bits"])[None]
                x, y = (
                    get(sent[name]) if (name := f"{kind}_coded_placeholder_{p}") in sent else np.zeros(0, int)
                    for p in "xy"
                )
                expected = with_placeholders(get(sent[f"{kind}_coded_bits"]), x, y)
                assert np.array_equal(uci.codes[kind].encode(payloads[kind])[0], expected), case["id"]
            ulsch = np.zeros(0, np.uint8)
            if case["has_ulsch"]:
                ulsch = codeword.transport_block.encode(vectors.transport_block(case["tb_size"]))[0]
                assert np.array_equal(ulsch, get(sent["ulsch_coded_bits"])), case["id"]
            ours = uci.multiplex(ulsch[None], payloads)[0]
            theirs = get(sent["codeword_bits"])
            theirs = with_placeholders(theirs, get(sent["codeword_placeholder_x"]), get(sent["codeword_placeholder_y"]))
            # what REs carry that nothing is mapped to is the maker's choice
            nothing = np.repeat(get(sent["re_source"]) == 0, case["num_layers"] * case["bits_per_symbol"])
            assert np.array_equal(ours[~nothing], theirs[~nothing]), case["id"]
            checked += 1
            if sent["port_symbols"] is None or nothing.any():
                continue
            blocks = vectors.transport_block(case["tb_size"])[None] if case["has_ulsch"] else None
            bits = torch.from_numpy(codeword.encode(blocks, {k: v[:, None] for k, v in payloads.items()}))
            x = grid.precode(grid.map_to_grid(bits))[0][:, grid.data_mask].numpy()
            # layers of power 1 there, of amplitude `layer_amplitude` here with a precoder of norm sqrt(layers)
            np.testing.assert_allclose(x, get(sent["port_symbols"]), atol=1e-5, err_msg=case["id"])
            symbols += 1
    assert checked == 152
    assert symbols >= 40


def test_uci_that_has_no_room_is_refused():
    carrier = Carrier(num_prb=1)
    with pytest.raises(InputError, match=r"coded bits of a polar code block: got 144; allowed: 511 or more"):
        PuschGrid.build(carrier, Pusch(mcs_index=0, uci=Uci(num_csi1_bits=500)), Users())
    full = Uci(num_ack_bits=9, num_csi1_bits=9, beta_offset_ack=1000.0)
    with pytest.raises(InputError, match=r"pusch.uci.*takes all of 144 resource elements|got 9 with room for"):
        PuschGrid.build(carrier, Pusch(mcs_index=0, uci=full), Users())
    with pytest.raises(ValueError, match="num_csi2_bits 5 without num_csi1_bits"):
        Uci(num_csi2_bits=5)
