"""Gains of beams against those of antennas, which are held against Sionna elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from channels.arrays import antenna_array
from channels.arrays.codebook import sector_codebook
from channels.arrays.layout import linear, panel
from channels.scenarios import Uma
from channels.scenarios.beam_response import BeamEnds, beam_gains
from channels.scenarios.response import Ends, path_gains


@pytest.mark.parametrize("blockage", [None, {"model": "B", "screens": [[20.0, 5.0, 1.5, 4.8, 1.4]]}])
def test_beams_are_the_weighted_sums_of_antennas(blockage: dict | None) -> None:
    channel = Uma(30e9, "downlink", indoor_ratio=0.3, inter_site_distance_m=200.0, pathloss=True, blockage=blockage)
    generators = [np.random.default_rng(seed) for seed in range(12)]
    drop = channel.drops(generators)
    assert {0, 1} <= set(drop.state.condition.tolist())
    wavelength = channel.wavelength_m
    base = antenna_array({"rows": 4, "columns": 8, "polarisation": "cross", "pattern": "38.901"}, wavelength)
    weights = sector_codebook(panel(4, 8, (0.5, 0.5)), (4, 8), zenith_deg=(70, 120)).weights
    user = sector_codebook(linear(4, 0.5, "y"), (1, 4)).port_weights(2)
    block = {"rows": 1, "columns": 4, "polarisation": "cross", "pattern": "38.901"}
    block["weights"] = [[[w.real, w.imag] for w in row] for row in user.tolist()]
    faces = [antenna_array({**block, "orientation_deg": [bearing, 0, 0]}, wavelength) for bearing in (0.0, 180.0)]
    ends = BeamEnds(base, torch.from_numpy(weights).to(torch.complex64), faces, wavelength)
    expected = []
    for face in faces:
        antennas = path_gains(Ends(base, face, False, wavelength, 0.0, False), drop, np.zeros(1), "cpu")[:, :, 0]
        elements = antennas.unflatten(1, (8, 2, 32))
        expected.append(torch.einsum("irspn,pb->irsbn", elements, ends.weights))
    whole = torch.cat(expected, 1)
    for row, (gains, delays) in enumerate(beam_gains(ends, drop)):
        scale = whole[row].abs().max()
        used = whole[row].abs().amax((0, 1, 2)) > 1e-4 * scale
        all_delays = torch.from_numpy(drop.clusters.delays_s[row])
        assert torch.isin(all_delays[used], delays).all()
        for place, delay in enumerate(delays):
            same = whole[row][..., all_delays == delay].sum(-1)
            mine = gains[..., delays == delay].sum(-1)
            assert (mine - same).abs().max() < 3e-4 * scale, place
