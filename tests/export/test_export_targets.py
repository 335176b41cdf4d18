"""Exports: every target's folder, its vectors, what is refused, and what is put aside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ran.cli.main import main
from ran.errors import InputError
from ran.export import parity
from ran.export.catalogue import target_of
from ran.export.info import describe
from ran.export.outcome import Outcome
from ran.export.request import Request
from ran.export.run import export
from ran.export.targets import TARGETS
from receivers.onnx.contracts import CONTRACTS

MADE = ("onnx", "aerial-nrx", "cuphy-chest", "oai-nrx", "oai-demapper", "llrnet", "torch", "tensorrt")


def request(target: str, out: Path, **changes) -> Request:
    settings = {"num_prb": (4,), "num_slots": 8, "latency_slots": 4, "loss_slots": 48}
    if target in ("oai-nrx", "oai-demapper", "llrnet"):
        settings["num_prb"] = ()
    return Request("pusch-hybrid", target_of(target), out, **{**settings, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("exports")
    return {name: export(request(name, folder / name)) for name in MADE}


@pytest.mark.parametrize("target", MADE)
def test_folder_is_whole(target, made):
    folder = made[target].folder
    assert folder.name == target
    assert not made[target].problems
    names = {path.name for path in folder.iterdir()}
    assert {"contract.json", "REPORT.md", "consumer.py", "vectors"} <= names
    assert ("consumer.cpp" in names) == (target != "torch")
    (file,) = made[target].files
    assert file.bler is not None
    assert file.bler.other_decisions == 0
    assert file.bler.module == file.bler.after
    # noise level and power are measured in the file; demappers follow another receiver than the one exported
    if target not in ("oai-demapper", "llrnet"):
        assert abs(file.bler.before - file.bler.after) <= 1
    described = json.loads((folder / "contract.json").read_text())
    assert described["name"] == TARGETS[target].contract
    assert described["files"][0]["sha256"] == file.sha256
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("target", MADE)
def test_vectors_follow_the_contract(target, made):
    folder, contract = made[target].folder / "vectors", CONTRACTS[TARGETS[target].contract]
    arrays = np.load(folder / "vectors.npz")
    lines = [line.split() for line in (folder / "manifest.txt").read_text().splitlines()]
    assert [line[1] for line in lines if line[0] == "input"] == [spec.name for spec in contract.inputs]
    for kind, name, dtype, file, *shape in lines:
        array = arrays[f"{'in' if kind == 'input' else 'out'}_{name}"]
        spec = next(s for s in (*contract.inputs, *contract.outputs) if s.name == name)
        assert dtype == spec.dtype == array.dtype.name
        assert tuple(map(int, shape)) == array.shape
        little = np.dtype(dtype).newbyteorder("<")
        np.testing.assert_array_equal(np.fromfile(folder / file, little).reshape(array.shape), array)


@pytest.mark.parametrize("target", ["aerial-nrx", "onnx"])
def test_python_consumer(target, made):
    folder = made[target].folder
    (file,) = made[target].files
    command = [sys.executable, "consumer.py", file.name, "vectors"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "largest difference 0 of" in done.stdout


def _onnxruntime_headers() -> Path | None:
    places = [os.environ.get("ONNXRUNTIME_INCLUDE"), "/usr/include/onnxruntime", "/usr/local/include/onnxruntime"]
    found = (Path(place) for place in places if place and (Path(place) / "onnxruntime_c_api.h").is_file())
    return next(found, None)


def test_cpp_consumer_says_how_it_is_built(made):
    source = made["aerial-nrx"].folder / "consumer.cpp"
    assert "g++ -std=c++17 -O2 -I INCLUDE consumer.cpp" in source.read_text()


@pytest.mark.cpp
def test_cpp_consumer(made, tmp_path):
    """Built against the Python package's library, it reproduces every target's LLRs, and notices wrong ones."""
    compiler, headers = shutil.which("g++"), _onnxruntime_headers()
    assert compiler, "no g++"
    assert headers, "no onnxruntime_c_api.h: name its folder in ONNXRUNTIME_INCLUDE (onnxruntime-header.sh fetches it)"
    source = made["aerial-nrx"].folder / "consumer.cpp"
    (library,) = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / name).symlink_to(library)
    program = tmp_path / "consumer"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-I", str(headers)]
    link = ["-L", str(tmp_path), "-l:libonnxruntime.so", f"-Wl,-rpath,{tmp_path}"]
    subprocess.run([compiler, *flags, str(source), "-o", str(program), *link], check=True)
    for target in MADE:
        if target == "torch":
            continue
        folder, (file,) = made[target].folder, made[target].files
        done = subprocess.run(
            [str(program), file.name, "vectors", "1e-4"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (target, done.stdout, done.stderr)
    vectors = tmp_path / "vectors"
    shutil.copytree(made["llrnet"].folder / "vectors", vectors)
    expected = np.fromfile(vectors / "output_dense_1.bin", "<f4")
    (-expected).tofile(vectors / "output_dense_1.bin")
    model = str(made["llrnet"].folder / "model.onnx")
    assert subprocess.run([str(program), model, str(vectors)], capture_output=True, check=False).returncode == 1


def test_header_has_the_sizes_of_the_contract(made, tmp_path):
    folder = made["oai-nrx"].folder
    arrays = np.load(folder / "vectors" / "vectors.npz")
    program = tmp_path / "sizes.c"
    inputs = [f"sizeof(((oai_nrx_inputs*)0)->{spec.name})" for spec in CONTRACTS["oai-nrx"].inputs]
    printed = "".join(f'printf("%zu ", (size_t){text});' for text in [*inputs, "sizeof(oai_nrx_outputs)"])
    program.write_text(f'#include "oai_nrx.h"\n#include <stdio.h>\nint main(void) {{ {printed} return 0; }}\n')
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler, "a C compiler"
    subprocess.run(
        [compiler, "-Wall", "-Werror", "-I", str(folder), str(program), "-o", str(tmp_path / "sizes")], check=True
    )
    done = subprocess.run([str(tmp_path / "sizes")], capture_output=True, text=True, check=True)
    names = [f"in_{spec.name}" for spec in CONTRACTS["oai-nrx"].inputs] + ["out_output_1"]
    bytes_each = [4 if arrays[name].dtype == np.int32 else 2 for name in names]
    assert [int(n) for n in done.stdout.split()] == [arrays[n].size * b for n, b in zip(names, bytes_each, strict=True)]


def test_cuphy_yaml(made):
    import yaml

    folder, (file,) = made["cuphy-chest"].folder, made["cuphy-chest"].files
    settings = yaml.safe_load((folder / f"{Path(file.name).stem}.yaml").read_text())
    assert settings["chest_factory"] == "trtengine"
    arrays = np.load(folder / "vectors" / "vectors.npz")
    for side, kind in (("inputs", "in"), ("outputs", "out")):
        for tensor in settings[side]:
            assert tensor["dataType"] == 0
            assert tuple(tensor["dims"]) == arrays[f"{kind}_{tensor['name']}"].shape[1:]


def test_engine_is_built_where_trtexec_is(tmp_path, monkeypatch):
    tool = tmp_path / "trtexec"
    tool.write_text('#!/bin/sh\necho "$@" > arguments\necho "GPU Compute Time: median = 1 ms"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    outcome = export(request("tensorrt", tmp_path / "out"))
    arguments = (outcome.folder / "arguments").read_text()
    assert "--onnx=model-4prb.onnx --saveEngine=model-4prb.engine --stronglyTyped --shapes=y:1x4x14x48x2," in arguments
    assert "GPU Compute Time: median = 1 ms" in (outcome.folder / "REPORT.md").read_text()


@pytest.mark.parametrize("target", ["tensorrt", "aerial-nrx", "cuphy-chest", "oai-nrx"])
def test_engine_has_the_types_of_its_file(target, made):
    """Strongly typed engines take the types from the file, so formats must be the file's; no flag may ask for types."""
    folder, (file,) = made[target].folder, made[target].files
    (command,) = (folder / "build-engine.sh").read_text().splitlines()
    options = dict(part.removeprefix("--").partition("=")[::2] for part in command.split()[1:])
    assert "stronglyTyped" in options
    assert not {"fp16", "int8", "bf16", "fp8", "best", "noTF32"} & set(options)
    assert options["onnx"] == (file.engine_from or file.name)
    graph = onnx.load(folder / options["onnx"]).graph
    names = {onnx.TensorProto.FLOAT: "fp32", onnx.TensorProto.FLOAT16: "fp16", onnx.TensorProto.INT32: "int32"}
    for option, tensors in (("inputIOFormats", graph.input), ("outputIOFormats", graph.output)):
        if option in options:
            types = [names[tensor.type.tensor_type.elem_type] for tensor in tensors]
            assert options[option].split(",") == [f"{name}:chw" for name in types]
    open_inputs = {t.name for t in graph.input if any(d.dim_param for d in t.type.tensor_type.shape.dim)}
    assert open_inputs == {part.partition(":")[0] for part in options.get("shapes", "").split(",") if part}


