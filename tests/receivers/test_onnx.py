"""ONNX models as receivers: parity of our own, receivers of other stacks' contracts, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import onnx_toys
import pytest
import torch

from ran.cli.main import main
from ran.errors import InputError
from ran.link import Link, LinkConfig
from ran.link.catalogue import build_receiver, receiver_catalogue
from ran.phy.config import Carrier, Pusch, Users
from ran.sim.experiment import load
from ran.sim.run import run
from receivers import NeuralReceiver, OnnxReceiver
from receivers.onnx.export import export_generic


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Models of every contract that several tests use."""
    folder = tmp_path_factory.mktemp("models")
    export_generic("pusch-hybrid", folder / "hybrid.onnx")
    onnx_toys.write_aerial(folder / "aerial.onnx")
    onnx_toys.write_oai(folder / "oai.onnx")
    onnx_toys.write_demapper(folder / "demapper.onnx")
    (folder / "text.onnx").write_text("not a model")
    return folder


def link(num_prb=4, num_rx_ant=4, num_layers=1, num_users=1, mcs_index=14, **pusch) -> Link:
    return Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pusch=Pusch(mcs_index=mcs_index, num_layers=num_layers, **pusch),
            users=Users(num_users=num_users),
            num_rx_ant=num_rx_ant,
            channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 200},
        )
    )


@pytest.mark.parametrize(("bits", "mcs_index", "num_layers"), [(2, 4, 1), (4, 14, 1), (6, 20, 1), (4, 14, 2)])
def test_exported_model_gives_the_same_llrs(bits, mcs_index, num_layers, tmp_path):
    file = export_generic("pusch-hybrid", tmp_path / "model.onnx", bits_per_symbol=bits, num_layers=num_layers)
    exported, trained = OnnxReceiver(str(file)), NeuralReceiver("pusch-hybrid")
    assert exported.contract.name == "generic"
    assert exported.model.metadata["weights_sha256"] == trained.sha256
    cases = [(1, 2, num_layers, 1, 1), (7, 4, num_layers, 1, 3)]
    cases += [(4, 4, 1, 2, 2)] if num_layers == 2 else []
    for num_prb, num_rx_ant, layers, users, batch in cases:
        tested = link(num_prb, num_rx_ant, layers, users, mcs_index)
        tested.check_receiver("exported", exported)
        observation = tested.batch(range(batch), 8.0, 1, "parity").observation
        # float32 sums in another order; the largest difference seen was 2e-4 on LLRs of up to 110
        torch.testing.assert_close(exported(observation), trained(observation), rtol=1e-5, atol=1e-3)


def test_export_refuses_what_the_weights_do_not_know(tmp_path):
    with pytest.raises(ValueError, match="not trained for 4 layers"):
        export_generic("pusch-hybrid", tmp_path / "no.onnx", num_layers=4)
    with pytest.raises(ValueError, match="256QAM"):
        export_generic("pusch-hybrid", tmp_path / "no.onnx", bits_per_symbol=8)
    with pytest.raises(ValueError, match="cannot be written"):
        export_generic("pusch-hybrid", tmp_path / "no" / "no.onnx")
    assert not list(tmp_path.iterdir())


EXPERIMENT = """\
carrier: {num_prb: 4}
pusch: {mcs_index: 14}
num_rx_ant: 2
channel: {name: tdl, profile: B, delay_spread_ns: 100, max_doppler_hz: 100}
receivers: [{name: neural, weights: pusch-hybrid}, hybrid.onnx, {name: hybrid.onnx, contract: generic, label: stated}]
esn0_db: [2, 6]
stopping: {min_block_errors: null, max_slots: 64, min_bler: null}
harq: {max_transmissions: 3, rv: [0, 2, 3], round_trip_slots: 8}
"""


def test_experiment_with_harq_decides_as_the_trained_model(files, tmp_path, monkeypatch):
    (files / "e.yaml").write_text(EXPERIMENT)
    monkeypatch.chdir(tmp_path)
    experiment = load(files / "e.yaml")
    assert experiment.receivers[1].name == str(files / "hybrid.onnx")
    assert [r.title for r in experiment.receivers] == ["neural", "hybrid.onnx", "stated"]
    results = run(experiment, tmp_path / "run", workers=1)
    digest = hashlib.sha256((files / "hybrid.onnx").read_bytes()).hexdigest()
    assert results.meta["weights hybrid.onnx"] == digest
    points = {(p.receiver, p.esn0_db): p for p in results.points}
    assert points["neural", 2.0].bler_after[0] > points["neural", 2.0].bler_after[2]
    for name in ("hybrid.onnx", "stated"):
        for esn0_db in (2.0, 6.0):
            trained, exported = points["neural", esn0_db], points[name, esn0_db]
            assert exported.bler_after == trained.bler_after
            assert exported.transmissions == trained.transmissions


