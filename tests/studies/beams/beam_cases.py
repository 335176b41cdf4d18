"""Small beam experiments for tests."""

from __future__ import annotations

from typing import Any

from ran.config.validation import validate
from ran.studies.beams.experiment import BeamExperiment
from ran.studies.beams.world import BeamWorld

UMA = {"name": "uma", "carrier_frequency_hz": 30e9, "inter_site_distance_m": 200, "indoor_ratio": 0}


def experiment(**changes: Any) -> BeamExperiment:
    """32 beams of a 4 x 8 panel in free space, unless `changes` say otherwise."""
    values = {
        "name": "case",
        "channel": {"name": "free-space", "zenith_deg": [80, 120]},
        "set_a": {"beams": [4, 8]},
        "evaluation": {"top_k": [1, 2, 4]},
        "predictors": ["genie"],
        "num_drops": 16,
        "num_fit_drops": 32,
    }
    return validate(BeamExperiment, {**values, **changes})


def world(**changes: Any) -> BeamWorld:
    return BeamWorld(experiment(**changes))
