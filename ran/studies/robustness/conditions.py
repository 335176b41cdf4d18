"""The conditions that receivers are tried on, as data (`conditions.yaml`) and as experiments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from ran.config.validation import validate
from ran.config.yaml_file import read_mapping
from ran.errors import InputError, unknown_name
from ran.phy.config import Config
from ran.sim.experiment import EsN0Db, Experiment, with_absolute_files

FILE = "conditions.yaml"
TARGET_BLER = 0.1

#: Blocks of a point in error after which it has been simulated enough, as a share of its most slots.
_ERRORS_PER_SLOT = 0.3
_STEP_DB = 1.0
_PROBE_SLOTS = 16
#: A search begins at the last point with so many blocks in error: the first of two or three that enclose 10 %.
_START_BLER = 0.25
#: It ends clearly below the target, as a point just below it would leave the interval of the crossing open.
_END_BLER = 0.05

Range = tuple[EsN0Db, EsN0Db]


class Condition(Config):
    """One condition. change: what it changes in the base experiment. range_db: where waterfalls are searched, Es/N0.

    points_db: Es/N0 at which blocks are counted instead, where there is no waterfall to search; with a link budget in
    `change` its transmit powers are the points.
    share_of_slots: of the slots that other conditions get at most, for slots that take long.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
    group: str
    title: str
    change: dict[str, Any]
    range_db: Range | None = None
    points_db: tuple[EsN0Db, ...] = ()
    share_of_slots: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _one_kind_of_points(self) -> Condition:
        if self.range_db is not None and self.has_fixed_points:
            raise ValueError("range_db: got one beside points; allowed: range_db, points_db or a link budget")
        return self

    @property
    def has_fixed_points(self) -> bool:
        """Whether blocks are counted at given points, and no waterfall is searched."""
        return bool(self.points_db) or "link_budget" in self.change

    @property
    def unit(self) -> str:
        """Of the points: dB of Es/N0, or dBm of transmit power with a link budget."""
        return "dBm" if "link_budget" in self.change else "dB"


class Conditions(Config):
    """All conditions and what they change. range_db: of conditions that have none of their own."""

    base: dict[str, Any]
    range_db: Range
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)]

    @field_validator("base")
    @classmethod
    def _searches_itself(cls, base: dict[str, Any]) -> dict[str, Any]:
        own = sorted({"receivers", "esn0_db", "stopping", "name"} & set(base))
        if own:
            raise ValueError(f"got {own[0]!r}; allowed: a link without receivers, points and stopping rule")
        return base

    @model_validator(mode="after")
    def _names_differ(self) -> Conditions:
        names = [condition.name for condition in self.conditions]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"conditions: got {twice!r} twice; allowed: different names")
        return self

    def select(self, wanted: Iterable[str]) -> tuple[Condition, ...]:
        """The conditions of these names or groups, by default all. `InputError` for a name that is neither."""
        names = list(wanted)
        known = [*dict.fromkeys(c.group for c in self.conditions), *(c.name for c in self.conditions)]
        for name in names:
            if name not in known:
                raise unknown_name("--condition", name, known)
        return tuple(c for c in self.conditions if not names or c.group in names or c.name in names)

    def experiment(self, condition: Condition, receiver: Mapping[str, Any], max_slots: int) -> Experiment:
        """The search of a receiver's 10 % BLER under a condition, or its points, with at most so many slots at each.

        All receivers of a condition share common random numbers, in whatever run: gains between them are paired.
        """
        low, high = condition.range_db or self.range_db
        slots = max(_PROBE_SLOTS, round(max_slots * condition.share_of_slots))
        search = {
            "target_bler": [TARGET_BLER, _END_BLER],
            "step_db": _STEP_DB,
            "low_db": low,
            "high_db": high,
            "probe_slots": _PROBE_SLOTS,
            "start_bler": _START_BLER,
        }
        points: dict[str, Any] = {"esn0_db": {"auto": search}}
        errors: int | None = max(1, round(_ERRORS_PER_SLOT * slots))
        if condition.has_fixed_points:
            points = {"esn0_db": list(condition.points_db)} if condition.points_db else {}
            errors = None
        link = merged(self.base, condition.change)
        experiment = validate(
            Experiment,
            {
                **link,
                "name": f"robustness-{condition.name}",
                "description": condition.title,
                "receivers": [dict(receiver)],
                **points,
                "stopping": {
                    "min_block_errors": errors,
                    "max_slots": slots,
                    "min_bler": None,
                },
            },
            f"condition {condition.name!r}",
        )
        return with_absolute_files(experiment, Path.cwd())


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `change` put in, block by block; a block that names a model replaces what was there."""
    result = dict(base)
    for key, value in change.items():
        before = result.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and "name" not in value:
            result[key] = merged(before, value)
        else:
            result[key] = value
    return result


def load_conditions(path: Path | None = None) -> Conditions:
    """Those of a file, or those that ship with the package. `InputError` in one line for what is wrong."""
    if path is None:
        path = Path(str(resources.files("ran.studies.robustness").joinpath(FILE)))
    if not path.is_file():
        raise InputError(f"--conditions: got {str(path)!r}, no such file; allowed: a YAML file of conditions")
    return validate(Conditions, read_mapping(path), path.name)
