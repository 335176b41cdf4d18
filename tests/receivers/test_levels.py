"""No result depends on the level of the received grid (grid and channel times a, noise variance times a^2), and no
receiver fails when the signal is strong."""

from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from unittest import mock

import pytest
import torch

from ran.link import Link, LinkConfig
from ran.phy.config import Carrier, Dmrs, Pusch, Users
from receivers import RECEIVERS, Blind, Lmmse, LsLinear, PerfectCsi, Truth
from receivers.classical import equalizer, linear, pilots
from receivers.classical.blind_estimate import BlindEstimator
from receivers.classical.equalizer import detect, lmmse_equalize
from receivers.classical.expectation_propagation import ExpectationPropagation
from receivers.classical.linear import interpolate_linear
from receivers.classical.lmmse import WienerInterpolator
from receivers.classical.timing import mean_delay
from receivers.classical.tree_search import KBest
from receivers.classical.two_layer_list import TwoLayerList
from receivers.levels import at_unit_level, level_exponent
from receivers.neural.receiver import NeuralReceiver
from receivers.neural.weights import shipped_weights

#: Every shipped set of weights of a receiver.
SHIPPED = sorted(shipped_weights("receiver"))
CLASSICAL = [cls.name for cls in (Blind, Lmmse, LsLinear, PerfectCsi)]
LEVELS = [1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9]
# powers of two, which move no digit: results are then equal bit for bit
EXACT = [2.0**-30, 2.0**-15, 2.0**15, 2.0**30]
MCS_OF_BITS = {2: (1, 4), 4: (1, 14), 6: (1, 22), 8: (2, 22)}


def slots(num_layers=1, bits=4, esn0_db=None, batch=2, num_prb=4, waveform=False):
    table, index = MCS_OF_BITS[bits]
    config = LinkConfig(
        carrier=Carrier(num_prb=num_prb),
        pusch=Pusch(mcs_table=table, mcs_index=index, dmrs=Dmrs(additional_position=1), transform_precoding=waveform),
        users=Users(num_users=num_layers),
        channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 100},
    )
    return Link(config).batch(range(batch), 6.0 + 3 * bits if esn0_db is None else esn0_db, 3, "level")


def at_level(observation, truth, a):
    moved = replace(observation, y=observation.y * a, noise_var=observation.noise_var * a * a)
    return moved, Truth(truth.h * a, truth.coded_bits)


def in_torch():
    stack = ExitStack()
    for module in (equalizer, linear, pilots):
        stack.enter_context(mock.patch.object(module, "runs_compiled", return_value=False))
    return stack


def assert_same(got, expected, exact):
    if exact:
        assert torch.equal(got, expected)
        return
    size = expected.abs().mean()
    # statistics that thresholds decide about may differ in a bin: not in a decision that says anything
    sure = expected.abs() > 1e-2 * size
    assert torch.equal(got[sure] > 0, expected[sure] > 0)
    assert float(((got - expected).abs() / (expected.abs() + size)).max()) < 5e-3


def build():
    made = [pytest.param(name, {}, id=name) for name in sorted(RECEIVERS) if name != NeuralReceiver.name]
    # levels are taken out before detection, whatever the estimate: with `lmmse` the detectors are quick
    made += [
        pytest.param(
            name,
            {"detector": detector, "demapper": demapper},
            id=f"{name}-{detector}-{demapper}",
            marks=[pytest.mark.slow] if name == "blind" else [],
        )
        for name in CLASSICAL
        for detector, demapper in (("ep", "exact"), ("ml", "maxlog"), ("k-best", "exact"), ("mmse-pic", "maxlog"))
    ]
    made += [
        pytest.param("blind", options, id="blind-" + "-".join(options))
        for options in (
            {"noise": "irc"},
            {"num_reestimations": 2},
            {"num_reestimations": 2, "track_phase": True, "amplifier_order": 3},
            {"detector": "mmse-pic", "data_aided": True},
        )
    ]
    return made


@pytest.mark.parametrize(("name", "options"), build())
def test_receivers(name, options):
    receiver = RECEIVERS[name](**options)
    for num_layers, bits in ((1, 4), (2, 6), (4, 2), (1, 8)):
        if options.get("detector") == "ml" and num_layers > 2:
            continue
        batch = slots(num_layers, bits)
        for plain in (False, True):
            with in_torch() if plain else ExitStack():
                expected = receiver(batch.observation, batch.truth)
                for a in (*EXACT[:1], *EXACT[-1:], *LEVELS[:1], *LEVELS[-1:]):
                    assert_same(receiver(*at_level(batch.observation, batch.truth, a)), expected, a in EXACT)


