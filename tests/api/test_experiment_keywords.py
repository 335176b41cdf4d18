"""`ran.Experiment` from keywords is what a file with the same keys is."""

from __future__ import annotations

import pickle

import pytest
import yaml

import ran
from ran.sim.experiment import load

KEYS = {
    "channel": {"name": "tdl", "profile": "A", "delay_spread_ns": 100, "max_doppler_hz": 10},
    "carrier": {"num_prb": 4},
    "receivers": ["ls-linear", {"name": "blind", "label": "mine"}],
    "esn0_db": [3, 6],
    "stopping": {"max_slots": 32, "min_block_errors": None},
}


def test_keywords_are_the_keys_of_a_file(tmp_path):
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(KEYS))
    made = ran.Experiment(**KEYS)
    assert made.resolved() == load(str(file)).resolved()
    assert isinstance(made, ran.Experiment)
    assert pickle.loads(pickle.dumps(made)) == made
    assert ran.Experiment(**KEYS, name="other").name == "other"


def test_it_is_simulated_as_its_mapping_is():
    changes = {"stopping.max_slots": 8, "pusch.mcs_index": 4}
    tables = [ran.simulate(given, set=changes).to_frame() for given in (ran.Experiment(**KEYS), KEYS)]
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"chanel": 1}, "chanel: unknown key, got 1; allowed: name, .*did you mean 'channel'"),
        ({"carrier": {"num_prb": 0}}, "carrier.num_prb: got 0; allowed: "),
        ({"sweep": {"grid": {"seed": [1, 2]}}}, "sweep: got it in ran.Experiment; allowed: in a file or a mapping"),
    ],
)
def test_what_does_not_fit_is_one_line(more, words):
    with pytest.raises(ran.InputError, match=words) as caught:
        ran.Experiment(**{**KEYS, **more})
    assert "\n" not in str(caught.value)
