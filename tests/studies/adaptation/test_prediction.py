"""Predicted block error rates against simulated ones, on channels and seeds that coefficients were not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.mcs import McsEntry, mcs
from ran.phy.transport_block import TransportBlock
from ran.report.harq import normal_approximation
from ran.studies.adaptation.coefficients import beta_of, coefficients, measure_draws
from ran.studies.adaptation.effective import MAPPINGS
from ran.studies.adaptation.reference import CodeBlocks, entries, reference_curves

UNSEEN = {"profile": "B", "delay_spread_ns": 150, "num_rx_ant": 2, "num_layers": 1}
TWO_LAYERS = {"profile": "C", "delay_spread_ns": 300, "num_rx_ant": 4, "num_layers": 2}


@pytest.mark.parametrize("channel", [UNSEEN, TWO_LAYERS], ids=["one layer", "two layers"])
@pytest.mark.parametrize("mcs_index", [3, 13, 22])
def test_prediction_on_unseen_channels(mcs_index, channel):
    draws = measure_draws(1, mcs_index, channel, 4, seed=77)
    for mapping in MAPPINGS:
        errors = draws.errors_db(mapping, beta_of(draws.code_blocks.entry, mapping))
        assert np.sqrt(np.mean(errors**2)) < 0.35  # dB; the fit itself states 0.04 to 0.25


def test_every_mcs_has_coefficients_and_curves():
    assert set(coefficients()) == set(reference_curves()) == set(entries())
    for entry, values in coefficients().items():
        assert all(0.05 < values[mapping] < 2000 for mapping in MAPPINGS), entry


def test_reference_curves_are_ordered():
    for table in (1, 2, 4):
        needed = [CodeBlocks(mcs(table, m), 1, 3700).snr_db(0.1) for m in range(20)]
        # where the modulation changes, two neighbours carry the same or nearly the same
        steps = np.diff(needed)
        assert (steps > -0.3).all()
        assert np.mean(steps) > 0.4


def test_no_curve_beats_the_normal_approximation():
    # no code may: the best that Gaussian symbols allow, second order (Polyanskiy, Poor and Verdu), is crossed nowhere
    for entry, curves in reference_curves().items():
        for length, waterfall in curves:
            num_symbols = round(length / (entry.target_rate * entry.bits_per_symbol))
            best = normal_approximation(length, num_symbols, 10 ** (waterfall.middle_db / 10))
            assert best < 0.5, (entry, length)


def test_code_blocks_multiply():
    entry = mcs(1, 20)
    one, four = CodeBlocks(entry, 1, 8000), CodeBlocks(entry, 4, 8000)
    snr_db = one.waterfall.middle_db + np.array([-0.1, 0.0, 0.2, 0.4])
    np.testing.assert_allclose(four.bler(snr_db), 1 - (1 - one.bler(snr_db)) ** 4, rtol=1e-9)
    for target in (0.5, 0.1, 0.01):
        assert float(four.bler(four.snr_db(target))) == pytest.approx(target, rel=0.02)


def test_longer_blocks_fall_more_steeply():
    entry = mcs(1, 14)
    widths = [CodeBlocks(entry, 1, length).waterfall.width_db for length in (600, 1200, 3000, 8000)]
    assert widths == sorted(widths, reverse=True)
    # nothing is known beyond the lengths measured
    assert CodeBlocks(entry, 1, 8448).waterfall.width_db == pytest.approx(widths[-1], rel=0.05)


def test_unknown_rate():
    with pytest.raises(InputError, match=r"MCS: got .*allowed: MCS of TS 38\.214"):
        CodeBlocks.of(TransportBlock(1000, 4000, 0.26, 4))
    with pytest.raises(InputError, match="MCS: got"):
        beta_of(McsEntry(4, 266.0), "eesm")
