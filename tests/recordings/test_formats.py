"""Every format of recordings: slots that are written are read back bit for bit, and damage is a line each."""

import json
import struct

import numpy as np
import pytest
import torch
from recorded_slots import Made, make

from ran.datasets import sigmf
from ran.errors import InputError
from ran.phy.ofdm import Ofdm
from ran.recordings.block_floating_point import compress, decompress
from ran.recordings.config import DecodeConfig
from ran.recordings.data_lake import fapi_row, write_data_lake
from ran.recordings.decode import Decoding
from ran.recordings.grids import write_grids
from ran.recordings.packets import write_packets
from ran.recordings.read import read
from ran.recordings.slot_result import Decoded
from ran.recordings.text import as_values, write_text_dump
from receivers import RECEIVERS

OPTIONS = {
    "carrier": {"num_prb": 24, "slot_number": 4, "n_cell_id": 41},
    "pusch": {"mcs_index": 10, "n_rnti": 17000, "allocation": {"first_prb": 5, "num_prb": 16}},
}


def config(**more) -> DecodeConfig:
    return DecodeConfig(**{**OPTIONS, **more})


@pytest.fixture(scope="module")
def made() -> Made:
    return make(config(), 3, 2)


def quantised(grids: np.ndarray, width: int) -> np.ndarray:
    """What block floating point leaves of grids."""
    values = decompress(compress(as_values(grids), width), width)
    return (values[..., 0] + 1j * values[..., 1]).reshape(grids.shape).astype(np.complex64)


def decoded(recording, options: DecodeConfig) -> Decoded:
    return Decoding(options, {"lmmse": RECEIVERS["lmmse"]()}).run(recording)


def all_received(found: Decoded, made: Made) -> bool:
    blocks = [result.blocks[0] for result in found.results]
    right = [np.array_equal(b.payload, p) for b, p in zip(blocks, made.payloads, strict=True)]
    return all(block.received for block in blocks) and all(right) and not found.problems


@pytest.mark.parametrize("width", [9, 14, 16])
@pytest.mark.parametrize("compression", ["bfp", "none"])
def test_text(tmp_path, made, width, compression):
    path = tmp_path / "slots.txt"
    scaled = (
        made.grids
        if width == 16 or compression == "bfp"
        else np.trunc(made.grids.view(np.float32) / 512).view(np.complex64)
    )
    write_text_dump(path, scaled, width, compression)
    options = config(num_rx_ant=2, fronthaul={"compression": compression})
    found = read(path, options)
    expected = quantised(scaled, width) if compression == "bfp" else scaled
    assert [slot.slot_number for slot in found.slots] == [4, 5, 6]
    assert np.array_equal(np.stack([slot.grid for slot in found.slots]), expected)
    assert found.problems == []
    assert f"{width} bits" in found.notes[0]
    if compression == "bfp" or width == 16:
        assert all_received(decoded(found, options), made)


def test_text_of_other_programs(tmp_path, made):
    """Several PRBs a line, 0x, separators, comments; antennas before symbols; a part of the carrier."""
    values = as_values(made.grids[:1])[0]  # [antenna, symbol, PRB, 12, 2]
    octets = compress(values[:, :, 4:22], 9)
    text = ["# antenna, symbol, PRB", ""]
    for antenna in octets:
        for symbol in antenna:
            text.append("0x" + ", 0x".join(row.tobytes().hex(" ") for row in symbol) + "  // a symbol")
    path = tmp_path / "slots.dump"
    path.write_text("\n".join(text))
    options = config(
        num_rx_ant=2, fronthaul={"bit_width": 9, "order": "antenna symbol prb", "num_prb": 18, "first_prb": 4}
    )
    found = read(path, options)
    assert np.array_equal(found.slots[0].grid[..., 48:264], quantised(made.grids[:1], 9)[0][..., 48:264])
    assert found.slots[0].missing[..., :48].all()
    assert not found.slots[0].missing[..., 48:264].any()
    result = decoded(found, options)
    assert result.results[0].blocks[0].received
    assert not result.problems