@pytest.mark.parametrize(
    ("file", "contract", "num_prb", "num_rx_ant"),
    [("aerial.onnx", "aerial-nrx", 9, 4), ("oai.onnx", "oai-nrx", 24, 1), ("demapper.onnx", "oai-demapper", 5, 2)],
)
def test_models_of_other_stacks(file, contract, num_prb, num_rx_ant, files):
    receiver = OnnxReceiver(str(files / file))
    assert receiver.contract.name == contract
    tested = link(num_prb, num_rx_ant)
    tested.check_receiver("toy", receiver)
    batch = tested.batch(range(4), 25.0, 1, "toys")
    llr = receiver(batch.observation)
    assert llr.shape == batch.coded_bits.shape
    wrong = ((llr < 0) != batch.coded_bits.bool()).float().mean()
    assert wrong < 0.05  # they average over time: 200 Hz cost them a few bits


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"inverted": True}, "LLRs are positive for bit 1"),
        ({"swapped": True}, "bits of the two axes have changed places"),
        ({"frequency_major": True}, r"frequency-major order \(set pilot_order: frequency-major\)"),
        ({"frequency_major": True, "inverted": True}, "positive for bit 1 and pilots are taken in frequency-major"),
    ],
)
def test_models_that_mean_something_else_are_named(how, message, tmp_path):
    file = onnx_toys.write_aerial(tmp_path / "odd.onnx", **how)
    tested = link(24)
    with pytest.raises(InputError, match=rf"receivers\.odd: odd\.onnx as aerial-nrx: .*{message}"):
        tested.check_receiver("odd", OnnxReceiver(file))
    tested.check_receiver("odd", OnnxReceiver(file, probe=False))
    if how == {"frequency_major": True}:
        tested.check_receiver("odd", OnnxReceiver(file, pilot_order="frequency-major"))


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("text.onnx", {}, "text.onnx: is no ONNX file that can be run"),
        ("gone.onnx", {}, "gone.onnx: cannot be read: No such file"),
        ("demapper.onnx", {"contract": "generic"}, "demapper.onnx as generic: input 'y' is float16; allowed: float32"),
        ("aerial.onnx", {"contract": "oai-nrx"}, "as oai-nrx: input 'rx_slot' is missing; allowed: rx_slot, h_hat"),
        ("hybrid.onnx", {"pilot_order": "frequency-major"}, "pilot_order: got 'frequency-major' for generic"),
        ("hybrid.onnx", {"contract": "generik"}, "receivers.contract: got 'generik'; allowed: "),
        ("hybrid.onnx", {"provider": "abacus"}, "provider: got 'abacus'; allowed: .*cpu"),
        ("hybrid.onnx", {"contrakt": "generic"}, "unknown option.*did you mean 'contract'"),
    ],
)
def test_bad_files_and_options_are_one_line(file, options, message, files):
    with pytest.raises(InputError, match=message) as raised:
        build_receiver({"name": file, **options}, files)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("file", "slots", "message"),
    [
        ("oai.onnx", {}, "got num_rx_ant 4; allowed: 1"),
        ("oai.onnx", {"num_rx_ant": 1}, "got num_subcarriers 48; allowed: 288, which the file fixes"),
        ("aerial.onnx", {"num_symbols": 12}, "got num_symbols 12; allowed: 14"),
        ("hybrid.onnx", {"mcs_index": 20}, "got bits_per_symbol 6; allowed: 4"),
        ("hybrid.onnx", {"num_layers": 2}, "got num_layers 2; allowed: 1"),
        ("hybrid.onnx", {"transform_precoding": True}, "got transform precoding"),
        ("demapper.onnx", {"mcs_index": 4}, "got 2 bits per symbol; allowed: 4"),
    ],
)
def test_slots_that_a_file_cannot_take(file, slots, message, files):
    with pytest.raises(InputError, match=message):
        link(**slots).check_receiver("model", OnnxReceiver(str(files / file)))


def test_a_model_of_no_contract(tmp_path):
    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Neg", ["a"], ["b"])
    sides = ([info("a", onnx.TensorProto.FLOAT, ["n"])], [info("b", onnx.TensorProto.FLOAT, ["n"])])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", *sides), opset_imports=opset, ir_version=8)
    onnx.save(model, tmp_path / "neg.onnx")
    with pytest.raises(ValueError, match=r"neg\.onnx: keeps none of the contracts \(not generic, input 'y' is missing"):
        OnnxReceiver(str(tmp_path / "neg.onnx"))


def test_command_line(files, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(files)
    assert "FILE.onnx" in receiver_catalogue()
    assert main(["conformance", "--receiver", "text.onnx", "--out", str(tmp_path / "no")]) == 2
    assert "text.onnx: is no ONNX file" in capsys.readouterr().err
    row = ["conformance", "--table", "8.2.1.2-4-row5", "--workers", "1", "--out", str(tmp_path / "rows")]
    assert main([*row, "--receiver", "{name: oai.onnx, contract: oai-nrx, label: theirs}"]) == 2
    assert "oai.onnx as oai-nrx: got num_rx_ant 4; allowed: 1" in capsys.readouterr().err
