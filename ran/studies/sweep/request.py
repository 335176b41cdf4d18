"""The block `sweep:` of an experiment: which keys take which values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from ran.config.overrides import assigned
from ran.config.validation import validate
from ran.errors import InputError
from ran.link.constellation import with_points
from ran.phy.config import Config
from ran.sim.experiment import Experiment, built_in_experiments, with_absolute_files
from ran.sim.loading import read_values
from ran.sim.site_title import retitled
from ran.studies.part import Part
from ran.studies.presets import preset_experiments
from ran.suggestions import did_you_mean

#: More would be a mistake more often than a wish, and every one is checked before anything is simulated.
MAX_PARTS = 1000

KIND = "sweep"

#: Names under which a combination's facts hold its candidate, and whether that is one of the references.
CANDIDATE, REFERENCE = "candidate", "reference"


class Sweep(Config):
    """Values of keys of the experiment, each key a path as `--set` has it (`pusch.mcs_index`, `receivers.0.detector`).

    grid: values per key; every combination is simulated, the first key slowest.
    list: combinations one by one. With both, every one of the list with every one of the grid.
    candidates: ways to send or receive that compete in every combination, by name, each with the keys that it sets. The
        report compares what they deliver.
    references: names of candidates; in every combination the best of them is what the others are compared with.
    """

    grid: Annotated[
        dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]],
        Field(default_factory=dict, json_schema_extra={"allowed": "a block {KEY.PATH: [values]}"}),
    ]
    list: Annotated[
        tuple[dict[str, Any], ...],
        Field(json_schema_extra={"allowed": "a list of blocks {KEY.PATH: value}"}),
    ] = ()
    candidates: Annotated[
        dict[str, dict[str, Any]],
        Field(default_factory=dict, json_schema_extra={"allowed": "a block {NAME: {KEY.PATH: value}}"}),
    ]
    references: Annotated[tuple[str, ...], Field(json_schema_extra={"allowed": "a list of names of candidates"})] = ()

    @model_validator(mode="after")
    def _references_are_candidates(self) -> Sweep:
        for name in self.references:
            if name not in self.candidates:
                hint = did_you_mean(name, self.candidates)
                allowed = ", ".join(self.candidates) or "none without candidates"
                raise ValueError(f"references: got {name!r}; allowed: {allowed}{hint}")
        if self.candidates and (len(self.candidates) < 2 or not self.references):
            raise ValueError(
                f"candidates: got {len(self.candidates)} with {len(self.references)} references; allowed: two or more, "
                "and references among them"
            )
        for name, values in self.candidates.items():
            both = set(values) & set(self.keys)
            if both:
                raise ValueError(
                    f"candidates: {name} sets {sorted(both)[0]!r}, which is swept; allowed: every key once"
                )
        return self

    @model_validator(mode="after")
    def _has_values(self) -> Sweep:
        if not self.grid and not self.list:
            raise ValueError("got no keys; allowed: grid: {KEY.PATH: [values]} or list: [{KEY.PATH: value}]")
        for values in self.list:
            if not values or set(values) != set(self.list[0]):
                raise ValueError(f"list: got the keys {', '.join(values) or 'none'}; allowed: the same in every block")
        both = set(self.grid) & set(self.list[0] if self.list else ())
        if both:
            raise ValueError(f"got {sorted(both)[0]!r} in grid and in list; allowed: every key once")
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that are swept, in the order in which they are written."""
        return (*(self.list[0] if self.list else ()), *self.grid)

    def combinations(self) -> tuple[dict[str, Any], ...]:
        """Every combination, value by key."""
        given = self.list or ({},)
        grid = [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]
        return tuple({**one, **other} for one in given for other in grid)


class SweepRequest:
    """An experiment with its sweep: parts to simulate, and the keys by which they differ.

    name, description: of the experiment. keys: short names by full path.
    """

    def __init__(self, name: str, description: str, keys: Mapping[str, str], parts: Sequence[Part]) -> None:
        self.name = name
        self.description = description
        self.keys = dict(keys)
        self.parts = tuple(parts)


