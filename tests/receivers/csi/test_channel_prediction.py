"""Prediction of channels: closed forms of paths with Doppler shifts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from receivers.csi import ChannelPrediction, LearnedPredictor, autoregressive, autoregressive_of_beams


def moving(count: int, num_times: int, num_paths: int, most: float, seed: int = 1) -> np.ndarray:
    """Channels complex64 [count, num_times, 2, 16, 12] of paths; most: their largest Doppler phase per time."""
    rng = np.random.default_rng(seed)
    h = np.zeros((count, num_times, 2, 16, 12), complex)
    for _ in range(num_paths):
        doppler = rng.uniform(-most, most, (count, 1, 1, 1, 1))
        delay = rng.uniform(0, 3, (count, 1, 1, 1, 1))
        ports = rng.standard_normal((count, 1, 2, 16, 1, 2)) @ [1, 1j]
        time = np.arange(num_times)[:, None, None, None]
        h += ports * np.exp(1j * doppler * time - 2j * np.pi * delay * np.arange(12) / 12)
    return h.astype(np.complex64)


def test_the_autoregressive_filter_is_exact_for_as_many_shifts_as_it_has_coefficients():
    h = moving(5, 11, 2, 1.5)
    found = autoregressive(h[:, :-1], 2)
    error = np.abs(found - h[:, -1]) ** 2
    # of the loading's order; holding is off by more than the power itself
    assert error.sum() / (np.abs(h[:, -1]) ** 2).sum() < 1e-3
    assert (np.abs(h[:, -2] - h[:, -1]) ** 2).sum() / (np.abs(h[:, -1]) ** 2).sum() > 0.3


def test_the_autoregressive_filter_does_not_depend_on_the_level():
    h = moving(3, 10, 6, 1.0)
    np.testing.assert_allclose(autoregressive(1e-6 * h), 1e-6 * autoregressive(h), rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("order", [0, 10])
def test_orders_that_the_history_does_not_have_are_refused(order):
    with pytest.raises(ValueError, match=rf"order: got {order}; allowed: 1 to 9"):
        autoregressive(moving(1, 10, 1, 1.0), order)


@pytest.mark.parametrize("beam_filters", [False, True])
def test_before_training_it_is_the_autoregressive_filter(beam_filters):
    h = moving(4, 11, 3, 2.5)
    model = ChannelPrediction(10, 4, 2, 8, beam_filters)
    with torch.no_grad():
        found = model(torch.from_numpy(h[:, :-1])).numpy()
    np.testing.assert_allclose(found, autoregressive(h[:, :-1]), atol=1e-4)


def test_filters_of_beams_are_exact_where_a_beam_holds_few_paths():
    """Ten paths in eight beams: more shifts than a filter of the user has coefficients, fewer in every beam."""
    rng = np.random.default_rng(2)
    time, grid = np.arange(11)[:, None, None, None], np.arange(4)[:, None]
    h = np.zeros((1, 11, 2, 16, 12), complex)
    for path in range(10):
        gain = rng.standard_normal((2, 2, 1, 1, 2)) @ [1, 1j]
        beam = np.exp(2j * np.pi * (grid * (path % 4) / 4 + np.arange(2) * (path // 4 % 2) / 2))
        ports = (gain * beam).reshape(2, 16)[:, :, None]
        h[0] += ports * np.exp(1j * rng.uniform(-1.5, 1.5) * time - 2j * np.pi * rng.uniform(0, 3) * np.arange(12) / 12)
    model = ChannelPrediction(10, 4, 2, 8, beam_filters=True)
    with torch.no_grad():
        # the first of the filters of beams alone
        model.leave.bias[10 : 10 + 6] = torch.eye(6)[3]
        found = model(torch.from_numpy(h[:, :10].astype(np.complex64))).numpy()
    wanted = h[:, 10]
    own = autoregressive_of_beams(h[:, :10].astype(np.complex64), (4, 2))
    np.testing.assert_allclose(own, found, atol=1e-4 * np.abs(wanted).max())
    assert (np.abs(found - wanted) ** 2).sum() < 1e-3 * (np.abs(wanted) ** 2).sum()
    assert (np.abs(autoregressive(h[:, :10]) - wanted) ** 2).sum() > 1e-2 * (np.abs(wanted) ** 2).sum()


def test_filters_of_beams_need_eight_estimates():
    with pytest.raises(ValueError, match="num_times: got 7; allowed: 8 or more"):
        autoregressive_of_beams(moving(1, 7, 1, 1.0), (4, 2))


def test_a_beam_without_power_is_no_trouble():
    h = torch.from_numpy(moving(2, 10, 1, 1.0))
    model = ChannelPrediction(10, 4, 2, 8, beam_filters=True)
    x = model.to_places(h)
    x[:, :, :, 1] = 0
    with torch.no_grad():
        assert model.predicted(x).isfinite().all()


@pytest.mark.parametrize("beam_filters", [False, True])
def test_phase_and_level_change_nothing(beam_filters):
    torch.manual_seed(1)
    model = ChannelPrediction(10, 4, 2, 8, beam_filters)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        h = torch.from_numpy(moving(3, 10, 5, 1.0))
        torch.testing.assert_close(model(1e-4j * h), 1e-4j * model(h), atol=1e-8, rtol=1e-3)
        # a Doppler shift of all paths, as of an oscillator, turns the answer by it
        turn = torch.exp(0.7j * torch.arange(11))[:, None, None, None]
        torch.testing.assert_close(model(h * turn[:10]), model(h) * turn[10], atol=1e-3, rtol=1e-3)


def test_places_come_back():
    model = ChannelPrediction(10, 4, 2, 8)
    h = torch.from_numpy(moving(2, 10, 3, 1.0))
    x = model.to_places(h)
    assert x.shape == (2, 10, 4, 4, 2, 12)
    torch.testing.assert_close(model.from_places(x[:, 0]), h[:, 0], atol=1e-4, rtol=0)


def test_bad_input_is_refused():
    with pytest.raises(
        ValueError, match=r"h: got \(1, 9, 2, 16, 12\); allowed: \[batch, 10, num_rx_ant, 16, num_prb\]"
    ):
        ChannelPrediction(10, 4, 2, 8)(torch.from_numpy(moving(1, 9, 1, 1.0)))
    with pytest.raises(ValueError, match="num_times: got 6; allowed: 7 or more"):
        ChannelPrediction(6)
    with pytest.raises(ValueError, match="num_times: got 7; allowed: 8 or more with beam_filters"):
        ChannelPrediction(7, beam_filters=True)
    with pytest.raises(ValueError, match="a model of the architecture 'channel-prediction'"):
        LearnedPredictor("csi-refined")
