"""Training of beam predictors: the loss falls, a kill resumes to identical weights, exports do what weights do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from ran.cli.main import main
from ran.errors import InputError
from ran.export.beams import export_beams
from ran.training.beam_card import card_text
from ran.training.beam_drops import BeamData
from ran.training.beam_loop import BeamTrainer, fitted_temperature
from ran.training.beam_train import build_model
from ran.training.catalogue import load_recipe
from ran.training.train import run
from receivers import NeuralReceiver
from receivers.beams import BEAM_ARCHITECTURES, NeuralBeams
from receivers.neural.weights import shipped_weights

TINY = {
    "name": "tiny-beams",
    "worlds": [{"experiment": "spots.yaml", "num_drops": 96, "num_held_out": 32}],
    "set_b": [
        {"pattern": "fixed", "size": 8},
        {"pattern": "random", "size": 8},
        {"pattern": "wide", "size": 8},
    ],
    "model": {"name": "geometric", "num_channels": 4},
    "schedule": {"steps": 8, "batch_drops": 16, "checkpoint_every": 3, "log_every": 1, "warmup_steps": 2},
}
# one way from user to base station: computed in no time
SPOTS = {"channel": "free-space", "predictors": ["genie"], "num_drops": 32, "set_b": {"pattern": "fixed", "size": 8}}
#: What makes a training of TINY one for pairs.
PAIRS = [
    "worlds=[{experiment: spots.yaml, changes: [task=pairs], num_drops: 96, num_held_out: 32}]",
    "set_b=[{pattern: fixed, size: 32}, {pattern: random, size: 64}]",
    "model={name: pairs, num_hidden: 32}",
]


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("spots.yaml").write_text(yaml.safe_dump(SPOTS))
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", BEAM_ARCHITECTURES)
def test_loss_falls_on_drops_never_trained_on(name, tmp_path):
    model = {"geometric": {"num_channels": 4}, "cnn": {"num_channels": 8, "num_layers": 3}}.get(
        name, {"num_hidden": 64}
    )
    recipe = load_recipe(
        "tiny.yaml",
        ["schedule.steps=30", "schedule.learning_rate=6e-3", f"model={json.dumps({'name': name, **model})}"],
    )
    trainer = BeamTrainer(recipe, build_model(recipe), tmp_path)
    before = trainer.validations()[0]["cross_entropy"]
    while trainer.step < recipe.schedule.steps:
        trainer.one_step()
    assert trainer.validations()[0]["cross_entropy"] < before - 0.05


def test_a_kill_resumes_to_identical_weights(tmp_path, monkeypatch):
    whole = run("tiny.yaml", tmp_path / "whole")
    once = BeamTrainer.one_step

    def killed(self):
        if self.step == 5:
            raise KeyboardInterrupt
        return once(self)

    monkeypatch.setattr(BeamTrainer, "one_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run("tiny.yaml", tmp_path / "cut")
    monkeypatch.setattr(BeamTrainer, "one_step", once)
    shutil.rmtree(tmp_path / "cache")  # the drops come out the same again
    cut = run("tiny.yaml", tmp_path / "cut")
    assert cut.read_bytes() == whole.read_bytes()
    rows = (tmp_path / "cut" / "train.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(step) for step in range(1, 9)]


def test_a_batch_depends_on_its_number_alone():
    recipe = load_recipe("tiny.yaml")
    data = BeamData(recipe)
    data.prepare(lambda text: None)
    first, truth = data.draw(3, range(16), 16)
    data.draw(4, range(16), 16)
    again, _ = data.draw(3, range(16), 16)
    assert torch.equal(first.rsrp_dbm, again.rsrp_dbm)
    assert torch.equal(first.measured, again.measured)
    part, of_part = data.draw(3, range(4, 8), 16)
    assert part.batch == 4
    assert torch.equal(of_part.rsrp_dbm, truth.rsrp_dbm[4:8])


def test_mirrored_drops_are_drops_of_the_mirrored_user():
    recipe = load_recipe("tiny.yaml")
    data = BeamData(recipe)
    data.prepare(lambda text: None)
    kept = data.kept[0]
    rows, generator = np.arange(8), np.random.default_rng(0)
    plain = kept.batch(rows, recipe.set_b[2], generator)
    mirrored = kept.batch(rows, recipe.set_b[2], generator, mirrored=True)
    best, other = (found[1].rsrp_dbm[:, 0].argmax(-1) for found in (plain, mirrored))
    cosines = plain[0].set_a_cosines
    torch.testing.assert_close(cosines[best] * torch.tensor([-1.0, 1.0]), cosines[other], atol=1e-6, rtol=0)


def test_mirrored_pairs_are_those_of_the_mirrored_user():
    """Of a user on the other side that is turned the other way; half a turn more changes its two faces over."""
    recipe = load_recipe("tiny.yaml", PAIRS)
    kept = BeamData(recipe).kept[0]
    world, rng = kept.world, np.random.default_rng(0)
    users = np.stack([rng.uniform(50, 100, 8), rng.uniform(-80, 80, 8), rng.uniform(-20, -5, 8)], -1)
    bearing = rng.uniform(0, 2 * np.pi, 8)
    instants = (
        world.source._instant(users, bearing),
        world.source._instant(users * [1, -1, 1], np.pi - bearing),
    )
    of_pairs = [world._powers_dbm(instant)[..., :64].reshape(8, 1, -1) for instant in instants]
    kept.measured = kept.true = of_pairs[0]
    _, mirrored = kept.batch(np.arange(8), recipe.set_b[0], rng, mirrored=True)
    np.testing.assert_allclose(mirrored.rsrp_dbm, of_pairs[1], atol=2e-2)


def test_training_for_pairs(tmp_path):
    """The loss falls, and the file of the export does what the weights do."""
    steps = ["schedule.steps=30", "schedule.learning_rate=6e-3"]
    recipe = load_recipe("tiny.yaml", [*PAIRS, *steps])
    trainer = BeamTrainer(recipe, build_model(recipe), tmp_path)
    before = trainer.validations()[0]["cross_entropy"]
    while trainer.step < recipe.schedule.steps:
        trainer.one_step()
    assert trainer.validations()[0]["cross_entropy"] < before - 0.3
    weights = run("tiny.yaml", tmp_path / "out", [*PAIRS, "schedule.steps=1"])
    changes = ("task=pairs", "set_b.size=32")
    assert not export_beams(str(weights), tmp_path / "export", "spots.yaml", changes).problems


def test_temperature_makes_stated_probabilities_true():
    torch.manual_seed(0)
    scores = 2 * torch.randn(4000, 16)
    best = torch.distributions.Categorical(logits=scores).sample()
    # twice as sure as it ought to be
    assert fitted_temperature([(2 * scores, best)]) == pytest.approx(2.0, rel=0.1)


def test_card_weights_and_export(tmp_path):
    weights = run("tiny.yaml", tmp_path / "out", ["evaluate=[{experiment: spots.yaml}]", "limits=[free space alone]"])
    card = json.loads(weights.with_suffix(".json").read_text())
    assert card["task"] == "beams"
    assert card["parameters"] == sum(t.numel() for t in load_file(weights).values())
    row = card["measured"][0]["rows"][-1]
    assert row["predictor"] == "tiny-beams"
    assert 0 < row["top1"][1] < row["top1"][0] < row["top1"][2] <= 1
    assert card_text(card) == weights.with_suffix(".md").read_text()
    assert "free space alone" in card_text(card)

    for changes in ((), ("set_b.pattern=wide",)):
        out = tmp_path / f"export-{len(changes)}"
        outcome = export_beams(str(weights), out, "spots.yaml", changes)
        assert not outcome.problems
        assert {p.name for p in out.iterdir()} >= {"model.onnx", "contract.json", "REPORT.md", "consumer.py", "vectors"}
    assert outcome.latency_after.median_s > 0
    with pytest.raises(InputError, match="a folder that is not there yet"):
        export_beams(str(weights), out, "spots.yaml")
    with pytest.raises(ValueError, match="made for beams; allowed: pusch-hybrid"):
        NeuralReceiver(str(weights))
    with pytest.raises(ValueError, match="made for receiver"):
        NeuralBeams("pusch-hybrid")


@pytest.mark.parametrize("name", ["mlp", "cnn", "recurrent"])
def test_plain_models_export_too(name, tmp_path):
    weights = run("tiny.yaml", tmp_path / "out", [f"model={{name: {name}}}", "schedule.steps=1"])
    assert not export_beams(str(weights), tmp_path / "export", "spots.yaml").problems


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model.name=geometrical"], "did you mean 'geometric'"),
        (["model={name: mlp, num_set_a: 32}"], "worlds.0: num_set_a: got 64; allowed: 32"),
        (["set_b=[{pattern: fixed, size: 65}]"], "set_b.size: got 65; allowed: 1 to 64, Set B is inside Set A"),
        (["set_b=[{pattern: wide, size: 7}]"], "set_b.size: got 7"),
        (
            ["set_b=[{pattern: learned, size: 8}]"],
            "set_b.pattern: got 'learned'; allowed here: fixed, random, wide, all",
        ),
        (PAIRS[:1], "set_b.pattern: got 'wide' with task 'pairs'; allowed: fixed, random, all"),
        (PAIRS[:2], "worlds.0: num_rx_beams: got 8; allowed: 1"),
        (["worlds=[{experiment: nowhere, num_drops: 8}]"], "nowhere"),
        (["schedule.label_db=0"], "label_db"),
    ],
)
def test_bad_recipes_are_refused_before_the_first_drop(changes, message, tmp_path, capsys):
    options = [argument for change in changes for argument in ("--set", change)]
    assert main(["train", "tiny.yaml", "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_shipped_beam_weights_load_and_their_cards_are_complete():
    cards = shipped_weights("beams")
    assert {"beams-geometric", "beams-mlp", "beams-cnn", "beams-recurrent", "beams-pairs"} <= set(cards)
    for name, card in cards.items():
        predictor = NeuralBeams(name)
        assert card["parameters"] == sum(p.numel() for p in predictor.model.parameters())
        assert card["licence"] == "Apache-2.0"
        assert card["measured"], "a card holds measured figures"
        assert card["limits"]
