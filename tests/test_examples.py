"""The examples: classes that a user brings, and what comes out of them."""

import csv
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ran
from ran.cli.main import main
from ran.contracts import check_class
from ran.sim.experiment import Experiment
from ran.studies.sweep.request import SweepRequest, load_any

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LINK = {"carrier": {"num_prb": 6}, "num_rx_ant": 2, "pusch": {"mcs_index": 4}, "stopping": {"max_slots": 128}}


@pytest.mark.parametrize(
    "name",
    [
        "my_channel.py:TwoPaths",
        "my_impairment.py:Clipping",
        "my_receiver.py:PrbAverage",
        "my_net.py:MyNet",
        "my_predictor.py:NearestBeams",
        "own_study.py:DmrsSymbols",
    ],
)
def test_the_examples_keep_the_contract(name):
    _, findings = check_class(name, base_dir=EXAMPLES)
    assert findings
    assert [finding for finding in findings if finding.problem] == []


def test_a_channel_and_a_receiver_of_ones_own_in_one_experiment():
    found = ran.simulate(
        {
            **LINK,
            "channel": {"name": f"{EXAMPLES / 'my_channel.py'}:TwoPaths", "delay_ns": 100.0},
            "receivers": ["lmmse", {"name": f"{EXAMPLES / 'my_receiver.py'}:PrbAverage"}],
            "esn0_db": [-4.0, 12.0],
        }
    )
    bler = {(p.receiver, p.esn0_db): p.bler for p in found.runs[0].points}
    assert bler["PrbAverage", 12.0] < 0.2 < bler["PrbAverage", -4.0]
    assert bler["lmmse", -4.0] < bler["PrbAverage", -4.0]


def test_an_impairment_of_ones_own():
    clipping = f"{EXAMPLES / 'my_impairment.py'}:Clipping"
    values = {**LINK, "channel": "awgn", "receivers": ["lmmse"], "pusch": {"mcs_index": 20}, "esn0_db": [17.0]}
    lost = []
    for clipping_db in (20.0, -10.0):
        block = {"transmit_impairments": [{"name": clipping, "clipping_db": clipping_db}]}
        found = ran.simulate({**values, "waveform": block, "stopping": {"max_slots": 16}})
        lost.append(found.runs[0].points[0].block_errors)
    # no sample of OFDM is 20 dB above the mean; next to nothing but the phase is left at -10 dB: pi/4 of the power of a
    # Gaussian signal, 5.6 dB over the distortion, which 64QAM 567/1024 does not bear
    assert lost == [0, 16]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    changes = {"schedule.steps": 40, "schedule.batch_slots": 8}
    return ran.train(EXAMPLES / "my_net.yaml", tmp_path_factory.mktemp("trained") / "net", changes)


def test_a_network_of_ones_own_is_trained_and_simulated(weights, tmp_path):
    log = (weights.parent / "train.csv").read_text().splitlines()
    column = log[0].split(",").index("bit_cross_entropy")
    assert float(log[-1].split(",")[column]) < float(log[1].split(",")[column])
    mine = {"name": "neural", "weights": str(weights), "label": "mine"}
    channel = {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 10}
    values = {**LINK, "num_rx_ant": 1, "channel": channel, "receivers": ["ls-linear", mine], "esn0_db": [20.0]}
    found = ran.simulate(values, {"stopping.max_slots": 16})
    assert found.receivers == ("ls-linear", "mine")
    assert {p.receiver: p.drops for p in found.runs[0].points}["mine"] == 16
    # what it computes is its source too: weights beside another source are refused
    moved = shutil.copytree(weights.parent, tmp_path / "moved")
    card = json.loads((moved / weights.name).with_suffix(".json").read_text())
    assert set(card["architecture_files"]) == {"my_net.py"}
    (moved / "my_net.py").write_text((EXAMPLES / "my_net.py").read_text() + "\n")
    mine["weights"] = str(moved / weights.name)
    with pytest.raises(ran.InputError, match=r"trained with another my_net\.py"):
        ran.simulate(values)


