"""Every reader meets damaged files: bytes changed, cut, repeated, put in. Each one is read, or refused in one line.

What is no InputError or ValueError of one line is a traceback to the user, and fails. The default run takes a small
slice per reader; the slow one 100,000 inputs, of which it prints how many each reader met and refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from channels.datasets.aodt import TABLE, read_aodt
from channels.datasets.emulator import CIRS, CONFIG, EmulatorCirs, read_cirs, write_cirs
from channels.datasets.impulse_responses import ImpulseResponses, read_impulse_responses, write_impulse_responses
from channels.files import read_arrays
from channels.raytraced.deepmimo_folder import read_array
from ran.config.doors import parse_json, read_json
from ran.config.overrides import apply_overrides
from ran.config.yaml_file import read_mapping
from ran.datasets.container import DIGEST_BYTES, open_container
from ran.datasets.field import Field
from ran.datasets.hdf5_file import Hdf5File
from ran.datasets.header import FORMAT, FORMAT_VERSION, Header, Table
from ran.datasets.sigmf import Recording, read_sigmf, write_sigmf
from ran.datasets.zarr_file import ZarrFile
from ran.phy.config import Carrier, Pusch
from ran.recordings.config import DecodeConfig
from ran.recordings.data_lake import fapi_row, write_data_lake
from ran.recordings.grids import write_grids
from ran.recordings.packets import write_packets
from ran.recordings.read import read as read_recording
from ran.recordings.text import write_text_dump
from ran.sim.npz_file import read_npz
from ran.sim.store import Store
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.weights import card_path

#: MATLAB files are read in a process of their own, a third of a second each.
_IN_A_PROCESS = ("grids .mat", "DeepMIMO mat")
#: Tokens that mean something to some format.
_TOKENS = (b"[", b"{", b"&a ", b"*a", b"<<: ", b"1e999", b"-1", b"\0" * 8, b"\xff" * 8, b"\n", b'"', b"null", b"9" * 30)


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """One to four changes at random places, half of them in the first kilobyte, where formats keep their heads."""
    data = bytearray(content)
    for _ in range(generator.integers(1, 5)):
        end = max(1, min(len(data), 1024) if generator.random() < 0.5 else len(data))
        place, kind = int(generator.integers(0, end)), generator.integers(0, 6)
        if kind < 2 and data:
            data[place % len(data)] = generator.integers(0, 256)
        elif kind == 2:
            token = _TOKENS[generator.integers(0, len(_TOKENS))]
            data[place : place + len(token)] = token
        elif kind == 3:
            data[place:place] = _TOKENS[generator.integers(0, len(_TOKENS))]
        elif kind == 4:
            del data[place : place + int(generator.integers(1, 64))]
        else:
            data = data[:place] if generator.random() < 0.3 else data + data[place : place + 64]
    return bytes(data)


def small_header() -> Header:
    attrs = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": "small",
        "kind": "other",
        "num_drops": 4,
        "chunk_drops": 2,
        "stream_id": "s",
        "conventions": "none",
        **dict.fromkeys(("identity", "versions"), "{}"),
        "split_names": "[]",
    }
    tables = {"site": Table(np.arange(4), ("drop",), "", "place")}
    header = Header(attrs, tables, (Field("y", ("re",), (3,), "<c8", "", "grid"),))
    attrs["header_sha256"] = header.digest()
    return header


def write_set(path: Path) -> None:
    container = (ZarrFile if path.suffix == ".zarr" else Hdf5File).create(path, small_header())
    for chunk in range(2):
        container.write_chunk(chunk, {"y": np.full((2, 3), 1 + 2j, np.complex64)})
    container.close()


def read_set(path: Path) -> None:
    container = open_container(path)
    try:
        digests = container.digests()
        assert digests.shape[2] == DIGEST_BYTES
        for chunk in range(len(digests)):
            container.damaged_fields(chunk, digests[chunk])
    finally:
        container.close()


def read_weights(path: Path) -> None:
    card = path.with_suffix(".json")
    if path.suffix == ".json":
        NeuralReceiver(str(path.with_suffix(".safetensors")))
        return
    # the hash is put right: whoever changes a file can change its card
    stated = json.loads(card.read_text())
    card.write_text(json.dumps({**stated, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
    NeuralReceiver(str(path))


def read_store(path: Path) -> None:
    store = Store(path)
    try:
        store.content()
    finally:
        store.close()


def make(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """A whole file per reader, and how it is read."""
    yaml = folder / "e.yaml"
    yaml.write_text("channel: &c {name: tdl, delay_spread_ns: 30}\nusers: [*c, {<<: *c}]\nname: 'x'\nesn0: [0, 0x1f]\n")
    values = folder / "v.json"
    values.write_text('{"a": [1, 2.5, {"b": null}], "text": "\\u00e4", "c": true}')
    arrays = folder / "a.npz"
    np.savez_compressed(arrays, a=np.arange(40.0), b=np.ones((2, 3), np.float32))
    plain = folder / "rx_pos_t0.npz"
    np.savez(plain, rx_pos=np.ones((3, 3)))
    matlab = folder / "rx_pos_t0.mat"
    from scipy.io import savemat

    savemat(matlab, {"rx_pos": np.ones((3, 3))}, do_compression=True)
    responses = folder / "r.npz"
    gains = np.ones((2, 1, 1, 2), np.complex64)
    delays = np.full(gains.shape, 1e-7, np.float32)
    write_impulse_responses(responses, ImpulseResponses(gains, delays, np.zeros((2, 3), np.int64)))
    write_cirs(folder / "emulator", EmulatorCirs(np.ones((2, 3), np.complex64), np.zeros((2, 3), np.uint16)))
    write_sigmf(folder / "s", Recording(np.ones(20, np.complex64), 1e6))
    for name in ("d.h5", "d.zarr"):
        write_set(folder / name)
    store = folder / "results.sqlite"
    Store.create(store, {"run_identity": "{}"}).close()
    weights = folder / "w.safetensors"
    shipped = card_path("pusch-hybrid")
    shutil.copy(shipped.with_suffix(".safetensors"), weights)
    card = json.loads(shipped.read_text())
    kept = {key: card[key] for key in ("architecture", "bits_per_symbol", "num_layers", "sha256", "training")}
    weights.with_suffix(".json").write_text(json.dumps(kept))
    return recordings(folder / "recordings") | {
        "YAML": (yaml, read_mapping),
        "--set": (yaml, lambda p: apply_overrides({}, [f"a.b={p.read_bytes().decode(errors='replace')}"])),
        "JSON": (values, read_json),
        "JSON of a store": (values, lambda p: parse_json(p.read_bytes(), "meta")),
        "npz": (arrays, read_arrays),
        "npz cache": (arrays, read_npz),
        "DeepMIMO npz": (plain, lambda p: read_array(p, "rx_pos", 2)),
        "DeepMIMO mat": (matlab, lambda p: read_array(p, "rx_pos", 2)),
        "impulse responses": (responses, read_impulse_responses),
        "emulator config": (folder / "emulator" / CONFIG, lambda p: read_cirs(p.parent)),
        "emulator taps": (folder / "emulator" / CIRS, lambda p: read_cirs(p.parent)),
        "SigMF metadata": (folder / "s.sigmf-meta", read_sigmf),
        "SigMF samples": (folder / "s.sigmf-data", read_sigmf),
        "HDF5": (folder / "d.h5", read_set),
        "zarr group": (folder / "d.zarr" / "zarr.json", lambda p: read_set(p.parent)),
        "zarr array": (folder / "d.zarr" / "y" / "zarr.json", lambda p: read_set(p.parent.parent)),
        "zarr chunk": (folder / "d.zarr" / "y" / "c" / "0" / "0", lambda p: read_set(folder / "d.zarr")),
        "results.sqlite": (store, read_store),
        "model card": (weights.with_suffix(".json"), read_weights),
        "safetensors": (weights, read_weights),
    }


def recordings(folder: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """The same of `ran decode`: three slots of one PRB at two antennas in every format."""
    config = DecodeConfig(carrier=Carrier(num_prb=1), num_rx_ant=2)
    folder.mkdir()
    generator = np.random.default_rng(1)
    grids = generator.integers(-500, 500, (3, 2, 14, 12)) + 1j * generator.integers(-500, 500, (3, 2, 14, 12))
    found: dict[str, tuple[Path, Callable[[Path], object]]] = {}
    for suffix in (".npy", ".npz", ".mat", ".h5"):
        write_grids(folder / f"grids{suffix}", grids)
        found[f"grids {suffix}"] = (folder / f"grids{suffix}", lambda p: read_recording(p, config))
    write_text_dump(folder / "dump.txt", grids, 9)
    write_packets(folder / "packets.pcap", grids, [0, 1, 2], config.carrier, 9)
    pytest.importorskip("pyarrow", reason="tables of the Data Lake need the extra aodt")
    (folder / "lake").mkdir()
    from pyarrow import Table as ArrowTable
    from pyarrow import parquet

    parquet.write_table(ArrowTable.from_pylist([aodt_row(ru, ue) for ru in (0, 1) for ue in (0, 1)]), folder / TABLE)
    write_data_lake(folder / "lake", grids, [fapi_row(config.carrier, Pusch(), (0,), frame, b"") for frame in range(3)])
    return found | {
        "fronthaul text": (folder / "dump.txt", lambda p: read_recording(p, config)),
        "fronthaul packets": (folder / "packets.pcap", lambda p: read_recording(p, config)),
        "AODT table": (folder / TABLE, lambda p: read_aodt(p.parent)),
        "Data Lake fapi": (folder / "lake" / "fapi.parquet", lambda p: read_recording(p.parent, config)),
        "Data Lake fh": (folder / "lake" / "fh.parquet", lambda p: read_recording(p.parent, config)),
    }


def aodt_row(ru: int, ue: int) -> dict[str, object]:
    """A link of two elements in a table of NVIDIA's AODT, with two taps."""
    elements = {"ru_ant_el": {"1": ru, "2": 0, "3": 0}, "ue_ant_el": {"1": ue, "2": 0, "3": 0}}
    taps = {"cir_re": [1e-5, 2e-5], "cir_im": [0.0, 1e-5], "cir_delay": [2e-7, 3e-7]}
    return {"time_idx": 0, "ru_id": 1, "ue_id": 0, **elements, **taps}


