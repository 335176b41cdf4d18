"""Training of plain autoencoders of CSI: from a recipe to weights that `ran csi` takes, and what refuses them."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml

from ran.cli.main import main
from ran.export.csi_litert import export_encoder
from ran.training.catalogue import load_recipe
from ran.training.csi_card import card_text
from ran.training.csi_drops import CsiData
from ran.training.train import run
from receivers.csi import NeuralCoder, sgcs

SMALL = {
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "band": {"num_prb": 24, "subband_size": 4},
    "feedback": ["ideal", {"name": "enhanced-type-two", "combination": 1}],
    "throughput": {"num_users": [1], "snr_db": [0]},
    "num_drops": 16,
}
TINY = {
    "name": "tiny-plain",
    "csi_drops": {"experiment": "small.yaml", "num_drops": 192, "num_held_out": 32},
    "combination": None,
    "num_values": [8, 16],
    "held_out_values": 16,
    "model": {
        "name": "autoencoder", "num_units": 6, "n1": 4, "n2": 1, "num_latents": 16, "bits_per_value": 1, "width": 16,
        "depth": 1, "body": "convolutional",
    },
    "schedule": {"steps": 30, "batch_drops": 32, "learning_rate": 1e-2, "warmup_steps": 2, "ema_decay": 0.5},
    "evaluate": [{"experiment": "small.yaml"}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ran.studies.csi.world._BLOCKS_PER_FILE", 1)
    Path("small.yaml").write_text(yaml.safe_dump(SMALL))
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_recipe_gives_weights_that_report_without_a_codebook(tmp_path, capsys):
    weights = run("tiny.yaml", tmp_path / "out", workers=1)
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["base"]["codebook"] is None
    rows = {row["point"]: row for row in card["measured"][0]["rows"]}
    # all that is reported are latents of one bit
    assert [rows[f"tiny-plain {count}"]["bits"] for count in (8, 16)] == [8.0, 16.0]
    text = weights.with_suffix(".md").read_text()
    assert text == card_text(card)
    for wanted in ("whole precoders, without a codebook, (4, 1), 6 PMI units", "levels 1/4 and 3/4"):
        assert wanted in text
    assert "refines" not in text
    # trained, it says more than before, of users that it was not trained on
    data = CsiData(load_recipe("tiny.yaml"))
    data.prepare(lambda text: None)
    v, base = data.held_out()
    assert not base.any()
    trained = NeuralCoder(str(weights), 16)
    reports = trained.encode(v, base)
    assert reports.shape == (32, 16)
    untrained = run("tiny.yaml", tmp_path / "one", ["schedule.steps=1", "evaluate=[]"], workers=1)
    coders = (NeuralCoder(str(untrained), 16), trained)
    before, after = (float(sgcs(v, coder.decode(coder.encode(v, base), base)).mean()) for coder in coders)
    assert after > before + 0.1
    # of no use where a codebook's report is a part
    given = ["--drops", "10", "--weights", str(weights), "--values", "8"]
    assert main(["data", "csi", "small.yaml", "--out", "exchange.h5", *given]) == 2
    assert "--weights: architecture: got 'autoencoder'; allowed: refinement" in capsys.readouterr().err
    _exported(weights, Path("files"))
    changes = ["schedule.steps=1", "evaluate=[]", "model.body=transformer"]
    _exported(run("tiny.yaml", tmp_path / "transformer", changes, workers=1), Path("of-transformer"))


def _exported(weights: Path, out: Path) -> None:
    """Encoder and decoder as ONNX do what the weights do, without a base, for any number of reports."""
    command = ["export", "model", str(weights), "--target", "csi", "--experiment", "small.yaml", "--out", str(out)]
    assert main(command) == 0
    files = json.loads((out / "contract.json").read_text())["files"]
    assert [spec["name"] for spec in files["encoder"]["contract"]["inputs"]] == ["precoder"]
    assert [spec["name"] for spec in files["decoder"]["contract"]["inputs"]] == ["levels", "used"]
    assert "Rejected" not in (out / "REPORT.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("litert_torch") is None, reason="needs litert_torch (extra litert)")
@pytest.mark.parametrize("body", ["convolutional", "transformer"])
def test_the_encoder_as_litert_reports_what_the_weights_report(body, tmp_path):
    weights = run("tiny.yaml", tmp_path / "out", ["schedule.steps=1", "evaluate=[]", f"model.body={body}"], workers=1)
    found = export_encoder(str(weights), tmp_path / "lite", "small.yaml")
    assert not found.problems
    # of the indices some lie at an edge of the quantiser
    assert found.changed <= 0.005