@pytest.mark.slow
def test_a_network_of_ones_own_is_exported_by_its_own_forward_pass(weights, tmp_path):
    options = {"num_prb": (4,), "num_slots": 16, "latency_slots": 4, "esn0_db": 20.0}
    found = ran.export_model(weights, "torch", tmp_path / "net", {"pusch.mcs_index": 4, "num_rx_ant": 1}, **options)
    assert not found.problems
    (file,) = found.files
    assert file.bler.before == file.bler.module == file.bler.after
    command = [sys.executable, "consumer.py", file.name, "vectors"]
    done = subprocess.run(command, cwd=found.folder, capture_output=True, text=True, check=True)
    assert "largest difference 0 of" in done.stdout
    # and as ONNX, for the slots that it is asked for
    changes = {"pusch.mcs_index": 4, "num_rx_ant": 1}
    onnx = ran.export_model(weights, "onnx", tmp_path / "onnx", changes, **options)
    assert not onnx.problems
    assert onnx.files[0].name == "model-4prb.onnx"
    assert onnx.files[0].bler.before == onnx.files[0].bler.after


def test_a_sionna_channel_in_our_link_loses_as_many_blocks_as_ours():
    values = {**LINK, "receivers": ["perfect-csi"], "esn0_db": [-2.0]}
    doppler_hz = 1.0 * 3.5e9 / 299792458
    ours = {"name": "tdl", "profile": "A", "delay_spread_ns": 100, "max_doppler_hz": doppler_hz}
    theirs = {"name": f"{EXAMPLES / 'sionna_channel.py'}:SionnaTdl"}
    found = [ran.simulate({**values, "channel": c}).runs[0].points[0] for c in (ours, theirs)]
    assert found[1].drops == 128
    a, b = (point.bler for point in found)
    assert a > 0.02
    # the difference of two independent shares of 128 blocks each, within three standard deviations
    share = (a + b) / 2
    assert abs(a - b) < 3 * (2 * share * (1 - share) / 128) ** 0.5


def test_our_channel_in_a_link_of_sionna_has_our_response():
    from sionna.phy.channel import cir_to_ofdm_channel

    from channels import Tdl
    from channels.to_sionna import AsSionnaModel

    tdl = Tdl("A", delay_spread_ns=100, max_doppler_hz=50)
    model = AsSionnaModel(tdl, num_rx_ant=2, num_tx_ant=1, seed=5)
    rate, frequencies = 1 / 35.7e-6, (np.arange(72) - 35.5) * 30e3
    a, tau = model(3, 14, rate)
    assert a.shape[:5] == (3, 1, 2, 1, 1)
    theirs = cir_to_ofdm_channel(torch.from_numpy(frequencies).float(), a, tau)[:, 0, :, 0]
    generators = [np.random.Generator(np.random.Philox(key=[5, drop])) for drop in range(3)]
    ours = tdl.response(generators, 2, 1, np.arange(14) / rate, frequencies)
    torch.testing.assert_close(theirs, ours, atol=2e-3, rtol=1e-3)
    assert not torch.equal(model(3, 14, rate)[0], a)  # other drops the next time


def test_a_sionna_receiver_beside_ours():
    name = f"{EXAMPLES / 'sionna_receiver.py'}:SionnaPusch"
    theirs = [{"name": name, "num_prb": 6, "mcs_index": 4, "decodes": decodes, "label": label} for decodes, label in
              ((False, "sionna"), (True, "sionna decoded"))]  # fmt: skip
    tdl = {"name": "tdl", "profile": "A", "delay_spread_ns": 100, "max_doppler_hz": 10}
    values = {**LINK, "channel": tdl, "receivers": ["ls-linear", *theirs]}
    found = ran.simulate({**values, "esn0_db": [-2.0]}).runs[0].points
    errors = {point.receiver: point.block_errors for point in found}
    assert 8 < errors["ls-linear"] < 120
    # one algorithm on the same slots: only blocks at the edge may differ, as three standard deviations of 5 % of them
    assert abs(errors["sionna"] - errors["ls-linear"]) <= 3 * (0.05 * 128) ** 0.5
    assert abs(errors["sionna decoded"] - errors["ls-linear"]) <= 3 * (0.05 * 128) ** 0.5
    with pytest.raises(ran.InputError, match=r"slot: got 1 layers on 72 subcarriers; allowed: 1 layers on 96"):
        ran.simulate({**values, "esn0_db": [-2.0], "receivers": [{**theirs[0], "num_prb": 8}]})


