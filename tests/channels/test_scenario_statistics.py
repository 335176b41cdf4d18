"""Every scenario in every condition: Doppler, cross-polarisation and K factor against closed forms.

Delay and angle spreads, shadowing and clusters are held against Sionna in test_scenarios_against_sionna.py, large-scale
parameters against their tables in test_scenarios.py, correlation distances in test_networks.py.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy.special import j0
from scipy.stats import kstest, norm

from channels import Inf, Inh, Rma, Sma, Uma, Umi
from channels.scenarios.environment import CONDITIONS
from channels.scenarios.link_drop import LinkDrop
from channels.scenarios.parameters import ORDER
from channels.scenarios.scenario_channel import ScenarioChannel

SPEED_MPS = 30.0
DRAWS = 500
MODELS = {
    "umi": (Umi, {}),
    "uma": (Uma, {}),
    "rma": (Rma, {}),
    "sma": (Sma, {}),
    "inh-open": (Inh, {"office": "open"}),
    "inh-mixed": (Inh, {"office": "mixed"}),
    "inf-sl": (Inf, {"hall": "SL"}),
    "inf-dl": (Inf, {"hall": "DL"}),
    "inf-sh": (Inf, {"hall": "SH"}),
    "inf-dh": (Inf, {"hall": "DH"}),
    "inf-hh": (Inf, {"hall": "HH"}),
}
STATES = [
    (name, condition)
    for name in MODELS
    for condition in (("los", "nlos") if name.startswith("in") else ("los", "nlos", "o2i"))
    if (name, condition) != ("inf-hh", "nlos")
]
#: Two-sided, at a false-alarm level of 1e-6 over all tests of this file, at most ten figures each.
FALSE_ALARM = 1e-6 / (10 * len(STATES))
Z = float(norm.isf(FALSE_ALARM / 2))


def generators() -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[23, drop])) for drop in range(DRAWS)]


@lru_cache(maxsize=2)
def drawn(name: str, condition: str) -> tuple[ScenarioChannel, LinkDrop]:
    cls, options = MODELS[name]
    model = cls(3.5e9, speed_mps=SPEED_MPS, condition=condition, **options)
    return model, model.drops(generators())


@pytest.mark.parametrize(("name", "condition"), STATES)
def test_doppler(name: str, condition: str) -> None:
    """A drop's rays and a random direction of travel: the autocorrelation is a sum of Bessel functions."""
    model, drop = drawn(name, condition)
    times = np.linspace(0, 4, 6) / model.doppler_hz / 4
    h = model.response(generators(), 1, 1, times, np.zeros(1))[:, 0, 0, :, 0].numpy().astype(np.complex128)
    clusters = drop.clusters
    # a vertical omnidirectional element at each end meets the vertical components alone; every drop has unit power
    weights = clusters.power_of_ray[..., None] * clusters.in_part
    phase = 2 * np.pi * model.doppler_hz * times
    of_rays = np.einsum("bnm,bnmt->bt", weights, j0(phase * np.sin(clusters.rays_rad["zoa"])[..., None]))
    sight = np.pi - drop.links.zenith_at_base_rad
    expected = of_rays + clusters.los_power[:, None] * j0(phase * np.sin(sight)[:, None])
    expected = expected / (weights.sum((1, 2)) + clusters.los_power)[:, None]
    product = h * h[:, :1].conj()
    assert np.abs(expected[:, -1]).mean() < 0.8
    error = product - expected
    for part in (error.real, error.imag):
        assert np.all(np.abs(part.mean(0)) < Z * part.std(0) / DRAWS**0.5 + 1e-5)


@pytest.mark.parametrize(("name", "condition"), STATES)
def test_cross_polarisation_is_log_normal(name: str, condition: str) -> None:
    model, drop = drawn(name, condition)
    place = CONDITIONS.index(condition)
    mean, std = model.parameters.xpr_mean_db[place], model.parameters.xpr_std_db[place]
    # one ray per drop and cluster of the first two: independent numbers
    found = 10 * np.log10(drop.clusters.xpr[:, :2, 0]).ravel()
    assert kstest((found - mean) / std, "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("name", [name for name, condition in STATES if condition == "los"])
def test_k_factor_is_log_normal_and_in_the_powers(name: str) -> None:
    model, drop = drawn(name, "los")
    place = list(ORDER).index("k")
    mean, std = model.parameters.mean[0, place], model.parameters.std[0, place]
    assert kstest((drop.state.k_factor_db - mean) / std, "norm").pvalue > FALSE_ALARM
    others = (drop.clusters.power_of_ray[..., None] * drop.clusters.in_part).sum((1, 2))
    np.testing.assert_allclose(10 * np.log10(drop.clusters.los_power / others), drop.state.k_factor_db, atol=1e-6)
