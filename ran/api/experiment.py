"""`ran.Experiment`: an experiment made from Python keywords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ran.api.simulate import plain
from ran.errors import InputError
from ran.sim.experiment import Experiment as Checked
from ran.studies.sweep.request import request_of


class Experiment(Checked):
    """What `ran.simulate` runs, by the keys of an experiment file: the same blocks, defaults and checks.

    `ran.Experiment(channel={"name": "tdl", "profile": "C", "delay_spread_ns": 300, "max_doppler_hz": 100},
    receivers=["ls-linear", "blind"], esn0_db=[0, 5, 10])`; `name` is "experiment" where none is given. Relative file
    names are taken relative to the current folder. Immutable: `ran.simulate(experiment, set={...})` changes a copy.

    `InputError`, one line, for keys and values that do not fit; sweeps are given to `ran.simulate` as a mapping.
    """

    def __init__(self, **keys: Any) -> None:
        if "sweep" in keys:
            raise InputError("sweep: got it in ran.Experiment; allowed: in a file or a mapping given to ran.simulate")
        checked = request_of({"name": "experiment", **plain(keys)}, Path.cwd(), "experiment", {})
        super().__init__(**{name: getattr(checked, name) for name in Checked.model_fields})
