"""The C library under sanitizers, in threads and by what it allocates; mostly minutes, by hand when it is touched."""

from __future__ import annotations

import platform
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from small_networks import small_network

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch
from receivers import Blind, Lmmse, SlotObservation
from receivers.c_library import build
from receivers.c_library.library import Handle
from receivers.c_library.model_file import model_bytes

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler ($CXX, g++, clang++, c++)")

NUM_MALFORMED = 100_000
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def slots(batch=1, num_prb=1, layers=1, rx=2, mcs=14, **dmrs) -> SlotObservation:
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(num_layers=layers, mcs_index=mcs, dmrs=Dmrs(**{"additional_position": 1, **dmrs})),
        num_rx_ant=rx,
        channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 200},
    )
    return Link(config).batch(range(batch), 10.0, seed=4, scenario_id="safety").observation


def models(folder: Path) -> list[bytes]:
    network = small_network(folder)
    return [
        model_bytes(Lmmse(), slots(num_prb=2)),
        model_bytes(Blind(), slots(num_prb=2)),
        model_bytes(Blind(), slots(layers=4, rx=4, additional_position=0)),
        model_bytes(Lmmse(detector="ep"), slots(layers=2, mcs=20)),
        model_bytes(Lmmse(), slots(num_cdm_groups_without_data=1, config_type=2)),
        model_bytes(Blind(), slots(layers=3, length=2)),
        model_bytes(network, slots(num_prb=2)),
        model_bytes(network, slots(rx=1, mcs=20, num_cdm_groups_without_data=1), "bfloat16"),
    ]


def sanitized_program(source: str, folder: Path) -> Path:
    """A C program of `c_programs`, compiled with the library's source and the sanitizers."""
    cxx, program = build.compiler(), folder / Path(source).stem
    assert cxx is not None
    flags, units = build.flags_of("sanitized", cxx), [str(path) for path in build.sources() if path.suffix == ".cpp"]
    own = Path(__file__).parent / "c_programs" / source
    object_file = folder / "program.o"
    compile_c = [cxx, "-x", "c", "-g", "-O1", *SANITIZERS, "-Wall", "-Wextra", f"-I{build.SOURCE}", "-c", str(own)]
    subprocess.run([*compile_c, "-o", str(object_file)], check=True)
    subprocess.run([cxx, *flags, *units, str(object_file), "-lpthread", "-o", str(program)], check=True)
    return program


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator is counted in glibc alone")
def test_memory_is_allocated_at_creation_alone(tmp_path):
    cxx, library = build.compiler(), build.built_library()
    assert cxx is not None
    source = Path(__file__).parent / "c_programs" / "no_allocation.c"
    program, files = tmp_path / "no_allocation", [tmp_path / f"{name}.bin" for name in ("lmmse", "blind", "network")]
    for path, receiver, layers in zip(files, (Lmmse(), Blind(), small_network(tmp_path)), (2, 2, 1), strict=True):
        path.write_bytes(model_bytes(receiver, slots(num_prb=4, layers=layers)))
    link = [f"-L{library.parent}", f"-l:{library.name}", f"-Wl,-rpath,{library.parent}"]
    object_file = str(tmp_path / "program.o")
    subprocess.run([cxx, "-x", "c", f"-I{build.SOURCE}", "-c", str(source), "-o", object_file], check=True)
    subprocess.run([cxx, object_file, "-o", str(program), *link], check=True)
    done = subprocess.run([str(program), *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines())
    # the counter sees the library: a receiver, its file and its memory
    assert int(counts["created"]) >= 9
    assert counts["processed"] == "0"


@pytest.mark.slow
def test_malformed_calls_do_no_harm(tmp_path):
    program = sanitized_program("malformed_calls.c", tmp_path)
    made = models(tmp_path)
    files = [tmp_path / f"{i}.bin" for i in range(len(made))]
    for path, model in zip(files, made, strict=True):
        path.write_bytes(model)
    command = [str(program), str(NUM_MALFORMED), "1", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    counts = {int(code): int(n) for code, n in (line.split() for line in done.stdout.splitlines())}
    assert sum(counts.values()) == NUM_MALFORMED
    # every code that a single thread with memory can meet comes up, and calls succeed between the malformed ones
    assert all(counts[code] > 100 for code in range(9)), counts


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["lmmse", "blind", "network"])
def test_ten_thousand_slots_in_two_threads(algorithm, tmp_path):
    receiver = {"lmmse": Lmmse, "blind": Blind, "network": lambda: small_network(tmp_path)}[algorithm]()
    observation = slots(batch=20, num_prb=24)
    grids, noise = observation.y.numpy(), observation.noise_var.numpy()
    model, library = model_bytes(receiver, observation), build.built_library()
    order = np.random.default_rng(1).integers(0, len(grids), 10_000)

    def run(handle: Handle, slot: int) -> bytes:
        llr = handle(grids[slot], float(noise[slot])).llr
        assert llr is not None
        return llr.tobytes()

    alone = Handle(library, model)
    expected = [run(alone, i) for i in range(len(grids))]
    wrong = [0, 0]

    def work(which: int) -> None:
        handle = Handle(library, model)
        wrong[which] = sum(run(handle, slot) != expected[slot] for slot in (order if which else order[::-1]))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [0, 0]


@pytest.mark.slow
def test_one_receiver_for_two_threads_is_refused_not_broken():
    observation = slots(batch=2, num_prb=24)
    handle = Handle(build.built_library(), model_bytes(Blind(), observation))
    expected = [handle(grid).llr for grid in observation.y.numpy()]
    codes: list[int] = []

    def work(which: int) -> None:
        for _ in range(2000):
            try:
                assert np.array_equal(handle(observation.y[which].numpy()).llr, expected[which])
                codes.append(0)
            except ValueError as error:
                codes.append(getattr(error, "status", -1))

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(codes) == 4000
    assert set(codes) <= {0, 10}
    assert codes.count(0) > 0