def load_any(
    name_or_path: str | Path, overrides: Iterable[str] = (), changes: Mapping[str, Any] | None = None
) -> Experiment | SweepRequest:
    """The experiment of that name or file, with `overrides` applied; a `SweepRequest` where it has a block `sweep`.

    changes: more of them, plain values by their path. `InputError` in one line for everything that is wrong, in any
    combination.
    """
    values, folder = read_values(name_or_path, overrides, built_in_experiments() | preset_experiments())
    return request_of(values, folder, str(name_or_path), changes or {})


def request_of(
    given: Mapping[str, Any], folder: Path, source: str, changes: Mapping[str, Any]
) -> Experiment | SweepRequest:
    """`load_any` of the values that a file would hold. folder: of relative file names. source: of the values, for
    messages."""
    values = retitled(given, assigned(dict(given), changes, "set:"))
    if "sweep" not in values:
        experiment = validate(Experiment, with_points(values, folder), source)
        return with_absolute_files(experiment, folder)
    keys, combinations = combinations_of(values, source)
    parts = []
    for one in combinations:
        experiment = validate(Experiment, with_points(one.values, folder), one.source)
        parts.append(Part(one.key, one.title, with_absolute_files(experiment, folder), one.facts))
    return SweepRequest(parts[0].experiment.name, parts[0].experiment.description, keys, parts)


@dataclass(frozen=True)
class Combination:
    """One combination of a sweep. values: of its experiment. facts: swept values by short key. key: a file name.
    source: of the values, for messages."""

    key: str
    title: str
    values: dict[str, Any]
    facts: dict[str, Any]
    source: str


def combinations_of(given: Mapping[str, Any], source: str) -> tuple[dict[str, str], list[Combination]]:
    """Short names of the swept keys by full path, and all combinations of an experiment with a block `sweep`."""
    values = {key: value for key, value in given.items() if key != "sweep"}
    sweep = validate(Sweep, given["sweep"], f"{source}: sweep")
    wanted = list(product(sweep.combinations(), (sweep.candidates or {"": {}}).items()))
    if len(wanted) > MAX_PARTS:
        raise InputError(f"{source}: sweep: got {len(wanted)} combinations; allowed: at most {MAX_PARTS}")
    keys, found = short_names(sweep.keys), []
    for combination, (name, own) in wanted:
        title = title_of({keys[path]: value for path, value in combination.items()})
        facts = {keys[path]: _plain(value) for path, value in combination.items()}
        if sweep.candidates:
            title, facts = f"{title}, {name}", {**facts, CANDIDATE: name, REFERENCE: name in sweep.references}
        changed = assigned(values, {**combination, **own}, f"{source}: sweep:")
        found.append(Combination(_file_name(title), title, changed, facts, f"{source}: sweep, {title}"))
    return keys, found


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """For every path its last key, with as many before it as tell it from the others."""
    found = {}
    for path in paths:
        keys = path.split(".")
        for length in range(1, len(keys) + 1):
            short = ".".join(keys[-length:])
            others = (".".join(other.split(".")[-length:]) for other in paths if other != path)
            if short not in others and not keys[-length].isdecimal():
                break
        found[path] = short
    return found


def title_of(facts: Mapping[str, Any]) -> str:
    """Swept keys and their values in words."""
    return ", ".join(f"{key} {shown(value)}" for key, value in facts.items())


def shown(value: Any) -> str:
    """A swept value in a word or two."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        name = [str(value["name"])] if "name" in value else []
        return " ".join(name + [f"{k}={shown(v)}" for k, v in value.items() if k != "name"])
    if isinstance(value, list | tuple):
        return "+".join(shown(item) for item in value)
    return str(value)


def _plain(value: Any) -> Any:
    """A value as a cell of a table: numbers and truth as they are, everything else in words."""
    return value if isinstance(value, bool | int | float) else shown(value)


def _file_name(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9._=+-]+", "_", title.replace(", ", ",").replace(" ", "="))
