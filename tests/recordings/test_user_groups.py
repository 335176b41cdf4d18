"""Recordings with several users in a slot, each with resource blocks of its own."""

import csv
import json

import numpy as np
import pyarrow as pa
import pytest
import torch
import yaml
from pyarrow import parquet
from recorded_slots import make

from ran.cli.main import main
from ran.phy.numerology import symbol_times_s
from ran.recordings.config import DecodeConfig
from ran.recordings.data_lake import fapi_row, write_data_lake
from ran.recordings.decode import Decoding
from ran.recordings.grid_of_slot import grid_of
from ran.recordings.grids import write_grids
from ran.recordings.read import read
from ran.recordings.slot import RecordedSlot, Recording
from receivers import RECEIVERS

CARRIER = {"num_prb": 24, "slot_number": 4, "n_cell_id": 41}


def prbs(first, count):
    return {"first_prb": first, "num_prb": count}


def lmmse():
    return {"lmmse": RECEIVERS["lmmse"]()}


def sent(config, delays_s, cfos_hz, seed=1):
    """A slot over flat channels to four antennas at 25 dB, and its blocks uint8 [1, users, largest size]: every user
    with a delay and a frequency offset of its own."""
    grid, rng = grid_of(config, config.carrier.slot_number), np.random.default_rng(seed)
    blocks = rng.integers(0, 2, (1, len(grid.block_sizes), max(grid.block_sizes)), dtype=np.uint8)
    x = grid.placement.put(grid.to_grid(torch.from_numpy(grid.code(blocks))))[0].numpy()
    hz = np.arange(x.shape[-1]) * 1e3 * config.carrier.subcarrier_spacing_khz
    times = symbol_times_s(config.carrier.numerology, config.carrier.slot_number)[:, None]
    y = np.zeros((4, *x.shape[1:]), complex)
    for layer, user in enumerate(grid.layer_to_user):
        turn = np.exp(2j * np.pi * (cfos_hz[user] * times - hz * delays_s[user]))
        gains = np.exp(2j * np.pi * rng.random((4, 1, 1)))
        y += gains * turn * x[layer]
    noise = rng.standard_normal((*y.shape, 2)) @ (1, 1j)
    return (y + noise * np.sqrt(0.5 * 10**-2.5)).astype(np.complex64), blocks


@pytest.mark.parametrize(
    "options",
    [
        {"users": {"allocation": [prbs(0, 10), prbs(12, 8)], "mcs_index": [16, 5]}},
        {"users": {"allocation": [prbs(0, 12), prbs(8, 12)], "n_rnti": [17000, 23]}, "pusch": {"mcs_index": 6}},
        {"users": {"allocation": [prbs(0, 10), prbs(12, 8)]}, "pusch": {"transform_precoding": True, "mcs_index": 6}},
        {"users": {"allocation": [prbs(0, 8), prbs(9, 5), prbs(0, 8)], "mcs_index": [3, 9, 6]}},
        {
            "users": {"allocation": [prbs(0, 10), prbs(12, 8)], "mcs_index": [16, 5]},
            "pusch": {"uci": {"num_ack_bits": 2, "num_csi1_bits": 4}},
        },
    ],
)
def test_payloads_of_every_user(options):
    users = {"num_users": len(options["users"]["allocation"]), **options["users"]}
    config = DecodeConfig(carrier=CARRIER, pusch=options.get("pusch"), users=users)
    made = make(config, 1, 4)
    found = Decoding(config, lmmse()).run(Recording("grid", [RecordedSlot("slot 0", 4, made.grids[0])]))
    assert found.problems == []
    assert found.num_slots == 1
    blocks = sorted((block for result in found.results for block in result.blocks), key=lambda block: block.block)
    assert [block.block for block in blocks] == list(range(users["num_users"]))
    assert all(block.received for block in blocks)
    assert np.array_equal(blocks[0].payload, made.payloads[0][: len(blocks[0].payload)])
    reports = sorted(report.user for result in found.results for report in result.users)
    assert reports == list(range(users["num_users"]))
    assert all(part.ok for result in found.results for part in result.uci)
    assert max(result.evm for result in found.results) < 0.25
    assert all(result.known for result in found.results)