@pytest.mark.slow  # tests/receivers/test_sionna_receivers.py has the same with fewer slots
def test_our_receiver_in_a_link_of_sionna():
    lost = runpy.run_path(str(EXAMPLES / "receiver_in_sionna.py"))["blocks_lost"](24)
    assert 0 < lost["blind"] < 24
    assert abs(lost["ls-linear"] - lost["sionna"]) <= 1


def test_an_export_target_of_ones_own(tmp_path, capsys):
    target = f"{{name: '{EXAMPLES / 'my_target.py'}:Optimised', level: basic}}"
    command = ["export", "pusch-hybrid", "--target", target, "--out", str(tmp_path / "out"), "--num-prb", "2"]
    assert main([*command, "--slots", "8"]) == 0
    import onnx

    assert {"model.onnx", "REPORT.md", "contract.json", "consumer.py", "vectors"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert json.loads((tmp_path / "out" / "contract.json").read_text())["target"] == "optimised"
    nodes = len(onnx.load(tmp_path / "out" / "model.onnx").graph.node)
    plain = ran.export_model("pusch-hybrid", "onnx", tmp_path / "plain", num_prb=(2,), num_slots=8, latency_slots=2)
    assert 0 < nodes < len(onnx.load(plain.folder / "model.onnx").graph.node)
    assert main([*command[:4].copy(), "--target", target.replace("basic", "most"), "--out", str(tmp_path / "no")]) == 2
    assert "--target.level: got 'most'; allowed: 'basic' or 'extended'" in capsys.readouterr().err


def test_a_beam_predictor_of_ones_own(tmp_path):
    name = f"{EXAMPLES / 'my_predictor.py'}:NearestBeams"
    (tmp_path / "beams.yaml").write_text(
        "channel: {name: free-space, zenith_deg: [80, 120]}\nset_a: {beams: [4, 8]}\nevaluation: {top_k: [1]}\n"
        f"predictors: [best-of-set-b, {{name: '{name}', label: mine}}]\nnum_drops: 128\n"
    )
    assert main(["beams", str(tmp_path / "beams.yaml"), "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    found = json.loads((tmp_path / "out" / "beams.json").read_text())["results"]
    loss = {result["predictor"]: result["values"]["loss_db_k1"]["value"] for result in found}
    assert loss["mine"] <= loss["best-of-set-b"]
    assert len({result["predictor"]: result["fingerprint"] for result in found}["mine"]) == 64


def test_a_study_in_one_file(tmp_path, capsys) -> None:
    name = f"{EXAMPLES / 'own_study.py'}:DmrsSymbols"
    out = tmp_path / "study"
    command = ["study", name, "--set", "num_prb=1", "--set", "max_slots=16", "--workers", "1", "--out", str(out)]
    assert main(command) == 0
    table = out / "dmrs.csv"
    assert capsys.readouterr().out.strip().endswith(f"report: {table}")
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 2 * 3 * 2
    for row in rows:
        assert 0 <= float(row["low"]) <= float(row["bits_per_slot"]) <= float(row["high"])
    assert {(row["max_doppler_hz"], row["dmrs_symbols"]) for row in rows} == {
        (doppler, symbols) for doppler in ("50.0", "500.0") for symbols in "123"
    }
    # a second call finds everything, also from Python
    assert ran.run_study(name, out, {"num_prb": 1, "max_slots": 16}, workers=1) == table
    before = table.read_text()
    assert main(command) == 0
    assert table.read_text() == before
    assert main([*command[:2], "--set", "max_slot=16", "--out", str(out)]) == 2
    assert "study.max_slot: unknown option" in capsys.readouterr().err


def test_the_sweep_is_read() -> None:
    request = load_any(EXAMPLES / "sweep.yaml")
    assert isinstance(request, SweepRequest)
    assert len(request.parts) == 9
    assert all(isinstance(part.experiment, Experiment) for part in request.parts)
    assert list(request.keys.values()) == ["mcs_index", "max_doppler_hz"]
