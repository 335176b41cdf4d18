"""What CSI reports and beam predictions tell of themselves, against closed forms."""

import math

import pytest
import torch

from receivers.beams.interface import BeamObservation, BeamPrediction
from receivers.monitoring.outcomes import BEAM_STATISTICS, CSI_STATISTICS, beam_statistics, csi_statistics

SHAPE = (4, 2)


def unit(*values):
    v = torch.tensor(values, dtype=torch.complex64)
    return v / v.norm()


def beam(polarisations, row=1, column=0):
    """A precoder on one DFT beam, its two polarisations weighted."""
    n1, n2 = SHAPE
    steering = torch.exp(2j * math.pi * (row * torch.arange(n1)[:, None] / n1 + column * torch.arange(n2) / n2))
    fields = torch.tensor(polarisations, dtype=torch.complex64)[:, None, None] * steering
    return (fields / fields.norm()).flatten()


def test_statistics_of_csi_reports_are_what_they_say():
    v = torch.stack([beam([2, 1]), beam([2, 1]), beam([2, 1])])[None]
    other = torch.stack([beam([1, -2])] * 3)[None]
    # 0.8 of v's power is left in the base
    base = (0.8**0.5 * v + 0.2**0.5 * other) * torch.exp(torch.tensor(1j))
    found = dict(zip(CSI_STATISTICS, csi_statistics(v, base, v, SHAPE)[0].tolist(), strict=True))
    assert found["similarity"] == pytest.approx(1, abs=1e-5)
    assert found["gain over the codebook"] == pytest.approx(0.2, abs=1e-5)
    assert found["subband correlation"] == pytest.approx(1, abs=1e-5)
    assert found["strongest beam"] == pytest.approx(1, abs=1e-5)
    assert found["stronger polarisation"] == pytest.approx(0.8, abs=1e-5)
    worse = csi_statistics(v, v, base, SHAPE)[0]
    assert float(worse[0]) == pytest.approx(-0.2, abs=1e-5)


def test_neighbouring_subbands_that_differ_are_told():
    v = torch.stack([beam([1, 1], row=1), beam([1, 1], row=2)])[None]
    found = dict(zip(CSI_STATISTICS, csi_statistics(v, v, v, SHAPE)[0].tolist(), strict=True))
    assert found["subband correlation"] == pytest.approx(0, abs=1e-5)
    assert found["strongest beam"] == pytest.approx(0.5, abs=1e-5)
    # one subband has no neighbour
    assert torch.isfinite(csi_statistics(v[:, :1], v[:, :1], v[:, :1], SHAPE)).all()


def test_statistics_of_beams_are_what_they_say():
    num_set_a = 4
    observation = BeamObservation(
        rsrp_dbm=torch.tensor([[[-90.0, -80.0, -83.0]]]),
        measured=torch.tensor([[[0, 1, 2]]]),
        times_s=torch.zeros(1, dtype=torch.float64),
        horizon_s=torch.zeros(1, dtype=torch.float64),
        set_a_weights=torch.eye(num_set_a, dtype=torch.complex64),
        set_a_cosines=torch.zeros(num_set_a, 2),
        grid=(1, num_set_a),
        positions=torch.zeros(num_set_a, 3),
        noise_dbm=-120.0,
        step_db=1.0,
    )
    predicted = torch.tensor([[[-90.0, -80.0, -83.0, -77.0]]])
    certain = torch.tensor([[[0.0, 0.0, 0.0, 1.0]]]).log()
    prediction = BeamPrediction(predicted, certain)
    found = dict(
        zip(BEAM_STATISTICS, beam_statistics(observation, prediction, torch.tensor([-78.0]))[0].tolist(), strict=True)
    )
    assert found["gain over the strongest measured beam"] == pytest.approx(2)
    assert found["above prediction"] == pytest.approx(-1)
    assert found["spread"] == pytest.approx(3)
    assert found["lead of the strongest"] == pytest.approx(3)
    assert found["entropy"] == pytest.approx(0, abs=1e-6)
    even = BeamPrediction(predicted, torch.full((1, 1, num_set_a), 1 / num_set_a).log())
    assert float(beam_statistics(observation, even, torch.tensor([-90.0]))[0, 4]) == pytest.approx(math.log(4))
