"""Data sets are written: what they hold, in parallel, after a kill, and what is refused."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_set import command, experiment, write_small

from ran.config.storage import is_storage_failure
from ran.datasets.container import Container, content_hash, open_container
from ran.datasets.field import BIT_ORDER, Field
from ran.datasets.info import describe
from ran.datasets.reader import DropDataset
from ran.datasets.request import DataRequest, stream_id
from ran.datasets.verify import verify
from ran.datasets.write import build_writer, link_of, write
from ran.errors import InputError
from ran.sim.identity import scenario_id
from ran.sim.worker import Chunk, simulate_chunk


def file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by one process without interruption."""
    path = tmp_path_factory.mktemp("reference") / "set.h5"
    written = write_small(path)
    assert written.drops == 50
    assert written.header.num_chunks == 7
    return path


def test_numbers_are_the_links(reference: Path, tmp_path: Path) -> None:
    """Every HDF5 reader finds what `Link.batch` makes, one drop at a time."""
    e = experiment(tmp_path)
    link = link_of(e)
    with h5py.File(reference, "r") as file:
        for drop in (0, 1, 17, 49):
            esn0_db = (0.0, 10.0)[drop % 2]
            batch = link.batch([drop], esn0_db, 3, stream_id(e))
            assert file["esn0_db"][drop] == esn0_db
            # batches of another size may round differently in the last place
            np.testing.assert_allclose(file["y"][drop], batch.observation.y[0].numpy(), atol=1e-5)
            np.testing.assert_allclose(file["h"][drop], batch.truth.h[0].numpy(), atol=1e-5)
            bits = batch.coded_bits[0].numpy()
            assert np.array_equal(np.unpackbits(file["coded_bits"][drop], count=bits.size), bits.ravel())
            blocks = batch.transport_blocks[0]
            assert np.array_equal(np.unpackbits(file["transport_blocks"][drop], count=blocks.size), blocks.ravel())
        assert np.array_equal(file["pilots"][()], batch.observation.pilots.numpy())
        assert np.array_equal(file["data_mask"][()], batch.observation.data_mask.numpy())
        assert dict(file["y"].attrs)["axes"] == '["drop", "rx_antenna", "ofdm_symbol", "subcarrier"]'


def test_packed_bits_state_their_order(reference: Path, tmp_path: Path) -> None:
    """In both formats; and the order is the one that is stated."""
    zarr = pytest.importorskip("zarr")
    write_small(tmp_path / "set.zarr")
    with h5py.File(reference, "r") as file:
        for group in (file, zarr.open_group(tmp_path / "set.zarr", mode="r")):
            stated = {
                name: dict(group[name].attrs).get("bit_order") for name in ("coded_bits", "transport_blocks", "y")
            }
            assert stated == {"coded_bits": BIT_ORDER, "transport_blocks": BIT_ORDER, "y": None}
    assert "the first in the highest bit" in BIT_ORDER
    field = Field("bits", ("user", "bit"), (2, 5), "|u1", "bit", "", "packed-bits")
    bits = np.array([[[1, 0, 0, 0, 0], [0, 0, 1, 0, 1]]], np.uint8)
    # user 0's five bits, then three of user 1's; the rest, and zeros
    assert field.encode(bits).tolist() == [[0b10000001, 0b01000000]]


def test_draws_are_not_those_of_a_run(tmp_path: Path) -> None:
    e = experiment(tmp_path)
    assert stream_id(e) not in {scenario_id(e, point) for point in e.snr_grid}


def test_parallel_equals_serial(reference: Path, tmp_path: Path) -> None:
    write_small(tmp_path / "set.h5", workers=2)
    assert file_hash(tmp_path / "set.h5") == file_hash(reference)
    assert sorted(os.listdir(tmp_path)) == ["set.h5", "small.yaml"]


def test_both_formats_hold_the_same(reference: Path, tmp_path: Path) -> None:
    write_small(tmp_path / "set.zarr")
    ours, theirs = open_container(tmp_path / "set.zarr"), open_container(reference)
    assert content_hash(ours) == content_hash(theirs)
    for field in theirs.header.fields:
        assert np.array_equal(ours.read(field, 3, 29), theirs.read(field, 3, 29))
    assert not verify(tmp_path / "set.zarr").problems


@pytest.mark.parametrize(("suffix", "workers"), [(".h5", 2), (".zarr", 1)])
def test_kill_and_resume(suffix: str, workers: int, reference: Path, tmp_path: Path) -> None:
    """kill -9 of the whole group of processes in the middle; the same command then ends with the same content."""
    path = tmp_path / f"set{suffix}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = command(path, "--workers", str(workers))
    process = subprocess.Popen(program, stderr=subprocess.DEVNULL, process_group=0, env=environment)
    end = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < end and not (path.exists() and written_chunks(path)):
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < written_chunks(path) < 7
    assert "unfinished" in verify(path, repeat=0).problems[0]
    with pytest.raises(InputError, match="unfinished"):
        DropDataset(path)
    write_small(path)
    assert not verify(path).problems
    assert content_hash(open_container(path)) == content_hash(open_container(reference))
    if suffix == ".h5":
        assert file_hash(path) == file_hash(reference)


