"""Metrics against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from ran.studies.beams.link_rate import LinkRate
from ran.studies.beams.metrics import Costs, Outcomes, mean, outcomes_of, reliability, share, summary


def _outcomes(top_k: tuple[int, ...] = (1, 2, 4)) -> Outcomes:
    """Three drops of four beams: best first, best second, best last."""
    true = np.array([[-60.0, -63, -70, -80], [-60.0, -59, -70, -80], [-80.0, -70, -65, -50]])
    probability = np.array([[0.7, 0.1, 0.1, 0.1], [0.5, 0.4, 0.05, 0.05], [0.4, 0.3, 0.2, 0.1]])
    return outcomes_of(np.log(probability), true + 1.0, true, true, top_k, 0.85)


def test_ranks_losses_and_tries_of_a_known_case() -> None:
    found = _outcomes()
    np.testing.assert_array_equal(found.rank, [0, 1, 3])
    np.testing.assert_allclose(found.loss_db, [[0, 0, 0], [1, 0, 0], [30, 20, 0]])
    np.testing.assert_allclose(found.confidence, [0.7, 0.5, 0.4])
    np.testing.assert_array_equal(found.adaptive_k, [3, 2, 3])
    np.testing.assert_array_equal(found.adaptive_hit, [True, True, False])
    np.testing.assert_allclose(found.predicted_dbm - found.chosen_dbm[:, 0], 1.0)


def test_summary_of_a_known_case() -> None:
    values = summary(_outcomes(), 1.0, lambda snr: snr, -100.0, 25.0, np.random.default_rng(1))
    assert values["top1"].value == pytest.approx(1 / 3)
    assert values["top2"].value == pytest.approx(2 / 3)
    assert values["loss_db_k1"].value == pytest.approx(31 / 3)
    assert values["within_k1"].value == pytest.approx(2 / 3)
    assert values["rate_mbps_k1"].value == pytest.approx((40 + 40 + 20) / 3)
    assert values["failure_k1"].value == pytest.approx(1 / 3)


def test_share_of_independent_drops_is_wilsons() -> None:
    happened = np.arange(100) < 30
    value = share(happened)
    z, p, n = 1.959963984540054, 0.3, 100
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert value.low == pytest.approx((centre - half) / (1 + z**2 / n))
    assert value.high == pytest.approx((centre + half) / (1 + z**2 / n))


def test_intervals_count_drops_not_decisions() -> None:
    drops = np.random.default_rng(2).normal(size=(200, 1))
    alone, repeated = mean(drops), mean(np.repeat(drops, 9, 1))
    assert repeated.low == pytest.approx(alone.low)
    assert share(np.repeat(drops > 0, 9, 1)).low <= share(drops > 0).low + 1e-3


def test_reliability_of_calibrated_probabilities_is_the_diagonal() -> None:
    generator = np.random.default_rng(5)
    given = generator.uniform(0.5, 1, 20_000)
    hit = generator.random(20_000) < given
    true = np.where(hit[:, None], [0.0, -5.0], [-5.0, 0.0])
    log = np.log(np.stack([given, 1 - given], 1))
    for entry in reliability(outcomes_of(log, true, true, true, (1,), 0.9)):
        assert abs(entry["given"] - entry["share"]) < 5 * np.sqrt(0.25 / entry["count"])


def test_overhead_and_latency_of_a_sweep() -> None:
    costs = Costs(symbols_per_period=2240, symbols_per_beam=4, symbol_ms=1 / 112, report_ms=4)
    assert costs.overhead(64) == pytest.approx(256 / 2240)
    assert costs.overhead(10_000) == 1
    assert costs.latency_ms(64, 1) == pytest.approx(256 / 112 + 4)


def test_rate_rises_to_the_largest_transport_block_per_slot() -> None:
    link = LinkRate(66, 120)
    snr = np.linspace(-20, 40, 61)
    rate = link.mbps(snr)
    assert (np.diff(rate) >= 0).all()
    assert rate[0] == 0
    # 12 symbols x 792 subcarriers x 8 bits x 948/1024, 8000 slots a second
    assert rate[-1] == pytest.approx(12 * 792 * 8 * 948 / 1024 * 8000 / 1e6, rel=0.02)
    capacity = 12 * 792 * 8000 / 1e6 * np.log2(1 + 10 ** (snr / 10))
    assert (rate <= capacity).all()