def test_file_with_half_buffers(made):
    """The plugin's buffers are float16; what they cost is in the report."""
    folder, (file,) = made["oai-nrx"].folder, made["oai-nrx"].files
    arrays = np.load(folder / "vectors" / "vectors.npz")
    feeds = {name[3:]: arrays[name] for name in arrays.files if name.startswith("in_")}
    halves = {name: array.astype(np.float16) if array.dtype == np.float32 else array for name, array in feeds.items()}
    session = onnxruntime.InferenceSession(str(folder / file.engine_from), providers=["CPUExecutionProvider"])
    (llr,) = session.run(["output_1"], halves)
    assert llr.dtype == np.float16
    expected = arrays["out_output_1"]
    assert np.corrcoef(llr.astype(np.float64).ravel(), expected.ravel())[0, 1] > 0.99
    assert np.mean((llr < 0) != (expected < 0)) < 0.01
    assert "buffers: f16" in "\n".join(describe(folder / file.engine_from))
    assert [point.esn0_db for point in file.half_sweep] == [-10.0, 10.0, 30.0, 40.0, 60.0, 80.0]
    assert all(point.finite and not point.problem for point in file.half_sweep)
    assert file.engine_from in (folder / "REPORT.md").read_text()


def test_file_that_is_not_the_exported_one(made, tmp_path):
    """Formats without a hash inside are held against contract.json beside them."""
    folder = tmp_path / "copy"
    shutil.copytree(made["torch"].folder, folder)
    file = folder / made["torch"].files[0].name
    assert "contract.json names its hash" in "\n".join(describe(file))
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"has SHA-256 .*, the contract\.json beside it says"):
        describe(file)


