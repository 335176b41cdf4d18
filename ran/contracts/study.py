"""The contract of `ran.studies.interface.Study`."""

from __future__ import annotations

import json

from ran.sim.experiment import Experiment
from ran.sim.simulation import build_simulation
from ran.studies.interface import Study
from ran.studies.part import Part


def _parts(study: Study) -> str:
    parts = list(study.parts())
    if not parts:
        return "parts: got none; allowed: one or more"
    other = next((part for part in parts if not isinstance(part, Part)), None)
    if other is not None:
        return f"parts: got {type(other).__name__}; allowed: ran.studies.part.Part"
    wrong = next((part.key for part in parts if not isinstance(part.experiment, Experiment)), None)
    return "" if wrong is None else f"part {wrong!r}: got no experiment; allowed: ran.Experiment"


def _keys(study: Study) -> str:
    keys = [part.key for part in study.parts()]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        return f"keys: got {twice[0]!r} twice; allowed: each once"
    return "" if [part.key for part in study.parts()] == keys else "keys: got others at a second call"


def _facts(study: Study) -> str:
    for part in study.parts():
        try:
            json.dumps(dict(part.facts), allow_nan=False)
        except (TypeError, ValueError) as error:
            return f"facts of part {part.key!r}: {error}; allowed: plain values"
    return ""


def _link(study: Study) -> str:
    build_simulation(study.parts()[0].experiment)
    return ""


STUDY_TESTS = {
    "parts are experiments": _parts,
    "keys differ, and stay": _keys,
    "facts are plain values": _facts,
    "its first experiment can be simulated": _link,
}
