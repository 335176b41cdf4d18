"""Learned beam predictors: where they start, what they must not depend on, what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from channels.arrays.codebook import sector_codebook
from channels.arrays.layout import panel
from receivers.beams import BEAM_ARCHITECTURES, BeamObservation, BeamPrediction
from receivers.beams.confidence import beams_to_try
from receivers.beams.geometric import GeometricBeams
from receivers.beams.spectrum import Spectrum, directions, patterns


def observation(
    size=(4, 8), beams=(4, 16), num_measured=8, num_times=1, num_horizon=1, batch=6, seed=0, cosines=None
) -> BeamObservation:
    """One path per drop from `cosines` [batch, 2], measured without noise by random beams."""
    positions = panel(*size, (0.5, 0.5))
    book = sector_codebook(positions, beams, (-60.0, 60.0), (60.0, 120.0))
    rng = np.random.default_rng(seed)
    if cosines is None:
        cosines = np.stack([rng.uniform(-0.8, 0.8, batch), rng.uniform(-0.4, 0.4, batch)], -1)
    gains = book.gains(positions, np.asarray(cosines))
    measured = np.stack(
        [[rng.permutation(book.num_beams)[:num_measured] for _ in range(num_times)] for _ in range(len(gains))]
    )
    rsrp = 10 * np.log10(np.take_along_axis(gains[:, None].repeat(num_times, 1), measured, -1) + 1e-4) - 90
    return BeamObservation(
        rsrp_dbm=torch.from_numpy(rsrp.astype(np.float32)),
        measured=torch.from_numpy(measured),
        times_s=torch.arange(1 - num_times, 1, dtype=torch.float64) * 0.04,
        horizon_s=torch.arange(num_horizon, dtype=torch.float64) * 0.04,
        set_a_weights=torch.from_numpy(book.weights).to(torch.complex64),
        set_a_cosines=torch.from_numpy(book.cosines.astype(np.float32)),
        grid=book.grid,
        positions=torch.from_numpy(positions.astype(np.float32)),
        noise_dbm=-130.0,
        step_db=0.0,
    )


def trained_like(name: str) -> torch.nn.Module:
    """A model whose weights are all random, also those that begin at 0."""
    torch.manual_seed(3)
    small = {"num_hidden": 16}
    options = {"geometric": {"num_channels": 4}, "mlp": small, "recurrent": small, "cnn": {}, "pairs": small}
    model = BEAM_ARCHITECTURES[name](**options[name]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.ndim > 0:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def predicted(model: torch.nn.Module, seen: BeamObservation) -> BeamPrediction:
    with torch.no_grad():
        return model(seen)


@pytest.mark.parametrize(("times", "horizon"), [(1, 1), (3, 2)])
def test_untrained_geometric_model_is_the_classical_spectrum(times, horizon):
    seen = observation(num_times=times, num_horizon=horizon)
    ours, classical = predicted(GeometricBeams(num_channels=4), seen), Spectrum()(seen)
    torch.testing.assert_close(ours.rsrp_dbm, classical.rsrp_dbm, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.log_probability, classical.log_probability, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", BEAM_ARCHITECTURES)
def test_order_of_measured_beams_does_not_matter(name):
    seen = observation(num_times=2)
    order = torch.randperm(seen.rsrp_dbm.shape[-1], generator=torch.Generator().manual_seed(1))
    other = replace(seen, rsrp_dbm=seen.rsrp_dbm[..., order], measured=seen.measured[..., order])
    model = trained_like(name)
    expected, found = predicted(model, seen), predicted(model, other)
    torch.testing.assert_close(found.rsrp_dbm, expected.rsrp_dbm, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.log_probability, expected.log_probability, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", BEAM_ARCHITECTURES)
def test_a_drop_does_not_depend_on_its_batch_and_level_moves_powers_alone(name):
    seen, model = observation(), trained_like(name)
    whole = predicted(model, seen)
    torch.testing.assert_close(predicted(model, seen.part(2, 3)).rsrp_dbm, whole.rsrp_dbm[2:3], atol=1e-3, rtol=0)
    weaker = replace(seen, rsrp_dbm=seen.rsrp_dbm - 7, noise_dbm=seen.noise_dbm - 7)
    found = predicted(model, weaker)
    torch.testing.assert_close(found.rsrp_dbm, whole.rsrp_dbm - 7, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.log_probability, whole.log_probability, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", BEAM_ARCHITECTURES)
def test_probabilities_sum_up_to_one(name):
    found = predicted(trained_like(name), observation(num_times=2, num_horizon=3))
    assert found.rsrp_dbm.shape == found.log_probability.shape == (6, 3, 64)
    torch.testing.assert_close(found.log_probability.exp().sum(-1), torch.ones(6, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "beams"), [((4, 8), (4, 16)), ((8, 16), (8, 16)), ((2, 16), (2, 32)), ((4, 4), (4, 8))]
)
def test_a_single_path_is_found_with_any_panel(size, beams):
    """Of a path that is measured without error by a third of the beams, the best beam is the one that geometry names,
    or another within 1 dB."""
    seen = observation(size, beams, num_measured=beams[0] * beams[1] // 3, batch=40)
    rng = np.random.default_rng(0)
    cosines = np.stack([rng.uniform(-0.8, 0.8, 40), rng.uniform(-0.4, 0.4, 40)], -1)
    positions = panel(*size, (0.5, 0.5))
    gains = 10 * np.log10(sector_codebook(positions, beams, (-60.0, 60.0), (60.0, 120.0)).gains(positions, cosines))
    chosen = predicted(GeometricBeams(num_channels=4), seen).ranked()[:, 0, 0].numpy()
    loss = gains.max(-1) - gains[np.arange(40), chosen]
    assert np.mean(loss < 1.0) >= 0.9


def test_patterns_are_those_of_the_codebook():
    positions = panel(4, 8, (0.5, 0.5))
    book = sector_codebook(positions, (4, 16), (-60.0, 60.0), (60.0, 120.0))
    found = patterns(torch.from_numpy(book.weights), torch.from_numpy(positions.astype(np.float32)))
    expected = book.gains(positions, directions().double().numpy()).T / 32
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


def test_spectrum_explains_what_was_measured():
    """More iterations leave less of the measured powers of two paths unexplained."""
    one, two = observation(cosines=[[-0.5, 0.1]] * 4), observation(cosines=[[0.4, -0.2]] * 4)
    both = 10 * torch.log10(10 ** (one.rsrp_dbm / 10) + 0.5 * 10 ** (two.rsrp_dbm / 10))
    seen = replace(one, rsrp_dbm=both)

    def error(num_iterations):
        found = Spectrum(num_iterations)(seen).rsrp_dbm[:, 0].gather(1, seen.measured[:, 0])
        return float((found - both[:, 0]).abs().mean())

    assert error(40) < 0.6 * error(0)


def test_beams_to_try_follow_the_confidence():
    probability = torch.tensor([[[0.5, 0.3, 0.15, 0.05]], [[0.96, 0.02, 0.01, 0.01]]])
    prediction = BeamPrediction(probability, probability.log())
    assert beams_to_try(prediction, 0.9).tolist() == [[3], [1]]
    assert beams_to_try(prediction, 0.9, most=2).tolist() == [[2], [1]]
    assert beams_to_try(prediction, 0.9999).tolist() == [[4], [4]]
    with pytest.raises(ValueError, match=r"most: got 5; allowed: 1 to 4"):
        beams_to_try(prediction, 0.9, most=5)
    with pytest.raises(ValueError, match=r"level: got 1.0; allowed"):
        beams_to_try(prediction, 1.0)


def test_models_refuse_arrays_that_they_do_not_serve():
    other = observation(beams=(4, 8))
    for name in ("mlp", "recurrent"):
        with pytest.raises(ValueError, match=r"num_set_a: got 32; allowed: 64"):
            BEAM_ARCHITECTURES[name]().check(other)
    large = observation((4, 40), (4, 16))
    with pytest.raises(ValueError, match=r"wavelengths across: got 19.5; allowed: up to 16"):
        GeometricBeams(num_channels=4).check(large)
    pairs = pairs_of(8)
    for name in set(BEAM_ARCHITECTURES) - {"pairs"}:
        with pytest.raises(ValueError, match=r"num_rx_beams: got 8; allowed: 1"):
            BEAM_ARCHITECTURES[name]().check(pairs)
    with pytest.raises(ValueError, match=r"num_rx_beams: got 1; allowed: 8, what"):
        BEAM_ARCHITECTURES["mlp"](num_set_a=512, num_rx_beams=8).check(observation())
    with pytest.raises(ValueError, match=r"num_rx_beams: got 1; allowed: 2 or more"):
        BEAM_ARCHITECTURES["pairs"]().check(observation())
    with pytest.raises(ValueError, match=r"num_tx_beams: got 32; allowed: 64"):
        BEAM_ARCHITECTURES["pairs"]().check(pairs_of(8, beams=(4, 8)))


def pairs_of(num_rx_beams: int, num_measured: int = 40, batch: int = 6, beams: tuple[int, int] = (4, 16)):
    """Random powers of random pairs."""
    seen = observation(beams=beams, batch=batch)
    generator = torch.Generator().manual_seed(2)
    places = torch.rand((batch, 1, num_rx_beams * seen.num_tx_beams), generator=generator).argsort(-1)
    return replace(
        seen,
        rsrp_dbm=-90 + 8 * torch.randn((batch, 1, num_measured), generator=generator),
        measured=places[..., :num_measured],
        num_rx_beams=num_rx_beams,
    )


@pytest.mark.parametrize("options", [{"name": "pairs"}, {"name": "mlp", "num_set_a": 512, "num_rx_beams": 8}])
def test_models_of_pairs_predict_every_pair(options):
    model = BEAM_ARCHITECTURES[options.pop("name")](num_hidden=16, **options)
    seen = pairs_of(8)
    model.check(seen)
    found = predicted(model, seen)
    assert found.rsrp_dbm.shape == found.log_probability.shape == (6, 1, 512)
    torch.testing.assert_close(found.log_probability.exp().sum(-1), torch.ones(6, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_rx_beams", [2, 8])
def test_receive_beams_of_pairs_may_be_in_any_order(num_rx_beams):
    """A user's beams are named at will: other names give the same predictions under these names."""
    seen, model = pairs_of(num_rx_beams), trained_like("pairs")
    order = torch.randperm(num_rx_beams, generator=torch.Generator().manual_seed(1))
    rx, tx = seen.measured // 64, seen.measured % 64
    expected, found = predicted(model, seen), predicted(model, replace(seen, measured=order[rx] * 64 + tx))
    for name in ("rsrp_dbm", "log_probability"):
        maps = getattr(expected, name).unflatten(-1, (num_rx_beams, 64))
        renamed = getattr(found, name).unflatten(-1, (num_rx_beams, 64))[:, :, order]
        torch.testing.assert_close(renamed, maps, atol=1e-3, rtol=0)
