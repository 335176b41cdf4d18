"""A beam predictor and an impairment that a user brings: found by name, their source part of the identity."""

import shutil
import sys

import pytest
from beam_cases import experiment

from ran.config.validation import validate
from ran.sim.experiment import Experiment, load
from ran.sim.identity import run_identity, scenario_id
from ran.studies.beams.outcome_jobs import predictor_ids
from ran.studies.beams.run import BeamRequest

PREDICTOR = '''
from receivers.beams import BeamPrediction, BeamPredictor
from receivers.beams.best_measured import on_set_a
import beam_gain

class Mine(BeamPredictor):
    """Strongest beam of a user."""
    name = "mine"
    def __init__(self, offset_db: float = 0.0) -> None:
        self.offset_db = offset_db
    def __call__(self, observation, truth=None):
        rsrp = on_set_a(observation.latest()) + self.offset_db * beam_gain.GAIN
        return BeamPrediction.of_rsrp(rsrp[:, None].repeat(1, observation.num_horizon, 1))
'''
IMPAIRMENT = '''
from channels.impairments import Impairment
import beam_gain

class Weaker(Impairment):
    """Less power."""
    name = "weaker"
    def _impair(self, waveform, sample_rate_hz, generators):
        return waveform * beam_gain.GAIN
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    (here / "mine.py").write_text(PREDICTOR)
    (here / "weaker.py").write_text(IMPAIRMENT)
    (here / "beam_gain.py").write_text("GAIN = 0.5\n")
    monkeypatch.syspath_prepend(str(here))
    yield here
    sys.modules.pop("beam_gain", None)


def _moved(folder):
    shutil.copytree(folder, folder.parent / "there")
    return folder.parent / "there"


def _predictor_id(folder, **options):
    block = {"name": f"{folder / 'mine.py'}:Mine", **options}
    made = experiment(predictors=["best-of-set-b", block])
    found = predictor_ids(made, BeamRequest(made).predictors)
    return found["best-of-set-b"], next(digest for title, digest in found.items() if title != "best-of-set-b")


def test_outcomes_of_a_users_predictor_are_named_by_its_source(folder):
    shipped, before = _predictor_id(folder)
    assert _predictor_id(_moved(folder)) == (shipped, before)
    assert _predictor_id(folder, offset_db=1.0)[1] != before
    (folder / "beam_gain.py").write_text("GAIN = 0.25\n")  # a module beside it that it imports
    again = _predictor_id(folder)
    assert again[0] == shipped
    assert again[1] != before


def test_drops_of_a_users_impairment_are_named_by_its_source(folder, monkeypatch):
    def named(place):
        values = {
            "name": "x",
            "channel": "rayleigh-block",
            "receivers": ["ls-linear"],
            "esn0_db": [8.0],
            "waveform": {"receive_impairments": [{"name": f"{place / 'weaker.py'}:Weaker"}]},
        }
        made = validate(Experiment, values)
        return scenario_id(made, 8.0), run_identity(made, {})

    before = named(folder)
    assert named(_moved(folder)) == before
    (folder / "beam_gain.py").write_text("GAIN = 0.25\n")
    again = named(folder)
    assert again[0] != before[0]
    assert again[1] != before[1]


def test_a_users_impairment_is_found_beside_the_experiment(folder, tmp_path):
    (folder / "mine.yaml").write_text(
        "channel: rayleigh-block\nreceivers: [ls-linear]\nesn0_db: [8]\n"
        "waveform: {transmit_impairments: ['weaker.py:Weaker']}\n"
    )
    waveform = load(folder / "mine.yaml").waveform
    assert waveform is not None
    assert waveform.transmit_impairments[0]["name"] == f"{folder / 'weaker.py'}:Weaker"
