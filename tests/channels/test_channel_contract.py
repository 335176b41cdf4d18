"""What every registered channel model keeps, whatever it models."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

import channels
from channels import (
    CHANNELS,
    Awgn,
    Cdl,
    Channel,
    Hst,
    Inf,
    Inh,
    RayleighBlock,
    RayTraced,
    Recorded,
    Rma,
    Sma,
    Tdl,
    Uma,
    Umi,
)
from channels.datasets.impulse_responses import ImpulseResponses, write_impulse_responses

TIMES = np.arange(14) * 0.5e-3 / 14
FREQUENCIES = (np.arange(48) - 23.5) * 30e3


def recorded() -> Recorded:
    """3000 links of 4 x 2 antennas with four taps each, up to 1 microsecond."""
    rng, shape = np.random.default_rng(1), (3000, 4, 2, 4)
    taps = rng.standard_normal((*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]
    places = np.stack([np.arange(3000), np.zeros(3000), np.zeros(3000)], -1).astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "responses.npz"
        write_impulse_responses(file, ImpulseResponses(taps, rng.uniform(0, 1e-6, shape).astype(np.float32), places))
        return Recorded(str(file))


MODELS = {
    "awgn": Awgn(),
    "rayleigh-block": RayleighBlock(),
    "tdl-static": Tdl("A", delay_spread_ns=100, max_doppler_hz=0),
    "tdl-slow": Tdl("TDLB100", max_doppler_hz=400),
    "tdl-fast": Tdl("C", delay_spread_ns=300, max_doppler_hz=20_000),
    "tdl-los": Tdl("D", delay_spread_ns=30, max_doppler_hz=200),
    "tdl-correlated": Tdl("TDLB100", max_doppler_hz=400, correlation="medium"),
    "hst": Hst("1-NR350", max_doppler_hz=2334),
    "cdl": Cdl("A", delay_spread_ns=100, carrier_frequency_hz=3.5e9, speed_mps=3),
    "cdl-los": Cdl("E", delay_spread_ns=30, carrier_frequency_hz=28e9, speed_mps=100, direction="downlink"),
    "umi": Umi(3.5e9, speed_mps=3),
    "uma": Uma(6e9, speed_mps=1, direction="downlink"),
    "rma": Rma(0.7e9, speed_mps=30),
    "sma": Sma(8e9, speed_mps=3),
    "inh": Inh(28e9),
    "inf": Inf(3.7e9, "DL", speed_mps=1),
    "cdl-near": Cdl("D", 100, 10e9, speed_mps=1, near_field={"distance_m": 15}),
    "rays": RayTraced(rays="munich-street", speed_mps=10, around_m=2),
    "rays-spherical": RayTraced(rays="munich-street", around_m=2, spherical=True, direction="downlink"),
    "recorded": recorded(),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Channel:
    return MODELS[request.param]


def generators(drops: range, seed: int = 7) -> list[np.random.Generator]:
    return [np.random.Generator(np.random.Philox(key=[seed, drop])) for drop in drops]


def num_tx_ant_of(model: Channel) -> int:
    return 1 if isinstance(model, (Awgn, Hst)) else 2


def test_every_model_is_under_contract() -> None:
    assert {type(model) for model in MODELS.values()} == set(CHANNELS.values())
    assert all(model.name == name for name, model in CHANNELS.items())


def test_this_is_our_package() -> None:
    """Django Channels has the same import name."""
    location = Path(inspect.getfile(channels)).parent
    assert location == Path(__file__).parents[2] / "channels"
    assert (location / "power_delay_profiles.csv").is_file()


def test_catalogue_has_one_line_for_every_model() -> None:
    lines = channels.catalogue()
    assert set(lines) == set(CHANNELS)
    assert all(line.endswith(".") and "\n" not in line for line in lines.values())


def test_shape_dtype_and_layout(model: Channel) -> None:
    num_tx_ant = num_tx_ant_of(model)
    h = model.response(generators(range(3)), 4, num_tx_ant, TIMES, FREQUENCIES)
    assert h.shape == (3, 4, num_tx_ant, 14, 48)
    assert h.dtype == torch.complex64
    assert h.is_contiguous()


def test_unit_mean_power_per_antenna_pair(model: Channel) -> None:
    num_tx_ant, drops = num_tx_ant_of(model), 800
    h = model.response(generators(range(drops)), 2, num_tx_ant, TIMES[:1], FREQUENCIES[:1])
    power = h.abs().square().view(drops, -1).double()
    # powers are at most exponentially distributed: standard deviation 1
    assert (power.mean(0) - 1).abs().max() < 5 / drops**0.5


def test_a_drop_is_bitwise_the_same_in_any_batch(model: Channel) -> None:
    num_tx_ant = num_tx_ant_of(model)

    def response(drops: range) -> torch.Tensor:
        return model.response(generators(drops), 4, num_tx_ant, TIMES, FREQUENCIES)

    together = response(range(9))
    assert torch.equal(together, torch.cat([response(range(i, i + 1)) for i in range(9)]))
    assert torch.equal(together, torch.cat([response(range(2)), response(range(2, 9))]))
    assert torch.equal(together.flip(0), response(range(8, -1, -1)))


@pytest.mark.parametrize("num_subcarriers", [12, 624, 3276])
@pytest.mark.parametrize("max_doppler_hz", [0, 400, 20_000])
def test_a_wide_drop_is_bitwise_the_same_in_any_batch(num_subcarriers: int, max_doppler_hz: float) -> None:
    model, frequencies = Tdl("C", 300, max_doppler_hz), np.arange(num_subcarriers) * 30e3
    together = model.response(generators(range(5)), 4, 1, TIMES, frequencies)
    for drop in range(5):
        assert torch.equal(
            together[drop : drop + 1], model.response(generators(range(drop, drop + 1)), 4, 1, TIMES, frequencies)
        )


def test_seed_decides(model: Channel) -> None:
    def response(seed: int) -> torch.Tensor:
        return model.response(generators(range(2), seed), 2, 1, TIMES, FREQUENCIES)

    assert torch.equal(response(1), response(1))
    if not isinstance(model, Awgn):
        assert (response(1) - response(2)).abs().min() > 0


def test_a_generator_that_has_moved_on_gives_a_new_draw(model: Channel) -> None:
    """Several users of a drop may draw one after the other from the drop's generator."""
    gens = generators(range(1))
    first, second = (model.response(gens, 2, 1, TIMES, FREQUENCIES) for _ in range(2))
    assert torch.equal(first, second) == isinstance(model, Awgn)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generators": []}, r"generators: got \[\]; allowed: one random generator per drop, at least one"),
        ({"num_rx_ant": 0}, r"num_rx_ant: got 0; allowed: an integer from 1"),
        ({"num_tx_ant": -1}, r"num_tx_ant: got -1; allowed: an integer from 1"),
        ({"num_rx_ant": 1.5}, r"num_rx_ant: got 1\.5; allowed: an integer from 1"),
        ({"symbol_times_s": np.zeros((2, 2))}, r"symbol_times_s: got \(2, 2\); allowed: one axis"),
        ({"symbol_times_s": np.array([0, np.nan])}, r"symbol_times_s: got nan; allowed: finite numbers"),
        ({"subcarrier_frequencies_hz": np.zeros(0)}, r"subcarrier_frequencies_hz: got \(0,\); allowed: one axis"),
        ({"subcarrier_frequencies_hz": np.array([np.inf])}, r"subcarrier_frequencies_hz: got inf; allowed: finite"),
    ],
)
def test_a_bad_request_is_refused_in_one_line(model: Channel, change: dict[str, object], message: str) -> None:
    request: dict[str, object] = {
        "generators": generators(range(1)),
        "num_rx_ant": 1,
        "num_tx_ant": 1,
        "symbol_times_s": TIMES,
        "subcarrier_frequencies_hz": FREQUENCIES,
    }
    with pytest.raises(ValueError, match=message) as error:
        model.response(**(request | change))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_channel(model: Channel) -> None:
    def response(device: str) -> torch.Tensor:
        return model.response(generators(range(3)), 4, 1, TIMES, FREQUENCIES, device).cpu()

    torch.testing.assert_close(response("cuda"), response("cpu"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("part", [slice(None), slice(3, 9)])
def test_modes_on_the_grid_sum_up_to_the_response(model: Channel, part: slice) -> None:
    num_tx_ant = num_tx_ant_of(model)
    arguments = (4, num_tx_ant, TIMES, part, FREQUENCIES)
    ours, others = generators(range(3)), generators(range(3))
    expected = model.response_within(others, *arguments)
    found = model.grid_modes(ours, *arguments)
    assert found.modes.dtype == torch.complex64
    h = found.modes
    if found.over_time is not None:
        assert found.over_time.shape[1] == found.modes.shape[3] < len(TIMES[part])
        h = torch.einsum("tm,brcmk->brctk", found.over_time.to(h.dtype), h)
    assert h.shape == expected.shape
    assert (h - expected).abs().max() < 1e-5
    # both draw the same numbers
    assert all(a.random() == b.random() for a, b in zip(ours, others, strict=True))


def test_slow_fading_is_a_few_modes() -> None:
    for model in (Tdl("C", 300, 50), Cdl("C", 300, 3.5e9, speed_mps=3), Umi(3.5e9, speed_mps=3)):
        found = model.grid_modes(generators(range(1)), 4, 1, TIMES, slice(None), FREQUENCIES)
        assert found.modes.shape[3] <= 4


def test_a_model_with_a_response_of_its_own_keeps_it() -> None:
    class Halved(Tdl):
        name = "halved"

        def response_within(self, *arguments: object, **named: object) -> torch.Tensor:
            return super().response_within(*arguments, **named) / 2  # type: ignore[arg-type]

    found = Halved("C", 300, 50).grid_modes(generators(range(2)), 2, 1, TIMES, slice(None), FREQUENCIES)
    whole = Tdl("C", 300, 50).response(generators(range(2)), 2, 1, TIMES, FREQUENCIES)
    assert found.over_time is None
    assert torch.equal(found.modes, whole / 2)
