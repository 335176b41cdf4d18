"""What decisions leave of a received grid, against the closed form."""

import math
from dataclasses import replace

import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Pusch, Users
from receivers.arbitration.evidence import decision_residual


def observed(num_prb=6, num_users=1, batch=24, esn0_db=10.0, num_rx_ant=4):
    link = Link(
        LinkConfig(
            carrier=Carrier(num_prb=num_prb),
            pusch=Pusch(mcs_index=14),
            users=Users(num_users=num_users),
            num_rx_ant=num_rx_ant,
            channel={"name": "rayleigh-block"},
        )
    )
    return link, link.batch(range(batch), esn0_db, seed=3, scenario_id="evidence")


@pytest.mark.parametrize(("num_prb", "num_users"), [(1, 1), (6, 1), (6, 2)])
def test_right_decisions_leave_the_noise_of_the_degrees_of_freedom(num_prb, num_users):
    # least squares leaves noise in all dimensions but those of the fit: a chi-square of known mean and deviation
    _, batch = observed(num_prb, num_users)
    seen = batch.observation
    left = decision_residual(seen, 1 - 2.0 * batch.coded_bits.float())
    used = int((seen.data_mask | (seen.pilots != 0).any(0)).sum())
    free = 4 * (used - 7 * num_users * num_prb)
    scale = torch.exp2(2 * torch.log2((seen.y.abs() ** 2).mean((1, 2, 3))).mul(0.5).round())
    share = left * scale / (float(seen.noise_var[0]) * free)
    tolerance = 4 / math.sqrt(free)
    assert float((share - 1).abs().max()) < tolerance


def test_each_wrong_symbol_leaves_its_error():
    _, batch = observed(esn0_db=60.0)
    right = 1 - 2.0 * batch.coded_bits.float()
    some = decision_residual(batch.observation, right)
    wrong = right.clone()
    wrong[:, :, ::10] *= -1
    many = wrong.clone()
    many[:, :, 1::10] *= -1
    assert (decision_residual(batch.observation, wrong) > 100 * some).all()
    assert (decision_residual(batch.observation, many) > decision_residual(batch.observation, wrong)).all()


def test_how_sure_a_decision_is_changes_nothing():
    _, batch = observed(batch=2)
    llr = 1 - 2.0 * batch.coded_bits.float()
    generator = torch.Generator().manual_seed(1)
    scaled = llr * (0.01 + 100 * torch.rand(llr.shape, generator=generator))
    assert torch.equal(decision_residual(batch.observation, llr), decision_residual(batch.observation, scaled))


def test_bands_that_no_resource_block_divides_and_few_symbols_are_taken():
    _, batch = observed(batch=2)
    seen = batch.observation
    cut = replace(seen, y=seen.y[..., :30], pilots=seen.pilots[..., :30], data_mask=seen.data_mask[:, :30])
    llr = torch.ones(2, 1, cut.num_data_re, 4)
    assert torch.isfinite(decision_residual(cut, llr)).all()
    narrow = replace(cut, y=cut.y[..., :5], pilots=cut.pilots[..., :5], data_mask=cut.data_mask[:, :5])
    llr = torch.ones(2, 1, narrow.num_data_re, 4)
    assert torch.isfinite(decision_residual(narrow, llr)).all()
    silent = replace(seen, y=torch.zeros_like(seen.y))
    assert (decision_residual(silent, torch.ones(batch.coded_bits.shape)) == 0).all()
