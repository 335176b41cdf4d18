"""CQI and rank against what must follow from the SINR."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.cqi import cqi_table
from ran.studies.csi.link_adaptation import reported_cqi, reported_rank, thresholds_db


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
    sinr = 10 ** ((limits[[2, 7]] + 0.05) / 10)[:, None, None] * np.ones((2, 1, 52))
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
