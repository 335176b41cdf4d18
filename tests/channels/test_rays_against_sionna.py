"""Our responses from stored rays against those that Sionna RT itself makes of the same antennas (`pytest -m rt`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from channels.raytraced import RaySet, RayTraced, cached_rays, trace_options

pytestmark = pytest.mark.rt

BASE, USERS = [8.5, 21.0, 27.0], [[45.0, 90.0, 1.5], [30.0, 60.0, 1.5], [20.0, 40.0, 1.5]]
FREQUENCIES = (np.arange(64) - 31.5) * 240e3
TRACE: dict[str, Any] = {
    "scene": "munich",
    "carrier_frequency_hz": 3.5e9,
    "base_position_m": BASE,
    "users": {"layout": "positions", "positions_m": USERS},
    "max_depth": 2,
    "relative_db": 200.0,
    "samples": 100_000,
    "max_rays": 1000,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAN_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def theirs(synthetic: bool, velocity: list[float] | None = None, times: int = 1, rate_hz: float = 1.0) -> np.ndarray:
    """Sionna's frequency response, [users, 4 user antennas, 8 base antennas, times, subcarriers]."""
    from sionna import rt

    scene = rt.load_scene(rt.scene.munich, merge_shapes=True)
    scene.frequency = TRACE["carrier_frequency_hz"]
    common: dict[str, Any] = {"vertical_spacing": 0.5, "horizontal_spacing": 0.5}
    scene.tx_array = rt.PlanarArray(num_rows=1, num_cols=4, pattern="tr38901", polarization="cross", **common)
    scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=2, pattern="iso", polarization="VH", **common)
    scene.add(rt.Transmitter("base", position=BASE, orientation=[math.radians(60), math.radians(10), 0.0]))
    for number, place in enumerate(USERS):
        scene.add(rt.Receiver(f"user{number}", position=place, velocity=velocity or [0.0, 0.0, 0.0]))
    paths = rt.PathSolver(deterministic=True)(
        scene,
        max_depth=TRACE["max_depth"],
        samples_per_src=TRACE["samples"],
        refraction=False,
        synthetic_array=synthetic,
        seed=1,
    )
    h = paths.cfr(
        frequencies=FREQUENCIES,
        sampling_frequency=rate_hz,
        num_time_steps=times,
        normalize_delays=False,
        out_type="numpy",
    )
    return np.asarray(h)[:, :, 0]


def ours(times_s: np.ndarray, **options: Any) -> np.ndarray:
    """The same, one draw per user."""
    base = {"rows": 1, "columns": 4, "pattern": "38.901", "polarisation": "cross", "orientation_deg": [60, 10, 0]}
    user = {"num_elements": 2, "polarisation": "VH", "orientation_deg": [0, 0, 0]}
    model = RayTraced(
        trace=TRACE,
        direction="downlink",
        rx_array=user,
        tx_array=base,
        normalise="none",
        absolute_delays=True,
        **options,
    )
    generators: dict[int, np.random.Generator] = {}
    for seed in range(100):
        site = int(model.sites([np.random.default_rng(seed)])[0])
        generators.setdefault(site, np.random.default_rng(seed))
    chosen = [generators[user] for user in range(len(USERS))]
    return model.response(chosen, 4, 8, times_s, FREQUENCIES).numpy()


def ports_of_theirs(h: np.ndarray) -> np.ndarray:
    """Both list antennas slant by slant; Sionna's crossed slants are -45 and +45 degrees, ours the other way."""
    return np.concatenate([h[:, :, 4:], h[:, :, :4]], axis=2)


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_the_response_is_sionnas_with_plane_waves(cache: None) -> None:
    h = ours(np.zeros(1))
    reference = ports_of_theirs(theirs(synthetic=True))
    # float32 delays and angles on either side; 2e-4 was seen
    assert relative_error(h, reference) < 1e-3


def test_doppler_is_sionnas(cache: None) -> None:
    rate = 2000.0
    reference = ports_of_theirs(theirs(True, [0.0, 20.0, 0.0], 5, rate))
    h = ours(np.arange(5) / rate, speed_mps=20.0, travel_azimuth_deg=90.0)
    assert relative_error(h, reference) < 1e-3


def test_spherical_waves_come_nearer_to_rays_of_every_antenna(cache: None) -> None:
    """Sionna then traces between every pair of antennas; ours bend the wavefront of the centre's rays."""
    reference = ports_of_theirs(theirs(synthetic=False))
    spherical = relative_error(ours(np.zeros(1), spherical=True), reference)
    assert spherical < 5e-3
    assert spherical < relative_error(ours(np.zeros(1)), reference)


def test_a_cached_trace_is_identical(cache: None) -> None:
    from channels.raytraced import tracer

    options = trace_options(TRACE)
    kept = cached_rays(options)
    again: RaySet = tracer.trace(options)
    assert kept.content_sha256 == again.content_sha256
    assert torch.equal(torch.from_numpy(kept.transfer), torch.from_numpy(again.transfer))


def test_diffraction_scattering_and_refraction_reach_more_places(cache: None) -> None:
    from channels.raytraced import tracer

    users = {"layout": "grid", "x_m": [-40, 60], "y_m": [20, 120], "spacing_m": 50}
    base = TRACE | {"users": users, "samples": 20_000, "max_rays": 200, "max_path_loss_db": 250.0}
    found = {
        name: tracer.trace(trace_options(base | change))
        for name, change in {
            "plain": {},
            "diffraction": {"diffraction": True},
            "scattering": {"scattering": 0.5},
            "refraction": {"refraction": True},
        }.items()
    }
    kinds = {name: int(np.bitwise_or.reduce(rays.interactions.ravel())) for name, rays in found.items()}
    assert kinds["plain"] == 1
    assert kinds["diffraction"] & 8
    assert kinds["scattering"] & 2
    assert kinds["refraction"] & 4
    assert found["plain"].num_outages >= found["diffraction"].num_outages
    assert found["plain"].num_outages >= found["refraction"].num_outages
