"""Export as a C library: the folder is whole, its programs run, and what it cannot be made for is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ran.cli.main import main
from ran.errors import InputError
from ran.export import c_library
from ran.export.c_library import LibraryOutcome, export_c_library
from receivers.c_library import build
from receivers.c_library.library import Handle

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler ($CXX, g++, clang++, c++)")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> LibraryOutcome:
    out = tmp_path_factory.mktemp("exports") / "blind"
    return export_c_library("blind", out, changes=("users.num_users=2",), num_prb=4, num_slots=16, esn0_db=8.0)


def vectors(folder: Path) -> np.lib.npyio.NpzFile:
    return np.load(folder / "vectors" / "vectors.npz")


def test_folder_is_whole(made):
    names = {path.name for path in made.folder.iterdir()}
    assert {"source", "model.bin", "vectors", "harness.c", "gnb_example.cpp", "Makefile", "contract.json"} <= names
    assert {"libran6g_receiver.so", "libran6g_receiver-avx2.so", "REPORT.md"} <= names
    assert {path.name for path in (made.folder / "source").iterdir()} == {path.name for path in build.sources()}
    assert not [path for path in made.folder.parent.iterdir() if path.name.startswith(".")]
    assert not made.problems
    assert made.bler.other_decisions == 0
    contract = json.loads((made.folder / "contract.json").read_text())
    assert contract["version"] == 1
    assert contract["slot"]["num_layers"] == 2
    assert contract["platform"]["budget_us"] == [100, 150]


@pytest.mark.parametrize("library", ["libran6g_receiver.so", "libran6g_receiver-avx2.so"])
def test_both_libraries_give_the_vectors(library, made):
    arrays = vectors(made.folder)
    receiver = Handle(made.folder / library, (made.folder / "model.bin").read_bytes())
    for i, expected in enumerate(arrays["out_llr"]):
        grid = np.ascontiguousarray(arrays["in_grid"][i]).view(np.complex64)[..., 0]
        found = receiver(grid, dmrs=arrays["in_dmrs"]).llr
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_soft_bits_after_descrambling_are_those_of_the_code(made):
    """The vectors of the example, told from the coded bits alone: two users, each with its own scrambling."""
    from ran.export.slots import SCENARIO, experiment_of, link_of

    link = link_of(experiment_of("pusch-receivers", (), ("users.num_users=2",)), 4)
    batch = link.batch(range(4), 8.0, 1, SCENARIO, False)
    arrays = vectors(made.folder)
    wrong = []
    for slot in range(4):
        for user in range(2):
            scrambled = batch.coded_bits[slot, user].numpy().ravel()
            sent = scrambled ^ link.grid.scrambling[user]
            found = arrays["out_descrambled"][slot, :, user].ravel()
            wrong.append(np.mean((found < 0) != (sent == 1)))
    assert np.mean(wrong) < 0.15


def test_programs_build_and_check_the_vectors(made, tmp_path):
    if shutil.which("make") is None or shutil.which("gcc") is None:
        pytest.skip("no make, or no gcc")
    assert "int8 soft bits differ" in made.harness
    assert "P99.9" in made.harness
    assert "soft bits after descrambling, largest difference 0" in made.harness
    # they notice wrong ones
    folder = tmp_path / "folder"
    shutil.copytree(made.folder, folder)
    expected = np.fromfile(folder / "vectors" / "output_llr.bin", "<f4")
    (-expected).tofile(folder / "vectors" / "output_llr.bin")
    soft = np.fromfile(folder / "vectors" / "output_descrambled.bin", "i1")
    (-soft).tofile(folder / "vectors" / "output_descrambled.bin")
    for command in (["./harness", "model.bin", "vectors", "1"], ["./gnb_example", "model.bin", "vectors"]):
        assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1
        command[1] = "no-such-file"
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "the model file cannot be read" in done.stderr


@pytest.mark.slow
def test_the_library_builds_anew_from_the_folder_alone(made, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(made.folder, folder)
    for file in (*folder.glob("*.so"), folder / "harness", folder / "gnb_example"):
        file.unlink()
    done = subprocess.run(["make", "check"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    # nothing but the C library is needed at run time
    needed = subprocess.run(["ldd", "libran6g_receiver.so"], cwd=folder, capture_output=True, text=True, check=True)
    names = {line.split()[0].split(".")[0] for line in needed.stdout.splitlines()}
    assert names <= {"linux-vdso", "libm", "libc", "libpthread", "/lib64/ld-linux-x86-64"}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_a_network_is_exported_and_its_folder_checks_itself(dtype, tmp_path):
    changes = ("num_rx_ant=2", "pusch.dmrs.additional_position=0")
    made = export_c_library("pusch-small", tmp_path / "net", changes=changes, num_prb=6, num_slots=16, dtype=dtype)
    assert not made.problems
    assert made.bler.other_decisions == 0
    contract = json.loads((made.folder / "contract.json").read_text())
    assert contract["receiver"] == {"name": "neural", "weights": "pusch-small", "reject_bursts": False}
    assert contract["networks_multiply"] == {"f32": "float32", "bf16": "bfloat16"}[dtype]
    allowed = int(vectors(made.folder)["in_most_steps"][0])
    assert allowed == {"f32": 1, "bf16": 8}[dtype]
    # wrong by more than is allowed
    expected = np.fromfile(made.folder / "vectors" / "output_llr.bin", "<f4")
    (expected + (allowed + 1) / 8 * np.where(expected > 0, -1, 1)).astype("<f4").tofile(
        made.folder / "vectors" / "output_llr.bin"
    )
    command = ["./harness", "model.bin", "vectors", "1"]
    assert subprocess.run(command, cwd=made.folder, capture_output=True, check=False).returncode == 1


def test_llrs_that_are_not_the_receivers_are_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(c_library, "_run_harness", lambda folder: "")
    monkeypatch.setattr(c_library, "_compare", lambda *given: [c_library.LlrParity("made up", 3.0, 10.0, 0.5)])
    out = tmp_path / "out"
    outcome = export_c_library("lmmse", out, num_prb=2, num_slots=8)
    assert outcome.folder.name == "out.rejected"
    assert not out.exists()
    assert "**Rejected:**" in (outcome.folder / "REPORT.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["perfect-csi"], "MODEL of c-library: got 'perfect-csi'; allowed: lmmse or blind"),
        (["blin"], "did you mean 'blind'?"),
        (["{name: blind, noise: irc}"], "c-library: noise: got irc for the C library; allowed: white"),
        (["{name: lmmse, detector: ml}", "--set", "pusch.num_layers=2"], "detector: got ml"),
        (["blind", "--set", "pusch.dmrs.config_type=2"], "DM-RS: got type 2 for the C library; allowed: type 1"),
        (["pusch-hybrid"], "weights: got 'pusch-hybrid', hybrid; allowed for the C library: soft-pilots"),
        (["blind", "--dtype", "bf16"], "--dtype of c-library: got 'bf16'; allowed: f32; bf16 for a network"),
        (["{name: neural, weights: pusch-small}"], "reject_bursts: got true for the C library; allowed: false"),
        (["blind", "--dtype", "int8"], "--dtype of c-library: got 'int8'; allowed: f32"),
        (["[1, 2"], "MODEL"),
        (["blind", "--experiment", "pdsch-svd"], "allowed: an experiment with a PUSCH"),
    ],
)
def test_refusals_are_one_line(arguments, message, tmp_path, capsys):
    command = ["export", *arguments, "--target", "c-library", "--num-prb", "4", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_without_a_compiler(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "compiler", lambda: None)
    with pytest.raises(InputError, match=r"without a C\+\+ compiler; allowed: with g\+\+"):
        export_c_library("blind", tmp_path / "out")