def test_info_names_a_tampered_file(made, tmp_path):
    file = made["aerial-nrx"].folder / "model-4prb.onnx"
    text = "\n".join(describe(file))
    assert "as it was exported" in text
    assert "weights_sha256: 71582e2e8a2e352b" in text
    assert "contract: aerial-nrx" in text
    assert "licence: Apache-2.0" in text
    assert "weights: pusch-hybrid" in "\n".join(describe(made["torch"].folder / "model-4prb.pt2"))
    model = onnx.load(file)
    weights = next(t for t in model.graph.initializer if t.raw_data and len(t.raw_data) > 64)
    weights.raw_data = weights.raw_data[:-4] + np.float32(1.5).tobytes()
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"other\.onnx: its content has SHA-256 .*, its metadata say"):
        describe(tmp_path / "other.onnx")


def test_what_is_not_good_enough_is_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "LLR_TOLERANCE", -1.0)
    monkeypatch.setattr(parity, "LLR_RELATIVE", 0.0)
    monkeypatch.chdir(tmp_path)
    command = ["export", "pusch-hybrid", "--target", "aerial-nrx", "--num-prb", "4", "--slots", "8", "--out", "model"]
    assert main(command) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.rejected"]
    assert "**Rejected:**" in (tmp_path / "model.rejected" / "REPORT.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "arial-nrx"], "--target: got 'arial-nrx'; allowed: .*did you mean 'aerial-nrx'"),
        (["--target", "onnx", "--dtype", "f8"], "--dtype: got 'f8'; allowed: f32, f16, int8"),
        (["--target", "torch", "--dtype", "int8"], "--dtype of torch: got 'int8'; allowed: f32"),
        (["--target", "oai-nrx", "--set", "pusch.num_layers=2"], "oai-nrx: got 2 layers; allowed: 1"),
        (["--target", "oai-nrx", "--set", "pusch.mcs_index=20"], "got 24 PRB, 1 antennas, 6 bits.*allowed: 24 PRB"),
        (["--target", "oai-nrx", "--num-prb", "51"], "got 51 PRB, .*allowed: 24 PRB"),
        (
            ["--target", "oai-demapper", "--set", "pusch.mcs_index=20"],
            "oai-demapper: got 6 bits per symbol; allowed: 4",
        ),
        (["--target", "llrnet", "--num-prb", "4"], "--num-prb of llrnet: got"),
        (
            ["--target", "aerial-nrx", "--set", "users.num_users=3"],
            "aerial-nrx: .*not trained for 3 layers; allowed: 1, 2",
        ),
        (["--target", "aerial-nrx", "--set", "pusch.dmrs.config_type=2"], "got DM-RS of type 2"),
        (["--target", "onnx", "--set", "pusch.mcs_table=2", "--set", "pusch.mcs_index=25"], "does not know 256QAM"),
        (["--target", "onnx", "--planes", "8"], "--planes of onnx: got 8"),
        (["--target", "onnx", "--num-prb", "4", "--num-prb", "4"], "--num-prb: got .4, 4.; allowed: different"),
    ],
)
def test_bad_input_is_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    import re

    monkeypatch.chdir(tmp_path)
    assert main(["export", "pusch-hybrid", "--out", "out", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert re.search(message, error[-1]), error
    assert not list(tmp_path.iterdir())


def test_bad_places_and_models(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    assert main(["export", "pusch-hybrid", "--target", "onnx", "--out", "there"]) == 2
    assert "--out: got 'there'; allowed: a folder that is not there yet" in capsys.readouterr().err
    assert main(["export", "pusch-hybrid", "--target", "onnx", "--out", "no/where"]) == 2
    assert "a new folder in one that is there" in capsys.readouterr().err
    assert main(["export", "pusch-hybird", "--target", "onnx", "--out", "new"]) == 2
    assert "weights: got 'pusch-hybird', which is not there" in capsys.readouterr().err
    assert main(["export", "info", "gone.onnx"]) == 2
    assert main(["export", "info", "there"]) == 2
    assert "got 'there'; allowed: an exported file, or the folder of a SavedModel" in capsys.readouterr().err
    assert main(["export", "check", "gone.onnx", "--contract", "generic"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        ("pdsch-svd", "pdsch: got one in 'pdsch-svd' with `ran export`; allowed: an experiment with a PUSCH"),
        ("harq-chase", "harq: got one in 'harq-chase' with `ran export`; allowed: null"),
        ("pusch-impaired-radios", "waveform: got one in 'pusch-impaired-radios' with `ran export`; allowed: null"),
    ],
)
@pytest.mark.parametrize("target", ["onnx", "aerial-nrx", "torch"])
def test_slots_that_would_not_be_those_of_the_experiment_are_refused(tmp_path, capsys, experiment, said, target):
    out = tmp_path / "out"
    command = ["export", "pusch-hybrid", "--target", target, "--out", str(out), "--experiment", experiment]
    assert main(command) == 2
    assert said in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr("ran.export.catalogue.find_spec", lambda name: None)
    needed = "litert_torch, ai_edge_litert, ai_edge_quantizer"
    with pytest.raises(InputError, match=rf"needs {needed}: pip install 'ran6g\[litert\]'"):
        target_of("litert")
    with pytest.raises(InputError, match=r"needs tensorflow, litert_torch: pip install 'ran6g\[litert,tensorflow\]'"):
        target_of("savedmodel")


def test_spare_planes_are_zero(tmp_path):
    outcome = export(request("aerial-nrx", tmp_path / "wide", planes=8))
    llr = np.load(outcome.folder / "vectors" / "vectors.npz")["out_output_1"]
    assert llr.shape[1] == 8
    assert not llr[:, 4:].any()
    assert llr[:, :4].any()
    assert not outcome.problems


def test_slots_with_other_pilots_get_no_llrs(made):
    folder, (file,) = made["aerial-nrx"].folder, made["aerial-nrx"].files
    arrays = np.load(folder / "vectors" / "vectors.npz")
    feeds = {name[3:]: arrays[name] for name in arrays.files if name.startswith("in_")}
    session = onnxruntime.InferenceSession(str(folder / file.name), providers=["CPUExecutionProvider"])
    for name in ("dmrs_ofdm_pos", "dmrs_subcarrier_pos"):
        (llr,) = session.run(["output_1"], {**feeds, name: feeds[name] + 1})
        assert not llr.any()
    (llr,) = session.run(["output_1"], {**feeds, "active_dmrs_ports": np.zeros((1, 1), np.float32)})
    assert not llr.any()


def test_torch_program_has_the_llrs_of_the_module(made):
    folder, (file,) = made["torch"].folder, made["torch"].files
    arrays = np.load(folder / "vectors" / "vectors.npz")
    inputs = [torch.from_numpy(arrays[f"in_{spec.name}"]) for spec in CONTRACTS["generic"].inputs]
    llr = torch.export.load(folder / file.name).module()(*inputs)
    torch.testing.assert_close(llr, torch.from_numpy(arrays["out_llr"]))
