"""Every numeric option of every kind has limits: huge, negative, NaN and infinite values are refused in one line."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any, Literal, get_origin

import pytest

from channels import CHANNELS
from channels.impairments import IMPAIRMENTS
from ran.adaptation.experiment import AdaptationExperiment
from ran.beams.experiment import BeamExperiment
from ran.datasets.request import DataRequest
from ran.errors import InputError
from ran.generalisation.conditions import Conditions
from ran.limits import LIMITS, check_limits
from ran.link.catalogue import construct
from ran.link.config import LinkConfig
from ran.sim.experiment import Experiment
from ran.training.beam_recipe import BeamRecipe
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
    assert option in LIMITS, f"{option} of {name} has no limit in ran.limits"
    limit = LIMITS[option]
    assert math.isfinite(limit.low)
    assert limit.low < limit.high < 1e31
    assert limit.reason
    beyond = [limit.high * 1.001, 1e300, -1e300, math.nan, math.inf, -math.inf, min(-1e-6, limit.low - 1)]
    for value in beyond:
        with pytest.raises(InputError, match=rf"^x\.{option}") as refused:
            construct(cls, block(cls, option, hint, value), "x")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tx_array": {"rows": 1e9}}, r"x\.tx_array\.rows: got 1000000000\.0; allowed: 1 to 1024 \("),
        ({"tx_array": {"spacing": math.inf}}, r"x\.tx_array\.spacing: got inf"),
        ({"angle_spreads_deg": {"asa": 1e300}}, r"x\.angle_spreads_deg\.asa: got 1e\+300; allowed: -720 to 720"),
        ({"near_field": {"whatever": [1.0, math.nan]}}, r"x\.near_field\.whatever\.1: got nan; allowed: finite"),
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
