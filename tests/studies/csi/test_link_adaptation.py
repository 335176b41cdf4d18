"""CQI and rank against what must follow from the SINR."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.cqi import cqi_table
from ran.phy.mcs import mcs, num_mcs
from ran.studies.csi.link_adaptation import (
    TARGET_BLER,
    mcs_of,
    reported_cqi,
    reported_rank,
    sent_block,
    thresholds_db,
    wideband_cqi,
)


@pytest.mark.parametrize("table", [1, 2, 4])
def test_thresholds_rise_and_lie_a_little_above_capacity(table):
    """A code of finite length needs 0.2 to 3 dB more than Gaussian symbols without errors."""
    limits = thresholds_db(table, 52)
    assert np.all(np.diff(limits) > 0)
    capacity = [10 * np.log10(2**entry.efficiency - 1) for entry in cqi_table(table)]
    gap = limits - capacity
    assert gap.min() > 0.2
    assert gap.max() < 3.5


def test_a_flat_channel_has_the_cqi_of_its_snr():
    limits = thresholds_db(2, 52)
    units = tuple(range(4 * i, 4 * i + 4) for i in range(13))
    sinr = 10 ** ((limits[[2, 7]] + 0.5) / 10)[:, None, None] * np.ones((2, 1, 52))
    low, high = reported_cqi(sinr, units)
    assert (low.wideband, high.wideband) == (3, 8)
    assert set(low.subbands) == set(high.subbands) == {0}
    sinr[0, :, :4] *= 10 ** ((limits[3] - limits[2]) / 10)
    sinr[0, :, 4:8] /= 4
    assert reported_cqi(sinr, units)[0].offsets[:3] == (1, -1, 0)


def test_rank_rises_with_snr():
    one = 10 ** (np.array([[[0.0]], [[25.0]]]) / 10) * np.ones((2, 1, 52))
    two = np.concatenate([one / 2, one / 8], 1)
    assert reported_rank([one, two]).tolist() == [1, 2]
    with pytest.raises(InputError, match="one array per rank"):
        reported_rank([])


@pytest.mark.parametrize("table", [1, 2, 3, 4])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_block_by_the_cqi_fails_no_more_often_than_the_table_allows(table, layers):
    """TS 38.214 5.2.2.1: the highest index whose block fails with a probability not exceeding 0.1 (or 0.00001)."""
    entries = {(e.bits_per_symbol, e.target_rate_x1024): e for e in (mcs(table, i) for i in range(num_mcs(table)))}
    snr_db = np.arange(-12.0, 32.0, 0.37)
    sinr = 10 ** (snr_db / 10)[:, None, None] * np.ones((1, layers, 24))
    cqi = wideband_cqi(sinr, table)
    assert cqi.min() == 0
    assert cqi.max() == 15
    assert np.all(np.diff(cqi) >= 0)
    for index in range(1, 16):
        row = cqi_table(table)[index - 1]
        entry = entries.get((row.bits_per_symbol, row.rate_x1024))
        if entry is None:  # a rate that no MCS has: nothing to hold it against
            continue
        assert mcs_of(index, table) == entry
        _, bler = sent_block(sinr, entry)
        assert bler[cqi >= index].max() <= 1.001 * TARGET_BLER[table]
        below = bler[cqi < index]
        assert below.min() > 0.999 * TARGET_BLER[table]
    assert sum(e in entries for e in ((r.bits_per_symbol, r.rate_x1024) for r in cqi_table(table))) >= 12


def test_the_mcs_promises_no_more_than_the_cqi():
    for table in (1, 2, 3, 4):
        for index in range(1, 16):
            promised, entry = cqi_table(table)[index - 1].efficiency, mcs_of(index, table)
            efficiency = entry.bits_per_symbol * entry.target_rate
            lowest = efficiency == min(mcs(table, i).bits_per_symbol * mcs(table, i).target_rate for i in range(4))
            assert efficiency <= promised + 1e-9 or lowest
    # CQI 1 of the 256QAM table asks for less than its MCS 0 has
    assert mcs_of(1, 2) == mcs(2, 0)


def test_the_cqi_takes_the_modulation_of_its_own_row():
    """Half of the band without power: QPSK at rate 0.44 still has half of its information, 64QAM at that SNR more."""
    sinr = np.full((1, 1, 24), 100.0)
    sinr[..., 12:] = 1e-6
    index = int(wideband_cqi(sinr, 1)[0])
    row = cqi_table(1)[index - 1]
    # not more than half of the modulation's bits can arrive
    assert row.rate_x1024 / 1024 < 0.5 + 0.1
    _, bler = sent_block(sinr, mcs_of(index, 1))
    assert bler[0] <= 0.1
