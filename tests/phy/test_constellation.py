"""Constellations by their points, and slots without DM-RS."""

import numpy as np
import pytest
import torch

from ran.link.grid import transmitted_grid
from ran.phy.config import Carrier, Pusch, Users
from ran.phy.constellation import shifted_qam
from ran.phy.modulation import constellation
from ran.phy.pusch import PuschGrid

SHIFTED = {"mean_power": 0.1}


def grid_of(**pusch):
    return PuschGrid.build(Carrier(num_prb=4), Pusch.model_validate(pusch), Users())


def test_shifted_qam_has_unit_power_and_the_mean_asked_for():
    for bits in (2, 4, 6, 8):
        for power in (0.0, 0.05, 0.3):
            points = np.array([complex(*p) for p in shifted_qam(bits, power)])
            assert np.mean(np.abs(points) ** 2) == pytest.approx(1, abs=1e-6)
            assert points.mean() == pytest.approx(power**0.5, abs=1e-6)
    qam = np.array([complex(*p) for p in shifted_qam(4, 0)])
    np.testing.assert_array_equal(qam.astype(np.complex64), constellation(4))


def test_points_are_sent_as_they_are_labelled():
    generator = np.random.default_rng(1)
    points = generator.normal(size=(16, 2))
    points /= np.sqrt((points**2).sum(1).mean())
    for pusch in ({}, {"pilotless": True}):
        points += 1.0 if pusch else 0.0
        points /= np.sqrt((points**2).sum(1).mean())
        grid = grid_of(constellation=points.tolist(), **pusch)
        bits = torch.from_numpy(generator.integers(0, 2, (2, 1, grid.num_data_re, 4), dtype=np.uint8))
        label = (bits[0, 0].numpy() * [8, 4, 2, 1]).sum(1)
        wanted = (points[:, 0] + 1j * points[:, 1])[label]
        for x in (transmitted_grid(grid, bits), grid.to_grid(bits)):
            np.testing.assert_allclose(x[0, 0][grid.data_mask].numpy(), wanted, atol=1e-6)


def test_without_dmrs_all_res_carry_data_and_count():
    grid = grid_of(pilotless=True, constellation=SHIFTED)
    assert bool(grid.data_mask.all())
    assert grid.dmrs_symbols == ()
    assert float(grid.pilots.abs().sum()) == 0
    # 16QAM 553/1024 on 4 x 168 REs: N_info is 1451.6, in steps of 16 1440, and 1480 the next size in TS 38.214 table
    # 5.1.3.2-1
    assert grid.transport_block.tb_size == 1480
    assert grid.num_data_re == 4 * 168
    assert grid_of().num_data_re == 4 * 144


def test_experiments_of_before_keep_their_names():
    written = Pusch().model_dump()
    assert "constellation" not in written
    assert "pilotless" not in written
    again = Pusch.model_validate(Pusch.model_validate({"constellation": SHIFTED}).model_dump())
    assert again == Pusch.model_validate({"constellation": SHIFTED})


@pytest.mark.parametrize(
    ("pusch", "message"),
    [
        ({"pilotless": True}, "without a constellation"),
        ({"pilotless": True, "constellation": {"mean_power": 0}}, "from which no receiver can tell"),
        ({"constellation": {"mean_power": 1.5}}, "mean_power: got 1.5"),
        ({"constellation": [[1.0, 0.0], [-1.0, 0.0]]}, "got 2 points; allowed: 16"),
        ({"constellation": (np.array(shifted_qam(4, 0)) * 2).tolist()}, "mean power 4"),
        ({"constellation": [[1.0, 0.0]] * 16}, "same point twice"),
        ({"constellation": SHIFTED, "num_layers": 2}, "got one with 2 layers"),
        ({"constellation": SHIFTED, "transform_precoding": True}, "got one with transform_precoding"),
        ({"pilotless": True, "constellation": SHIFTED, "ptrs": {}}, "ptrs"),
    ],
)
def test_impossible_constellations_are_refused(pusch, message):
    with pytest.raises(ValueError, match=message):
        Pusch.model_validate(pusch)


def test_several_users_are_refused():
    with pytest.raises(ValueError, match=r"num_users: got 2 with pusch\.constellation"):
        PuschGrid.build(Carrier(num_prb=4), Pusch.model_validate({"constellation": SHIFTED}), Users(num_users=2))
