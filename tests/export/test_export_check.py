"""`ran export check`: files that keep their contract, and a deliberate violation of every clause."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from markupsafe import escape
from onnx import helper, numpy_helper

from ran.cli.main import main
from ran.errors import InputError
from ran.export.check import check_file
from ran.export.graphs import build_graph
from ran.export.slots import empty_slot, experiment_of, link_of
from ran.export.targets import TARGETS
from receivers import NeuralReceiver
from receivers.onnx.contracts import CONTRACTS
from receivers.onnx.evidence import EVIDENCE
from receivers.onnx.export import write_onnx

NAMES = ("generic", "aerial-nrx", "cuphy-chest", "oai-nrx", "oai-demapper", "llrnet")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A file of every contract."""
    folder = tmp_path_factory.mktemp("kept")
    for name in NAMES:
        target = TARGETS["onnx" if name == "generic" else name]
        num_prb = None if name == "oai-nrx" else 6
        like = empty_slot(link_of(experiment_of("pusch-receivers", target.changes, ()), num_prb))
        settings = {"planes": 8} if name == "aerial-nrx" else {}
        graph = build_graph(target, NeuralReceiver("pusch-hybrid"), like, 8.0, settings)
        write_onnx(graph.module, graph.contract, graph.example, graph.fixed, graph.about, folder / f"{name}.onnx")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_our_files_keep_their_contract(name, files):
    clauses = check_file(files / f"{name}.onnx", name)
    assert [clause for clause in clauses if not clause.met] == []
    assert len(clauses) >= 6


Change = Callable[[onnx.ModelProto], None]


def after(output: str, operation: str, constant: torch.Tensor | None = None, **attributes) -> Change:
    """One operation more behind an output."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for place, name in enumerate(node.output):
                if name == output:
                    node.output[place] = f"{output}_before"
        inputs = [f"{output}_before"]
        if constant is not None:
            model.graph.initializer.append(numpy_helper.from_array(constant.numpy(), f"{output}_constant"))
            inputs.append(f"{output}_constant")
        model.graph.node.append(helper.make_node(operation, inputs, [output], **attributes))

    return change


def before(name: str, operation: str, constant: torch.Tensor | None = None, **attributes) -> Change:
    """One operation more before an input is used."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for place, used in enumerate(node.input):
                if used == name:
                    node.input[place] = f"{name}_after"
        inputs = [name]
        if constant is not None:
            model.graph.initializer.append(numpy_helper.from_array(constant.numpy(), f"{name}_constant"))
            inputs.append(f"{name}_constant")
        model.graph.node.insert(0, helper.make_node(operation, inputs, [f"{name}_after"], **attributes))

    return change


