"""Every numeric option of every kind has limits: huge, negative, NaN and infinite values are refused in one line."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any, Literal, get_origin

import pytest

from channels import CHANNELS
from channels.impairments import IMPAIRMENTS
from ran.config.limits import LIMITS, check_limits
from ran.config.validation import validate
from ran.datasets.request import DataRequest
from ran.errors import InputError
from ran.link.catalogue import build_channel, build_impairments, build_receiver, construct
from ran.link.config import LinkConfig
from ran.sim import experiment as experiments
from ran.sim.experiment import Experiment
from ran.studies.adaptation import experiment as adaptations
from ran.studies.adaptation.experiment import AdaptationExperiment
from ran.studies.beams import experiment as beam_experiments
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.robustness.conditions import Conditions
from ran.training.beam_recipe import BeamRecipe
from ran.training.catalogue import load_recipe
from ran.training.recipe import Recipe
from receivers import RECEIVERS
from receivers.beams import BEAM_ARCHITECTURES, BEAM_PREDICTORS
from receivers.neural.receiver import ARCHITECTURES

KINDS: dict[str, dict[str, type]] = {
    "channel": CHANNELS,
    "impairment": IMPAIRMENTS,
    "receiver": RECEIVERS,
    "network": ARCHITECTURES,
    "beam network": BEAM_ARCHITECTURES,
    "beam predictor": BEAM_PREDICTORS,
}
#: Options whose numbers are checked by their own reader, key by key, and against `LIMITS` where it has the key.
BLOCKS = {"rx_array", "tx_array", "near_field", "dual_mobility", "blockage", "trace"}
#: Fields of configurations without two bounds, and why.
UNBOUNDED = {
    "constellation": "its mean power is checked to be 1, which bounds every point",
}
#: Beyond all floats.
HUGE = 10**400
#: Any value will do for what is needed besides.
NEEDED: dict[str, Any] = {
    "profile": "A", "delay_spread_ns": 30.0, "max_doppler_hz": 5.0, "carrier_frequency_hz": 3e9, "carrier_hz": 3e10,
    "scenario": "1-NR350", "input_back_off_db": 6.0, "psd0_dbc_hz": -70.0, "poles": [[1e5, 1.0]], "level_db": -20.0,
    "coefficients": [[[1.0, 0.0]]], "offset_ppm": 1.0, "bits": 8, "frequency_hz": 1e5, "num_subcarriers": 12,
    "responses": "x.npz", "weights": "x",
}  # fmt: skip
OPTIONS = [
    pytest.param(cls, name, option, hint, id=f"{kind}-{name}-{option}")
    for kind, registry in KINDS.items()
    for name, cls in registry.items()
    for option, hint in inspect.get_annotations(inspect.getattr_static(cls, "__init__"), eval_str=True).items()
    if option not in BLOCKS | {"return"}
    and any(word in str(hint) for word in ("int", "float", "complex"))
    # a choice of words is bounded by itself
    and get_origin(hint) is not Literal
]


def block(cls: type, option: str, hint: object, value: float) -> dict[str, Any]:
    """Options of a class, the others as they may be, in the form that a file has."""
    parameters = inspect.signature(cls).parameters.values()
    given = {p.name: NEEDED[p.name] for p in parameters if p.default is p.empty and p.name in NEEDED}
    shape: Any = value
    if "dict" in str(hint):
        shape = {"azimuth_deg": value}
    elif any(word in str(hint) for word in ("list", "Sequence", "tuple")):
        shape = [value]
    return {"name": cls.__name__, **given, option: shape}


@pytest.mark.parametrize(("cls", "name", "option", "hint"), OPTIONS)
def test_options_are_limited(cls: type, name: str, option: str, hint: object) -> None:
    assert option in LIMITS, f"{option} of {name} has no limit in ran.config.limits"
    limit = LIMITS[option]
    assert math.isfinite(limit.low)
    assert limit.low < limit.high < 1e31
    assert limit.reason
    beyond = [limit.high * 1.001, 1e300, -1e300, math.nan, math.inf, -math.inf, min(-1e-6, limit.low - 1), HUGE, -HUGE]
    for value in beyond:
        with pytest.raises(InputError, match=rf"^x\.{option}") as refused:
            construct(cls, block(cls, option, hint, value), "x")
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tx_array": {"rows": 1e9}}, r"x\.tx_array\.rows: got 1000000000\.0; allowed: 1 to 1024 \("),
        ({"tx_array": {"spacing": math.inf}}, r"x\.tx_array\.spacing: got inf"),
        ({"angle_spreads_deg": {"asa": 1e300}}, r"x\.angle_spreads_deg\.asa: got 1e\+300; allowed: -720 to 720"),
        (
            {"near_field": {"whatever": [1.0, math.nan]}},
            r"x\.near_field\.whatever\.1: got nan; allowed: -1e\+19 to 1e\+19",
        ),
        (
            {"near_field": {"whatever": HUGE}},
            r"x\.near_field\.whatever: got a whole number beyond 1e308; allowed: -1e",
        ),
    ],
)
def test_blocks_among_options_are_limited(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_limits(options, "x")


def test_values_at_the_limits_are_taken() -> None:
    check_limits({name: limit.high for name, limit in LIMITS.items()}, "x")
    check_limits({name: limit.low for name, limit in LIMITS.items()}, "x")


@pytest.mark.parametrize(("text", "kind"), [("yes", bool), ("1", bool), ("3", int), ("0.5", float)])
def test_text_is_no_truth_value_and_no_number(text: str, kind: type) -> None:
    class Own:
        def __init__(self, option: Any) -> None: ...

    Own.__init__.__annotations__["option"] = kind
    with pytest.raises(InputError, match=rf"x\.option: got '{text}'"):
        construct(Own, {"name": "own", "option": text}, "x")


def test_whole_numbers_among_options_count_by_value() -> None:
    receiver = construct(RECEIVERS["blind"], {"name": "blind", "num_reestimations": 2e0}, "x")
    assert receiver.num_reestimations == 2
    with pytest.raises(InputError, match=r"x\.num_reestimations: got 1\.5"):
        construct(RECEIVERS["blind"], {"name": "blind", "num_reestimations": 1.5}, "x")


def unbounded(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the numbers in a JSON schema that lack a lower or an upper bound."""
    if isinstance(node, dict):
        if node.get("type") in ("number", "integer") and "enum" not in node:
            low, high = {"minimum", "exclusiveMinimum"} & set(node), {"maximum", "exclusiveMaximum"} & set(node)
            if not (low and high):
                yield path
        for key, value in node.items():
            if key != "default":
                yield from unbounded(value, (*path, key))
    elif isinstance(node, list):
        for value in node:
            yield from unbounded(value, path)


