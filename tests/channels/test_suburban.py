"""SMa of TR 38.901 Rel-19, and parameters between 7 and 24 GHz, against values worked out by hand or by others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from channels import Sma, Uma, Umi
from channels.scenarios.environment import LOS, NLOS, O2I
from channels.scenarios.links import Links
from channels.scenarios.parameters import ORDER, parameters
from channels.scenarios.suburban import SuburbanMacro
from channels.scenarios.urban import UrbanMacro, UrbanMicro


def links(distance_m: list[float], base_height_m: float, user_height_m: float) -> Links:
    distance = np.array(distance_m)
    zero = np.zeros_like(distance)
    return Links(distance, zero, zero + base_height_m, zero + user_height_m, zero > 0)


def test_path_loss_is_that_of_another_implementation() -> None:
    """2 GHz, base station at 30 m: before and beyond the break point, and without a line of sight."""
    los = np.array([True, True, False])
    loss = SuburbanMacro(2e9).path_loss_db(links([100, 3000, 1000], 30.0, 1.5), los, np.zeros((3, 2)))
    np.testing.assert_allclose(loss, [79.87588788, 118.65944944, 132.07818284], atol=1e-7)


@pytest.mark.parametrize(("vegetation", "share"), [("none", 0.0), ("sparse", 0.1), ("dense", 0.2)])
def test_line_of_sight_goes_past_buildings_and_trees(vegetation: str, share: float) -> None:
    """Every obstacle leaves its share of the ground free, once per 30 m of the way that is below its height."""
    found = SuburbanMacro(2e9, vegetation).los_probability(links([5.0, 10.0, 67.0, 600.0], 35.0, 1.5))
    below = {height: (height - 1.5) / 33.5 for height in (20.0, 8.0, 15.0)}
    expected = [
        math.prod((1 - s) ** (d * below[h] / 30) for s, h in ((0.02, 20.0), (0.18, 8.0), (share, 15.0)))
        for d in (67.0, 600.0)
    ]
    np.testing.assert_allclose(found, [1.0, 1.0, *expected], rtol=1e-12)


def test_users_of_suburbs() -> None:
    model = Sma(8e9)
    drop = model.drops([np.random.Generator(np.random.Philox(key=[4, n])) for n in range(400)])
    assert set(np.unique(drop.links.user_height_m)) == {1.5, 4.5}
    assert drop.links.indoor_distance_m.max() <= 10
    assert list(model.parameters.num_clusters) == [15, 14, 14]
    assert set(np.unique(drop.state.zod_offset_deg)) == {0.0, 3.5}


#: log10 of the mean delay spread in s and of the mean azimuth spread of arrival in degrees at 10 GHz, which is in FR3:
#: by hand from table 7.5-6 of V19.2.
AT_10_GHZ = {
    ("umi", LOS): (-0.18 * math.log10(11) - 7.28, -0.07 * math.log10(11) + 1.66),
    ("umi", NLOS): (-0.22 * math.log10(11) - 6.87, -0.07 * math.log10(11) + 1.76),
    ("uma", LOS): (-7.067 - 0.0794, 1.76),
    ("uma", NLOS): (-6.47 - 0.134, 2.04 - 0.25),
    ("sma", LOS): (-7.42, 1.43),
    ("sma", O2I): (-7.20, 1.63),
}


@pytest.mark.parametrize(("name", "condition"), AT_10_GHZ)
def test_parameters_at_10_ghz(name: str, condition: int) -> None:
    environment = {"umi": UrbanMicro, "uma": UrbanMacro, "sma": SuburbanMacro}[name](10e9)
    found = parameters(environment).mean[condition]
    expected = AT_10_GHZ[name, condition]
    assert found[ORDER.index("ds")] == pytest.approx(expected[0], abs=1e-12)
    assert found[ORDER.index("asa")] == pytest.approx(expected[1], abs=1e-12)


def test_clusters_of_macro_cells_get_shorter_with_frequency() -> None:
    """6.5622 - 3.4084 log10(f) ns, at least 0.25 ns; Rel-19 has narrower clusters at the base station."""
    at_10 = Uma(10e9).parameters
    assert at_10.cluster_delay_spread_s[NLOS] == pytest.approx((6.5622 - 3.4084) * 1e-9)
    assert Uma(100e9).parameters.cluster_delay_spread_s[LOS] == pytest.approx(0.25e-9)
    assert list(at_10.cluster_asd_deg) == [3.58, 1.8, 1.8]
    here = links([100.0], 10.0, 1.5)
    losses = [Umi(f).environment.path_loss_db(here, np.array([False]), np.zeros((1, 2))) for f in (10e9, 3e9)]
    assert float(losses[0][0] - losses[1][0]) == pytest.approx(21.3 * math.log10(10 / 3))