def test_damaged_text(tmp_path, made):
    path = tmp_path / "slots.txt"
    write_text_dump(path, made.grids, 9)
    lines = path.read_text().splitlines()
    lines[700] = lines[700][:-4]
    lines[701] = "not hexadecimal"
    path.write_text("\n".join(lines[:-10]))
    options = config(num_rx_ant=2)
    found = read(path, options)
    assert [slot.name for slot in found.slots] == ["slot 0"]
    assert found.problems[0] == "slots.txt: line 701: got 26 bytes; allowed: 28, a PRB"
    assert found.problems[1] == "slots.txt: line 702: no hexadecimal digits in pairs"
    assert "multiples of 14 symbols x 2 antennas x 24 PRBs = 672; is it truncated?" in found.problems[2]
    assert "slot 1: left out" in found.problems[3]
    assert decoded(found, options).results[0].blocks[0].received
    for text, message in (
        ("", "no line of hexadecimal"),
        ("aabb\n", "lines of 2 bytes; allowed: 1 and 3 bytes per bit"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read(path, options)


@pytest.mark.parametrize("section_header", [True, False])
@pytest.mark.parametrize("width", [9, 14])
def test_packets(tmp_path, made, section_header, width):
    path = tmp_path / "slots.pcap"
    options = config(fronthaul={} if section_header else {"bit_width": width})
    write_packets(path, made.grids, [4, 5, 27], options.carrier, width, section_header=section_header, most_bytes=500)
    found = read(path, options)
    assert [slot.name for slot in found.slots] == ["frame 0 slot 4", "frame 0 slot 5", "frame 1 slot 7"]
    assert [slot.slot_number for slot in found.slots] == [4, 5, 7]
    assert np.array_equal(np.stack([slot.grid for slot in found.slots]), quantised(made.grids, width))
    assert all(slot.missing is None for slot in found.slots)
    assert decoded(found, options).results[0].blocks[0].received


def test_packets_follow_the_layout_of_the_specification(tmp_path):
    """One message written byte by byte: Ethernet with VLAN, eCPRI, O-RAN header, section, 16 bits plain."""
    values = (np.arange(24) * 100 - 1000).astype(">i2")
    section = struct.pack(">I", 7 << 20 | 3 << 8 | 1) + bytes([0x00, 0x00]) + values.tobytes()
    # uplink, payload version 1, filter 0; frame 200, subframe 6, slot 1, symbol 9
    body = struct.pack(">HBB", 5, 77, 0x80) + bytes([0x10, 200, 0x60, 0x49]) + section
    frame = bytes(12) + b"\x81\x00\x00\x06\xae\xfe" + struct.pack(">BBH", 0x10, 0, len(body)) + body + bytes(3)
    other = bytes(12) + b"\x08\x00" + bytes(40)
    for order, magic in ((">", 0xA1B2C3D4), ("<", 0xA1B23C4D)):
        raw = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
        for packet in (other, frame):
            raw += struct.pack(order + "IIII", 0, 0, len(packet), len(packet)) + packet
        path = tmp_path / "one.pcap"
        path.write_bytes(raw)
        found = read(path, config())
        slot = found.slots[0]
        assert (slot.name, slot.slot_number) == ("frame 200 slot 13", 13)
        assert slot.grid[0, 9, 36:48].tolist() == (values[0::2] + 1j * values[1::2]).tolist()
        assert not slot.missing[0, 9, 36:48].any()
        assert slot.missing.sum() == slot.missing.size - 12
        problem = decoded(found, config()).problems[0]
        assert problem.startswith("frame 200 slot 13: grid: got a slot with")


def test_damaged_packets(tmp_path, made):
    path = tmp_path / "slots.pcap"
    write_packets(path, made.grids, [4, 5, 6], config().carrier, 9, most_bytes=9000)
    raw = bytearray(path.read_bytes())
    length = 16 + struct.unpack_from("<I", raw, 32)[0]
    # the section of the 40th message, in the second slot, claims a PRB more than there is
    raw[24 + 39 * length + 16 + 14 + 4 + 4 + 4 + 3] += 1
    path.write_bytes(bytes(raw[:-100]))
    found = read(path, config())
    assert found.problems[0] == "slots.pcap: truncated after 83 packets"
    assert "packet 40: got a section of PRBs 0 to 24 with 672 bytes; allowed: 700 bytes at 9 bits" in found.problems[1]
    result = decoded(found, config())
    assert [r.name for r in result.results] == ["frame 0 slot 4"]
    assert "in 1 antennas and the symbols [5]; allowed: all of the allocation" in result.problems[0]
    assert "in 1 antennas and the symbols [13]" in result.problems[1]
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(InputError, match="got no capture file; allowed: pcap or pcapng"):
        read(path, config())


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".h5"])
def test_arrays(tmp_path, made, suffix):
    path = tmp_path / f"slots{suffix}"
    write_grids(path, made.grids)
    options = config(num_rx_ant=2)
    found = read(path, options)
    assert np.array_equal(np.stack([slot.grid for slot in found.slots]), made.grids)
    assert all_received(decoded(found, options), made)