def rename(old: str, new: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            if value.name == old:
                value.name = new
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    return change


def reorder(model: onnx.ModelProto) -> None:
    inputs = list(model.graph.input)
    del model.graph.input[:]
    model.graph.input.extend([inputs[1], inputs[0], *inputs[2:]])


def gather(values: list[int]) -> torch.Tensor:
    return torch.tensor(values)


#: Pilots of the file taken where they lie frequency-major: place of (symbol, pilot) among (pilot, symbol).
def other_pilot_order(num_pilots: int, num_symbols: int) -> list[int]:
    return [k * num_symbols + t for t in range(num_symbols) for k in range(num_pilots)]


def tensor(value: float) -> torch.Tensor:
    return torch.tensor(value)


VIOLATIONS = [
    # names and order
    ("generic", rename("llr", "logits"), "outputs llr"),
    ("aerial-nrx", rename("h_hat_real", "h_real"), "inputs rx_slot_real"),
    ("aerial-nrx", reorder, "inputs rx_slot_real, rx_slot_imag"),
    ("cuphy-chest", rename("zout", "h"), "outputs zout"),
    ("oai-nrx", reorder, "inputs rx_slot, h_hat"),
    ("oai-nrx", rename("h_hat", "h"), "inputs rx_slot, h_hat"),
    ("oai-demapper", rename("output_1", "llr"), "outputs output_1"),
    ("llrnet", rename("dense_1", "dense_2"), "outputs dense_1"),
    # sign
    ("generic", after("llr", "Neg"), "positive LLRs for bit 0"),
    ("aerial-nrx", after("output_1", "Neg"), "positive LLRs for bit 0"),
    ("oai-nrx", after("output_1", "Neg"), "positive LLRs for bit 0"),
    ("oai-demapper", after("output_1", "Neg"), "positive LLRs for bit 0"),
    ("llrnet", after("dense_1", "Neg"), "positive LLRs for bit 0"),
    ("cuphy-chest", after("zout", "Neg"), "channel on all subcarriers"),
    # order of bits, of pilots; layout
    ("generic", after("llr", "Gather", gather([1, 0, 3, 2]), axis=-1), "bits in the order"),
    ("aerial-nrx", after("output_1", "Gather", gather([1, 0, 3, 2, 4, 5, 6, 7]), axis=1), "bits in the order"),
    ("oai-demapper", after("output_1", "Gather", gather([3, 2, 1, 0]), axis=1), "bits in the order"),
    ("llrnet", after("dense_1", "Gather", gather([1, 0, 3, 2, 4, 5, 6, 7]), axis=1), "bits in the order"),
    ("oai-nrx", after("output_1", "Gather", gather([1, 0, 3, 2]), axis=1), "bits in the order"),
    ("oai-nrx", before("h_hat", "Gather", gather(other_pilot_order(144, 3)), axis=1), "pilots taken in symbol-major"),
    ("cuphy-chest", after("zout", "Transpose", perm=[0, 2, 1, 3, 4, 5]), "channel on all subcarriers"),
    ("cuphy-chest", after("zout", "Gather", gather([1, 0, 2, 3]), axis=2), "channel on all subcarriers"),
    # scale
    ("cuphy-chest", after("zout", "Mul", tensor(0.25)), "channel on all subcarriers"),
    ("oai-nrx", after("output_1", "Mul", tensor(8.0)), "LLRs below 128"),
    ("oai-demapper", after("output_1", "Mul", tensor(256.0)), "LLRs below 128"),
]


@pytest.mark.parametrize(("name", "change", "clause"), VIOLATIONS, ids=lambda v: v if isinstance(v, str) else None)
def test_a_violation_is_caught(name, change, clause, files, tmp_path):
    model = onnx.load(files / f"{name}.onnx")
    change(model)
    onnx.save(model, tmp_path / "odd.onnx")
    broken = [found.text for found in check_file(tmp_path / "odd.onnx", name) if found.met is False]
    assert any(text.startswith(clause) for text in broken), broken


MEASURED = [
    ("generic", after("llr", "Mul", tensor(256.0)), "LLRs in units of the natural logarithm"),
    ("aerial-nrx", after("output_1", "Mul", tensor(256.0)), "LLRs in units"),
    ("aerial-nrx", after("output_1", "Add", tensor(0.5)), "zeros beyond bit 4"),
    ("llrnet", after("dense_1", "Add", tensor(0.5)), "zeros beyond bit 4"),
    ("cuphy-chest", after("zout", "Add", tensor(1e-3)), "0 for layers that are not there"),
    ("oai-nrx", before("h_hat", "Clip", tensor(-0.6)), "the same when all inputs are 4 times as large"),
    ("llrnet", after("dense_1", "Mul", tensor(0.01)), None),  # no noise input: no scale can be right
]


@pytest.mark.parametrize(("name", "change", "clause"), MEASURED, ids=lambda v: v if isinstance(v, str) else None)
def test_what_is_only_measured_breaks_nothing(name, change, clause, files, tmp_path, capsys):
    model = onnx.load(files / f"{name}.onnx")
    change(model)
    path = tmp_path / "odd.onnx"
    onnx.save(model, path)
    clauses = check_file(path, name)
    assert [found.text for found in clauses if found.demanded and not found.met] == []
    told = [found.text for found in clauses if found.met is False]
    assert len(told) == int(clause is not None)
    assert all(text.startswith(clause) for text in told)
    assert main(["export", "check", str(path), "--contract", name]) == 0
    assert ("not met" in capsys.readouterr().out) is (clause is not None)


def test_frequency_major_pilots_are_caught(files, tmp_path):
    model = onnx.load(files / "aerial-nrx.onnx")
    for part in ("h_hat_real", "h_hat_imag"):
        before(part, "Gather", gather(other_pilot_order(36, 2)), axis=1)(model)
    onnx.save(model, tmp_path / "odd.onnx")
    clauses = {clause.text: clause for clause in check_file(tmp_path / "odd.onnx", "aerial-nrx")}
    assert clauses["pilots taken in symbol-major order"].met is False
    assert "frequency-major: 0 % wrong" in clauses["pilots taken in symbol-major order"].found


def test_llrs_beside_pilots_are_asked_for(files, tmp_path):
    """A file whose LLRs at the odd REs of DM-RS symbols are 0 decides those bits by a coin."""
    model = onnx.load(files / "oai-nrx.onnx")
    sign = torch.ones(1, 1, 1, 288, 13)
    symbols = json.loads(next(p.value for p in model.metadata_props if p.key == "slot"))["dmrs_symbols"]
    sign[:, :, :, 1::4, symbols] = -1
    after("output_1", "Mul", sign)(model)
    onnx.save(model, tmp_path / "odd.onnx")
    clauses = {clause.text: clause.met for clause in check_file(tmp_path / "odd.onnx", "oai-nrx")}
    assert clauses["LLRs at odd REs of DM-RS symbols"] is False


def test_command_line(files, capsys):
    assert main(["export", "check", str(files / "llrnet.onnx"), "--contract", "llrnet"]) == 0
    assert "positive LLRs for bit 0" in capsys.readouterr().out
    assert main(["export", "check", str(files / "llrnet.onnx"), "--contract", "generic"]) == 1
    assert main(["export", "check", str(files / "llrnet.onnx"), "--contract", "llrnt"]) == 2
    assert "did you mean 'llrnet'" in capsys.readouterr().err


#: What each stack calls itself in the evidence.
STACKS = {
    "generic": ("ran6g, ",),
    "aerial-nrx": ("Aerial, ", "neural_rx, "),
    "cuphy-chest": ("Aerial, ",),
    "oai-nrx": ("Sionna Research Kit, ", "neural_rx, "),
    "oai-demapper": ("Sionna Research Kit, ", "OpenAirInterface, "),
    "llrnet": ("Aerial, ",),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_clause_names_its_evidence(name, files, tmp_path, capsys):
    """A file of the other stack, demanded or measured, in the table, as JSON and on the page."""
    file, told, page = files / f"{name}.onnx", tmp_path / "check.json", tmp_path / "check.html"
    command = ["export", "check", str(file), "--contract", name, "--json-file", str(told), "--page", str(page)]
    assert main(command) == 0
    shown = "".join(capsys.readouterr().out.split())
    clauses = json.loads(told.read_text())["clauses"]
    html = page.read_text()
    assert {clause["kind"] for clause in clauses} <= {"demanded", "measured"}
    assert all(clause["met"] is True for clause in clauses if clause["kind"] == "demanded")
    for clause in clauses:
        assert clause["evidence"].startswith(STACKS[name]), clause
        assert re.search(r"\w\.(py|ipynb|cpp|cu|c|onnx)\b|plugins/neural_receiver, \w+", clause["evidence"]), clause
        assert str(escape(clause["clause"])) in html
        assert str(escape(clause["evidence"])) in html
        assert clause["kind"] in shown
    texts = [clause["clause"] for clause in clauses]
    assert len(set(texts)) == len(texts)
    assert set(EVIDENCE[name].values()) >= {clause["evidence"] for clause in clauses}
    assert set(EVIDENCE[name].values()) - {clause["evidence"] for clause in clauses} <= {EVIDENCE[name].get("layers")}


def test_a_broken_file_is_told_with_the_evidence(files, tmp_path, capsys):
    """Also where the file is not run, because its tensors are others."""
    told, page = tmp_path / "check.json", tmp_path / "check.html"
    command = ["export", "check", str(files / "llrnet.onnx"), "--contract", "oai-nrx"]
    assert main([*command, "--json-file", str(told), "--page", str(page)]) == 1
    assert "demanded clauses are met" in capsys.readouterr().out
    described = json.loads(told.read_text())
    assert all(clause["evidence"] for clause in described["clauses"])
    assert described["conclusion"] in page.read_text()
    assert 'class="broken">BROKEN' in page.read_text()
    assert main([*command, "--json-file", str(tmp_path / "none" / "check.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_tensors_are_those_of_the_contracts_read_in_the_stacks():
    """The names, against the notes taken from the stacks' sources."""
    text = (Path(__file__).parents[2] / "../shared/contracts.md").resolve()
    if not text.is_file():
        pytest.skip("shared/contracts.md is not beside the repository")
    parts = dict(re.findall(r"^## (\w)\. (.*?)(?=^## |\Z)", text.read_text(), re.M | re.S))
    for letter, name in {
        "A": "aerial-nrx",
        "B": "cuphy-chest",
        "C": "oai-nrx",
        "D": "oai-demapper",
        "E": "llrnet",
    }.items():
        for spec in (*CONTRACTS[name].inputs, *CONTRACTS[name].outputs):
            assert f"`{spec.name}`" in parts[letter]


def test_a_contract_for_every_target():
    # beam predictors have a contract of their own, beside those of receivers
    assert {target.contract for target in TARGETS.values()} == set(CONTRACTS)
    with pytest.raises(InputError, match=r"no\.onnx: cannot be read"):
        check_file(Path("no.onnx"), "generic")
