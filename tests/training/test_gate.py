"""The gate of fine-tuning: paired tests against closed forms, and how often it passes weights that lose."""

import numpy as np
import pytest
from scipy.stats import binomtest, t, ttest_rel

from ran.training.gate import SlotLosses, rise_p_value, why_refused

NONE = np.zeros(0, bool)


def slots(entropies, lost=NONE):
    return SlotLosses(np.asarray(entropies, float), np.asarray(lost, bool))


def test_without_tolerance_the_test_of_entropies_is_the_paired_t_test():
    generator = np.random.default_rng(1)
    before = generator.gamma(2, 0.2, 40)
    after = before * (1 + 0.02 * generator.standard_normal(40))
    expected = ttest_rel(after, before, alternative="less").pvalue
    assert rise_p_value(before, after, 0.0) == pytest.approx(expected, rel=1e-9)
    # the tolerance is relative to the weights before, whatever the unit of the entropies
    expected = ttest_rel(after, 1.03 * before, alternative="less").pvalue
    assert rise_p_value(before, after, 0.03) == pytest.approx(expected, rel=1e-9)
    assert rise_p_value(7 * before, 7 * after, 0.03) == pytest.approx(expected, rel=1e-9)


def test_slots_that_all_change_alike_and_single_slots():
    before = np.array([0.1, 0.2, 0.4])
    # t of three values, one below them by a hundredth each: sqrt(3) mean / deviation, two degrees of freedom
    assert rise_p_value(before, before, 0.01) == pytest.approx(t.sf(np.sqrt(3) * before.mean() / before.std(ddof=1), 2))
    assert rise_p_value(before, before, 0.0) == 0.0
    assert rise_p_value(np.full(3, 0.5), np.full(3, 0.75), 0.25) == 1.0
    # one slot shows nothing
    assert rise_p_value(before[:1], before[:1] / 2, 0.0) == 1.0
    with pytest.raises(ValueError, match="got 3 and 2 slots"):
        rise_p_value(before, before[:2], 0.0)


def test_lost_blocks_are_mcnemars_exact_test():
    entropies = [np.full(40, 0.2)] * 2
    lost = np.zeros(40, bool)
    for more in range(1, 12):
        after = lost.copy()
        after[:more] = True
        # two that are won back
        before = lost.copy()
        before[30:32] = True
        refused = why_refused([slots(entropies[0], before)], [slots(entropies[1], after)], 0.01, 0.025)
        significant = binomtest(more, more + 2, 0.5, alternative="greater").pvalue <= 0.025
        assert (refused is not None) == significant, more
        if refused:
            assert f"{more} blocks are lost that were not before, and 2 the other way round" in refused
    # guards count together: neither of these alone is significant
    few = lost.copy()
    few[:4] = True
    one = [slots(entropies[0], lost)], [slots(entropies[0], few)]
    assert why_refused(*one, 0.01, 0.025) is None
    assert why_refused(one[0] * 2, one[1] * 2, 0.01, 0.025)


def test_weights_at_the_tolerance_pass_as_seldom_as_the_level_says():
    """Weights that lose the tolerance exactly pass with the level's probability, whatever slots differ by."""
    generator, level, runs = np.random.default_rng(2), 0.05, 4000
    passed = 0
    for _ in range(runs):
        before = generator.uniform(0.1, 0.5, 24)
        after = 1.01 * before + 0.004 * generator.standard_normal(24)
        passed += why_refused([slots(before)], [slots(after)], 0.01, level) is None
    # binomial, false alarm 1e-6
    assert abs(passed / runs - level) < 4.9 * np.sqrt(level * (1 - level) / runs)


def test_one_guard_that_loses_refuses_however_many_hold():
    generator = np.random.default_rng(3)
    before = [slots(generator.uniform(0.1, 0.5, 96)) for _ in range(8)]
    noise = [0.002 * generator.standard_normal(96) for _ in before]
    same = [slots(part.entropies + away) for part, away in zip(before, noise, strict=True)]
    assert why_refused(before, same, 0.01, 0.01) is None
    worse = [*same[:5], slots(1.03 * same[5].entropies), *same[6:]]
    refused = why_refused(before, worse, 0.01, 0.01)
    assert refused.startswith("guard 5: bit cross-entropy changes by +3.")
    assert "a rise by more than 1.00% is not excluded" in refused
    assert "\n" not in refused