def test_arrays_of_other_programs(tmp_path, made):
    path = tmp_path / "other.npz"
    one = made.grids[1]
    pairs = np.stack([one.real, one.imag]).transpose(3, 0, 2, 1).astype(np.int16)  # subcarrier, iq, symbol, antenna
    np.savez(path, rx=pairs, noise=np.zeros(3))
    with pytest.raises(InputError, match=r"fits 14 symbols and 288 subcarriers in 2 ways; allowed: grid.axes"):
        read(path, config(num_rx_ant=2))
    found = read(path, config(grid={"axes": "subcarrier iq symbol antenna"}))
    assert np.array_equal(found.slots[0].grid, one)
    with pytest.raises(InputError, match=r"grid.variable: got 'xr'; allowed: noise, rx; did you mean 'rx'"):
        read(path, config(grid={"variable": "xr"}))
    with pytest.raises(InputError, match="an array with an axis of 612 subcarriers"):
        read(path, config(carrier={"num_prb": 51}))
    broken = made.grids.copy()
    broken[1, 0, 3, 3] = np.nan
    write_grids(path, broken)
    found = read(path, config(num_rx_ant=2))
    assert [slot.name for slot in found.slots] == ["slot 0", "slot 2"]
    assert found.problems == ["other.npz: slot 1: left out, as it holds NaN or infinity"]
    far = made.grids.astype(np.complex128)
    far[1, 0, 3, 3] = 1e300  # finite in float64 alone
    np.savez(path, rx=far)
    assert read(path, config(num_rx_ant=2)).problems == found.problems