def written_chunks(path: Path) -> int:
    container = open_container(path)
    try:
        return int(container.written().sum())
    finally:
        container.close()


def test_a_chunk_that_cannot_be_written_stops_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a worker too, where no receiver can be blamed: the command ended as if all chunks were there."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_small(tmp_path / "set.h5")
    with h5py.File(tmp_path / "set.h5", "r+") as file:
        file["chunk_sha256"][:] = 0
    e = experiment(tmp_path)
    simulation = build_writer(e, tmp_path / "set.h5")
    monkeypatch.setattr(Container, "write_chunk", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        simulate_chunk(simulation, e, Chunk(0.0, stream_id(e), range(8), ()))
    assert is_storage_failure(caught.value)
    (tmp_path / "set.h5").unlink()
    with pytest.raises(InputError, match="No space left on device"):
        write_small(tmp_path / "set.h5")


def test_a_torn_chunk_is_named_and_repaired(reference: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    shutil.copy(reference, path)
    with h5py.File(path, "r") as file:
        place = file["y"].id.get_offset() + 20 * file["y"][0].nbytes + 100
    with path.open("r+b") as raw:
        raw.seek(place)
        raw.write(b"\xff\x00\xff\x00")
    [problem] = verify(path, repeat=0).problems
    assert problem.startswith(f"{path}: damaged: y of drops 16 to 23 do not match")
    write_small(path)
    assert file_hash(path) == file_hash(reference)


def test_a_forged_chunk_is_found_by_simulating_again(reference: Path, tmp_path: Path) -> None:
    """Numbers with hashes to match them, but not the experiment's."""
    path = tmp_path / "set.h5"
    shutil.copy(reference, path)
    container = open_container(path, writable=True)
    stored = {field.name: container.read(field, 0, 8) for field in container.header.fields}
    stored["h"][3, 0, 0, 0, 0] += 0.1
    container.write_chunk(0, stored)
    assert "h of drops 0 to 7 is not what the experiment gives" in verify(path).problems[0]


def test_float16_states_its_error(tmp_path: Path) -> None:
    """Relative rounding below 2^-11 in every real and imaginary part; the file is nearly half as large."""
    plain, half = tmp_path / "plain.h5", tmp_path / "half.h5"
    write_small(plain, num_drops=16)
    write_small(half, num_drops=16, precision="complex-float16")
    a, b = open_container(plain), open_container(half)
    fields = {field.name: field for field in b.header.fields}
    for name in ("y", "h"):
        exact = a.read(next(f for f in a.header.fields if f.name == name), 0, 16)
        scale = b.read(fields[f"{name}_scale"], 0, 16)
        rounded = fields[name].decode(b.read(fields[name], 0, 16), scale)
        x, got = exact.view(np.float32), rounded.view(np.float32)
        assert np.all(np.abs(got - x) <= np.abs(x) * 2.0**-11 + 1e-10)
        error = (np.abs(rounded - exact) ** 2).mean() / (np.abs(exact) ** 2).mean()
        assert 10 * np.log10(error) < -70
    assert b.header.drop_bytes < 0.55 * a.header.drop_bytes
    assert not verify(half).problems


def test_other_kinds(tmp_path: Path) -> None:
    """Channels alone; slots without them; SNR drawn per drop."""
    write_small(tmp_path / "c.h5", kind="channels", num_drops=10)
    container = open_container(tmp_path / "c.h5")
    assert [f.name for f in container.header.fields] == ["h"]
    assert "esn0_db" not in container.header.tables
    write_small(tmp_path / "s.h5", with_channel=False, num_drops=10, esn0_db={"low": -3.0, "high": 4.0})
    header = open_container(tmp_path / "s.h5").header
    assert [f.name for f in header.fields] == ["y", "coded_bits", "transport_blocks"]
    esn0_db = header.tables["esn0_db"].array
    assert esn0_db.min() >= -3
    assert esn0_db.max() <= 4
    assert len(np.unique(esn0_db)) == 10
    assert not verify(tmp_path / "s.h5").problems
    assert not verify(tmp_path / "c.h5").problems


def test_what_another_command_wrote_is_refused(reference: Path, tmp_path: Path) -> None:
    before = file_hash(reference)
    e = experiment(tmp_path)
    with pytest.raises(InputError, match=r"holds another data set: num_drops is 50 there and 51 here"):
        write(e, DataRequest(num_drops=51, chunk_drops=8), reference, 1)
    with pytest.raises(InputError, match=r"holds another data set: seed is 3 there and 4 here"):
        write(e.model_copy(update={"seed": 4}), DataRequest(num_drops=50, chunk_drops=8), reference, 1)
    assert file_hash(reference) == before


def test_two_writers(reference: Path, tmp_path: Path) -> None:
    import fcntl

    path = tmp_path / "set.h5"
    shutil.copy(reference, path)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another ran process is writing to it"):
            write_small(path)


def test_info_is_one_screen(reference: Path) -> None:
    lines = describe(reference)
    assert len(lines) < 30
    text = "\n".join(lines)
    for part in ("small: 50 drops of slots, finished", "0, 10 dB", "train ", "tdl", "seed 3", "versions"):
        assert part in text
