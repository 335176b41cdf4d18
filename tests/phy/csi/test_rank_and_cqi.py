"""Rank and CQI as bits: as wide as in the codebooks' reports, and back."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi import enhanced_report, enhanced_search
from ran.phy.csi.cqi_report import CqiFields
from ran.phy.csi.enhanced_type_two import EnhancedTypeTwo
from ran.phy.csi.rank_and_cqi import RankAndCqi


@pytest.mark.parametrize(("ranks", "width"), [((1,), 0), ((3,), 0), ((1, 2), 1), ((1, 2, 3), 2), ((1, 2, 3, 4), 2)])
def test_bits_tell_rank_and_cqi(ranks, width):
    """RI has ceil(log2) of the number of ranks, CQI four bits, a differential CQI two (TS 38.212 table 6.3.1.1.2-3)."""
    for rank in ranks:
        for cqi in (CqiFields(0), CqiFields(15), CqiFields.of(7, [6, 7, 8, 9, 12, 0])):
            bits = RankAndCqi(rank, ranks, cqi).bits
            assert len(bits) == width + 4 + 2 * len(cqi.subbands)
            assert RankAndCqi.of_bits(bits, ranks, len(cqi.subbands)) == RankAndCqi(rank, ranks, cqi)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_report_of_a_codebook_has_as_many(rank):
    """What the codebook's own report adds to the precoder is what is added here."""
    config = EnhancedTypeTwo(4, 1, 6, max_rank=2, combination=2)
    v = np.random.default_rng(rank).standard_normal((rank, 6, 8, 2)) @ np.array([1, 1j])
    v /= np.linalg.norm(v, axis=-1, keepdims=True)
    cqi = CqiFields.of(9, [9, 8, 10, 11, 9, 9])
    report = enhanced_report.write_report(enhanced_search.search(v, config), cqi)
    own = RankAndCqi(rank, (1, 2), cqi).bits
    assert report.num_bits == report.num_pmi_bits + len(own)
    np.testing.assert_array_equal(report.bits1[: len(own)], own)


def test_reports_that_cannot_be_are_refused():
    for bits, ranks, message in (
        ([1, 1, 0, 0, 0, 0], (1, 2, 3), "RI: got 3; allowed: 0 to 2"),
        ([1, 0, 0], (1, 2), "got 3 bits, which end within CQI"),
        ([1, 0, 0, 0, 0, 1], (1, 2), "number of bits: got 6; allowed: 5"),
    ):
        with pytest.raises(InputError, match=message):
            RankAndCqi.of_bits(np.array(bits), ranks, 0)
    with pytest.raises(InputError, match="RI: got 3; allowed: 1, 2"):
        RankAndCqi(3, (1, 2), CqiFields(1))
