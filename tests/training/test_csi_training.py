"""Training of two-sided CSI models: better than the transform they start from, a kill resumes to identical weights."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml

from ran.cli.main import main
from ran.errors import InputError
from ran.training.catalogue import load_recipe, recipe_names
from ran.training.csi_card import card_text
from ran.training.csi_drops import CsiData
from ran.training.csi_loop import CsiTrainer
from ran.training.csi_recipe import CsiRecipe
from ran.training.csi_train import build_model, check
from ran.training.train import run
from receivers.csi import NeuralCoder, sgcs
from receivers.csi.frame import unit_norm
from receivers.neural.weights import card_path, load_weights, shipped_weights

SMALL = {
    "channel": {"name": "umi", "carrier_frequency_hz": 2e9},
    "panel": {"n1": 4, "n2": 1, "subarray_rows": 1, "spacing": [0.5, 0.5]},
    "band": {"num_prb": 24, "subband_size": 4},
    "feedback": ["ideal", {"name": "enhanced-type-two", "combination": [1, 2]}],
    "throughput": {"num_users": [1], "snr_db": [0]},
    "num_drops": 16,
}
TINY = {
    "name": "tiny-csi",
    "csi_drops": {"experiment": "small.yaml", "num_drops": 200, "num_held_out": 56},
    "num_values": [0, 4, 8],
    "held_out_values": 8,
    "model": {"name": "refinement", "num_units": 6, "n1": 4, "n2": 1, "num_latents": 8, "width": 16, "depth": 1},
    "schedule": {"steps": 8, "batch_drops": 16, "checkpoint_every": 3, "log_every": 1, "warmup_steps": 2},
    "evaluate": [{"experiment": "small.yaml"}],
}


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "csi-cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ran.studies.csi.world._BLOCKS_PER_FILE", 1)
    Path("small.yaml").write_text(yaml.safe_dump(SMALL))
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_sgcs_rises_on_drops_never_trained_on(tmp_path):
    recipe = load_recipe("tiny.yaml", ["schedule.steps=60", "schedule.learning_rate=3e-3", "schedule.batch_drops=64"])
    trainer = CsiTrainer(recipe, build_model(recipe), tmp_path)
    before = trainer.validations()[0]["sgcs"]
    while trainer.step < recipe.schedule.steps:
        trainer.one_step()
    assert trainer.validations()[0]["sgcs"] > before


def test_a_kill_resumes_to_identical_weights_and_the_card_is_whole(tmp_path, monkeypatch):
    whole = run("tiny.yaml", tmp_path / "whole", workers=1)
    once = CsiTrainer.one_step

    def killed(self):
        if self.step == 5:
            raise KeyboardInterrupt
        return once(self)

    monkeypatch.setattr(CsiTrainer, "one_step", killed)
    with pytest.raises(KeyboardInterrupt):
        run("tiny.yaml", tmp_path / "cut", workers=1)
    monkeypatch.setattr(CsiTrainer, "one_step", once)
    cut = run("tiny.yaml", tmp_path / "cut", workers=1)
    assert cut.read_bytes() == whole.read_bytes()
    card = json.loads(whole.with_suffix(".json").read_text())
    assert card["task"] == "csi"
    points = [row["point"] for row in card["measured"][0]["rows"]]
    assert points == ["ideal", "enhanced-type-two 1", "enhanced-type-two 2", *(f"tiny-csi {n}" for n in (0, 4, 8))]
    assert card["measured"][0]["rows"][-1]["cost"]["decoder_flops"] > 0
    text = whole.with_suffix(".md").read_text()
    assert text == card_text(card)
    for wanted in ("Not followed", "tiny-csi 8", card["sha256"], "paramCombination 1"):
        assert wanted in text
    # what is loaded decodes its own reports; reports of another number of latents are refused
    coder = NeuralCoder(str(whole), 4)
    data = CsiData(load_recipe("tiny.yaml"))
    data.prepare(lambda text: None)
    v, base = data.held_out()
    reports = coder.encode(v, base)
    assert reports.shape == (56, 8)
    assert float(sgcs(v, coder.decode(reports, base)).mean()) > float(sgcs(v, base).mean()) - 0.02
    with pytest.raises(ValueError, match=r"report: got \(56, 7\); allowed: \[batch, 8\] bits of 4 latents"):
        coder.decode(reports[:, 1:], base)
    with pytest.raises(ValueError, match="made for csi"):
        load_weights(str(whole), "beams")
    _exchange(whole, reports)
    _other_side(whole, tmp_path)
    _decoder_alone(whole, tmp_path)
    _exported(whole)


def _exchange(weights: Path, reports: np.ndarray) -> None:
    """The data set between both sides holds the reports of the encoder."""
    arguments = ["--drops", "70", "--weights", str(weights), "--values", "4"]
    assert main(["data", "csi", "small.yaml", "--out", "exchange.h5", *arguments]) == 0
    with h5py.File("exchange.h5") as file:
        assert file["reports"].shape == (70, 8)
        assert file["base"].shape == (70, 6, 8, 2)
        assert file.attrs["weights"] == "tiny-csi"
        v, base = (torch.complex(*torch.from_numpy(file[key][:]).unbind(-1)) for key in ("precoders", "base"))
        decoded = NeuralCoder(str(weights), 4).decode(file["reports"][:], base)
        assert float(sgcs(v, decoded).mean()) > 0.5
    assert reports.shape[1] == 8


def _decoder_alone(weights: Path, tmp_path: Path) -> None:
    """From the data set, without the encoder; what comes out decodes its reports, and belongs to it alone."""
    given = [
        "exchange=exchange.h5",
        "mirror=false",
        "evaluate=[]",
        "name=alone",
        "num_values=[0,4]",
        "held_out_values=4",
    ]
    block = ["csi_drops.num_drops=56", "csi_drops.num_held_out=14"]
    other = {"model.body": "convolutional", "model.width": 12, "model.num_latents": 6}
    changes = [*given, *block, *(f"{key}={value}" for key, value in other.items())]
    alone = run("tiny.yaml", tmp_path / "alone", changes, workers=1)
    card = json.loads(alone.with_suffix(".json").read_text())
    assert card["pair"] == json.loads(weights.with_suffix(".json").read_text())["sha256"]
    assert card["pair"] in card_text(card)
    # 56 samples teach little, but the reports say more than none
    ours = NeuralCoder(str(weights), 4, str(alone))
    with h5py.File("exchange.h5") as file:
        v, base = (torch.complex(*torch.from_numpy(file[key][:]).unbind(-1)) for key in ("precoders", "base"))
        reports = file["reports"][:]
    np.testing.assert_array_equal(ours.encode(v, base), reports)
    assert float(sgcs(v, ours.decode(reports, base)).mean()) > float(sgcs(v, base).mean())
    block = f"feedback=[{{name: neural, weights: {weights}, decoder: {alone}, num_values: [0, 4]}}]"
    assert main(["csi", "small.yaml", "--out", "pair", "--workers", "1", "--set", block]) == 0
    for call, message in (
        (lambda: NeuralCoder(str(alone), 4), "weights: .* a decoder that was trained alone"),
        (lambda: NeuralCoder("csi-refined", 4, str(alone)), "decoder .*alone.safetensors: pair: got "),
        (lambda: NeuralCoder(str(weights), 7, str(alone)), "num_values: got 7; allowed: 0 to 6"),
        (
            lambda: check(load_recipe("tiny.yaml", [f"frozen_encoder={alone}"])),
            "frozen_encoder: .* encoder was trained",
        ),
        (lambda: load_recipe("tiny.yaml", given[:1]), "mirror: got True; allowed: False with exchange"),
        (lambda: load_recipe("tiny.yaml", given[:2]), "evaluate: got 1; allowed: none with exchange"),
        (lambda: check(load_recipe("tiny.yaml", given)), r"num_drops: samples: got 200; allowed: 1 to 56"),
        (
            lambda: check(load_recipe("tiny.yaml", [*changes, "combination=2"])),
            "exchange: combination: got 1; allowed: 2",
        ),
        (
            lambda: check(load_recipe("tiny.yaml", [*changes, "held_out_values=5"])),
            "num_values: got 5; allowed: 0 to 4",
        ),
        (lambda: check(load_recipe("tiny.yaml", [*changes, "exchange=none.h5"])), "exchange: got 'none.h5'"),
        (
            lambda: check(load_recipe("tiny.yaml", [*changes, "model.bits_per_value=1"])),
            "bits_per_value: got 1; allowed: 2",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def _exported(weights: Path) -> None:
    """Encoder and decoder as ONNX do what the weights do."""
    command = ["export", "model", str(weights), "--target", "csi", "--experiment", "small.yaml", "--out", "files"]
    assert main(command) == 0
    described = json.loads(Path("files/contract.json").read_text())
    assert set(described["files"]) == {"encoder", "decoder"}
    assert described["base"].count("enhanced-type-two") == 1
    assert "Rejected" not in Path("files/REPORT.md").read_text()
    assert main(command) == 2


def _other_side(weights: Path, tmp_path: Path) -> None:
    """With a frozen encoder only the decoder learns, and the other way round."""
    given = load_weights(str(weights), "csi").tensors
    for side, other in (("encoder", "decoder"), ("decoder", "encoder")):
        changes = [f"frozen_{side}={weights}", "name=other", "evaluate=[]"]
        found = load_weights(str(run("tiny.yaml", tmp_path / f"frozen-{side}", changes, workers=1)), "csi").tensors
        same = {name: torch.equal(given[name], tensor) for name, tensor in found.items()}
        assert all(equal for name, equal in same.items() if name.startswith(side))
        assert not all(equal for name, equal in same.items() if name.startswith(other))
    with pytest.raises(InputError, match="init, frozen_encoder: got 2 of them"):
        load_recipe("tiny.yaml", [f"init={weights}", f"frozen_encoder={weights}"])
    with pytest.raises(InputError, match="frozen_encoder: combination: got 1; allowed: 2"):
        check(load_recipe("tiny.yaml", [f"frozen_encoder={weights}", "combination=2"]))


def test_a_draw_depends_on_its_number_alone():
    data = CsiData(load_recipe("tiny.yaml"))
    data.prepare(lambda text: None)
    v, base, values, _ = data.draw(3, range(16), 16)
    data.draw(4, range(16), 16)
    again = data.draw(3, range(16), 16)
    assert torch.equal(v, again[0])
    assert torch.equal(values, again[2])
    part = data.draw(3, range(4, 8), 16)
    assert torch.equal(part[1], base[4:8])


def test_a_mirrored_sample_is_as_well_described_as_it_was():
    data = CsiData(load_recipe("tiny.yaml"))
    data.prepare(lambda text: None)
    v, base = data.held_out()
    torch.testing.assert_close(sgcs(data._mirrored(v), data._mirrored(base)), sgcs(v, base))
    assert torch.equal(data._mirrored(data._mirrored(v)), v)
    # columns change direction and slants their places
    assert torch.equal(data._mirrored(v)[..., :4], v[..., 4:].flip(-1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.num_units=13", "model.num_units: got 13; allowed: 6, what csi_drops have"),
        ("model.n1=8", r"model.n1, model.n2: got \(8, 1\); allowed: \(4, 1\)"),
        ("num_values=[9]", "num_values: got 9; allowed: 0 to 8"),
        ("model.name=refinemen", "did you mean 'refinement'"),
        ("combination=7", "paramCombination-r16: got 7; allowed: 1 to 6 with 8 ports"),
        ("frozen_decoder=nowhere", "frozen_decoder: weights: got 'nowhere'"),
        ("init=nowhere", "init: weights: got 'nowhere'"),
        ("combination=null", "combination: got None; allowed: 1 to 8"),
        ("model={name: autoencoder, num_units: 6, n1: 4, n2: 1}", "combination: got 1; allowed: null"),
        ("evaluate=[{experiment: nowhere}]", "evaluate.0: experiment"),
    ],
)
def test_bad_recipes_are_refused_at_once(change, message):
    with pytest.raises(InputError, match=message):
        check(load_recipe("tiny.yaml", [change]))


def test_one_bit_begins_with_weights_of_two():
    one = load_recipe("csi-refined", ["init=csi-refined", "model.bits_per_value=1"])
    before = load_weights("csi-refined", "csi").tensors["decoder.transform"]
    begun = build_model(one).state_dict()["decoder.transform"]
    # the optimal levels of a Gaussian: sqrt(2 / pi) in the place of 1.02
    torch.testing.assert_close(begun, before * (2 / torch.pi) ** 0.5 / 1.02, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(
        build_model(load_recipe("csi-refined", ["init=csi-refined"])).state_dict()["decoder.transform"], before
    )
    with pytest.raises(InputError, match="init: got 'csi-refined'; allowed: weights of"):
        build_model(load_recipe("csi-refined", ["init=csi-refined", "model.width=64"]))


def test_shipped_recipes_of_csi_are_sound():
    names = [name for name in recipe_names() if name.startswith("csi-")]
    # those of delay-angle coding and of prediction are of other kinds: test_csi_coder_training.py
    assert {"csi-delay-angle", "csi-prediction"} < set(names)
    for name in names:
        recipe = load_recipe(name)
        if isinstance(recipe, CsiRecipe):
            check(recipe)


@pytest.mark.parametrize("name", sorted(name for name, card in shipped_weights("csi").items() if "base" in card))
def test_shipped_weights_load_and_their_cards_are_complete(name):
    card = shipped_weights("csi")[name]
    path = card_path(name)
    assert path.with_suffix(".md").read_text() == card_text(card)
    assert {part["experiment"] for part in card["measured"]} >= {"csi-uma-32ports", "csi-umi-32ports", "csi-munich"}
    coder = NeuralCoder(name, 24)
    base = card["base"]
    generator = torch.Generator().manual_seed(1)
    shape = (4, base["num_units"], 2 * base["n1"] * base["n2"], 2)
    v = unit_norm(torch.view_as_complex(torch.randn(shape, generator=generator)))
    reports = coder.encode(v, v)
    # what the base says already needs no change that would spoil it
    assert float(sgcs(v, coder.decode(reports, v)).mean()) > 0.5
    assert reports.shape == (4, coder.num_bits)