@pytest.mark.parametrize(
    "model",
    [Experiment, AdaptationExperiment, BeamExperiment, Recipe, BeamRecipe, Conditions, DataRequest, LinkConfig],
)
def test_fields_have_two_bounds(model: Any) -> None:
    found = [path for path in unbounded(model.model_json_schema()) if not UNBOUNDED.keys() & set(path)]
    assert not found


def numbers(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of the numbers in plain values."""
    if isinstance(node, int | float) and not isinstance(node, bool):
        yield path
    elif isinstance(node, dict | list | tuple):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from numbers(value, (*path, key))


def changed(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, dict):
        return {**node, path[0]: changed(node[path[0]], path[1:], value)}
    return [changed(item, path[1:], value) if i == path[0] else item for i, item in enumerate(node)]


def read(model: Any, values: Any) -> None:
    """What commands do with the values of a file before they compute."""
    found = validate(model, values, "x")
    if isinstance(found, BeamRecipe | Recipe):
        construct(
            (BEAM_ARCHITECTURES if isinstance(found, BeamRecipe) else ARCHITECTURES)[found.model["name"]],
            found.model,
            "model",
        )
    if isinstance(found, BeamExperiment):
        build_channel(found.channel.block())
    if isinstance(found, Recipe):
        for config in found.extreme_configs():
            build_channel(config.channel if isinstance(config.channel, dict) else config.channel[0])
    if not isinstance(found, Experiment):
        return
    for block in found.channel if isinstance(found.channel, tuple) else (found.channel,):
        build_channel(block.block())
    for index, receiver in enumerate(found.receivers):
        build_receiver(receiver.block(), path=f"receivers.{index}")
    if found.waveform is not None:
        for name in ("transmit_impairments", "receive_impairments"):
            build_impairments(getattr(found.waveform, name), f"waveform.{name}")


def taken(model: Any, values: Any, path: tuple[Any, ...]) -> None:
    read(model, values)
    pytest.fail(f"{path} was taken")


FILES = [
    *(pytest.param(Experiment, experiments.load, name, id=name) for name in experiments.built_in_experiments()),
    *(
        pytest.param(AdaptationExperiment, adaptations.load, name, id=name)
        for name in adaptations.built_in_experiments()
    ),
    *(
        pytest.param(BeamExperiment, beam_experiments.load, name, id=name)
        for name in beam_experiments.built_in_experiments()
    ),
    pytest.param(Recipe, load_recipe, "pusch-hybrid", id="pusch-hybrid"),
    pytest.param(BeamRecipe, load_recipe, "beams-mlp", id="beams-mlp"),
]
#: What has been tried by another file.
TRIED: set[tuple[Any, ...]] = set()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "load", "name"), FILES)
def test_every_number_of_the_files_that_ship_has_limits(model: Any, load: Any, name: str) -> None:
    loaded = load(name)
    values = loaded.resolved() if isinstance(loaded, Experiment) else loaded.model_dump(mode="json")
    for path in numbers(values):
        if "constellation" in path:  # see UNBOUNDED
            continue
        kind = (model, *("*" if isinstance(key, int) else key for key in path))
        if kind in TRIED:
            continue
        TRIED.add(kind)
        for value in (1e300, -1e300, math.nan, math.inf, HUGE):
            with pytest.raises(InputError) as refused:
                taken(model, changed(values, path, value), path)
            assert "\n" not in str(refused.value), path
