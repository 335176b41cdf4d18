"""Beam predictors on observations whose answers are known, without a simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from channels.arrays.codebook import beam_tree, sector_codebook
from channels.arrays.layout import panel
from receivers.beams import BEAM_PREDICTORS, BeamObservation, BeamTruth
from receivers.beams.interpolation import interpolated

PLACES = panel(4, 8, (0.5, 0.5))
TREE = beam_tree(PLACES, sector_codebook(PLACES, (4, 16), (-60, 60), (60, 120)))
BOOK = TREE.levels[0]


class _Sounder:
    def __init__(self, pool_dbm: Tensor) -> None:
        self.pool_dbm, self.asked = pool_dbm, 0

    def __call__(self, beams: Tensor) -> Tensor:
        self.asked += beams.shape[1]
        return self.pool_dbm.gather(1, beams)


def _powers(directions: np.ndarray, weights: np.ndarray = TREE.weights) -> Tensor:
    """L1-RSRP of all beams for one plane wave per drop, [batch, num_beams]; directions [batch, 2] cosines."""
    waves = np.exp(2j * np.pi * directions @ PLACES[:, 1:].T)
    return torch.from_numpy(10 * np.log10(np.abs(waves @ weights) ** 2 + 1e-4) - 90).to(torch.float32)


def _observation(pool_dbm: Tensor, measured: list[int], times_s: tuple[float, ...] = (0.0,)) -> BeamObservation:
    """The beams `measured` of pool_dbm [batch, num_times, num_pool] at all times, exactly."""
    batch, num_times = pool_dbm.shape[:2]
    index = torch.tensor(measured).expand(batch, num_times, -1).contiguous()
    return BeamObservation(
        rsrp_dbm=pool_dbm.gather(2, index),
        measured=index,
        times_s=torch.tensor(times_s, dtype=torch.float64),
        horizon_s=torch.tensor([0.0], dtype=torch.float64),
        set_a_weights=torch.from_numpy(BOOK.weights).to(torch.complex64),
        set_a_cosines=torch.from_numpy(BOOK.cosines).to(torch.float32),
        grid=BOOK.grid,
        positions=torch.from_numpy(PLACES).to(torch.float32),
        noise_dbm=-130.0,
        step_db=0.0,
        users_m=torch.arange(batch * num_times * 3).view(batch, num_times, 3).to(torch.float32),
        pool_weights=torch.from_numpy(TREE.weights).to(torch.complex64),
        tree_first=TREE.first,
        tree_parents=tuple(torch.from_numpy(p) for p in TREE.parents),
        sounder=_Sounder(pool_dbm[:, -1]),
    )


def _plane_waves(batch: int = 20) -> tuple[BeamObservation, Tensor]:
    """Random directions within the sector, every fourth beam measured; and the truth."""
    generator = np.random.default_rng(7)
    directions = generator.uniform([-0.8, -0.45], [0.8, 0.45], (batch, 2))
    pool = _powers(directions)
    return _observation(pool[:, None], list(range(1, 64, 4))), pool[:, :64]


def _fitted(name: str, observation: BeamObservation, truth: BeamTruth):  # type: ignore[no-untyped-def]
    predictor = BEAM_PREDICTORS[name]() if name in BEAM_PREDICTORS else None
    assert predictor is not None
    if predictor.needs_fit:
        predictor.fit(observation, truth)
    return predictor


@pytest.mark.parametrize("name", [name for name in BEAM_PREDICTORS if name != "neural"])
def test_every_predictor_keeps_the_contract(name: str) -> None:
    observation, true = _plane_waves()
    observation = replace(observation, horizon_s=torch.tensor([0.0, 0.1], dtype=torch.float64))
    truth = BeamTruth(true[:, None].repeat(1, 2, 1))
    predictor = _fitted(name, observation, truth)
    assert predictor.name == name
    predictor.check(observation)
    prediction = predictor(observation, truth if predictor.needs_truth else None)
    assert prediction.rsrp_dbm.shape == prediction.log_probability.shape == (20, 2, 64)
    assert prediction.rsrp_dbm.dtype == torch.float32
    torch.testing.assert_close(prediction.log_probability.exp().sum(-1), torch.ones(20, 2), atol=1e-4, rtol=0)
    if not predictor.sounds:
        alone = predictor(observation.part(3, 4), truth.part(3, 4) if predictor.needs_truth else None)
        torch.testing.assert_close(alone.rsrp_dbm[0], prediction.rsrp_dbm[3], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", ["genie", "sweep"])
def test_who_sees_all_beams_chooses_the_best(name: str) -> None:
    observation, true = _plane_waves()
    truth = BeamTruth(true[:, None])
    prediction = BEAM_PREDICTORS[name]()(observation, truth)
    torch.testing.assert_close(prediction.ranked()[:, 0, 0], true.argmax(1))


def test_best_of_set_b_is_the_strongest_of_the_measured() -> None:
    observation, true = _plane_waves()
    best = BEAM_PREDICTORS["best-of-set-b"]()(observation).ranked()[:, 0, 0]
    measured = torch.arange(1, 64, 4)
    torch.testing.assert_close(best, measured[true[:, measured].argmax(1)])


def test_hierarchical_search_finds_where_a_beam_points_in_few_measurements() -> None:
    pool = _powers(BOOK.cosines)
    observation = _observation(pool[:, None], [0])
    best = BEAM_PREDICTORS["hierarchical"](num_kept=2)(observation).ranked()[:, 0, 0]
    torch.testing.assert_close(best, torch.arange(64))
    assert observation.sounder.asked == 4 + 4 * 4  # type: ignore[union-attr]


def test_matching_pursuit_finds_a_single_direction_of_its_grid() -> None:
    predictor = BEAM_PREDICTORS["matching-pursuit"]()
    directions = predictor._directions(_plane_waves()[0]).numpy()[::7]  # type: ignore[attr-defined]
    pool = _powers(directions)
    prediction = predictor(_observation(pool[:, None], list(range(1, 64, 4))))
    best = prediction.ranked()[:, 0, 0]
    strongest = pool[:, :64].max(1).values
    torch.testing.assert_close(pool.gather(1, best[:, None])[:, 0], strongest, atol=1e-3, rtol=0)
    torch.testing.assert_close(prediction.rsrp_dbm[:, 0].max(1).values, strongest, atol=0.05, rtol=0)


def test_interpolation_goes_through_the_measurements() -> None:
    observation, _ = _plane_waves()
    found = interpolated(observation, noise_db=0.0).gather(2, observation.measured)
    torch.testing.assert_close(found, observation.rsrp_dbm, atol=0.02, rtol=0)
    flat = replace(observation, rsrp_dbm=torch.full_like(observation.rsrp_dbm, -77.0))
    torch.testing.assert_close(interpolated(flat), torch.full((20, 1, 64), -77.0), atol=1e-3, rtol=0)


def test_kalman_follows_a_ramp() -> None:
    times = tuple(0.02 * i for i in range(-9, 1))
    slope = torch.linspace(-40, 40, 127)
    pool = -80 + slope * torch.tensor(times)[:, None]
    observation = _observation(pool[None].repeat(2, 1, 1), list(range(64)), times)
    observation = replace(observation, horizon_s=torch.tensor([0.05], dtype=torch.float64))
    predicted = BEAM_PREDICTORS["kalman"]()(observation).rsrp_dbm[:, 0]
    torch.testing.assert_close(predicted[0], -80 + 0.05 * slope[:64], atol=0.3, rtol=0)


def test_alpha_beta_leads_a_moving_direction() -> None:
    times = tuple(0.1 * i for i in range(-7, 1))
    # three beams per step of time across the panel
    across = np.array([BOOK.cosines[16 + 1 + int(1.5 * i), 0] for i in range(8)])
    directions = np.stack([across, np.full(8, BOOK.cosines[16, 1])], -1)
    pool = _powers(directions)[None]
    observation = _observation(pool, list(range(64)), times)
    observation = replace(observation, horizon_s=torch.tensor([0.1], dtype=torch.float64))
    here = BEAM_PREDICTORS["best-of-set-b"]()(observation).ranked()[0, 0, 0]
    ahead = BEAM_PREDICTORS["alpha-beta"](alpha=0.8, beta=0.6)(observation).ranked()[0, 0, 0]
    assert 1 <= ahead - here <= 3


def test_last_beam_holds_what_was_reported_once() -> None:
    pool = torch.full((1, 2, 127), -90.0)
    pool[0, 0, 5], pool[0, 1, 9] = -60.0, -70.0
    observation = _observation(pool, [9], (-0.1, 0.0))
    earlier = torch.tensor([[[5], [9]]])
    observation = replace(observation, measured=earlier, rsrp_dbm=pool.gather(2, earlier))
    assert BEAM_PREDICTORS["last-beam"]()(observation).ranked()[0, 0, 0] == 5
    assert BEAM_PREDICTORS["best-of-set-b"]()(observation).ranked()[0, 0, 0] == 9


@pytest.mark.parametrize("name", ["position-table", "fingerprint"])
def test_tables_know_what_they_have_seen(name: str) -> None:
    observation, true = _plane_waves()
    truth = BeamTruth(true[:, None])
    predictor = BEAM_PREDICTORS[name](num_neighbours=1)
    with pytest.raises(ValueError, match="training drops"):
        predictor(observation)
    predictor.fit(observation, truth)
    torch.testing.assert_close(predictor(observation).ranked()[:, 0, 0], true.argmax(1))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: BEAM_PREDICTORS["hierarchical"](num_wide=5).check(_plane_waves()[0]), "num_wide: got 5; allowed: 32"),
        (lambda: BEAM_PREDICTORS["position-table"]().check(replace(_plane_waves()[0], users_m=None)), "positions"),
        (lambda: BEAM_PREDICTORS["alpha-beta"](alpha=2.0), "alpha: got 2.0; allowed: 0 to 1"),
        (lambda: BEAM_PREDICTORS["matching-pursuit"](num_directions=0), "num_directions: got 0"),
        (lambda: BEAM_PREDICTORS["sweep"]()(replace(_plane_waves()[0], sounder=None)), "sounder"),
        (lambda: BEAM_PREDICTORS["genie"]()(_plane_waves()[0]), "truth"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()  # type: ignore[operator]
    assert "\n" not in str(caught.value)
