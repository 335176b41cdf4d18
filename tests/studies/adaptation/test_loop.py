"""The loops on synthetic channels: convergence to the target, delays, clipping, and what no rule can beat."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.studies.adaptation.experiment import OuterLoop
from ran.studies.adaptation.loop import choose, ideal
from ran.studies.adaptation.waterfall import Waterfall, fit, fit_middle
from ran.studies.adaptation.window import Window

NUM_MCS = 20
MIDDLES_DB = np.linspace(-6, 18, NUM_MCS)
BITS = np.round(1000 * np.log2(1 + 10 ** (MIDDLES_DB / 10))).astype(int)


def synthetic(series, slots, bias_db, seed=1, spread_db=3.0):
    """A slowly moving SNR, waterfalls of 0.3 dB, and a measurement that is wrong by `bias_db`."""
    generator = np.random.default_rng(seed)
    steps = generator.normal(size=(series, slots + 200))
    slow = np.stack([np.convolve(row, np.exp(-np.arange(200) / 40), "valid")[:slots] for row in steps])
    snr_db = 6 + spread_db * slow / slow.std()
    fails = Waterfall(0.0, 0.3).bler(snr_db[..., None] - MIDDLES_DB)
    arrived = generator.random((series, slots, 1)) >= fails
    target_db = 0.3 * 1.2815515655446004  # where a waterfall of 0.3 dB is at 10 %
    return (snr_db + bias_db)[..., None] - (MIDDLES_DB + target_db), arrived


def bler(chosen, arrived, skip):
    return 1 - np.take_along_axis(arrived, chosen[..., None], -1)[:, skip:, 0].mean()


@pytest.mark.parametrize("target", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("bias_db", [-3.0, 0.0, 4.0])
def test_outer_loop_meets_the_target_whatever_the_bias(bias_db, target):
    margins, arrived = synthetic(200, 1200, bias_db)
    outer = OuterLoop(step_db=0.2, min_db=-20, max_db=20)
    chosen = choose(margins, arrived, 2, target, outer)
    skip, slots = 300, 900
    # the offset moves by step (target n_ack / (1 - target) - n_nack) over a series and stays within +-10 dB here, so
    # the error rate of a series is off by at most 10 / (step / (1 - target) slots); over series what is left averages
    found = bler(chosen, arrived, skip)
    assert abs(found - target) < 10 * (1 - target) / (0.2 * slots) / np.sqrt(200) * 5
    if bias_db > 0:  # the inner loop alone believes what it is told
        assert bler(choose(margins, arrived, 2, target), arrived, skip) > 2 * target


def test_inner_loop_meets_the_target_when_told_the_truth():
    # a ladder without a top, and no delay: below the target, because the margin is rarely just 0
    margins, arrived = synthetic(100, 400, 0.0)
    found = bler(choose(margins, arrived, 0, 0.1), arrived, 10)
    assert 0.005 < found < 0.1


def test_delay_is_exact():
    margins, arrived = synthetic(5, 60, 0.0)
    for delay in (0, 1, 7):
        chosen = choose(margins, arrived, delay, 0.1)
        expected = np.maximum((margins >= 0).sum(-1) - 1, 0)
        np.testing.assert_array_equal(chosen[:, delay:], expected[:, : 60 - delay])
        assert not chosen[:, :delay].any()
        # nothing that is not known yet is used: what happens later changes nothing before
        other = arrived.copy()
        other[:, 30:] ^= True
        outer = OuterLoop()
        before, after = (choose(margins, a, delay, 0.1, outer) for a in (arrived, other))
        known = 30 + max(delay, 1)
        np.testing.assert_array_equal(before[:, :known], after[:, :known])
        assert (before != after).any()


def test_offset_is_clipped():
    margins = np.full((1, 200, 3), -1.5) - np.arange(3)
    never = np.zeros(margins.shape, bool)
    up = choose(margins, ~never, 0, 0.5, OuterLoop(step_db=1, max_db=2))
    assert up[0, -1] == 0  # +2 lifts the lowest MCS above its margin of -1.5 and the next, at -2.5, not
    assert choose(margins, ~never, 0, 0.5, OuterLoop(step_db=1, max_db=2.5))[0, -1] == 1
    # after a long spell of losses the way back is as long as the limit allows: from -4 dB to 0 by a dB per ACK
    arrived = never.copy()
    arrived[:, 100:] = True
    back = choose(margins + 2.5, arrived, 0, 0.5, OuterLoop(step_db=1, min_db=-4, max_db=10))
    assert int(np.argmax(back[0, 100:] == 1)) == 4


def test_ideal_is_above_everything():
    margins, arrived = synthetic(20, 100, 0.0)
    best = np.take_along_axis(arrived * BITS, ideal(BITS, arrived)[..., None], -1).sum()
    for outer in (None, OuterLoop()):
        chosen = choose(margins, arrived, 0, 0.1, outer)
        assert np.take_along_axis(arrived * BITS, chosen[..., None], -1).sum() <= best
    assert (arrived * BITS).sum((0, 1)).max() <= best


def test_waterfall_is_found_again():
    generator = np.random.default_rng(3)
    truth, x, n = Waterfall(7.3, 0.4), np.arange(6, 9, 0.2), 2000
    errors = generator.binomial(n, truth.bler(x))
    found = fit(x, [n] * len(x), errors)
    # about 5 points carry the information: standard errors near 0.4 / sqrt(5 * 2000 * 0.5)
    assert found.middle_db == pytest.approx(7.3, abs=0.03)
    assert found.width_db == pytest.approx(0.4, abs=0.03)
    assert fit_middle(x, [n] * len(x), errors, 0.4) == pytest.approx(7.3, abs=0.03)
    with pytest.raises(InputError, match="block errors of a waterfall: got '0 of 30'"):
        fit([1.0], [30], [0])


def test_window():
    def simulate(window, truth):
        known, asked = {}, []
        while missing := window.missing(known):
            asked += missing
            known |= {m: truth(m) for m in missing}
        return window.range(known), sorted(asked)

    def falling(middle):
        return lambda m: (0.0 if m < middle else 0.5 if m < middle + 3 else 1.0,)

    assert simulate(Window(10, 29, 0.01), falling(9)) == (range(8, 13), [8, 9, 10, 11, 12])
    assert simulate(Window(2, 29, 0.01), falling(6)) == (range(2, 10), list(range(2, 10)))
    assert simulate(Window(40, 29, 0.01), falling(60)) == (range(28, 29), [28])
    assert simulate(Window(-3, 29, 0.01), falling(-9)) == (range(1), [0])
    # every receiver counts: the worst below, the best above
    both = simulate(Window(10, 29, 0.01), lambda m: falling(5)(m) + falling(14)(m))
    assert both[0] == range(4, 18)