@pytest.mark.parametrize("a", [LEVELS[0], LEVELS[-1], EXACT[0], EXACT[-1]])
@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_linear_detection_of_every_modulation(num_layers, bits, a):
    batch = slots(num_layers, bits)
    moved, truth = at_level(batch.observation, batch.truth, a)
    for plain in (False, True):
        with in_torch() if plain else ExitStack():
            assert_same(detect(moved, truth.h, None), detect(batch.observation, batch.truth.h, None), a in EXACT)


@pytest.mark.parametrize("a", LEVELS + EXACT)
def test_transform_precoding(a):
    batch = slots(1, 4, waveform=True)
    for receiver in (LsLinear(), Lmmse(), Blind()):
        assert_same(receiver(*at_level(batch.observation, batch.truth, a)), receiver(batch.observation), a in EXACT)


def random_res(num_layers, n=512, seed=7):
    g = torch.Generator().manual_seed(seed)
    h = torch.randn(1, 4, num_layers, n, dtype=torch.complex64, generator=g)
    points = (torch.randint(0, 2, (1, num_layers, n, 2), generator=g) * 2.0 - 1) * 0.5**0.5
    y = (h * torch.view_as_complex(points).unsqueeze(1)).sum(2)
    noise = torch.full((1, n), 0.01)
    return y + 0.1 * torch.randn(y.shape, dtype=torch.complex64, generator=g), h, noise


@pytest.mark.parametrize("a", LEVELS + EXACT)
@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
def test_equalizer_and_detectors(num_layers, a):
    y, h, noise = random_res(num_layers)
    moved = (y * a, h * a, noise * a * a)
    for got, expected in zip(lmmse_equalize(*moved), lmmse_equalize(y, h, noise), strict=True):
        torch.testing.assert_close(got, expected, rtol=2e-3, atol=1e-4)
    detectors = [ExpectationPropagation(0), ExpectationPropagation(1, rule="exact"), KBest(8), KBest(8, "exact")]
    for detector in detectors + ([TwoLayerList(), TwoLayerList("exact")] if num_layers <= 2 else []):
        assert_same(detector(*moved, 4), detector(y, h, noise, 4), exact=False)


@pytest.mark.parametrize("a", LEVELS + EXACT)
@pytest.mark.parametrize("num_layers", [1, 2, 4])
def test_estimators(num_layers, a):
    batch = slots(num_layers, 4, esn0_db=10.0)
    moved, _ = at_level(batch.observation, batch.truth, a)
    for estimator in (interpolate_linear, WienerInterpolator(300e-9, 300.0), BlindEstimator()):
        results = []
        for o in (moved, batch.observation):
            found = estimator(o)
            results.append((found.h_hat, found.err_var) if isinstance(estimator, BlindEstimator) else found)
        (h, error), (expected_h, expected_error) = results
        if a in EXACT:
            assert torch.equal(h / a, expected_h)
            assert torch.equal(error / a / a, expected_error)
        else:
            torch.testing.assert_close(h / a, expected_h, rtol=1e-2, atol=2e-3)
            torch.testing.assert_close(error / a / a, expected_error, rtol=1e-2, atol=1e-4)
    for got, expected in zip(mean_delay(moved), mean_delay(batch.observation), strict=True):
        if 1e-6 <= a <= 1e6:  # beyond, `BlindEstimator` hands over slots near unit level
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)


def test_equalizer_at_tiny_levels_finds_the_symbols():
    # 0.06 and 0.001 in place of 1 with absolute floors
    for num_layers, a in ((1, 1e-7), (2, 1e-4)):
        y, h, noise = random_res(num_layers)
        x, _ = lmmse_equalize(y * a, h * a, noise * a * a)
        assert abs(float(x.abs().square().mean()) - 1) < 0.1


