"""Beams learned from channels: the cost falls, known directions are found, only phases are used."""

from __future__ import annotations

import numpy as np
import pytest

from channels.arrays.layout import panel
from channels.arrays.learned_codebook import gains_of, learn_beams

POSITIONS = panel(4, 8, (0.5, 0.5))
#: Direction cosines more than a beam width apart.
DIRECTIONS = np.array([[-0.75, 0.0], [-0.25, 0.25], [0.0, -0.5], [0.5, 0.5], [0.75, -0.25]])


def _waves(cosines: np.ndarray) -> np.ndarray:
    return np.exp(2j * np.pi * cosines @ POSITIONS[:, 1:].T)


def _scattered(num_drops: int, seed: int) -> np.ndarray:
    """Channels of five paths anywhere, complex [num_drops, 32, 6]."""
    generator = np.random.default_rng(seed)
    waves = _waves(generator.uniform(-0.8, 0.8, (num_drops, 5, 2)))
    gains = generator.standard_normal((num_drops, 5, 6)) + 1j * generator.standard_normal((num_drops, 5, 6))
    return np.swapaxes(waves, 1, 2) @ (gains * 10 ** generator.uniform(-6, 0, (num_drops, 1, 1)))


@pytest.mark.parametrize("num_beams", [1, 4, 9])
def test_the_cost_never_rises_and_is_what_the_beams_reach(num_beams: int) -> None:
    channels = _scattered(150, 1)
    found = learn_beams(channels, num_beams, np.random.default_rng(2))
    assert len(found.costs) > 2
    assert (np.diff(found.costs) <= 1e-12).all()
    power = (np.abs(np.swapaxes(channels, 1, 2) @ found.weights) ** 2).sum(1)
    most = np.linalg.eigvalsh(channels @ np.swapaxes(channels, 1, 2).conj())[:, -1]
    assert found.costs[-1] == pytest.approx(1 - (power.max(1) / most).mean(), abs=1e-9)


def test_all_weights_have_the_same_modulus() -> None:
    weights = learn_beams(_scattered(40, 3), 6, np.random.default_rng(4)).weights
    np.testing.assert_allclose(np.abs(weights), 1 / np.sqrt(32), rtol=1e-12)


def test_a_site_with_as_many_directions_as_beams_gets_a_beam_for_each() -> None:
    generator = np.random.default_rng(5)
    which = generator.integers(len(DIRECTIONS), size=60)
    level = 10 ** generator.uniform(-5, -3, 60)
    channels = (_waves(DIRECTIONS[which]) * level[:, None])[..., None]
    found = learn_beams(channels, len(DIRECTIONS), np.random.default_rng(6))
    assert found.costs[-1] < 1e-9
    gains = np.abs(_waves(DIRECTIONS) @ found.weights) ** 2
    # every direction has a beam of its own with the gain of all 32 elements
    assert sorted(gains.argmax(1).tolist()) == list(range(len(DIRECTIONS)))
    np.testing.assert_allclose(gains.max(1), 32, rtol=1e-6)


def test_one_beam_for_one_drop_is_as_good_as_phases_allow() -> None:
    """For a single channel h equal moduli reach (sum |h|)^2 / P, the square of its norm being the best of all beams."""
    generator = np.random.default_rng(7)
    channel = generator.standard_normal((1, 32, 1)) + 1j * generator.standard_normal((1, 32, 1))
    found = learn_beams(channel, 1, np.random.default_rng(8))
    most = np.abs(channel).sum() ** 2 / 32 / (np.abs(channel) ** 2).sum()
    assert 1 - found.costs[-1] == pytest.approx(most, rel=1e-9)


def test_the_same_generator_gives_the_same_beams_and_more_beams_serve_better() -> None:
    channels = _scattered(80, 9)
    first, again = (learn_beams(channels, 5, np.random.default_rng(10)) for _ in range(2))
    np.testing.assert_array_equal(first.weights, again.weights)
    costs = [learn_beams(channels, n, np.random.default_rng(10)).costs[-1] for n in (1, 3, 9)]
    assert (np.diff(costs) < 0).all()


def test_learned_beams_serve_new_drops_of_clustered_directions_better_than_even_ones() -> None:
    """Users of a site in a fifth of the sector: beams go where users are."""
    generator = np.random.default_rng(11)
    cosines = np.stack([generator.uniform(0.3, 0.7, 400), generator.uniform(-0.1, 0.1, 400)], -1)
    channels = _waves(cosines)[..., None]
    found = learn_beams(channels[:200], 4, np.random.default_rng(12))
    factors = channels[200:].conj() / np.sqrt(32)
    even = _waves(np.array([[-0.75, 0], [-0.25, 0], [0.25, 0], [0.75, 0]])).conj() / np.sqrt(32)
    learned = gains_of(factors, found.weights.T).max(1)
    assert learned.mean() > 0.8
    assert gains_of(factors, even).max(1).mean() < 0.6


@pytest.mark.parametrize(
    ("channels", "num_beams", "words"),
    [
        (np.ones((3, 4, 1)), 4, "num_beams: got 4; allowed: 1 to 3"),
        (np.ones((3, 4, 1)), 0, "num_beams: got 0; allowed: 1 to 3"),
        (np.zeros((3, 4, 1)), 2, "channels: got 'a drop without power'"),
    ],
)
def test_bad_input_is_refused_in_one_line(channels: np.ndarray, num_beams: int, words: str) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        learn_beams(channels, num_beams, np.random.default_rng(1))
    assert words in str(caught.value)
