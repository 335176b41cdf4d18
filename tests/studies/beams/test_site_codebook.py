"""A Set B learned for a site: from drops for training alone, and measured like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from beam_cases import UMA, experiment, world

from ran.datasets.container import open_container
from ran.errors import InputError
from ran.studies.beams.data import write_beams
from ran.studies.beams.experiment import SetB
from ran.studies.beams.measurement import decide
from ran.studies.beams.run import run_experiment
from ran.studies.beams.site_codebook import seen_by_site_beams, site_beams
from ran.studies.beams.sources import Instant
from ran.studies.beams.world import BeamWorld

LEARNED = SetB(pattern="learned", size=4)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "cache"))


def test_beams_are_learned_from_drops_for_training_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []
    whole = BeamWorld.instants

    def recorded(self: BeamWorld, split: Any, block: int, weights: torch.Tensor | None = None) -> Iterator[Instant]:
        asked.append((split, block))
        return whole(self, split, block, weights)

    monkeypatch.setattr(BeamWorld, "instants", recorded)
    here = world(channel=UMA, num_fit_drops=12)
    weights, cosines = site_beams(here, 4)
    assert asked == [("train", 0), ("train", 1)]
    np.testing.assert_allclose(np.abs(weights), 1 / np.sqrt(32), rtol=1e-6)
    assert np.abs(cosines).max() <= 1
    # the same again from the cache
    again = world(channel=UMA, num_fit_drops=12)
    np.testing.assert_array_equal(site_beams(again, 4)[0], weights)
    assert len(asked) == 2
    # learned again with other tested drops they are the same
    more = world(channel=UMA, num_fit_drops=12, num_drops=32)
    monkeypatch.setenv("RAN_CACHE_DIR", str(tmp_path / "another"))
    np.testing.assert_array_equal(site_beams(more, 4)[0], weights)


def test_learned_beams_meet_the_drops_that_set_a_meets() -> None:
    """Where the learned beams are those of Set A, so are their powers; drops count from where they begin."""
    here = world(channel=UMA)
    drops = here.drops("test", 3, 4)
    here.learned[32] = here.set_a.weights.astype(np.complex64), here.set_a.cosines.astype(np.float32)
    seen = seen_by_site_beams(here, drops, 32)
    np.testing.assert_allclose(seen.rsrp_dbm, drops.rsrp_dbm[..., :32], atol=1e-3)
    np.testing.assert_array_equal(seen.users_m, drops.users_m)


def test_what_is_measured_is_the_power_of_the_learned_beams() -> None:
    here = world(radio={"quantised": False})
    drops = here.drops("test", 0, 6)
    found = decide(here, drops, 0, LEARNED).observation
    assert found.is_wide
    assert found.measured_weights.shape == (6, 1, 4, 32)
    true = seen_by_site_beams(here, drops, 4).rsrp_dbm[:, 0].max(1)
    strongest = true.argmax(1)
    rows = np.arange(6)
    # strong signals are measured within a tenth of a dB or so
    np.testing.assert_allclose(found.rsrp_dbm[rows, 0, strongest].numpy(), true[rows, strongest], atol=0.5)
    fixed = decide(here, drops, 0, SetB(pattern="fixed", size=8))
    torch.testing.assert_close(fixed.truth.rsrp_dbm, decide(here, drops, 0, LEARNED).truth.rsrp_dbm, rtol=0, atol=0)


def test_a_run_compares_kinds_of_set_b_over_the_same_drops() -> None:
    evaluation = {"top_k": [1, 2], "set_b_patterns": ["fixed", "random", "wide", "learned"]}
    names = ["best-of-set-b", "matching-pursuit", "fingerprint", "last-beam"]
    results = run_experiment(experiment(predictors=names, evaluation=evaluation))
    titles = [setting.title for setting in results.settings]
    assert titles == [f"8 {pattern}, 3 km/h" for pattern in ("fixed", "random", "wide", "learned")]
    of_learned = results.of(results.settings[3])
    assert [r.predictor for r in of_learned] == names[:3]
    for result in of_learned:
        own = next(r for r in results.of(results.settings[0]) if r.predictor == result.predictor)
        difference = result.values["top1"].value - own.values["top1"].value
        assert result.against_own["top1"].value == pytest.approx(difference, abs=1e-12)
        assert result.num_beams == 8


def test_a_data_set_of_learned_beams_holds_their_weights(tmp_path: Path) -> None:
    chosen = experiment(set_b={"pattern": "learned", "size": 4})
    write_beams(chosen, 8, (0.5, 0.0, 0.5), tmp_path / "beams.h5")
    container = open_container(tmp_path / "beams.h5")
    try:
        stored = container.header.tables["wide_weights"].array
    finally:
        container.close()
    np.testing.assert_array_equal(stored, site_beams(BeamWorld(chosen), 4)[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "pairs", "set_b": {"pattern": "learned"}}, "got 'learned' with task 'pairs'; allowed: fixed"),
        ({"task": "pairs", "evaluation": {"top_k": [1], "set_b_patterns": ["wide"]}}, "got 'wide' with task 'pairs'"),
        ({"set_b": {"pattern": "learned", "size": 33}}, "got 33 beams to learn; allowed: 1 to 32"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        run_experiment(experiment(**changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