def test_users_apart_have_offsets_of_their_own():
    """Delays a microsecond apart and offsets 600 Hz apart: of each alone there is nothing that one alignment undoes."""
    users = {"num_users": 2, "allocation": [prbs(0, 10), prbs(12, 10)], "mcs_index": [20, 20]}
    config = DecodeConfig(carrier=CARRIER, users=users)
    delays, cfos = (1e-6, 0.0), (400.0, -200.0)
    grid, blocks = sent(config, delays, cfos)
    found = Decoding(config, lmmse()).run(Recording("grid", [RecordedSlot("slot 0", 4, grid)]))
    assert [result.name for result in found.results] == ["slot 0 user 0", "slot 0 user 1"]
    for user, result in enumerate(found.results):
        block, report = result.blocks[0], result.users[0]
        assert block.received
        assert np.array_equal(block.payload, blocks[0, user, : len(block.payload)])
        assert report.cfo_hz == pytest.approx(cfos[user], abs=20)
        # a cell of 120 subcarriers of 30 kHz is 278 ns wide
        assert report.timing_advance_s == pytest.approx(delays[user], abs=280e-9)


def test_a_user_that_is_silent_leaves_the_others():
    users = {"num_users": 2, "allocation": [prbs(0, 10), prbs(12, 10)]}
    config = DecodeConfig(carrier=CARRIER, pusch={"mcs_index": 6}, users=users)
    grid, _ = sent(config, (0.0, 0.0), (0.0, 0.0))
    grid[..., 144:264] = 0
    found = Decoding(config, lmmse()).run(Recording("grid", [RecordedSlot("slot 0", 4, grid)]))
    assert [result.name for result in found.results] == ["slot 0 user 0"]
    assert found.results[0].blocks[0].received
    wanted = "slot 0 user 1: grid: got nothing but zeros in the allocation; allowed: a received signal"
    assert found.problems == [wanted]


def test_data_lake_rows_of_one_slot(tmp_path):
    """Two users of one slot are two rows of the same time: nothing of the PUSCH is configured."""
    users = {"num_users": 2, "allocation": [prbs(0, 10), prbs(12, 10)], "mcs_index": [4, 9]}
    config = DecodeConfig(carrier=CARRIER, users=users)
    grid, blocks = sent(config, (0.0, 3e-7), (0.0, 0.0))
    rows = []
    for user, own in enumerate(grid_of(config, 4).grids):
        octets = np.packbits(blocks[0, user, : own.block_sizes[0]]).tobytes()
        rows.append(fapi_row(own.carrier, own.pusch, own.ports[0], 100, octets))
    fapi, fh = write_data_lake(tmp_path, grid[None], rows[:1])
    stamps = parquet.read_table(fh)["TsTaiNs"].to_pylist() * 2
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    stamp = parquet.read_table(fh).schema.field("TsTaiNs").type
    parquet.write_table(pa.table({"TsTaiNs": pa.array(stamps, stamp), "CellId": [0, 0], **columns}), fapi)
    plain = DecodeConfig(carrier=CARRIER)
    found = Decoding(plain, lmmse()).run(read(tmp_path, plain))
    assert found.problems == []
    assert [result.name for result in found.results] == ["SFN 100 slot 4 RNTI 1", "SFN 100 slot 4 RNTI 2"]
    assert all(result.blocks[0].received and result.blocks[0].matches for result in found.results)


def test_the_command_tells_users_apart(tmp_path, capsys):
    users = {"num_users": 2, "allocation": [prbs(0, 10), prbs(12, 10)], "mcs_index": [4, 9]}
    config = DecodeConfig(carrier=CARRIER, users=users)
    grid, _ = sent(config, (0.0, 3e-7), (0.0, 0.0))
    write_grids(tmp_path / "two.npy", grid[None])
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump({"carrier": CARRIER, "users": users, "receivers": ["lmmse"], "num_rx_ant": 4}))
    assert main(["decode", str(tmp_path / "two.npy"), "--config", str(file), "--out", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "decode.csv").open()))
    sizes = [str(size) for size in grid_of(config, 4).block_sizes]
    assert [(r["block"], r["user"], r["received"], r["tb_size"]) for r in rows] == [
        ("0", "0", "1", sizes[0]),
        ("1", "1", "1", sizes[1]),
    ]
    told = json.loads((tmp_path / "out" / "decode.json").read_text())
    assert [slot["slot"] for slot in told["slots"]] == ["slot 0 user 0", "slot 0 user 1"]
    assert "lmmse: 2 of 2 blocks received" in capsys.readouterr().out