#: More than the largest of the stated limits (4 GiB of an archive), and far less than what a declared size may ask for.
_MOST_ADDED_BYTES = 6 * 2**30


@contextmanager
def limited_memory() -> Iterator[None]:
    """At most so much more address space than now: an input that asks for more is a MemoryError, which fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + _MOST_ADDED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def met(folder: Path, counts: dict[str, int], seed: int) -> dict[str, tuple[int, int]]:
    """Inputs and refusals per reader. Anything but a refusal in one line is raised, with the input that it was."""
    torch.set_num_threads(1)
    with limited_memory():
        return _met(folder, counts, seed)


def _met(folder: Path, counts: dict[str, int], seed: int) -> dict[str, tuple[int, int]]:
    found = {}
    readers = make(folder)
    for number, (name, (path, read)) in enumerate(readers.items()):
        generator = np.random.default_rng([seed, number])
        whole, card = path.read_bytes(), folder / "w.json"
        kept = card.read_bytes()
        read(path)  # as written it is read
        refused = 0
        for attempt in range(counts[name]):
            content = mutated(whole, generator)
            path.write_bytes(content)
            try:
                read(path)
            except ValueError as error:
                refused += 1
                text = str(error)
                if "\n" in text or isinstance(error, UnicodeError):
                    raise AssertionError(f"{name}, input {attempt} of seed {seed}: {text!r}") from error
            except BaseException as error:
                raise AssertionError(f"{name}, input {attempt} of seed {seed}: {content[:2000]!r}") from error
            if name == "safetensors":
                card.write_bytes(kept)
        path.write_bytes(whole)
        found[name] = (counts[name], refused)
        print(f"{name}: {counts[name]} inputs, {refused} refused", flush=True)
    return found


def test_a_slice_of_all_readers(tmp_path: Path) -> None:
    (tmp_path / "names").mkdir()
    (tmp_path / "files").mkdir()
    names = list(make(tmp_path / "names"))
    found = met(tmp_path / "files", dict.fromkeys(names, 8), seed=1)
    assert all(inputs == 8 for inputs, _ in found.values())
    assert sum(refused for _, refused in found.values()) > 60


@pytest.mark.slow
def test_a_hundred_thousand_inputs(tmp_path: Path) -> None:
    (tmp_path / "names").mkdir()
    (tmp_path / "files").mkdir()
    names = list(make(tmp_path / "names"))
    few = {name: 500 for name in names if name in _IN_A_PROCESS}
    each = math.ceil((100_000 - sum(few.values())) / (len(names) - len(few)))
    found = met(tmp_path / "files", dict.fromkeys(names, each) | few, seed=2)
    assert sum(inputs for inputs, _ in found.values()) >= 100_000
