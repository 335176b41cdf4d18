"""CQI tables and the choice of a CQI."""

from __future__ import annotations

import numpy as np
import pytest

from ran.errors import InputError
from ran.phy.csi.cqi import CQI_TABLES, cqi_of, cqi_table

#: Some efficiencies as TS 38.214 tables 5.2.2.1-2 to -5 print them: (table, CQI) -> bits per symbol.
PRINTED = {
    (1, 1): 0.1523, (1, 7): 1.4766, (1, 10): 2.7305, (1, 15): 5.5547,
    (2, 2): 0.3770, (2, 7): 2.7305, (2, 12): 5.5547, (2, 15): 7.4063,
    (3, 1): 0.0586, (3, 8): 1.1758, (3, 15): 4.5234,
    (4, 4): 1.4766, (4, 9): 5.1152, (4, 13): 7.4063, (4, 14): 8.3301, (4, 15): 9.2578,
}  # fmt: skip


def test_tables_have_fifteen_rising_efficiencies():
    for table in CQI_TABLES:
        found = [entry.efficiency for entry in cqi_table(table)]
        assert len(found) == 15
        assert found == sorted(found)
    for (table, cqi), printed in PRINTED.items():
        assert cqi_table(table)[cqi - 1].efficiency == pytest.approx(printed, abs=5.1e-5)
    with pytest.raises(InputError, match="cqi_table: got 5; allowed: 1 to 4"):
        cqi_table(5)


def test_the_highest_cqi_that_is_reached():
    limits = np.arange(15.0)
    assert cqi_of(np.array([-1, 0, 0.9, 14, 99]), limits).tolist() == [0, 1, 1, 15, 15]
    # the second needs less than the first: who reaches it has it
    limits[0] = 1.5
    assert cqi_of(np.array([1.2]), limits).tolist() == [2]
    with pytest.raises(InputError, match="15 SNRs"):
        cqi_of(np.zeros(1), np.zeros(3))