@pytest.mark.parametrize("a", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("num_layers", [2, 3, 4])
@pytest.mark.parametrize("apart", [1.0, 1e-2, 1e-4, 0.0])
@pytest.mark.parametrize("noise", [1e-1, 1e-6, 1e-10])
def test_compiled_and_plain_agree_however_alike_the_layers_are(num_layers, apart, noise, a):
    batch = slots(num_layers, 4, esn0_db=10.0)
    truth = batch.truth.h
    h = truth[:, :, :1] + apart * (truth - truth[:, :, :1])
    g = torch.Generator().manual_seed(1)
    sent = torch.randn(h[:, 0].shape, dtype=torch.complex64, generator=g)
    y = (h * sent.unsqueeze(1)).sum(2)
    y = y + noise**0.5 * torch.randn(y.shape, dtype=torch.complex64, generator=g)
    o = replace(batch.observation, y=y, noise_var=torch.full((2,), noise))
    o, scaled = at_level(o, Truth(h, batch.truth.coded_bits), a)
    compiled = detect(o, scaled.h, None)
    with in_torch():
        plain = detect(o, scaled.h, None)
    assert torch.isfinite(compiled).all()
    assert torch.isfinite(plain).all()
    # LLRs are no more exact than rounding of the Gram matrix over the noise on its diagonal lets them be
    size = compiled.abs().mean()
    apart_by = ((compiled - plain).abs() / (compiled.abs() + size)).flatten()
    loading = max(noise, 2.0**-20)
    assert float(apart_by.median()) < max(1e-4, 2**-23 / loading)


@pytest.mark.parametrize("name", SHIPPED)
def test_neural_receivers(name):
    receiver = NeuralReceiver(name)
    if receiver.takes_constellations:
        points = receiver.model.constellation.points().detach()
        pusch = Pusch(mcs_index=14, constellation=[(p.real, p.imag) for p in points.tolist()], pilotless=True)
        batch = Link(LinkConfig(carrier=Carrier(num_prb=6), pusch=pusch, channel={"name": "rayleigh-block"}))
        batch = batch.batch(range(2), 15.0, 3, "level")
    else:
        batch = slots(1, max(b for b in receiver.card["bits_per_symbol"] if b in MCS_OF_BITS), num_prb=6)
    expected = receiver(batch.observation, batch.truth)
    for a in (1e-9, 1e-3, 1e3, 1e9):
        assert_same(receiver(*at_level(batch.observation, batch.truth, a)), expected, exact=False)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("name", CLASSICAL)
def test_errors_do_not_rise_with_the_snr(name, num_layers, bits):
    table, index = MCS_OF_BITS[bits]
    link = Link(
        LinkConfig(
            carrier=Carrier(num_prb=4),
            pusch=Pusch(mcs_table=table, mcs_index=index, dmrs=Dmrs(additional_position=1)),
            users=Users(num_users=num_layers),
            channel={"name": "tdl", "profile": "B", "delay_spread_ns": 50, "max_doppler_hz": 10},
        )
    )
    receiver = RECEIVERS[name]()
    errors = []
    for esn0_db in (20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0):
        batch = link.batch(range(8), esn0_db, 2, "sweep")
        llr = receiver(batch.observation, batch.truth)
        assert torch.isfinite(llr).all()
        errors.append(int(link.count_errors(llr, batch).block_errors.sum()))
    # common random numbers: a block that is received once stays received
    assert all(later <= earlier for earlier, later in pairwise(errors)), errors


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("gain_db", [-200, -130, -60])
def test_blocks_arrive_over_any_path_gain(name, gain_db):
    batch = slots(1, 4, esn0_db=25.0)
    link = Link(
        LinkConfig(
            carrier=Carrier(num_prb=4),
            pusch=Pusch(mcs_index=14, dmrs=Dmrs(additional_position=1)),
            channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 100},
        )
    )
    moved, truth = at_level(batch.observation, batch.truth, 10 ** (gain_db / 20))
    llr = RECEIVERS[name]()(moved, truth)
    # 16QAM: the amplitude counts, which QPSK hides
    assert int(link.count_errors(llr, batch).block_errors.sum()) == 0


# the pilotless weights have a constellation of their own, which these slots do not
STRONG = [
    *build(),
    *(pytest.param("neural", {"weights": name}, id=name) for name in SHIPPED if "pilotless" not in name),
]


@pytest.mark.parametrize(("name", "options"), STRONG)
def test_strong_signals_lose_no_block(name, options):
    receiver = RECEIVERS[name](**options)
    link = Link(
        LinkConfig(
            carrier=Carrier(num_prb=6),
            pusch=Pusch(mcs_index=14, dmrs=Dmrs(additional_position=1)),
            channel={"name": "tdl", "profile": "B", "delay_spread_ns": 100, "max_doppler_hz": 100},
        )
    )
    with torch.inference_mode():
        for esn0_db in (40.0, 70.0, 100.0):
            batch = link.batch(range(4), esn0_db, 4, "levels")
            lost = link.count_errors(link.receive(receiver, batch), batch).block_errors
            assert int(lost.sum()) == 0, esn0_db


def test_unit_level_is_a_power_of_two_and_undoes_another():
    batch = slots()
    seen = at_unit_level(batch.observation)
    ratio = (seen.y / batch.observation.y).real
    exponents = torch.log2(ratio[ratio.isfinite()])
    torch.testing.assert_close(exponents, exponents.round(), rtol=0, atol=1e-5)
    assert at_unit_level(seen) is seen
    moved, _ = at_level(batch.observation, batch.truth, 2.0**20)
    assert torch.equal(at_unit_level(moved).y, seen.y)
    assert torch.equal(at_unit_level(moved).noise_var, seen.noise_var)


def test_an_empty_slot_has_exponent_zero():
    batch = slots()
    empty = replace(batch.observation, y=torch.zeros_like(batch.observation.y))
    assert level_exponent(empty).tolist() == [0, 0]
