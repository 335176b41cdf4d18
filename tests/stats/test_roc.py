"""The area under the ROC curve: against pairs one by one, coverage by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import ndtr

from ran.stats import area_under_roc
from ran.stats import roc as module


def test_it_is_the_share_of_pairs_with_ties_counting_half():
    generator = np.random.default_rng(1)
    positive, negative = (list(generator.integers(0, 5, (4, 6))) for _ in range(2))
    pairs = list(product(np.concatenate(positive), np.concatenate(negative)))
    expected = np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs])
    found = area_under_roc(positive, negative)
    assert found.value == pytest.approx(expected)
    assert found.low <= found.value <= found.high
    assert found == area_under_roc(positive, negative)
    assert not area_under_roc(positive, []).is_known


def test_it_covers_when_only_groups_are_independent(monkeypatch):
    """Windows of a scene share their mean; 40 scenes on a side, three windows each."""
    monkeypatch.setattr(module, "_RESAMPLES", 200)
    generator, trials, distance = np.random.default_rng(2), 150, 1.0
    # scores are normal with variance 1 between scenes and 1 within; two of different scenes differ by variance 4
    truth = float(ndtr(distance / 2))

    def groups(mean: float) -> list[np.ndarray]:
        return list(mean + generator.normal(size=(40, 1)) + generator.normal(size=(40, 3)))

    found = [area_under_roc(groups(distance), groups(0.0)) for _ in range(trials)]
    covered = np.mean([e.low <= truth <= e.high for e in found])
    # the spread of n groups in the place of n - 1 takes 1 / 80 of the width, 0.003 of the coverage; 200 resamples place
    # each end within a percent of its tail
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / trials) + 0.003 + 0.02
    # windows that were taken for independent would give an interval that is too narrow: this test can fail
    apart = [area_under_roc(*([[x] for x in np.concatenate(groups(m))] for m in (distance, 0.0))) for _ in range(10)]
    assert np.mean([e.half_width for e in apart]) < 0.8 * np.mean([e.half_width for e in found])
