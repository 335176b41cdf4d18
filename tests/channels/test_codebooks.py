"""Codebooks: orthogonality, pointing, wide beams that cover their cells, and the tree of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from channels.arrays import antenna_array, direction
from channels.arrays.codebook import Codebook, beam_tree, dft_codebook, sector_codebook
from channels.arrays.layout import panel

SIZE, SPACING = (4, 8), (0.5, 0.5)
PLACES = panel(*SIZE, SPACING)


def _sector() -> Codebook:
    return sector_codebook(PLACES, (4, 16), (-60, 60), (60, 120))


def test_dft_beams_are_orthogonal() -> None:
    book = dft_codebook(PLACES, SIZE, SPACING)
    assert book.num_beams == 32
    np.testing.assert_allclose(book.weights.conj().T @ book.weights, np.eye(32), atol=1e-12)


def test_oversampled_dft_beams_are_orthogonal_every_oversampling_steps() -> None:
    book = dft_codebook(PLACES, SIZE, SPACING, (1, 4))
    gram = np.abs(book.weights.conj().T @ book.weights)
    row = gram[0, :32]
    np.testing.assert_allclose(row[::4], [1] + [0] * 7, atol=1e-12)
    assert row[1] > 0.9


def test_every_beam_is_the_strongest_of_all_where_it_points() -> None:
    book = _sector()
    gains = book.gains(PLACES, book.cosines)
    np.testing.assert_array_equal(gains.argmax(1), np.arange(64))
    np.testing.assert_allclose(gains.diagonal(), 32)


def test_gain_is_that_of_an_antenna_array_with_the_weights() -> None:
    book = _sector()
    array = antenna_array({"rows": 4, "columns": 8, "polarisation": "V"}, 1.0)
    weights = book.port_weights(1)
    zenith, azimuth = torch.tensor([1.4, 1.7, 2.0]).double(), torch.tensor([-0.5, 0.1, 0.9]).double()
    toward = direction(zenith, azimuth)
    ports = torch.from_numpy(weights).to(torch.complex64) @ array.steering(toward, 1.0)
    np.testing.assert_allclose(
        ports.abs().square().numpy().T, book.gains(PLACES, toward[:, 1:].numpy()), rtol=2e-5, atol=2e-5
    )


def test_angles_point_along_the_cosines() -> None:
    book = _sector()
    y = np.sin(book.zenith_rad) * np.sin(book.azimuth_rad)
    np.testing.assert_allclose(np.stack([y, np.cos(book.zenith_rad)], -1), book.cosines, atol=1e-12)


def test_wide_beams_reach_the_corners_of_their_cells() -> None:
    tree = beam_tree(PLACES, _sector())
    wide = tree.levels[tree.level_of(8)]
    offsets = np.stack(np.meshgrid([-0.5, 0, 0.5], [-0.5, 0, 0.5]), -1).reshape(-1, 2) * wide.widths
    for beam in range(wide.num_beams):
        gain = 10 * np.log10(wide.gains(PLACES, wide.cosines[beam] + offsets)[:, beam])
        assert gain.min() > gain.max() - 9
        narrow = 10 * np.log10(tree.levels[0].gains(PLACES, wide.cosines[beam] + offsets).max(1))
        assert (gain < narrow + 1e-9).all()


def test_tree_halves_and_children_lie_within_their_parents() -> None:
    tree = beam_tree(PLACES, _sector())
    assert [level.num_beams for level in tree.levels] == [64, 32, 16, 8, 4, 2, 1]
    assert tree.first == (0, 64, 96, 112, 120, 124, 126)
    np.testing.assert_allclose(np.linalg.norm(tree.weights, axis=0), 1)
    for parents, narrow, wide in zip(tree.parents, tree.levels[:-1], tree.levels[1:], strict=True):
        inside = np.abs(narrow.cosines - wide.cosines[parents]) <= wide.widths / 2 + 1e-12
        assert inside.all()
        np.testing.assert_array_equal(np.bincount(parents), 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sector_codebook(PLACES, (4, 64), (-60, 60), (60, 120)), "1 to 27 horizontal beams"),
        (lambda: sector_codebook(PLACES, (9, 8), (-60, 60), (60, 120)), "1 to 8 vertical beams"),
        (lambda: sector_codebook(PLACES, (4, 8), (60, -60)), "azimuth_deg"),
        (lambda: dft_codebook(PLACES, SIZE, SPACING, (1, 5)), "oversampling: got 5; allowed: 1 to 4"),
        (lambda: beam_tree(PLACES, _sector()).level_of(7), "wide beams: got 7; allowed: 32, 16, 8, 4, 2, 1"),
    ],
)
def test_what_a_panel_cannot_form_is_refused_in_one_line(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()  # type: ignore[operator]
    assert "\n" not in str(caught.value)