def test_truncated_arrays(tmp_path, made):
    """Whole slots are decoded; where the first axis is no slot, nothing is guessed."""
    path = tmp_path / "cut.npy"
    write_grids(path, made.grids)
    raw = path.read_bytes()
    path.write_bytes(raw[:-1001])
    found = read(path, config(num_rx_ant=2))
    assert found.problems == ["cut.npy: truncated, holds 2 of 3 along its first axis"]
    result = decoded(found, config())
    assert [r.blocks[0].received for r in result.results] == [True, True]
    path.write_bytes(raw[: len(raw) // 4])
    with pytest.raises(InputError, match=r"cut.npy: cannot be read: .*; allowed: .npy"):
        read(path, config(num_rx_ant=2))
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(InputError, match=r"cut.npy: cannot be read: no NumPy file; allowed: .npy"):
        read(path, config(num_rx_ant=2))
    np.save(path, made.grids[0])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        InputError, match="cannot be read: truncated, holds 1 of 2 along its first axis; allowed: whole"
    ):
        read(path, config(num_rx_ant=2, grid={"axes": "antenna symbol subcarrier"}))


def lake_rows(made: Made, options: DecodeConfig) -> list[dict]:
    rows = []
    for layout, payload in zip(made.layouts, made.payloads, strict=True):
        octets = np.packbits(payload).tobytes()
        rows.append(fapi_row(layout.carrier, layout.channel, layout.ports[0], 100, octets))
    return rows


def test_data_lake(tmp_path, made):
    options = config()
    small = (made.grids / 256).astype(np.complex64)
    write_data_lake(tmp_path, small, lake_rows(made, options))
    found = read(tmp_path, config(pusch=None))
    halves = np.stack([small.real, small.imag], -1).astype(np.float16).astype(np.float32)
    expected = halves[..., 0] + 1j * halves[..., 1]
    assert np.array_equal(np.stack([slot.grid for slot in found.slots]), expected)
    assert [slot.name for slot in found.slots] == [f"SFN 100 slot {n} RNTI 17000" for n in (4, 5, 6)]
    # nothing of the PUSCH is configured: all is in the table
    result = decoded(found, config(pusch=None))
    assert all_received(result, made)
    assert all(r.blocks[0].matches for r in result.results)
    assert read(tmp_path / "fapi.parquet", options).slots[2].slot_number == 6


@pytest.mark.parametrize("spacing", [-1, 6, 2**40])
def test_a_subcarrier_spacing_that_is_none(spacing, tmp_path, made):
    """15 kHz times two to the power of 2^40 would be a number of 128 GiB."""
    rows = [{**row, "SubcarrierSpacing": 1} for row in lake_rows(made, config())]
    rows[1]["SubcarrierSpacing"] = spacing
    write_data_lake(tmp_path, made.grids / 256, rows)
    found = read(tmp_path, config())
    assert len(found.slots) == 2
    assert f"SubcarrierSpacing: got {spacing}; allowed: 0 to 5 (FAPI)" in found.problems[0]


def test_tables_of_the_lake_whose_text_is_damaged(tmp_path, made):
    """Names and values that are no UTF-8, and a row without its time."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra aodt")
    pa = pytest.importorskip("pyarrow")
    rows = lake_rows(made, config())
    fapi, _ = write_data_lake(tmp_path, made.grids / 256, rows)
    whole = fapi.read_bytes()
    fapi.write_bytes(whole.replace(b"TsTaiNs", b"\xb0sTaiNs"))
    with pytest.raises(InputError, match="no UTF-8; allowed: a Parquet file"):
        read(tmp_path, config())
    fapi.write_bytes(whole)
    table = parquet.read_table(fapi)
    bad = pa.array([b"\xff\xfe"] * table.num_rows).view(pa.string())
    parquet.write_table(table.append_column("remark", bad), fapi)
    with pytest.raises(InputError, match="got text that is no UTF-8; allowed: a Parquet file"):
        read(tmp_path, config())
    times = table.column("TsTaiNs").combine_chunks().to_pylist()
    without = pa.array([None, *times[1:]], table.schema.field("TsTaiNs").type)
    parquet.write_table(table.set_column(table.column_names.index("TsTaiNs"), "TsTaiNs", without), fapi)
    found = read(tmp_path, config())
    assert found.problems[0] == "fapi.parquet: got 1 of 3 rows without TsTaiNs"
    assert len(found.slots) == 2


def test_damaged_data_lake(tmp_path, made):
    import pyarrow as pa
    from pyarrow import parquet

    rows = lake_rows(made, config())
    rows[1]["ulDmrsSymbPos"] = 0b101
    rows[2]["TBSize"] += 8
    fapi, fh = write_data_lake(tmp_path, made.grids / 256, rows)
    found = read(tmp_path, config())
    assert "ulDmrsSymbPos: got the symbols [0, 2]" in found.problems[0]
    result = decoded(found, config())
    assert [r.blocks[0].received for r in result.results] == [True]
    assert "transport block size: got" in result.problems[0]
    table = parquet.read_table(fapi)
    parquet.write_table(table.rename_columns([n.replace("rbStart", "rbStrt") for n in table.column_names]), fapi)
    with pytest.raises(InputError, match=r"got no column 'rbStart' of the table fapi; .*did you mean 'rbStrt'"):
        read(tmp_path, config())
    parquet.write_table(table.slice(0, 1), fapi)
    samples = parquet.read_table(fh)
    short = pa.table(
        {**{n: samples[n] for n in ("TsTaiNs", "CellId")}, "fhData": [r[:-2] for r in samples["fhData"].to_pylist()]}
    )
    parquet.write_table(short, fh)
    with pytest.raises(InputError, match=r"numbers in fhData: got 16126; allowed: whole numbers of antennas x 8064"):
        read(tmp_path, config())
    fh.unlink()
    with pytest.raises(InputError, match=r"got no such file for the table fh; allowed: one .parquet file"):
        read(tmp_path, config())
    fh.write_text("no parquet")
    with pytest.raises(InputError, match=r"fh.parquet: cannot be read"):
        read(tmp_path, config())


def waveform(made: Made, f0: float, fft_size: int, before: int, cfo_hz: float, rate_factor: float = 1.0) -> np.ndarray:
    """Slots one after the other as samples, behind noise, with a frequency offset."""
    parts = []
    for grid, layout in zip(made.grids, made.layouts, strict=True):
        ofdm = Ofdm.build(layout.carrier, fft_size, carrier_frequency_hz=f0)
        parts.append(ofdm.modulate(torch.from_numpy(grid)).numpy())
    rng = np.random.default_rng(5)
    quiet = rng.standard_normal((2, before, 2)).astype(np.float32).view(np.complex64)[..., 0]
    samples = np.concatenate([quiet, *parts, quiet[:, :100]], axis=1)
    rate = fft_size * 30e3
    return (samples * np.exp(2j * np.pi * cfo_hz * np.arange(samples.shape[1]) / rate)).astype(np.complex64)


def recorded(tmp_path, samples: np.ndarray, rate: float, f0: float):
    path, _ = sigmf.write_sigmf(tmp_path / "wave", sigmf.Recording(samples, rate, f0))
    return path


@pytest.mark.parametrize(("f0", "cfo_hz"), [(0.0, 0.0), (3.5e9, 800.0)])
def test_samples(tmp_path, made, f0, cfo_hz):
    """The first slot is found behind noise, whatever its place; phases and frequency offset are undone."""
    path = recorded(tmp_path, waveform(made, f0, 512, 3333, cfo_hz), 512 * 30e3, f0)
    found = read(path, config())
    # behind 200 to 350 ns of channel, 3 to 5 samples
    assert 3335 <= found.slots[0].measured["first_sample"] <= 3339
    # prefixes of 42 symbols and 18 samples of two antennas at 25 dB; what is left is for the DM-RS
    assert abs(found.slots[0].measured["coarse_cfo_hz"] - cfo_hz) < 60
    assert len(found.problems) == 1
    assert "samples are no whole slot and are left out" in found.problems[0]
    result = decoded(found, config())
    assert all_received(result, made)
    # without phase compensation a signal that has it is not decoded, and with it one that has not; equal steps from
    # symbol to symbol are a frequency offset, which alignment takes off
    wrong = config(samples={"carrier_frequency_hz": 0.0 if f0 else 3.5e9}, align=False)
    assert not any(r.blocks[0].received for r in decoded(read(path, wrong), wrong).results)


def test_samples_are_read_back(tmp_path, made):
    """Without an offset, from a known start, the grids come back up to the rounding of the transforms."""
    path = recorded(tmp_path, waveform(made, 0.0, 512, 640, 0.0), 512 * 30e3, 0.0)
    found = read(path, config(samples={"first_sample": 640, "cfo_hz": 0.0}))
    got = np.stack([slot.grid for slot in found.slots])
    np.testing.assert_allclose(got, made.grids, atol=2e-6 * np.abs(made.grids).max())


def test_any_slot_of_a_frame_is_found(tmp_path, made):
    path = recorded(tmp_path, waveform(made, 0.0, 512, 1000, 0.0), 512 * 30e3, 0.0)
    options = config(carrier={**OPTIONS["carrier"], "slot_number": 11}, samples={"search": "frame"})
    found = read(path, options)
    assert [slot.slot_number for slot in found.slots] == [4, 5, 6]
    with pytest.raises(InputError, match=r"no place where the DM-RS of slot 11 fit"):
        read(path, config(carrier={**OPTIONS["carrier"], "slot_number": 11}))


def test_other_rates_and_whole_numbers(tmp_path, made):
    """Another sample rate is resampled; numbers of 16 bits, interleaved; a band beside the middle; turned over."""
    from scipy.signal import resample_poly

    samples = waveform(made, 0.0, 1024, 2000, 0.0)
    faster = resample_poly(samples, 25, 24, axis=1)  # 32 MHz
    rate = 1024 * 30e3 * 25 / 24
    shifted = faster * np.exp(2j * np.pi * 3e6 * np.arange(faster.shape[1]) / rate)
    pairs = np.stack([shifted.real, shifted.imag], -1).swapaxes(0, 1)
    (tmp_path / "wave.sigmf-data").write_bytes((pairs / np.abs(pairs).max() * 30000).astype("<i2").tobytes())
    described = {"core:datatype": "ci16_le", "core:sample_rate": rate, "core:num_channels": 2}
    (tmp_path / "wave.sigmf-meta").write_text(json.dumps({"global": described, "captures": []}))
    options = config(samples={"frequency_shift_hz": 3e6})
    found = read(tmp_path / "wave.sigmf-meta", options)
    assert "resampled from 32 to 15.36 MHz" in found.notes
    assert all_received(decoded(found, options), made)
    turned = config(samples={"frequency_shift_hz": 3e6}, conjugate=True)
    path = recorded(tmp_path, shifted.conj().astype(np.complex64), rate, 0.0)
    assert all_received(decoded(read(path, turned), turned), made)


def test_damaged_samples(tmp_path, made):
    path = recorded(tmp_path, waveform(made, 0.0, 512, 1000, 0.0), 512 * 30e3, 0.0)
    with pytest.raises(InputError, match=r"sample rate: got '3 MHz'; allowed: 8.64 MHz or more, the carrier's band"):
        read(path, config(samples={"sample_rate_hz": 3e6}))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - 50003])
    found = read(path, config())
    assert "is it truncated?" in found.problems[0]
    assert "core:sha512" in found.problems[1]
    assert all(result.blocks[0].received for result in decoded(found, config()).results)
    assert len(found.slots) == 2
    path.write_bytes(raw[: 16 * 1000])
    with pytest.raises(InputError, match=r"got 1000 samples per antenna .*; allowed: 7680 or more, a slot"):
        read(path, config())


def test_unknown_names(tmp_path):
    with pytest.raises(InputError, match="got a recording of unknown format; allowed: names that end in"):
        read(tmp_path / "x.bin", config())
    with pytest.raises(InputError, match="got no such file"):
        read(tmp_path / "x.pcap", config())
