"""The JSON schema takes every experiment that ships and refuses what the loader refuses."""

import json
from pathlib import Path

import jsonschema
import pytest

from ran.cli.main import main
from ran.config.validation import validate
from ran.config.yaml_file import read_mapping
from ran.errors import InputError
from ran.reference.kinds import KINDS
from ran.reference.schema import schema
from ran.sim.experiment import built_in_experiments
from ran.studies.adaptation.experiment import built_in_experiments as adaptations
from ran.studies.beams.experiment import built_in_experiments as beam_experiments
from ran.studies.csi.experiment import built_in_experiments as csi_experiments
from ran.training.catalogue import recipe_names

ROOT = Path(__file__).parent.parent.parent


def validator(kind):
    found = schema(kind)
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.fixture(scope="module")
def experiments():
    return validator("experiment")


def test_every_experiment_that_ships_fits(experiments):
    examples = {path.stem: path for path in (ROOT / "examples").glob("*.yaml") if path.stem != "my_net"}
    assert "sweep" in examples
    for name, path in {**built_in_experiments(), **examples}.items():
        assert [error.message for error in experiments.iter_errors(read_mapping(path))] == [], name
    for kind, found in (
        ("adaptation", adaptations()),
        ("beams", beam_experiments()),
        ("csi", csi_experiments()),
        ("decode", {"example": ROOT / "ran/recordings/example.yaml"}),
    ):
        checked = validator(kind)
        for name, path in found.items():
            assert [error.message for error in checked.iter_errors(read_mapping(path))] == [], name


def test_every_recipe_that_ships_fits():
    checked = {kind: validator(kind) for kind in KINDS if kind.endswith("recipe")}
    folder = ROOT / "ran/training/recipes"
    for name in recipe_names():
        values = read_mapping(folder / f"{name}.yaml")
        named = {"worlds": "beam-recipe", "prediction_drops": "prediction-recipe", "csi_drops": "csi-recipe"}
        kind = next((kind for key, kind in named.items() if key in values), "recipe")
        if values.get("model", {}).get("name") == "delay-angle":
            kind = "delay-angle-recipe"
        assert [error.message for error in checked[kind].iter_errors(values)] == [], name


LINK = {"name": "x", "channel": "awgn", "receivers": ["ls-linear"], "esn0_db": [0]}


@pytest.mark.parametrize(
    "change",
    [
        {"channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 30, "max_doppler_hz": 5}},
        {"channel": ["awgn", "rayleigh-block"], "users": {"num_users": 2}},
        {"receivers": ["mine.py:Mine", {"name": "model.onnx", "contract": "generic"}]},
        {"esn0_db": "auto"},
        {"esn0_db": {"start": 0, "stop": 3}},
        {"waveform": {"receive_impairments": [{"name": "dc-offset", "level_db": -30}, "iq-imbalance"], "cfo_hz": 100}},
        {"sweep": {"grid": {"pusch.mcs_index": [3, 4]}}},
    ],
)
def test_short_forms_fit(experiments, change):
    assert [error.message for error in experiments.iter_errors({**LINK, **change})] == []


@pytest.mark.parametrize(
    "change",
    [
        {"chanel": "awgn"},
        {"channel": "tdl"},  # it needs a profile
        {"channel": {"name": "tdl", "profile": "A", "delay_spread": 30}},
        {"channel": {"name": "hst", "scenario": "1-NR350", "max_doppler_hz": -1}},
        {"receivers": [{"name": "blind", "detector": "zf"}]},
        {"receivers": ["bland"]},
        {"waveform": {"transmit_impairments": [{"name": "rapp", "input_back_off_db": 1000}]}},
        {"carrier": {"num_prb": 276}},
        {"harq": {"rv": [4]}},
        {"sweep": {"gird": {}}},
    ],
)
def test_what_the_loader_refuses_does_not_fit(experiments, change):
    assert list(experiments.iter_errors({**LINK, **change}))


@pytest.mark.parametrize(
    ("model", "key"), [("experiment", "sweep"), ("recipe", "base"), ("beam-recipe", "base"), ("csi-recipe", "base")]
)
def test_keys_that_the_loader_takes_are_named_to_whoever_misspells_one(model, key):
    with pytest.raises(InputError, match=rf"{key}s: unknown key.*allowed: .*\b{key}; did you mean '{key}'"):
        validate(KINDS[model].model(), {f"{key}s": 1})


EXAMPLES = ROOT / "examples"
PATHS, AVERAGE = "my_channel.py:TwoPaths", "my_receiver.py:PrbAverage"


def fits(found, values):
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found).is_valid(values)


def test_classes_of_ones_own_are_known_when_asked_for():
    found = schema("experiment", [PATHS, AVERAGE], EXAMPLES)
    block = {**LINK, "channel": {"name": PATHS, "delay_ns": 100.0}}
    assert fits(found, block)
    assert fits(found, {**LINK, "receivers": [AVERAGE, "other.py:Class", {"name": "other.py:Class", "x": 1}]})
    misspelt = {**LINK, "channel": {"name": PATHS, "delay_n": 100.0}}
    assert not fits(found, misspelt)
    assert not fits(found, {**LINK, "receivers": [{"name": AVERAGE, "delay_ns": 1}]})
    # without, its options are its own matter
    assert fits(schema(), misspelt)
    with pytest.raises(InputError, match=r"--with: got 'my_net\.py:MyNet'; allowed: FILE\.py:Class of one of channel"):
        schema("experiment", ["my_net.py:MyNet"], EXAMPLES)


def test_an_architecture_of_ones_own_in_a_recipe():
    values = read_mapping(EXAMPLES / "my_net.yaml")
    found = schema("recipe", ["my_net.py:MyNet"], EXAMPLES)
    assert fits(found, values)
    assert not fits(found, {**values, "model": {**values["model"], "num_chanels": 3}})
    assert not fits(found, {**values, "model": {"name": "hybrid", "num_chanels": 3}})
    assert fits(found, {"base": "pusch-hybrid", "model": {"num_channels": 3}})


def test_the_command_prints_it(capsys):
    assert main(["schema", "beams"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("beams")
    own = f"{EXAMPLES / 'my_predictor.py'}:NearestBeams"
    assert main(["schema", "beams", "--with", own]) == 0
    assert "width" in json.loads(capsys.readouterr().out)["$defs"][f"beam-predictors/{own}"]["properties"]
    assert main(["schema", "beam"]) == 2
    assert "did you mean" in capsys.readouterr().err
    with pytest.raises(InputError, match="allowed"):
        schema("nothing")
