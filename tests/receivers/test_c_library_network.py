"""Small networks in the C library held against the readable receiver of the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_networks import small_network
from test_c_library import slots, tolerance

from receivers import Blind, SlotObservation
from receivers.c_library import build
from receivers.c_library.library import Handle
from receivers.c_library.model_file import check, model_bytes
from receivers.c_library.receiver import CLibrary
from receivers.c_library.work import work_of
from receivers.neural import convolutions, refined_blind
from receivers.neural.receiver import NeuralReceiver

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler ($CXX, g++, clang++, c++)")

#: The largest deviation of a bfloat16 number, relative, for two factors.
TWO_ROUNDINGS = 2 * 2**-9

Write = Callable[..., NeuralReceiver]


@pytest.fixture
def write(tmp_path) -> Write:
    return partial(small_network, tmp_path)


def differences(receiver: NeuralReceiver, observation: SlotObservation, precision="float32", threads=1) -> list[float]:
    """Of each slot, the largest difference of the LLRs over the largest LLR."""
    library = Handle(build.built_library(), model_bytes(receiver, observation, precision), threads)
    found = []
    for i in range(len(observation.y)):
        expected = receiver(observation.part(i, i + 1))[0].transpose(0, 1).numpy()
        llr = library(observation.y[i].numpy()).llr
        assert llr is not None
        found.append(float(np.abs(llr - expected).max() / np.abs(expected).max()))
    return found


CASES = {
    "51 PRB, two antennas, one DM-RS symbol": ({"num_prb": 51, "rx": 2, "additional_position": 0, "batch": 1}, {}),
    "QPSK, one PRB, one antenna": ({"num_prb": 1, "rx": 1, "mcs": 4, "esn0_db": 5.0}, {}),
    "64QAM, three antennas": ({"num_prb": 5, "rx": 3, "mcs": 20, "esn0_db": 18.0}, {}),
    "256QAM": ({"num_prb": 4, "table": 2, "mcs": 22, "esn0_db": 25.0}, {}),
    "data beside the DM-RS": ({"num_prb": 8, "num_cdm_groups_without_data": 1}, {}),
    "double-symbol DM-RS": ({"num_prb": 8, "length": 2}, {}),
    "nodes of a multiple of the lanes": ({"num_prb": 8}, {}),
    "nodes of 4, one pass, widest convolutions": (
        {"num_prb": 7},
        {"node_subcarriers": 4, "num_passes": 1, "dilations": [8, 1, 2]},
    ),
    "nodes of a PRB": ({"num_prb": 6}, {"node_subcarriers": 12, "num_channels": 20}),
    "long delays, early": ({"num_prb": 12, "profile": "C", "spread_ns": 1000}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_llrs_are_those_of_the_readable_receiver(case, write):
    settings, options = CASES[case]
    assert max(differences(write(**options), slots(**settings))) < tolerance(settings.get("esn0_db", 12.0))


def test_the_network_matters(write):
    """What is compared above is far from the first estimate."""
    observation = slots(num_prb=4)
    first, refined = Blind()(observation), write()(observation)
    assert float((first - refined).abs().max() / first.abs().max()) > 0.1


def test_bfloat16_rounds_what_the_residual_blocks_multiply(write, monkeypatch):
    """Against the readable receiver whose factors are rounded likewise: what is left are numbers that lie so near the
    middle of two that single precision rounds them the other way."""
    observation = slots(num_prb=12, rx=2)
    in_float32 = max(differences(write(), observation, "bfloat16"))
    assert in_float32 < 8 * TWO_ROUNDINGS
    if "avx512_bf16" not in build._processor():
        pytest.skip("no AVX-512 BF16: the library computes in float32")
    assert in_float32 > tolerance(12)
    plain = convolutions.pointwise

    def rounded(layer, z):
        if layer.in_channels == 15:  # the entrance
            return plain(layer, z)
        weight = layer.weight.flatten(1).bfloat16().float()
        out = torch.nn.functional.linear(z.bfloat16().float().permute(0, 2, 3, 1), weight, layer.bias)
        return out.permute(0, 3, 1, 2)

    monkeypatch.setattr(convolutions, "pointwise", rounded)
    monkeypatch.setattr(refined_blind, "pointwise", rounded)
    assert max(differences(write(), observation, "bfloat16")) < 0.5 * in_float32


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_level_of_a_slot_does_not_matter(scale, write):
    observation = slots(num_prb=4, rx=2, batch=1)
    scaled = replace(observation, y=observation.y * scale, noise_var=observation.noise_var * scale**2)
    assert max(differences(write(), scaled)) < tolerance(12)


def test_beyond_the_training_the_end_of_its_range_is_shown(write):
    observation = slots(num_prb=4, rx=2, esn0_db=20.0)
    near = write({"highest_esn0_db": {"4": 6}, "fewest_dmrs_positions": 1})
    far = write()(observation)
    assert max(differences(near, observation)) < tolerance(20)
    assert float((near(observation) - far).abs().max() / far.abs().max()) > 1e-3


def test_with_fewer_pilots_than_in_training_the_first_receiver_decides(write):
    observation = slots(num_prb=4, rx=2, additional_position=0)
    receiver = write({"highest_esn0_db": {"4": 20}, "fewest_dmrs_positions": 2})
    assert max(differences(receiver, observation)) < tolerance(12)
    library = CLibrary.of(receiver)(observation)
    first = torch.cat([Blind()(observation.part(i, i + 1)) for i in range(2)])
    assert float((library - first).abs().max() / first.abs().max()) < tolerance(12)


def test_a_slot_without_a_signal(write):
    observation = slots(num_prb=2, rx=2, batch=1)
    empty = replace(observation, y=torch.zeros_like(observation.y))
    library = Handle(build.built_library(), model_bytes(write(), empty))
    assert np.isfinite(library(empty.y[0].numpy()).llr).all()


def test_depths_agree_and_channel_is_that_of_the_last_pass(write):
    observation, receiver = slots(num_prb=5, rx=2, batch=1), write()
    library = Handle(build.built_library(), model_bytes(receiver, observation))
    y = observation.y[0].numpy()
    whole = library(y, depth="channel symbols llr")
    assert whole.channel is not None
    assert whole.llr is not None
    assert whole.symbols is not None
    assert whole.symbol_noise is not None
    with torch.no_grad():
        h = receiver.model(observation)[-1][1][0].numpy()
    np.testing.assert_allclose(whole.channel, h, atol=tolerance(12) * np.abs(h).max())
    for depth in ("channel", "symbols", "llr"):
        alone = library(y, depth=depth)
        for name in ("channel", "error_var", "symbols", "symbol_noise", "llr"):
            if (array := getattr(alone, name)) is not None:
                np.testing.assert_array_equal(array, getattr(whole, name))
    # the first bit of 16QAM near the axis: 4 x / (sqrt(10) noise), of a real part within the innermost levels
    x, noise = whole.symbols[:, 0].real, whole.symbol_noise[:, 0]
    inner = np.abs(x) < 2 / np.sqrt(10)
    np.testing.assert_allclose(whole.llr[inner, 0, 0], 4 * x[inner] / np.sqrt(10) / noise[inner], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_threads_change_nothing(threads, precision, write):
    observation = slots(num_prb=24, rx=2, batch=2)
    model = model_bytes(write(), observation, precision)
    one, many = (Handle(build.built_library(), model, n) for n in (1, threads))
    for y in observation.y.numpy():
        np.testing.assert_array_equal(many(y).llr, one(y).llr)


def test_avx2_build(write):
    observation, receiver = slots(num_prb=9, rx=2, batch=1), write()
    model = model_bytes(receiver, observation, "bfloat16")
    expected = receiver(observation)[0].transpose(0, 1).numpy()
    found = Handle(build.built_library("avx2"), model)(observation.y[0].numpy()).llr
    np.testing.assert_allclose(found, expected, atol=tolerance(12) * np.abs(expected).max())


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ({}, {"layers": 2}, "layers: got 2 for the C library; allowed: 1 with a network"),
        ({"reject_bursts": True}, {}, "reject_bursts: got true"),
        ({"num_channels": 6}, {}, "num_channels: got 6 for the C library; allowed: multiples of 4"),
        ({"num_channels": 68}, {}, "num_channels: got 68 for the C library; allowed: 1 to 64"),
        ({"dilations": [9]}, {}, "dilations: got 9 for the C library; allowed: 1 to 8"),
        ({"num_reestimations": 1}, {}, "with re-estimations"),
        ({"demapper": "exact"}, {}, "demapper: got exact"),
        ({}, {"config_type": 2}, "DM-RS: got type 2"),
    ],
)
def test_what_the_library_has_not_is_refused(options, settings, message, write):
    with pytest.raises(ValueError, match="got") as error:
        check(write(**options), slots(num_prb=2, batch=1, **settings))
    assert message in str(error.value)


def test_other_architectures_are_refused():
    with pytest.raises(ValueError, match="allowed for the C library: soft-pilots"):
        check(NeuralReceiver("pusch-hybrid", reject_bursts=False), slots(num_prb=1, batch=1))


def test_the_floor_counts_networks(write):
    observation = slots(num_prb=51, rx=2, batch=1, additional_position=0)
    small, wide = (work_of(write(num_channels=n), observation) for n in (8, 16))
    nodes = 7 * 102
    # residual blocks of two antennas, two of them in two passes; entrance and exit
    blocks = [2 * 2 * 2 * nodes * (2 * (15 * n + 4 * n * n) + 2 * n * n) for n in (8, 16)]
    ends = [2 * 2 * nodes * 2 * (15 * n + 4 * n) for n in (8, 16)]
    assert wide.flops - small.flops == pytest.approx(blocks[1] + ends[1] - blocks[0] - ends[0])


def test_what_is_computed_in_place_of_bfloat16_is_said(write, monkeypatch):
    """By a build without such instructions, as on a processor without them."""
    receiver = CLibrary.of(write(), "bfloat16")
    has_them = "avx512_bf16" in build._processor()
    assert receiver.computed_precision == ("bfloat16" if has_them else "float32")
    assert bool(receiver.notes) is not has_them
    assert CLibrary.of(write()).notes == ()
    (of_blind,) = CLibrary.of(Blind(), "bfloat16").notes
    assert "only networks" in of_blind
    monkeypatch.setattr("receivers.c_library.receiver.built_library", lambda: build.built_library("avx2"))
    assert receiver.computed_precision == "float32"
    assert receiver.notes == ("precision: got bfloat16, computed in float32; this processor has no AVX-512 BF16",)
