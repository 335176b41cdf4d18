"""Training of delay-angle models and channel predictors: losses fall, a kill resumes to identical weights, cards."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ran.cli.main import main
from ran.errors import InputError
from ran.studies.csi.evaluation import Evaluation
from ran.studies.csi.experiment import load
from ran.studies.csi.point import points
from ran.studies.csi.world import CsiWorld
from ran.training.catalogue import load_recipe
from ran.training.csi_card import card_text
from ran.training.delay_angle_recipe import DelayAngleRecipe
from ran.training.delay_angle_train import DelayAngleTrainer, build_model, check
from ran.training.prediction_recipe import PredictionRecipe
from ran.training.prediction_train import PredictionTrainer
from ran.training.prediction_train import build_model as build_predictor
from ran.training.prediction_train import card_text as prediction_card
from ran.training.prediction_train import check as check_prediction
from ran.training.train import run
from receivers.csi import DelayAngleCoder, LearnedPredictor, sgcs
from receivers.neural.weights import card_path, shipped_weights

SMALL = {
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "terminal": {"columns": 1},
    "band": {"num_prb": 24, "subband_size": 4},
    "feedback": ["ideal", {"name": "enhanced-type-two", "combination": [1, 2]}],
    "throughput": {"num_users": [1], "snr_db": [0]},
    "num_drops": 8,
}
MOVING = {
    **SMALL,
    "timing": {"period_ms": 5, "num_observed": 8, "ahead_ms": 5},
    "feedback": [
        {"name": "ideal", "label": "hold"},
        {"name": "ideal", "predictor": "autoregressive", "label": "autoregressive"},
        {"name": "ideal", "predictor": "learned", "label": "learned"},
    ],
}
SCHEDULE = {"steps": 4, "batch_drops": 8, "checkpoint_every": 3, "log_every": 1, "warmup_steps": 2, "validate_every": 2}
CODER = {
    "name": "tiny-coder",
    "csi_drops": {"experiment": "small.yaml", "num_drops": 48, "num_held_out": 16},
    "model": {"name": "delay-angle", "num_units": 6, "n1": 4, "n2": 1, "width": 8, "restoration_width": 8},
    "schedule": SCHEDULE,
    "num_bits": [60, 120],
    "evaluate": [{"experiment": "small.yaml"}],
}
PREDICTOR = {
    "name": "tiny-predictor",
    "prediction_drops": {"experiment": "moving.yaml", "speeds_kmh": [10, 30], "num_drops": 24, "num_held_out": 8},
    "model": {"name": "channel-prediction", "num_times": 8, "n1": 4, "n2": 1, "width": 16},
    "schedule": SCHEDULE,
    "evaluate": [{"experiment": "moving.yaml"}],
}


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "csi-cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ran.studies.csi.world._BLOCKS_PER_FILE", 1)
    files = {"small": SMALL, "moving": MOVING, "coder": CODER, "predictor": PREDICTOR}
    for name, values in files.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(values))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _killed_and_resumed(recipe: str, trainer: type, tmp_path: Path, monkeypatch) -> Path:
    """Weights of a training that was not interrupted, which one that was killed makes again."""
    whole = run(recipe, tmp_path / "whole", ["evaluate=[]"], workers=1)
    once = trainer.one_step

    def killed(self):
        if self.step == 3:
            raise KeyboardInterrupt
        return once(self)

    monkeypatch.setattr(trainer, "one_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path / "cut", ["evaluate=[]"], workers=1)
    monkeypatch.setattr(trainer, "one_step", once)
    assert run(recipe, tmp_path / "cut", ["evaluate=[]"], workers=1).read_bytes() == whole.read_bytes()
    return whole


def test_a_coder_resumes_to_identical_weights_and_reports_come_back(tmp_path, monkeypatch):
    whole = _killed_and_resumed("coder.yaml", DelayAngleTrainer, tmp_path, monkeypatch)
    coder = DelayAngleCoder(str(whole), 150)
    recipe = load_recipe("coder.yaml")
    trainer = DelayAngleTrainer(recipe, build_model(recipe), tmp_path / "again")
    v = torch.from_numpy(trainer.world.kept("train", 64).v[60:, -1, 0])
    reports = coder.encode(v)
    assert reports.shape == (4, 150)
    assert float(sgcs(v, coder.decode(reports)).mean()) > 0.8
    _exported(whole, "small.yaml", {"contexts", "restoration"})
    # another layout, and another architecture, are refused in one line
    block = f"{{name: delay-angle, weights: {whole}}}"
    for changes, message in (
        ([f"feedback=[{block}]", "panel.n2=2"], "n2: got 2; allowed: 1"),
        ([f"feedback=[{block}]", "feedback.0.num_bits=9"], "num_bits: got 9"),
        ([f"feedback=[{{name: neural, weights: {whole}}}]"], "architecture .refinement."),
    ):
        with pytest.raises(InputError, match=message):
            points(load("small.yaml", changes))


def _exported(weights: Path, experiment: str, files: set[str]) -> None:
    """Networks as ONNX in their places do what the weights do."""
    command = ["export", "model", str(weights), "--target", "csi", "--experiment", experiment, "--out", "files"]
    assert main(command) == 0
    described = json.loads(Path("files/contract.json").read_text())
    assert set(described["files"]) == files
    assert described["weights_sha256"] == json.loads(weights.with_suffix(".json").read_text())["sha256"]
    report = Path("files/REPORT.md").read_text()
    assert "Rejected" not in report
    before, after = map(float, re.search(r"SGCS ([\d.]+) before, ([\d.]+) after", report).groups())
    assert before == pytest.approx(after, abs=1e-3)
    assert before > 0.5
    assert main(command) == 2
    other = [*command[:-1], "other", "--set", "panel.n1=2", "--set", "panel.n2=2"]
    assert main(other) == 2
    assert not Path("other").exists()


@pytest.mark.slow
def test_the_card_of_a_coder_is_whole(tmp_path):
    whole = run("coder.yaml", tmp_path / "whole", workers=1)
    card = json.loads(whole.with_suffix(".json").read_text())
    assert card["task"] == "csi"
    rows = card["measured"][0]["rows"]
    assert [row["point"] for row in rows] == [
        "ideal", "enhanced-type-two 1", "enhanced-type-two 2", "tiny-coder 60", "tiny-coder 120",
    ]  # fmt: skip
    assert [row["bits"] for row in rows[-2:]] == [60, 120]
    assert rows[-1]["cost"]["encoder_flops"] > rows[-1]["cost"]["decoder_flops"] > 0
    text = whole.with_suffix(".md").read_text()
    assert text == card_text(card)
    for wanted in ("Not followed", "tiny-coder 120", card["sha256"], "(4, 1) ports in 6 PMI units"):
        assert wanted in text


def test_bits_fall_on_drops_never_trained_on(tmp_path):
    recipe = load_recipe("coder.yaml", ["schedule.steps=25", "schedule.learning_rate=1e-2"])
    trainer = DelayAngleTrainer(recipe, build_model(recipe), tmp_path)
    before = trainer.validations()
    while trainer.step < recipe.schedule.steps:
        trainer.one_step()
    after = trainer.validations()
    assert all(new["bits"] < old["bits"] for new, old in zip(after, before, strict=True))
    # what is restored is still nearly as good as the indices themselves, with which the restoration begins
    assert all(new["sgcs"] > old["sgcs"] - 0.02 for new, old in zip(after, before, strict=True))


@pytest.mark.slow
def test_the_card_of_a_predictor_is_whole(tmp_path):
    whole = run("predictor.yaml", tmp_path / "whole", workers=1)
    card = json.loads(whole.with_suffix(".json").read_text())
    assert [row["point"] for row in card["measured"][0]["rows"]] == ["hold", "autoregressive", "learned"]
    assert whole.with_suffix(".md").read_text() == prediction_card(card)


def test_a_predictor_resumes_to_identical_weights(tmp_path, monkeypatch):
    whole = _killed_and_resumed("predictor.yaml", PredictionTrainer, tmp_path, monkeypatch)
    card = json.loads(whole.with_suffix(".json").read_text())
    assert card["training"]["held_out"][1]["nmse"] < card["training"]["held_out"][1]["nmse_hold"]
    learned = LearnedPredictor(str(whole))
    assert learned(np.ones((2, 8, 2, 8, 24), np.complex64)).shape == (2, 2, 8, 24)
    _exported(whole, "moving.yaml", {"predictor"})
    block = f"{{name: ideal, predictor: learned, predictor_weights: {whole}}}"
    # two with weights of their own do not stand for each other
    other = block.replace("ideal,", "ideal, label: other,", 1)
    experiment = load("moving.yaml", [f"feedback=[{block}, {other}]"])
    both = points(experiment)
    assert both[1].learned is not None
    both[1].learned.fingerprint = "of other weights"
    with torch.no_grad():
        both[1].learned.model.leave.bias.add_(0.5)
    evaluation = Evaluation(CsiWorld(experiment))
    together, alone = evaluation(both, 0, 4), [evaluation([point], 0, 4)[0] for point in both]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a["sgcs"], b["sgcs"])
    assert (together[0]["sgcs"] != together[1]["sgcs"]).any()
    for change, message in (
        ("timing.num_observed=9", "timing.num_observed: got 9; allowed: 8"),
        ("timing.ahead_ms=10", "timing.ahead_ms: got 10.*the period, with learned"),
        ("timing.period_ms=4", "got"),
        ("feedback.0.predictor=hold", r"feedback.0.predictor_weights: got .*none, or predictor: learned"),
        ("feedback.0.predictor=learnt", "did you mean 'learned'"),
        ("feedback.0.predictor_weights=nowhere", "feedback.0.predictor_weights: weights: got 'nowhere'"),
    ):
        with pytest.raises(InputError, match=message):
            points(load("moving.yaml", [f"feedback=[{block}]", change]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.n1=2", r"model.n1, model.n2: got \(2, 1\); allowed: \(4, 1\)"),
        ("model.num_units=5", "model.num_units: got 5; allowed: 6"),
        ("quantiser_steps=[0.5,0.2]", "ascending"),
        ("csi_drops.experiment=smal.yaml", "smal.yaml"),
        ("num_bits=[]", "num_bits"),
    ],
)
def test_bad_recipes_of_coders_are_refused_at_once(change, message):
    with pytest.raises(InputError, match=message):
        check(load_recipe("coder.yaml", [change]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.num_times=9", "model.num_times: got 9; allowed: 8"),
        ("prediction_drops.changes=[timing.ahead_ms=10]", "timing.ahead_ms: got 10.*allowed: 5"),
        ("prediction_drops.speeds_kmh=[]", "speeds_kmh"),
        ("model.name=channel-predictoin", "did you mean 'channel-prediction'"),
    ],
)
def test_bad_recipes_of_predictors_are_refused_at_once(change, message):
    with pytest.raises(InputError, match=message):
        check_prediction(load_recipe("predictor.yaml", [change]))


def test_the_shipped_recipes_can_be_begun():
    coder, predictor = load_recipe("csi-delay-angle"), load_recipe("csi-prediction")
    assert isinstance(coder, DelayAngleRecipe)
    assert isinstance(predictor, PredictionRecipe)
    check(coder)
    check_prediction(predictor)
    assert sum(p.numel() for p in build_predictor(predictor).parameters()) < 10_000


def test_the_shipped_coder_is_that_of_its_recipe_and_its_card_is_complete():
    card = shipped_weights("csi")["csi-delay-angle"]
    assert card_path("csi-delay-angle").with_suffix(".md").read_text() == card_text(card)
    assert card["architecture"] == load_recipe("csi-delay-angle").model
    assert {part["experiment"] for part in card["measured"]} == {"csi-uma-32ports", "csi-umi-32ports", "csi-munich"}
    sgcs_of = {row["point"]: row["sgcs"][0] for row in card["measured"][0]["rows"]}
    assert sgcs_of["csi-delay-angle 140"] > sgcs_of["csi-refined 24"]
    assert DelayAngleCoder("csi-delay-angle", 140).num_head_bits == 14


def test_the_shipped_predictor_is_that_of_its_recipe_and_its_card_is_complete():
    card = shipped_weights("csi")["csi-prediction"]
    assert card_path("csi-prediction").with_suffix(".md").read_text() == prediction_card(card)
    assert card["architecture"] == load_recipe("csi-prediction").model
    assert LearnedPredictor("csi-prediction").model.num_times == card["timing"]["num_observed"]
    for row in card["training"]["held_out"]:
        assert row["nmse"] < row["nmse_hold"]
